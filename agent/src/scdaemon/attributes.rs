//! GETATTR: one attribute of the card as status lines. For a PKCS#11 token see [`token_attributes`].

use claviger_assuan::args::Args;
use claviger_assuan::conversation::Conversation;
use claviger_assuan::error::{Code, Error};
use claviger_assuan::escape::percent_plus;
use claviger_cards::openpgp::kdf::Kdf;
use claviger_cards::token::{DataObject, Request as CardRequest, Slot};
use claviger_keys::Keygrip;

use super::errors::scd;
use super::session::Session;
use super::{Command, key_reference, parse, row, status, token_attributes};
use crate::certificates::slot_name;

pub(super) static COMMANDS: &[Command] = &[row!("GETATTR", WithCard, request, getattr, HELP)];

const HELP: &str = "\
GETATTR <name> [<keygrip>]

Return an attribute of the card in status lines that begin with its
name. With a keygrip the card that has this key is selected first.

Names: SERIALNO APPTYPE CARDTYPE AID EXTCAP MANUFACTURER DISP-NAME
DISP-LANG DISP-SEX LOGIN-DATA PUBKEY-URL KEY-FPR KEY-TIME KEY-ATTR
KEY-ATTR-INFO KEY-STATUS CA-FPR CHV-STATUS SIG-COUNTER KDF UIF UIF-1
UIF-2 UIF-3 PRIVATE-DO-1 PRIVATE-DO-2 PRIVATE-DO-3 PRIVATE-DO-4
$SIGNKEYID $ENCRKEYID $AUTHKEYID $DISPSERIALNO

A PKCS#11 token has SERIALNO APPTYPE CARDTYPE EXTCAP MANUFACTURER
DISP-NAME KEY-FPR KEY-TIME KEY-ATTR CHV-STATUS and those with a $; HELP
LEARN says which keys they speak of.";

/// An attribute: how it is come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attribute {
    /// A data object, escaped. An empty one gives no line, a missing one is an error.
    Object(DataObject),
    /// As `Object`, but a missing one is none.
    Optional(DataObject),
    /// A part of the cardholder's data, escaped. An empty one gives its bare name, a missing one no line.
    Cardholder(DataObject),
    /// The reference of a slot.
    Reference(Slot),
    /// Both UIF octets of a slot.
    Touch(Slot),
    AllTouch,
    SerialNo,
    AppType,
    CardType,
    Aid,
    Capabilities,
    Manufacturer,
    Fingerprints,
    CaFingerprints,
    Times,
    KeyAttributes,
    KeyAttributesInfo,
    KeyStatus,
    PinStatus,
    SignatureCounter,
    DisplaySerial,
}

static ATTRIBUTES: &[(&str, Attribute)] = &[
    ("SERIALNO", Attribute::SerialNo),
    ("APPTYPE", Attribute::AppType),
    ("CARDTYPE", Attribute::CardType),
    ("AID", Attribute::Aid),
    ("EXTCAP", Attribute::Capabilities),
    ("MANUFACTURER", Attribute::Manufacturer),
    ("DISP-NAME", Attribute::Cardholder(DataObject::Name)),
    ("DISP-LANG", Attribute::Cardholder(DataObject::Language)),
    ("DISP-SEX", Attribute::Cardholder(DataObject::Sex)),
    ("LOGIN-DATA", Attribute::Optional(DataObject::Login)),
    ("PUBKEY-URL", Attribute::Optional(DataObject::Url)),
    ("KEY-FPR", Attribute::Fingerprints),
    ("KEY-TIME", Attribute::Times),
    ("KEY-ATTR", Attribute::KeyAttributes),
    ("KEY-ATTR-INFO", Attribute::KeyAttributesInfo),
    ("KEY-STATUS", Attribute::KeyStatus),
    ("CA-FPR", Attribute::CaFingerprints),
    ("CHV-STATUS", Attribute::PinStatus),
    ("SIG-COUNTER", Attribute::SignatureCounter),
    ("KDF", Attribute::Object(DataObject::Kdf)),
    ("UIF", Attribute::AllTouch),
    ("UIF-1", Attribute::Touch(Slot::Sign)),
    ("UIF-2", Attribute::Touch(Slot::Decrypt)),
    ("UIF-3", Attribute::Touch(Slot::Authenticate)),
    ("PRIVATE-DO-1", Attribute::Object(DataObject::Private(1))),
    ("PRIVATE-DO-2", Attribute::Object(DataObject::Private(2))),
    ("PRIVATE-DO-3", Attribute::Object(DataObject::Private(3))),
    ("PRIVATE-DO-4", Attribute::Object(DataObject::Private(4))),
    ("$SIGNKEYID", Attribute::Reference(Slot::Sign)),
    ("$ENCRKEYID", Attribute::Reference(Slot::Decrypt)),
    ("$AUTHKEYID", Attribute::Reference(Slot::Authenticate)),
    ("$DISPSERIALNO", Attribute::DisplaySerial),
];

/// What GETATTR is asked for.
struct Request {
    name: String,
    grip: Option<Keygrip>,
}

fn request(mut arguments: Args<'_>) -> Result<Request, Error> {
    let name = String::from_utf8_lossy(arguments.word()).into_owned();
    let grip = String::from_utf8_lossy(arguments.word()).parse().ok();
    Ok(Request { name, grip })
}

async fn getattr(session: &mut Session, request: Request, talk: &mut dyn Conversation) -> Result<(), Error> {
    if let Some(grip) = &request.grip {
        key_reference::use_by_grip(session, grip).await?.ok_or(scd(Code::NO_SECKEY))?;
    }
    if request.name.is_empty() {
        return Err(scd(Code::INV_VALUE));
    }
    let (name, attribute) = find(&request.name).ok_or(scd(Code::INV_NAME))?;
    if let Some(keys) = session.hub.tokens.keys_of(&session.token()?) {
        return token_attributes::send(session, &keys, (name, attribute), talk).await;
    }
    match attribute {
        Attribute::PinStatus => session.refresh().await?,
        Attribute::SignatureCounter => drop(session.read(CardRequest::SignatureCounter).await?),
        _ => {}
    }
    send(session, name, attribute, talk).await
}

/// The key that a name such as `$SIGNKEYID` stands for.
pub(super) fn slot_meant_by(name: &str) -> Option<Slot> {
    match find(name)? {
        (_, Attribute::Reference(slot)) => Some(slot),
        _ => None,
    }
}

fn find(name: &str) -> Option<(&'static str, Attribute)> {
    ATTRIBUTES.iter().find(|(known, _)| *known == name).copied()
}

/// Sends the status lines of an attribute, from what is known or else from the card. What changes by itself (tries,
/// counter) is as fresh as the caller has made it.
pub(super) async fn send(
    session: &mut Session,
    name: &str,
    attribute: Attribute,
    talk: &mut dyn Conversation,
) -> Result<(), Error> {
    match attribute {
        Attribute::Object(object) => {
            let content = session.object(object).await?.ok_or(scd(Code::NO_OBJ))?;
            let content = if object == DataObject::Kdf { Kdf::content(&content) } else { &content };
            send_unless_empty(name, content, talk);
            Ok(())
        }
        Attribute::Optional(object) => {
            send_unless_empty(name, &session.object(object).await?.unwrap_or_default(), talk);
            Ok(())
        }
        Attribute::Cardholder(object) => {
            if let Some(content) = session.object(object).await? {
                talk.status(name, &percent_plus(&content));
            }
            Ok(())
        }
        Attribute::Touch(slot) => touch(session, slot, talk).await,
        Attribute::AllTouch => {
            for slot in Slot::ALL {
                touch(session, slot, talk).await?;
            }
            Ok(())
        }
        Attribute::KeyStatus => key_status(session, talk).await,
        Attribute::KeyAttributesInfo => key_attributes_info(session, talk).await,
        known => send_known(session, name, known, talk),
    }
}

fn send_unless_empty(name: &str, content: &[u8], talk: &mut dyn Conversation) {
    if !content.is_empty() {
        talk.status(name, &percent_plus(content));
    }
}

/// Attributes for which the card is not asked.
fn send_known(
    session: &Session,
    name: &str,
    attribute: Attribute,
    talk: &mut dyn Conversation,
) -> Result<(), Error> {
    let facts = session.facts()?;
    let slots = Slot::ALL.into_iter();
    let lines: Vec<Vec<u8>> = match attribute {
        Attribute::Reference(slot) => one(slot_name(slot)),
        Attribute::SerialNo => one(facts.serial()),
        Attribute::AppType => one("openpgp"),
        Attribute::CardType => one(status::card_type(&facts)),
        Attribute::Aid => vec![percent_plus(&facts.aid)],
        Attribute::Capabilities => vec![status::extended_capabilities(&facts)],
        Attribute::Manufacturer => one(status::manufacturer(&facts)),
        Attribute::Fingerprints => {
            bytes(slots.filter_map(|slot| status::fingerprint(slot, &facts.fingerprints[slot.index()])))
        }
        Attribute::CaFingerprints => {
            bytes(slots.filter_map(|slot| status::fingerprint(slot, &facts.ca_fingerprints[slot.index()])))
        }
        Attribute::Times => {
            bytes(slots.filter_map(|slot| status::creation_time(slot, facts.created[slot.index()])))
        }
        Attribute::KeyAttributes => bytes(slots.map(|slot| status::key_attributes(&facts, slot))),
        Attribute::PinStatus => vec![status::pin_status(&facts.pin_status)],
        Attribute::SignatureCounter => one(facts.signature_counter.unwrap_or(0).to_string()),
        Attribute::DisplaySerial => vec![status::display_serial(&facts)],
        Attribute::Object(_)
        | Attribute::Optional(_)
        | Attribute::Cardholder(_)
        | Attribute::Touch(_)
        | Attribute::AllTouch
        | Attribute::KeyStatus
        | Attribute::KeyAttributesInfo => Vec::new(),
    };
    for line in lines {
        talk.status(name, &line);
    }
    Ok(())
}

fn one(value: impl Into<String>) -> Vec<Vec<u8>> {
    vec![value.into().into_bytes()]
}

fn bytes(lines: impl Iterator<Item = String>) -> Vec<Vec<u8>> {
    lines.map(String::into_bytes).collect()
}

/// UIF-n: state and button (DO D6–D8).
async fn touch(session: &mut Session, slot: Slot, talk: &mut dyn Conversation) -> Result<(), Error> {
    if !session.facts()?.has_button {
        return Err(scd(Code::INV_OBJ));
    }
    if let Some(content) = session.object(DataObject::UserInteraction(slot)).await? {
        talk.status(&format!("UIF-{}", status::slot_number(slot)), &percent_plus(&content));
    }
    Ok(())
}

/// KEY-STATUS: which keys there are and where they come from (DO DE): pairs of key number and origin.
async fn key_status(session: &mut Session, talk: &mut dyn Conversation) -> Result<(), Error> {
    let pairs = session.object(DataObject::KeyInformation).await?.unwrap_or_default();
    for pair in pairs.chunks_exact(2) {
        if let [key, origin] = pair {
            talk.status("KEY-STATUS", format!("OPENPGP.{key} {origin}").as_bytes());
        }
    }
    Ok(())
}

/// KEY-ATTR-INFO: the algorithms that each slot can have (DO FA), one line each.
async fn key_attributes_info(session: &mut Session, talk: &mut dyn Conversation) -> Result<(), Error> {
    let content = session.object(DataObject::AlgorithmInformation).await?.unwrap_or_default();
    for (tag, attributes) in parse::simple_tlvs(&content) {
        let slot = match tag {
            0xC1 => 1,
            0xC2 => 2,
            0xC3 => 3,
            0xDA => 129,
            _ => continue,
        };
        if let Some(name) = algorithm_name(attributes) {
            talk.status("KEY-ATTR-INFO", format!("OPENPGP.{slot} {name}").as_bytes());
        }
    }
    Ok(())
}

fn algorithm_name(attributes: &[u8]) -> Option<String> {
    match attributes {
        [1, high, low, ..] => Some(format!("rsa{}", u16::from_be_bytes([*high, *low]))),
        [18 | 19 | 22, oid @ ..] => Some(status::attribute_curve(oid)?.openpgp_name().to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_each_attribute() {
        for (name, _) in ATTRIBUTES {
            assert!(HELP.split_ascii_whitespace().any(|word| word == *name), "{name}");
        }
    }

    #[test]
    fn names_are_case_sensitive() {
        assert!(find("KEY-FPR").is_some());
        assert!(find("key-fpr").is_none());
    }
}
