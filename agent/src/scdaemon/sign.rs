//! PKSIGN and PKAUTH: signatures with the key of a card or a token.
//!
//! The agent sends a DigestInfo for every kind of key. What is signed depends on the key: RSA takes the DigestInfo, ECC the
//! bare digest. Authentication with Ed25519 is ssh's: the whole message behind the prefix of SHA-1, whatever its length
//! (GnuPG's agent, `command-ssh.c`).

use claviger_assuan::args::Args;
use claviger_assuan::conversation::Conversation;
use claviger_assuan::error::{Code, Error};
use claviger_cards::pkcs11::{self, SignScheme};
use claviger_cards::token::{Reply, Request as CardRequest, Slot};
use claviger_keys::{DigestInfo, Hash, PublicKey};

use super::errors::{parameter, scd};
use super::holders::Place;
use super::key_reference;
use super::located_key::LocatedKey;
use super::perform::unexpected;
use super::session::Session;
use super::{Command, parse, row};
use crate::verify;

/// Lengths of a digest that is taken for one whatever `--hash` says.
const DIGEST_LENGTHS: [usize; 5] = [20, 28, 32, 48, 64];

/// How much of an RSA modulus the input of INTERNAL AUTHENTICATE may fill (OpenPGP card 3.4, 7.2.13): 40 %.
const MAX_RSA_PERCENT: usize = 40;

/// How many octets of an RSA modulus the padding takes at least (RFC 8017, 9.2); all others may be filled on tokens.
const PKCS1_PADDING: usize = 11;

pub(super) static COMMANDS: &[Command] = &[
    row!("PKSIGN", WithCard, pksign_request, pksign, HELP_PKSIGN),
    row!("PKAUTH", WithCard, pkauth_request, pkauth, HELP_PKAUTH),
];

const HELP_PKSIGN: &str = "\
PKSIGN [--hash=md5|sha1|rmd160|sha224|sha256|sha384|sha512|none] <keyid>
PKSIGN --pss [--hash=<name>] <keyid>

Sign what SETDATA has set: a digest, or a DigestInfo of the hash in
--hash (SHA-1 if it is not given). KEYID is a keygrip, OPENPGP.1,
OPENPGP.3, or a card's serial number; for a key on a PKCS#11 token also
its name as LEARN gives it, <serialno>/<CKA_ID>, or a pkcs11: URI. The
answer is returned after it was checked against the public key: as many
octets as the modulus for RSA, r and s of equal length for ECDSA, R and
S for EdDSA.

With --hash=none an Ed25519 or Ed448 key signs the data itself, whatever
they are: a message of up to the 4096 octets of SETDATA, as far as the
card takes it. This is claviger's own; GETINFO cmd_has_option PKSIGN
hash=none tells. Other keys sign digests only, as in GnuPG.

With --pss (claviger's own, too) an RSA key on a PKCS#11 token signs the
digest with PSS padding (RFC 8017, 8.1): MGF1 with the same hash, and as
much salt as the digest is long. OpenPGP cards cannot.

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
    pss: bool,
    id: String,
}

/// What a key is to sign, and how.
#[derive(Debug)]
struct Signing {
    scheme: SignScheme,
    octets: Vec<u8>,
}

fn pksign_request(arguments: Args<'_>) -> Result<PksignRequest, Error> {
    let pss = arguments.flag("--pss");
    let named = Hash::ALL.into_iter().find(|hash| arguments.flag(&format!("--hash={}", hash.name())));
    let hash = match named {
        Some(hash) => Some(hash),
        None if arguments.flag("--hash=none") => None,
        None if !arguments.mentions(if pss { "--hash" } else { "--" }) => Some(Hash::Sha1),
        None => return Err(parameter("invalid hash algorithm")),
    };
    Ok(PksignRequest { hash, pss, id: parse::text(arguments)? })
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
    let key = LocatedKey::load(session, place).await?;
    let signing =
        if request.pss { pss(&key, &request, &session.data)? } else { plain(&key, &request, &session.data)? };
    let signature = sign(session, &key, signing, talk).await?;
    talk.data(&signature);
    Ok(())
}

/// A signature as GnuPG wants it.
fn plain(key: &LocatedKey, request: &PksignRequest, data: &[u8]) -> Result<Signing, Error> {
    let scheme = key.scheme()?;
    let octets = match scheme {
        // These sign messages (RFC 8032), but GnuPG's are digests.
        SignScheme::EdDsa if request.hash.is_none() => message_of(data)?.to_vec(),
        SignScheme::RsaPkcs1 => digest_info(request.hash, digest_of(data, request.hash)?)?,
        _ => digest_of(data, request.hash)?.to_vec(),
    };
    Ok(Signing { scheme, octets })
}

/// A signature with PSS padding.
fn pss(key: &LocatedKey, request: &PksignRequest, data: &[u8]) -> Result<Signing, Error> {
    if key.scheme()? != SignScheme::RsaPkcs1 {
        return Err(scd(Code::WRONG_PUBKEY_ALGO));
    }
    if key.place.slot().is_some() {
        return Err(scd(Code::NOT_SUPPORTED).with_text("an OpenPGP card pads by itself, and not with PSS"));
    }
    let hash = request.hash.filter(|hash| *hash != Hash::Md5).ok_or(scd(Code::UNSUPPORTED_ALGORITHM))?;
    let digest = digest_of(data, Some(hash))?;
    if digest.len() != hash.digest_len() {
        return Err(scd(Code::INV_VALUE));
    }
    Ok(Signing { scheme: SignScheme::RsaPss { hash, salt: digest.len() }, octets: digest.to_vec() })
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
    let key = LocatedKey::load(session, place).await?;
    let scheme = key.scheme()?;
    if request.challenge {
        let signing = Signing { scheme, octets: challenge(scheme)? };
        return sign(session, &key, signing, talk).await.map(drop);
    }
    let octets = match scheme {
        SignScheme::RsaPkcs1 => within_modulus(&key, &session.data)?,
        _ => without_prefix(&session.data),
    };
    if octets.is_empty() {
        return Err(scd(Code::INV_VALUE));
    }
    let octets = octets.to_vec();
    let signature = sign(session, &key, Signing { scheme, octets }, talk).await?;
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
fn within_modulus<'d>(key: &LocatedKey, data: &'d [u8]) -> Result<&'d [u8], Error> {
    let modulus = key.public().map_or(0, PublicKey::bits) / 8;
    let limit = match key.place {
        Place::Slot(_) => modulus.saturating_mul(MAX_RSA_PERCENT) / 100,
        Place::Key(_) => modulus.saturating_sub(PKCS1_PADDING),
    };
    if data.len() > limit { Err(scd(Code::INV_VALUE)) } else { Ok(data) }
}

/// Random octets in the form that the key signs.
fn challenge(scheme: SignScheme) -> Result<Vec<u8>, Error> {
    let mut digest = vec![0; 32];
    openssl::rand::rand_bytes(&mut digest).map_err(|_| scd(Code::INTERNAL))?;
    match scheme {
        SignScheme::RsaPkcs1 => Ok(DigestInfo { hash: Hash::Sha256, digest: &digest }.join()),
        _ => Ok(digest),
    }
}

/// Has the token sign, and checks what it says.
async fn sign(
    session: &mut Session,
    key: &LocatedKey,
    signing: Signing,
    talk: &mut dyn Conversation,
) -> Result<Vec<u8>, Error> {
    let Signing { scheme, octets } = signing;
    let request = match key.place {
        Place::Slot(Slot::Sign) => CardRequest::Sign(octets.clone()),
        Place::Slot(Slot::Decrypt | Slot::Authenticate) => CardRequest::Authenticate(octets.clone()),
        Place::Key(key) => CardRequest::Pkcs11(pkcs11::Request::Sign { key, scheme, data: octets.clone() }),
    };
    let signature = match session.perform(request, talk).await? {
        Reply::Signature(signature) => signature,
        other => return Err(unexpected(&other)),
    };
    let public = key.public().ok_or(scd(Code::NO_OBJ))?;
    let checked = match scheme {
        SignScheme::RsaPss { hash, salt } => verify::pss(public, (hash, salt), &octets, &signature),
        _ => verify::signature(public, &octets, &signature),
    };
    checked.map_err(|error| {
        tracing::error!(%error, place = ?key.place, "a signature does not verify; it was not passed on");
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
