//! WRITECERT and WRITEKEY: puts a certificate or a private key on the card.

use claviger_assuan::args::{Args, Given};
use claviger_assuan::conversation::Conversation;
use claviger_assuan::error::{Code, Error};
use claviger_cards::token::{Request as CardRequest, Slot};
use claviger_keys::{EcdhParams, KeyDataError, SecretKey};

use super::errors::{from_certificate, parameter, scd};
use super::holders::Place;
use super::key_reference;
use super::session::Session;
use super::token_making::{self, Wanted};
use super::{Command, certificates, openpgp_certificates, row, token_certificates};
use crate::certificates::{NotReference, Reference, slot_called, slot_name};

/// The largest certificate, in octets (GnuPG's MAXLEN_CERTDATA).
const MAX_CERTIFICATE: usize = 16_384;

/// The largest private key as an S-expression, in octets (GnuPG's MAXLEN_KEYDATA).
const MAX_KEY: usize = 4096;

pub(super) static COMMANDS: &[Command] = &[
    row!("WRITECERT", WithCard, writecert_request, writecert, HELP_WRITECERT),
    row!("WRITEKEY", WithCard, writekey_request, writekey, HELP_WRITEKEY),
];

const HELP_WRITECERT: &str = "\
WRITECERT [--check] [--] <ref>

Store a certificate for a key on the card. It is asked for by

  INQUIRE CERTDATA

in its DER form, and stored as it is. REF is OPENPGP.1, OPENPGP.2,
OPENPGP.3 or a keygrip; or, claviger's own, <serialno>/OPENPGP.<n>,
fpr:<fingerprint>, the name of a PKCS#11 token's key or its pkcs11: URI.
With --check what is not a certificate of that key is refused
(claviger's own). A card asks for the Admin PIN. On a token, which asks
for the user's, it stands beside those that the key has.";

const HELP_WRITEKEY: &str = "\
WRITEKEY [--force] [--usage=<letters>] <keyid>

Store a private key on the card. It is asked for by

  INQUIRE KEYDATA

as a canonical S-expression (private-key ...), unprotected, with its
creation time. KEYID is OPENPGP.1, OPENPGP.2 or OPENPGP.3; a key that is
there is replaced with --force only. The Admin PIN is asked for.

On a PKCS#11 token KEYID is what it is in GENKEY, and --usage, too; a
key that is there is never replaced. The token's PIN is asked for.";

/// What WRITECERT is asked for.
struct WritecertRequest {
    check: bool,
    id: String,
}

fn writecert_request(mut arguments: Args<'_>) -> Result<WritecertRequest, Error> {
    let check = arguments.flag("--check");
    Ok(WritecertRequest { check, id: named(&mut arguments, "no certid given")? })
}

fn named(arguments: &mut Args<'_>, missing: &'static str) -> Result<String, Error> {
    match arguments.word() {
        [] => Err(parameter(missing)),
        id => Ok(String::from_utf8_lossy(id).into_owned()),
    }
}

async fn writecert(
    session: &mut Session,
    request: WritecertRequest,
    talk: &mut dyn Conversation,
) -> Result<(), Error> {
    let certificate =
        talk.inquire("CERTDATA", b"", MAX_CERTIFICATE).await.map_err(|error| scd(error.code()))?;
    session.refuse_if_admin_is_denied()?;
    let octets = certificate.as_bytes();
    let request = match place_to_write(session, &request.id).await? {
        Place::Key(key) => token_certificates::put(session, key, octets, request.check)?,
        Place::Slot(slot) => {
            if request.check {
                key_reference::load_key(session, slot).await?;
                certificates::check(octets, session.facts()?.keygrips()[slot.index()], slot_name(slot))?;
            }
            CardRequest::PutCertificate(slot, octets.to_vec())
        }
    };
    session.perform(request, talk).await.map(drop)
}

/// The slot, or the token's key, that is to have the certificate; its card or token serves the command.
async fn place_to_write(session: &mut Session, id: &str) -> Result<Place, Error> {
    match Reference::parse(id.as_bytes()) {
        Ok(Reference::Slot(slot)) => Ok(Place::Slot(slot)),
        Ok(Reference::Keygrip(grip)) => {
            key_reference::use_by_grip(session, &grip).await?.ok_or(scd(Code::NO_SECKEY))
        }
        Ok(
            reference @ (Reference::SlotOf(..)
            | Reference::Fingerprint(_)
            | Reference::Key(_)
            | Reference::Pkcs11(_)),
        ) => {
            let collection = certificates::gather(session).await;
            let reference = openpgp_certificates::resolved(session, &collection, &reference).await?;
            let slot = token_certificates::slot_to_write(&collection, &reference)?;
            certificates::serve_from(session, slot)?;
            let on_token = || Some(Place::Key(slot.on_token()?.key()?.number));
            slot.number().map(Place::Slot).or_else(on_token).ok_or(scd(Code::NO_SECKEY))
        }
        Err(NotReference::Uri(error)) => Err(from_certificate(&NotReference::Uri(error).into())),
        _ => Err(scd(Code::INV_ID)),
    }
}

/// What WRITEKEY is asked for.
struct WritekeyRequest {
    force: bool,
    usage: Option<Wanted>,
    id: String,
}

fn writekey_request(mut arguments: Args<'_>) -> Result<WritekeyRequest, Error> {
    let force = arguments.flag("--force");
    let usage = match arguments.value("--usage") {
        Given::Value(letters) => Some(Wanted::of_letters(letters)?),
        Given::Absent | Given::Bare => None,
    };
    Ok(WritekeyRequest { force, usage, id: named(&mut arguments, "no keyid given")? })
}

async fn writekey(
    session: &mut Session,
    request: WritekeyRequest,
    talk: &mut dyn Conversation,
) -> Result<(), Error> {
    let octets = talk.inquire("KEYDATA", b"", MAX_KEY).await.map_err(|error| scd(error.code()))?;
    if let Some(place) = token_making::place(session, &request.id, request.force, request.usage)? {
        session.refuse_if_admin_is_denied()?;
        let key = SecretKey::from_keydata(octets.as_bytes()).map_err(|error| from_keydata(&error))?;
        return token_making::import(session, place, key, talk).await;
    }
    let slot = slot_called(&request.id).ok_or(scd(Code::INV_ID))?;
    refuse_if_occupied(session, slot, request.force)?;
    session.refuse_if_admin_is_denied()?;
    let key = SecretKey::from_keydata(octets.as_bytes()).map_err(|error| from_keydata(&error))?;
    drop(octets);
    // Agents before 2.4.1 do not send these parameters, and their gpg computes fingerprints with its own.
    let key = key.with_default_ecdh(EcdhParams::of_gpg_2_2);
    let created = key.created();
    let import = CardRequest::Import { slot, force: request.force, created, key: Box::new(key) };
    session.perform(import, talk).await.map(drop)
}

/// GnuPG looks whether there is a key before it looks at the new one.
pub(super) fn refuse_if_occupied(session: &Session, slot: Slot, force: bool) -> Result<(), Error> {
    if session.facts()?.has_fingerprint(slot) && !force { Err(scd(Code::EEXIST)) } else { Ok(()) }
}

fn from_keydata(error: &KeyDataError) -> Error {
    tracing::info!(%error, "KEYDATA is refused");
    scd(match error {
        KeyDataError::Sexp(_) => Code::INV_SEXP,
        KeyDataError::NotPrivateKey | KeyDataError::Key(_) | KeyDataError::Secret(_) => Code::BAD_SECKEY,
        KeyDataError::UnknownAlgorithm => Code::WRONG_PUBKEY_ALGO,
        KeyDataError::Shape => Code::UNKNOWN_SEXP,
        KeyDataError::Duplicate => Code::DUP_VALUE,
        KeyDataError::UnknownCurve | KeyDataError::NoCreationTime | KeyDataError::EcdhParams => {
            Code::INV_VALUE
        }
    })
}
