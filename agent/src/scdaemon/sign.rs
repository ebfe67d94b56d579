//! PKSIGN and PKAUTH: signatures with a card's key.
//!
//! The agent sends a DigestInfo for every kind of key. What goes to the card depends on the key: RSA takes the DigestInfo,
//! ECC the bare digest. Authentication with Ed25519 is ssh's: the whole message behind the prefix of SHA-1, whatever its
//! length (GnuPG's agent, `command-ssh.c`).

use claviger_assuan::args::Args;
use claviger_assuan::conversation::Conversation;
use claviger_assuan::error::{Code, Error};
use claviger_cards::facts::Facts;
use claviger_cards::token::{Reply, Request as CardRequest, Slot};
use claviger_keys::{CurveKind, DigestInfo, Hash, PublicKey};

use super::errors::{parameter, scd};
use super::key_reference::{self, load_key};
use super::perform::unexpected;
use super::session::Session;
use super::{Command, parse, row};
use crate::verify;

/// Lengths of a digest that is taken for one whatever `--hash` says.
const DIGEST_LENGTHS: [usize; 5] = [20, 28, 32, 48, 64];

/// How much of an RSA modulus the input of INTERNAL AUTHENTICATE may fill (OpenPGP card 3.4, 7.2.13): 40 %.
const MAX_RSA_PERCENT: usize = 40;

pub(super) static COMMANDS: &[Command] = &[
    row!("PKSIGN", WithCard, pksign_request, pksign, HELP_PKSIGN),
    row!("PKAUTH", WithCard, pkauth_request, pkauth, HELP_PKAUTH),
];

const HELP_PKSIGN: &str = "\
PKSIGN [--hash=md5|sha1|rmd160|sha224|sha256|sha384|sha512|none] <keyid>

Sign what SETDATA has set: a digest, or a DigestInfo of the hash in
--hash (SHA-1 if it is not given). KEYID is a keygrip, OPENPGP.1,
OPENPGP.3, or a card's serial number. The card's answer is returned
after it was checked against the public key: as many octets as the
modulus for RSA, r and s of equal length for ECDSA, R and S for EdDSA.

With --hash=none an Ed25519 or Ed448 key signs the data itself, whatever
they are: a message of up to the 4096 octets of SETDATA, as far as the
card takes it. This is claviger's own; GETINFO cmd_has_option PKSIGN
hash=none tells. Other keys sign digests only, as in GnuPG.

While the card waits for a finger before it uses the key, this is told
in a status line, as with PKAUTH and PKDECRYPT:

  S TOUCH_AWAITED <keygrip>

After a minute without the finger the error is \"Timeout\". With the
option touch-prompt the client is also asked to show it, by

  INQUIRE POPUPPINPADPROMPT --ack
  INQUIRE DISMISSPINPADPROMPT

CAN as the answer to the first calls the signature off.";

const HELP_PKAUTH: &str = "\
PKAUTH [--challenge-response] <keyid>

Sign what SETDATA has set with the authentication key, as ssh and TLS
want it: RSA keys sign the DigestInfo as it is; ECDSA keys the digest in
it; EdDSA keys the message behind the prefix of SHA-1. KEYID is a
keygrip, OPENPGP.3, or a card's serial number.

With --challenge-response a random challenge is signed instead and the
signature checked; nothing is returned but OK if the card has the key.";

/// What PKSIGN is asked for.
struct PksignRequest {
    /// `None` for `--hash=none`.
    hash: Option<Hash>,
    id: String,
}

fn pksign_request(arguments: Args<'_>) -> Result<PksignRequest, Error> {
    let named = Hash::ALL.into_iter().find(|hash| arguments.flag(&format!("--hash={}", hash.name())));
    let hash = match named {
        Some(hash) => Some(hash),
        None if arguments.flag("--hash=none") => None,
        None if !arguments.mentions("--") => Some(Hash::Sha1),
        None => return Err(parameter("invalid hash algorithm")),
    };
    Ok(PksignRequest { hash, id: parse::text(arguments)? })
}

async fn pksign(
    session: &mut Session,
    request: PksignRequest,
    talk: &mut dyn Conversation,
) -> Result<(), Error> {
    if request.id.is_empty() {
        return Err(scd(Code::INV_VALUE));
    }
    // Without a hash, it depends on the key what the data are.
    if request.hash.is_some() {
        digest_of(&session.data, request.hash)?;
    }
    let place =
        key_reference::find(session, &request.id, Slot::Sign, &[Slot::Authenticate], Code::NO_SECKEY).await?;
    let slot = place.slot().ok_or(scd(Code::NOT_SUPPORTED))?;
    let rsa = is_rsa(session, slot).await?;
    let input = if request.hash.is_none() && signs_messages(&*session.facts()?, slot) {
        message_of(&session.data)?.to_vec()
    } else {
        let digest = digest_of(&session.data, request.hash)?;
        if rsa { digest_info(request.hash, digest)? } else { digest.to_vec() }
    };
    let signature = sign(session, slot, input, talk).await?;
    talk.data(&signature);
    Ok(())
}

/// Whether the key in a slot signs messages, and not digests: EdDSA (RFC 8032).
fn signs_messages(facts: &Facts, slot: Slot) -> bool {
    matches!(facts.public_key(slot), Some(PublicKey::Ecc(key)) if key.curve().kind() == CurveKind::Edwards)
}

/// The message that SETDATA has set; it sees to the length.
fn message_of(data: &[u8]) -> Result<&[u8], Error> {
    if data.is_empty() { Err(scd(Code::INV_VALUE)) } else { Ok(data) }
}

/// What an RSA key signs.
fn digest_info(hash: Option<Hash>, digest: &[u8]) -> Result<Vec<u8>, Error> {
    let hash = hash.filter(|hash| *hash != Hash::Md5).ok_or(scd(Code::UNSUPPORTED_ALGORITHM))?;
    Ok(DigestInfo { hash, digest }.join())
}

/// The digest in what SETDATA has set.
fn digest_of(data: &[u8], hash: Option<Hash>) -> Result<&[u8], Error> {
    match (DigestInfo::split(data), hash) {
        (Some(info), Some(hash)) if info.hash == hash && info.is_whole() => Ok(info.digest),
        _ if DIGEST_LENGTHS.contains(&data.len()) => Ok(data),
        _ => Err(scd(Code::INV_VALUE)),
    }
}

/// What PKAUTH is asked for.
struct PkauthRequest {
    challenge: bool,
    id: String,
}

fn pkauth_request(arguments: Args<'_>) -> Result<PkauthRequest, Error> {
    Ok(PkauthRequest { challenge: arguments.flag("--challenge-response"), id: parse::text(arguments)? })
}

async fn pkauth(
    session: &mut Session,
    request: PkauthRequest,
    talk: &mut dyn Conversation,
) -> Result<(), Error> {
    let place =
        key_reference::find(session, &request.id, Slot::Authenticate, &[], Code::UNSUPPORTED_OPERATION)
            .await?;
    let slot = place.slot().ok_or(scd(Code::NOT_SUPPORTED))?;
    let rsa = is_rsa(session, slot).await?;
    if request.challenge {
        let input = challenge(&*session.facts()?, slot)?;
        return sign(session, slot, input, talk).await.map(drop);
    }
    let input = if rsa {
        within_modulus(&*session.facts()?, slot, &session.data)?
    } else {
        without_prefix(&session.data).to_vec()
    };
    if input.is_empty() {
        return Err(scd(Code::INV_VALUE));
    }
    let signature = sign(session, slot, input, talk).await?;
    talk.data(&signature);
    Ok(())
}

/// What an ECC key signs: the digest in a DigestInfo, the message behind the prefix of SHA-1, or what is there.
fn without_prefix(data: &[u8]) -> &[u8] {
    match DigestInfo::split(data) {
        Some(info) if info.is_whole() || info.hash == Hash::Sha1 => info.digest,
        _ => data,
    }
}

/// What an RSA key signs, if it is not too long for its modulus.
fn within_modulus(facts: &Facts, slot: Slot, data: &[u8]) -> Result<Vec<u8>, Error> {
    let modulus = facts.public_key(slot).map_or(0, PublicKey::bits) / 8;
    let limit = modulus.saturating_mul(MAX_RSA_PERCENT) / 100;
    if data.len() > limit { Err(scd(Code::INV_VALUE)) } else { Ok(data.to_vec()) }
}

/// Random octets in the form that the key signs.
fn challenge(facts: &Facts, slot: Slot) -> Result<Vec<u8>, Error> {
    let mut digest = vec![0; 32];
    openssl::rand::rand_bytes(&mut digest).map_err(|_| scd(Code::INTERNAL))?;
    match facts.public_key(slot) {
        Some(PublicKey::Rsa(_)) => Ok(DigestInfo { hash: Hash::Sha256, digest: &digest }.join()),
        Some(PublicKey::Ecc(_)) => Ok(digest),
        None => Err(scd(Code::NO_OBJ)),
    }
}

/// Whether the slot holds an RSA key. Reads the public key, which the check of the signature needs anyway.
async fn is_rsa(session: &mut Session, slot: Slot) -> Result<bool, Error> {
    load_key(session, slot).await?;
    match session.facts()?.public_key(slot) {
        Some(PublicKey::Rsa(_)) => Ok(true),
        Some(PublicKey::Ecc(key)) if key.curve().kind() == CurveKind::Montgomery => {
            Err(scd(Code::WRONG_PUBKEY_ALGO))
        }
        Some(PublicKey::Ecc(_)) => Ok(false),
        None => Err(scd(Code::NO_OBJ)),
    }
}

/// Has the card sign, and checks what it says.
async fn sign(
    session: &mut Session,
    slot: Slot,
    input: Vec<u8>,
    talk: &mut dyn Conversation,
) -> Result<Vec<u8>, Error> {
    let request = match slot {
        Slot::Sign => CardRequest::Sign(input.clone()),
        Slot::Decrypt | Slot::Authenticate => CardRequest::Authenticate(input.clone()),
    };
    let signature = match session.perform(request, talk).await? {
        Reply::Signature(signature) => signature,
        other => return Err(unexpected(&other)),
    };
    let facts = session.facts()?;
    let key = facts.public_key(slot).ok_or(scd(Code::NO_OBJ))?;
    verify::signature(key, &input, &signature).map_err(|error| {
        tracing::error!(%error, ?slot, "the card's signature does not verify; it was not passed on");
        scd(Code::BAD_SIGNATURE)
            .with_text("the card's signature does not verify; read the card anew or replace it")
    })?;
    Ok(signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(line: &str) -> Result<Option<Hash>, Code> {
        pksign_request(Args::new(line.as_bytes())).map(|request| request.hash).map_err(|error| error.code())
    }

    #[test]
    fn the_hash_is_sha1_unless_another_is_named() {
        assert_eq!(hash("OPENPGP.1"), Ok(Some(Hash::Sha1)));
        assert_eq!(hash("--hash=sha512 OPENPGP.1"), Ok(Some(Hash::Sha512)));
        assert_eq!(hash("--hash=none OPENPGP.1"), Ok(None));
        assert_eq!(hash("--hash=sha3 OPENPGP.1"), Err(Code::ASS_PARAMETER));
        assert_eq!(hash("--other OPENPGP.1"), Err(Code::ASS_PARAMETER));
    }

    #[test]
    fn a_digest_is_found_with_its_own_prefix_or_bare() {
        let digest = [7; 32];
        let info = DigestInfo { hash: Hash::Sha256, digest: &digest }.join();
        assert_eq!(digest_of(&info, Some(Hash::Sha256)), Ok(&digest[..]));
        assert_eq!(digest_of(&digest, Some(Hash::Sha1)), Ok(&digest[..]));
        assert_eq!(digest_of(&info, Some(Hash::Sha1)).unwrap_err().code(), Code::INV_VALUE);
        assert_eq!(digest_of(&digest[1..], Some(Hash::Sha256)).unwrap_err().code(), Code::INV_VALUE);
        assert_eq!(digest_of(&[], None).unwrap_err().code(), Code::INV_VALUE);
    }

    #[test]
    fn a_message_is_of_any_length_but_not_empty() {
        assert_eq!(message_of(&[7; 4096]), Ok(&[7; 4096][..]));
        assert_eq!(message_of(&[]).unwrap_err().code(), Code::INV_VALUE);
    }

    #[test]
    fn ecc_authentication_signs_what_is_behind_the_prefix() {
        let message = b"an ssh message that is longer than a SHA-1 digest";
        let wrapped = [Hash::Sha1.prefix(), message].concat();
        assert_eq!(without_prefix(&wrapped), message);
        let digest = [7; 48];
        assert_eq!(without_prefix(&DigestInfo { hash: Hash::Sha384, digest: &digest }.join()), digest);
        assert_eq!(without_prefix(&digest), digest);
    }
}
