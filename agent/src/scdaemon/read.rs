//! READKEY: the public key that a card lets everybody read.

use claviger_assuan::args::{Args, Given};
use claviger_assuan::conversation::Conversation;
use claviger_assuan::error::{Code, Error};
use claviger_cards::token::{Reply, Request as CardRequest, Slot};
use claviger_keys::PublicKey;

use super::errors::scd;
use super::key_reference::{self, KeyReference};
use super::session::Session;
use super::{Command, parse, row, status};

pub(super) static COMMANDS: &[Command] = &[row!("READKEY", WithCard, readkey_request, readkey, HELP_READKEY)];

const HELP_READKEY: &str = "\
READKEY [--advanced] [--info|--info-only] [--format=advanced|ssh] [--] <keyid>

Return the public key for KEYID, which is OPENPGP.1, OPENPGP.2,
OPENPGP.3 or a keygrip, as a canonical S-expression. With --advanced or
--format=advanced it is returned as readable text, with --format=ssh as
a line for authorized_keys. --info adds a KEYPAIRINFO status line,
--info-only returns that line alone.";

/// How a key is to be returned.
#[derive(Debug, PartialEq, Eq)]
enum Format {
    Canonical,
    Advanced,
    Ssh,
}

/// What READKEY is asked for.
struct ReadkeyRequest {
    format: Format,
    info: bool,
    key: bool,
    id: String,
}

fn readkey_request(arguments: Args<'_>) -> Result<ReadkeyRequest, Error> {
    let format = match arguments.value("--format") {
        Given::Value(b"ssh") => Format::Ssh,
        Given::Value(b"advanced") => Format::Advanced,
        _ if arguments.flag("--advanced") => Format::Advanced,
        _ => Format::Canonical,
    };
    let info_only = arguments.flag("--info-only");
    Ok(ReadkeyRequest {
        format,
        info: info_only || arguments.flag("--info"),
        key: !info_only,
        id: parse::text(arguments)?,
    })
}

async fn readkey(
    session: &mut Session,
    request: ReadkeyRequest,
    talk: &mut dyn Conversation,
) -> Result<(), Error> {
    let slot = slot_of(session, &request.id).await?;
    let Reply::PublicKey(key) = session.read(CardRequest::PublicKey(slot)).await? else {
        return Err(scd(Code::NO_OBJ));
    };
    let written = written(&key, &request.format)?;
    if request.info
        && let Some(line) = status::key_pair(&*session.facts()?, slot)
    {
        talk.status("KEYPAIRINFO", line.as_bytes());
    }
    if request.key {
        talk.data(&written);
    }
    Ok(())
}

fn written(key: &PublicKey, format: &Format) -> Result<Vec<u8>, Error> {
    match format {
        Format::Canonical => Ok(key.to_sexp()),
        Format::Advanced => Ok(key.to_sexp_advanced()),
        Format::Ssh => key.ssh_line("(none)").map(String::into_bytes).ok_or(scd(Code::UNSUPPORTED_ALGORITHM)),
    }
}

/// The slot that is meant, on the card that has it. No id at all is none that is known.
async fn slot_of(session: &mut Session, id: &str) -> Result<Slot, Error> {
    match KeyReference::parse(id) {
        Ok(KeyReference::Slot(slot)) => Ok(slot),
        Ok(KeyReference::Grip(grip)) => {
            let place = key_reference::use_by_grip(session, &grip).await?.ok_or(scd(Code::NO_SECKEY))?;
            place.slot().ok_or(scd(Code::NOT_SUPPORTED))
        }
        Ok(KeyReference::Serial(..)) | Err(_) => Err(scd(Code::INV_ID)),
    }
}
