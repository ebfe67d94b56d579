//! The minimal form: which of the stored packets a reader needs for one key. What is in it, [`Found::export`] says.
//!
//! [`Found::export`]: crate::Found::export

use std::time::SystemTime;

use openpgp::Cert;
use openpgp::cert::ValidCert;
use openpgp::cert::amalgamation::{ValidAmalgamation as _, ValidateAmalgamation as _};
use openpgp::packet::Signature;
use openpgp::parse::{PacketParser, PacketParserResult, Parse as _};
use openpgp::policy::{Policy, StandardPolicy};
use openpgp::types::{HashAlgorithm, RevocationStatus};
use sequoia_openpgp as openpgp;

use crate::block::Block;
use crate::packet::{Packet, tag};
use crate::{Fingerprint, NotJudged, judge, signature};

/// What is needed.
#[derive(Default)]
struct Needed {
    user_ids: Vec<Vec<u8>>,
    signatures: Vec<Signature>,
}

pub(crate) fn minimal(
    block: &Block<'_>,
    primary: Fingerprint,
    asked: Fingerprint,
    at: SystemTime,
) -> Result<Vec<u8>, NotJudged> {
    let cert = judge::certificate(block, primary)?;
    let needed = needed(&cert, asked, &StandardPolicy::at(at), at)
        .or_else(|_| needed(&cert, asked, &lenient(at), at))
        .map_err(|error| NotJudged::Sequoia(judge::reason_of(&error)))?;
    Ok(pick(block, primary, asked, needed))
}

/// A policy for certificates that do not count under the standard one. It only chooses what to leave out.
fn lenient(at: SystemTime) -> StandardPolicy<'static> {
    let mut policy = StandardPolicy::at(at);
    for hash in [HashAlgorithm::MD5, HashAlgorithm::SHA1, HashAlgorithm::RipeMD] {
        policy.accept_hash(hash);
    }
    policy
}

fn needed(cert: &Cert, asked: Fingerprint, policy: &dyn Policy, at: SystemTime) -> openpgp::Result<Needed> {
    let valid = cert.with_policy(policy, at)?;
    let mut needed = Needed::default();
    needed.signatures.extend(valid.direct_key_signature().ok().cloned());
    needed.add_revocations(valid.revocation_status());
    needed.add_user_ids(&valid);
    for key in cert.keys().subkeys().filter(|key| key.key().fingerprint().as_bytes() == asked.as_bytes()) {
        let key = key.with_policy(policy, at)?;
        needed.signatures.push(key.binding_signature().clone());
        needed.add_revocations(key.revocation_status());
    }
    Ok(needed)
}

impl Needed {
    fn add_user_ids(&mut self, valid: &ValidCert<'_>) {
        let is_revoked = |status: RevocationStatus<'_>| matches!(status, RevocationStatus::Revoked(_));
        let all_revoked = valid.userids().all(|id| is_revoked(id.revocation_status()));
        for id in valid.userids().filter(|id| all_revoked || !is_revoked(id.revocation_status())) {
            self.user_ids.push(id.userid().value().to_vec());
            self.signatures.push(id.binding_signature().clone());
            self.add_revocations(id.revocation_status());
        }
    }

    fn add_revocations(&mut self, status: RevocationStatus<'_>) {
        if let RevocationStatus::Revoked(signatures) = status {
            self.signatures.extend(signatures.into_iter().cloned());
        }
    }

    /// Whether a stored signature is one of those. Each is taken once, however often it is stored.
    fn take(&mut self, packet: &Packet<'_>, primary: Fingerprint) -> bool {
        if !signature::Signature::read(packet.body).may_be_of(primary.as_bytes()) {
            return false;
        }
        let Some(stored) = read_signature(packet.raw) else { return false };
        let same = self.signatures.iter().position(|needed| needed.normalized_eq(&stored));
        same.map(|same| self.signatures.swap_remove(same)).is_some()
    }

    fn take_user_id(&mut self, id: &[u8]) -> bool {
        let same = self.user_ids.iter().position(|needed| needed == id);
        same.map(|same| self.user_ids.swap_remove(same)).is_some()
    }
}

/// A stored signature as sequoia reads it in a certificate: unlike `Packet::from_bytes`, whatever is behind its numbers.
fn read_signature(raw: &[u8]) -> Option<Signature> {
    match PacketParser::from_bytes(raw).ok()? {
        PacketParserResult::Some(PacketParser { packet: openpgp::Packet::Signature(signature), .. }) => {
            Some(signature)
        }
        _ => None,
    }
}

fn pick(block: &Block<'_>, primary: Fingerprint, asked: Fingerprint, mut needed: Needed) -> Vec<u8> {
    let mut is_needed = |packet: &Packet<'_>| match packet.tag {
        tag::PUBLIC_KEY => true,
        tag::PUBLIC_SUBKEY => Fingerprint::of_key(packet.body) == Some(asked),
        tag::USER_ID => needed.take_user_id(packet.body),
        tag::SIGNATURE => needed.take(packet, primary),
        _ => false,
    };
    block.exportable().filter(|packet| is_needed(packet)).flat_map(|packet| packet.raw).copied().collect()
}

#[cfg(test)]
mod tests {
    use openpgp::cert::{CertBuilder, UserIDRevocationBuilder};
    use openpgp::serialize::SerializeInto as _;
    use openpgp::types::ReasonForRevocation;

    use super::*;
    use crate::packet::Packets;

    /// The tags of the minimal form's packets.
    fn tags(cert: &Cert) -> Vec<u8> {
        let octets = cert.to_vec().unwrap();
        let block = Block::read(&octets).unwrap();
        let primary = block.keys()[0].fingerprint();
        let octets = minimal(&block, primary, primary, SystemTime::now()).unwrap();
        Packets::new(&octets).map(|packet| packet.unwrap().tag).collect()
    }

    fn revoke(cert: Cert, user_id: &str) -> Cert {
        let id = cert.userids().find(|id| id.userid().value() == user_id.as_bytes()).unwrap();
        let key = cert.primary_key().key().clone().parts_into_secret().unwrap();
        let revocation = UserIDRevocationBuilder::new()
            .set_reason_for_revocation(ReasonForRevocation::UIDRetired, b"")
            .unwrap()
            .build(&mut key.into_keypair().unwrap(), &cert, id.userid(), None)
            .unwrap();
        cert.insert_packets(revocation).unwrap().0
    }

    #[test]
    fn revoked_user_ids_are_kept_with_their_revocations_if_there_is_no_other() {
        let cert = CertBuilder::new().add_userid("mary").add_userid("maiden name").generate().unwrap().0;
        let (key, id, by) = (tag::PUBLIC_KEY, tag::USER_ID, tag::SIGNATURE);
        assert_eq!(tags(&cert), [key, by, id, by, id, by]);
        let cert = revoke(cert, "maiden name");
        assert_eq!(tags(&cert), [key, by, id, by]);
        assert_eq!(tags(&revoke(cert, "mary")), [key, by, id, by, by, id, by, by]);
    }

    #[test]
    fn certificates_without_user_ids_have_a_minimal_form() {
        let cert = CertBuilder::new().add_signing_subkey().generate().unwrap().0;
        assert_eq!(tags(&cert), [tag::PUBLIC_KEY, tag::SIGNATURE]);
    }
}
