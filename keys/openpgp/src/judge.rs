//! What a certificate is worth: the bindings, expiry and revocations that sequoia-openpgp finds under its standard policy.
//!
//! Sequoia gets no more than it can work through in a moment: only what the owner may have signed, within the limits
//! below. (To put misplaced signatures right, it tries each at each key and user id.)

use std::time::SystemTime;

use openpgp::Cert;
use openpgp::cert::ValidCert;
use openpgp::cert::amalgamation::{ValidAmalgamation as _, ValidateAmalgamation as _};
use openpgp::packet::Signature;
use openpgp::parse::Parse as _;
use openpgp::policy::{Policy, StandardPolicy};
use openpgp::types::RevocationStatus;
use sequoia_openpgp as openpgp;

use crate::block::{Block, BlockError, is_key};
use crate::packet::{Packet, tag};
use crate::{Fingerprint, signature};

/// The most keys and user ids of a certificate that is judged.
pub(crate) const MAX_COMPONENTS: usize = 256;

/// The most signatures by the owner.
pub(crate) const MAX_OWN_SIGNATURES: usize = 1024;

/// The most pairs of one with the other.
pub(crate) const MAX_TRIES: usize = 65_536;

/// The longest user id that is looked at, in octets, as in gpg.
pub(crate) const MAX_USER_ID: usize = 2048;

/// The longest key packet, in octets; RSA keys of 16384 bits have 2 KiB.
pub(crate) const MAX_KEY: usize = 8192;

/// The longest reason that is told, in characters.
const MAX_REASON: usize = 160;

/// Whether something counts at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Validity {
    /// It does.
    Valid {
        /// When it will expire, if it does.
        until: Option<SystemTime>,
    },
    /// It was made later.
    NotYet {
        /// When.
        from: SystemTime,
    },
    /// It does no more.
    Expired {
        /// Since when.
        since: SystemTime,
    },
    /// The owner revoked it.
    Revoked {
        /// What the owner says about it; may be empty.
        reason: String,
    },
    /// It is not bound by signatures that count under sequoia's standard policy, or not understood.
    Unusable {
        /// Why.
        reason: String,
    },
}

impl Validity {
    /// Whether it counts.
    #[must_use]
    pub const fn is_valid(&self) -> bool {
        matches!(self, Self::Valid { .. })
    }

    /// One word for it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Valid { .. } => "valid",
            Self::NotYet { .. } => "not-yet-valid",
            Self::Expired { .. } => "expired",
            Self::Revoked { .. } => "revoked",
            Self::Unusable { .. } => "unusable",
        }
    }

    /// Why it is revoked or unusable.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Revoked { reason } | Self::Unusable { reason } => Some(reason),
            _ => None,
        }
    }
}

/// What a certificate is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The certificate.
    pub certificate: Validity,
    /// The key that was asked for, as part of it. A subkey can be expired or revoked alone; that it is valid means little if
    /// the certificate is not.
    pub key: Validity,
    /// The user ids that are bound and not revoked, the primary one first. What is not UTF-8 is replaced.
    pub user_ids: Vec<String>,
}

impl Verdict {
    /// The validity of the key in view of the certificate's: the certificate's if that does not count, else the key's.
    #[must_use]
    pub const fn of_both(&self) -> &Validity {
        if self.certificate.is_valid() { &self.key } else { &self.certificate }
    }

    pub(crate) fn unusable(reason: String) -> Self {
        let certificate = Validity::Unusable { reason };
        Self { key: certificate.clone(), certificate, user_ids: Vec::new() }
    }
}

/// Why a certificate cannot be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotJudged {
    /// It is no certificate.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// It has more parts, or larger ones, than are looked at.
    #[error(
        "too large to be judged: at most {MAX_COMPONENTS} keys and user ids, {MAX_OWN_SIGNATURES} signatures of the owner, {MAX_TRIES} pairs of them, {MAX_KEY} octets in a key"
    )]
    TooLarge,
    /// Sequoia reads another primary key.
    #[error("sequoia-openpgp reads another primary key in it")]
    OtherKey,
    /// Sequoia does not understand it, or finds no binding.
    #[error("{0}")]
    Sequoia(String),
}

/// What the certificate and one of its keys are worth at a time.
pub(crate) fn verdict(
    block: &Block<'_>,
    primary: Fingerprint,
    asked: Fingerprint,
    at: SystemTime,
) -> Verdict {
    let cert = match certificate(block, primary) {
        Ok(cert) => cert,
        Err(error) => return Verdict::unusable(error.to_string()),
    };
    let policy = StandardPolicy::at(at);
    let certificate = of_certificate(&cert, &policy, at);
    let key = if asked == primary { certificate.clone() } else { of_subkey(&cert, asked, &policy, at) };
    let user_ids = cert.with_policy(&policy, at).map(|valid| user_ids(&valid)).unwrap_or_default();
    Verdict { certificate, key, user_ids }
}

/// The certificate as sequoia reads it: without user attributes and what others signed.
pub(crate) fn certificate(block: &Block<'_>, primary: Fingerprint) -> Result<Cert, NotJudged> {
    let packets: Vec<_> = block.exportable().filter(|packet| matters(packet, primary)).collect();
    if is_too_large(&packets) {
        return Err(NotJudged::TooLarge);
    }
    let octets: Vec<u8> = packets.iter().flat_map(|packet| packet.raw).copied().collect();
    let cert = Cert::from_bytes(&octets).map_err(|error| NotJudged::Sequoia(reason_of(&error)))?;
    let is_same = cert.fingerprint().as_bytes() == primary.as_bytes();
    if is_same { Ok(cert) } else { Err(NotJudged::OtherKey) }
}

fn is_too_large(packets: &[Packet<'_>]) -> bool {
    let signatures = packets.iter().filter(|packet| packet.tag == tag::SIGNATURE).count();
    let components = packets.len().saturating_sub(signatures);
    signatures > MAX_OWN_SIGNATURES
        || components > MAX_COMPONENTS
        || signatures.saturating_mul(components) > MAX_TRIES
        || packets.iter().any(|packet| is_key(packet.tag) && packet.body.len() > MAX_KEY)
}

fn matters(packet: &Packet<'_>, primary: Fingerprint) -> bool {
    match packet.tag {
        tag::SIGNATURE => signature::Signature::read(packet.body).may_be_of(primary.as_bytes()),
        tag::USER_ID => packet.body.len() <= MAX_USER_ID,
        other => is_key(other),
    }
}

fn of_certificate(cert: &Cert, policy: &dyn Policy, at: SystemTime) -> Validity {
    let created = cert.primary_key().key().creation_time();
    if created > at {
        return Validity::NotYet { from: created };
    }
    if let RevocationStatus::Revoked(signatures) = cert.revocation_status(policy, at) {
        return Validity::Revoked { reason: reason_for_revocation(&signatures) };
    }
    match cert.with_policy(policy, at) {
        Ok(valid) => {
            let key = valid.primary_key();
            in_time(key.key_expiration_time(), at)
        }
        Err(error) => Validity::Unusable { reason: reason_of(&error) },
    }
}

fn of_subkey(cert: &Cert, asked: Fingerprint, policy: &dyn Policy, at: SystemTime) -> Validity {
    let Some(key) = cert.keys().subkeys().find(|key| key.key().fingerprint().as_bytes() == asked.as_bytes())
    else {
        return Validity::Unusable { reason: "sequoia-openpgp does not understand the key".to_owned() };
    };
    let created = key.key().creation_time();
    if created > at {
        return Validity::NotYet { from: created };
    }
    match key.with_policy(policy, at) {
        Ok(valid) => match valid.revocation_status() {
            RevocationStatus::Revoked(signatures) => {
                Validity::Revoked { reason: reason_for_revocation(&signatures) }
            }
            _ => in_time(valid.key_expiration_time(), at),
        },
        Err(error) => Validity::Unusable { reason: reason_of(&error) },
    }
}

fn in_time(end: Option<SystemTime>, at: SystemTime) -> Validity {
    match end {
        Some(since) if since <= at => Validity::Expired { since },
        until => Validity::Valid { until },
    }
}

fn user_ids(valid: &ValidCert<'_>) -> Vec<String> {
    let primary = valid.primary_userid().ok().map(|id| id.userid().clone());
    let mut ids: Vec<_> = valid
        .userids()
        .filter(|id| !matches!(id.revocation_status(), RevocationStatus::Revoked(_)))
        .map(|id| id.userid().clone())
        .collect();
    ids.sort_by_key(|id| Some(id) != primary.as_ref());
    ids.iter().map(|id| String::from_utf8_lossy(id.value()).into_owned()).collect()
}

fn reason_for_revocation(signatures: &[&Signature]) -> String {
    let reasons = signatures.iter().filter_map(|signature| signature.reason_for_revocation());
    let texts = reasons.map(|(code, text)| format!("{code}: {}", String::from_utf8_lossy(text)));
    texts.map(|text| one_line(text.trim_end_matches([':', ' ']))).next().unwrap_or_default()
}

/// What sequoia says, with its causes.
pub(crate) fn reason_of(error: &openpgp::anyhow::Error) -> String {
    one_line(&format!("{error:#}"))
}

fn one_line(text: &str) -> String {
    text.chars().take(MAX_REASON).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
