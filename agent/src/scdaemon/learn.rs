//! LEARN: all that a client shows of a card, in one go. For a PKCS#11 token see [`learn_token`].

use std::sync::Arc;

use claviger_assuan::args::{Args, Given};
use claviger_assuan::conversation::Conversation;
use claviger_assuan::error::{Code, Error};
use claviger_cards::facts::Facts;
use claviger_cards::token::{DataObject, PinRef, Request as CardRequest, Slot};
use claviger_keys::Keygrip;
use claviger_keys::x509::Certificate;

use super::attributes::{self, Attribute};
use super::errors::{parameter, scd};
use super::key_reference::{load_keys, use_by_grip};
use super::select::switch_to;
use super::session::Session;
use super::{Command, certificates, learn_token, parse, row, status};
use crate::certificates::{Kind, kind, slot_name};

pub(super) static COMMANDS: &[Command] = &[row!("LEARN", WithCard, request, learn, HELP)];

const HELP: &str = "\
LEARN [--force] [--keypairinfo] [--reread] [--multi]
      [--demand=<serialno>] [<keygrip>]

Return what there is to know about the session's card in status lines.
With --demand the card with that serial number is selected first, and
told in a status line of its own; with KEYGRIP the card with that key.

Unless --force is given, the client is first asked whether it knows the
card already:

  INQUIRE KNOWNCARDP <serialno>

It answers END to go on, or CAN to be done. --keypairinfo leaves out
what tells cards apart, and keys that GnuPG cannot name. --reread looks
at a PKCS#11 token anew; it and --multi are else accepted for GnuPG's
sake: what is remembered of a card is never older than its last change.

  S READER <name>               the reader the card is in
  S SERIALNO <serialno>
  S CARDTYPE <name>             yubikey, gnuk, zeitcontrol, if it is one
  S APPTYPE openpgp
  S APPVERSION <hex>            304 for version 3.4
  S EXTCAP <name>=<value>+...   what the card can do
  S MANUFACTURER <number> <name>
  S DISP-NAME, DISP-LANG, DISP-SEX, PUBKEY-URL, LOGIN-DATA
  S KEY-FPR <n> <hex>           fingerprint of key n
  S KEY-TIME <n> <seconds>      when it was made
  S CA-FPR <n> <hex>
  S CHV-STATUS +<n>...          PIN rules and tries left
  S SIG-COUNTER <n>
  S KDF <octets>                how PINs are hashed
  S UIF-<n> <octets>            whether key n waits for a touch
  S PRIVATE-DO-<n> <octets>
  S CERTINFO <type> OPENPGP.<n> a certificate: 100, or 102 of an authority
  S KEYPAIRINFO <keygrip> OPENPGP.<n> <usage> <seconds> <algorithm>

A PKCS#11 token has READER, SERIALNO, APPTYPE, APPVERSION, EXTCAP,
MANUFACTURER, DISP-NAME (its label), CHV-STATUS, CERTINFO and
KEYPAIRINFO, and besides

  S KEY-FRIENDLY <keygrip> <text>  the subject of a key's certificate

Its keys come in the order of their ids (CKA_ID), each with a name of
its own instead of OPENPGP.<n>. Three stand in the place of an OpenPGP
card's keys; KEY-FPR and KEY-TIME are theirs, from the local OpenPGP
certificates:

  1  the first that signs and is not meant for logging in; else the
     first that signs
  2  the first that is for encryption alone; else the first that is for
     encryption, too
  3  the first that signs and is meant for logging in; else the second
     that signs; else the only one

A key is meant for logging in if a word of its label begins with
\"auth\" or \"ssh\", or its certificate is for TLS clients and not for
mail; for encryption if a word begins with \"enc\", \"decr\" or \"ecdh\",
or its certificate is for that and not for signatures. A key on a NIST
or Brainpool curve that can do both, as modules say of most, is one for
signatures unless it is meant for encryption.";

/// What LEARN is asked for.
pub(super) struct Request {
    pub(super) force: bool,
    pub(super) keys_only: bool,
    /// Look at a token anew.
    pub(super) reread: bool,
    /// A card's serial number.
    demand: Option<String>,
    /// A key that the card has.
    grip: Option<Keygrip>,
}

fn request(mut arguments: Args<'_>) -> Result<Request, Error> {
    let (force, keys_only) = (arguments.flag("--force"), arguments.flag("--keypairinfo"));
    let reread = arguments.flag("--reread");
    let demand = match arguments.take_value_anywhere("--demand") {
        Given::Absent => None,
        Given::Bare => return Err(parameter("missing value for option")),
        Given::Value(serial) => Some(String::from_utf8_lossy(serial).into_owned()),
    };
    // Whatever else stands there is passed over, as by GnuPG.
    let grip = parse::text(arguments)?.parse().ok();
    Ok(Request { force, keys_only, reread, demand, grip })
}

async fn learn(session: &mut Session, request: Request, talk: &mut dyn Conversation) -> Result<(), Error> {
    choose(session, &request, talk).await?;
    if session.token()?.pkcs11().is_some() {
        return learn_token::learn(session, &request, talk).await;
    }
    if !request.keys_only {
        introduce(session, talk)?;
        if !request.force {
            ask_whether_known(&session.facts()?.serial(), talk).await?;
        }
    }
    session.refresh().await?;
    session.read(CardRequest::SignatureCounter).await?;
    let facts = session.facts()?;
    if !request.keys_only {
        let card_type = status::card_type(&facts);
        if card_type != status::GENERIC {
            talk.status("CARDTYPE", card_type.as_bytes());
        }
        talk.status("APPTYPE", b"openpgp");
        talk.status("APPVERSION", format!("{:X}", facts.version()).as_bytes());
    }
    describe(session, &facts, talk).await?;
    if !request.keys_only {
        send_certificates(session, talk).await?;
    }
    send_key_pairs(session, talk).await
}

/// Has the card that is named serve, if one is.
async fn choose(session: &mut Session, request: &Request, talk: &mut dyn Conversation) -> Result<(), Error> {
    if let Some(serial) = &request.demand {
        switch_to(session, serial, talk)?;
    }
    if let Some(grip) = &request.grip {
        use_by_grip(session, grip).await?.ok_or(scd(Code::CARD_NOT_PRESENT))?;
    }
    Ok(())
}

/// The lines by which a client knows which card it is.
fn introduce(session: &Session, talk: &mut dyn Conversation) -> Result<(), Error> {
    let facts = session.facts()?;
    talk.status("READER", facts.reader.as_bytes());
    talk.status("SERIALNO", facts.serial().as_bytes());
    Ok(())
}

/// Asks whether the client knows the card already; that it does ends the command.
pub(super) async fn ask_whether_known(serial: &str, talk: &mut dyn Conversation) -> Result<(), Error> {
    talk.inquire("KNOWNCARDP", serial.as_bytes(), 0).await.map_err(|error| scd(error.code()))?;
    Ok(())
}

/// The lines that every card has, in GnuPG's order.
const ALWAYS: [(&str, Attribute); 12] = [
    ("EXTCAP", Attribute::Capabilities),
    ("MANUFACTURER", Attribute::Manufacturer),
    ("DISP-NAME", Attribute::Cardholder(DataObject::Name)),
    ("DISP-LANG", Attribute::Cardholder(DataObject::Language)),
    ("DISP-SEX", Attribute::Cardholder(DataObject::Sex)),
    ("PUBKEY-URL", Attribute::Optional(DataObject::Url)),
    ("LOGIN-DATA", Attribute::Optional(DataObject::Login)),
    ("KEY-FPR", Attribute::Fingerprints),
    ("KEY-TIME", Attribute::Times),
    ("CA-FPR", Attribute::CaFingerprints),
    ("CHV-STATUS", Attribute::PinStatus),
    ("SIG-COUNTER", Attribute::SignatureCounter),
];

async fn describe(session: &mut Session, facts: &Facts, talk: &mut dyn Conversation) -> Result<(), Error> {
    for (name, attribute) in ALWAYS {
        attributes::send(session, name, attribute, talk).await?;
    }
    if facts.capabilities.kdf() {
        tolerate_missing(attributes::send(session, "KDF", Attribute::Object(DataObject::Kdf), talk).await)?;
    }
    if facts.has_button {
        tolerate_missing(attributes::send(session, "UIF", Attribute::AllTouch, talk).await)?;
    }
    if facts.capabilities.private_objects() {
        for (number, readable) in [
            (1, true),
            (2, true),
            (3, facts.is_verified(PinRef::User)),
            (4, facts.is_verified(PinRef::Admin)),
        ] {
            if readable {
                let (name, object) = (format!("PRIVATE-DO-{number}"), DataObject::Private(number));
                tolerate_missing(attributes::send(session, &name, Attribute::Object(object), talk).await)?;
            }
        }
    }
    Ok(())
}

fn tolerate_missing(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(error) if error.code() == Code::NO_OBJ => Ok(()),
        other => other,
    }
}

/// As other applications of GnuPG's do it. What is in a slot and no certificate is left out: gpgsm would stop at it.
async fn send_certificates(session: &mut Session, talk: &mut dyn Conversation) -> Result<(), Error> {
    certificates::load(&session.token()?).await;
    let facts = session.facts()?;
    for slot in Slot::ALL {
        if let Some(octets) = facts.certificate(slot)
            && let Some(number) = certinfo_type(octets)
        {
            talk.status("CERTINFO", format!("{number} {}", slot_name(slot)).as_bytes());
        }
    }
    Ok(())
}

fn certinfo_type(octets: &Arc<[u8]>) -> Option<u8> {
    let certificate = Certificate::new(Arc::clone(octets));
    match kind(&certificate) {
        Kind::Unreadable => None,
        readable => Some(readable.number()),
    }
}

async fn send_key_pairs(session: &mut Session, talk: &mut dyn Conversation) -> Result<(), Error> {
    load_keys(&session.token()?).await;
    let facts = session.facts()?;
    for line in Slot::ALL.into_iter().filter_map(|slot| status::key_pair(&facts, slot)) {
        talk.status("KEYPAIRINFO", line.as_bytes());
    }
    Ok(())
}
