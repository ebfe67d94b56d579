//! GETATTR for PKCS#11 tokens: what clients ask an OpenPGP card for, as far as a token has something like it.

use std::sync::Arc;

use claviger_assuan::conversation::Conversation;
use claviger_assuan::error::{Code, Error};
use claviger_assuan::escape::percent_plus;
use claviger_cards::token::{DataObject, Slot};

use super::attributes::Attribute;
use super::errors::scd;
use super::openpgp_certificates::{self, OpenPgpKey};
use super::session::Session;
use super::status::{GENERIC, slot_number};
use super::token_keys::TokenKeys;
use super::token_status;

/// Sends the status lines of an attribute. One that a token has not is a name that is not known, as with GnuPG's other
/// applications.
pub(super) async fn send(
    session: &Session,
    keys: &Arc<TokenKeys>,
    (name, attribute): (&str, Attribute),
    talk: &mut dyn Conversation,
) -> Result<(), Error> {
    let lines = match attribute {
        Attribute::Fingerprints => openpgp_lines(session, keys, fingerprint).await,
        Attribute::Times => openpgp_lines(session, keys, time).await,
        known => lines(keys, known).ok_or(scd(Code::INV_NAME))?,
    };
    for line in lines {
        talk.status(name, &line);
    }
    Ok(())
}

/// What is known without looking anywhere.
fn lines(keys: &TokenKeys, attribute: Attribute) -> Option<Vec<Vec<u8>>> {
    let facts = keys.facts();
    Some(match attribute {
        Attribute::Reference(slot) => {
            keys.in_place_of(slot).map(|key| percent_plus(key.id.as_bytes())).into_iter().collect()
        }
        Attribute::SerialNo => vec![facts.serial.clone().into_bytes()],
        Attribute::AppType => vec![token_status::APPLICATION.into()],
        Attribute::CardType => vec![GENERIC.into()],
        Attribute::Capabilities => vec![token_status::capabilities(facts)],
        Attribute::Manufacturer => vec![token_status::manufacturer(facts).into_bytes()],
        Attribute::Cardholder(DataObject::Name) => vec![token_status::display_name(facts)],
        Attribute::KeyAttributes => Slot::ALL
            .into_iter()
            .filter_map(|slot| token_status::key_attributes(keys, slot))
            .map(String::into_bytes)
            .collect(),
        Attribute::PinStatus => vec![token_status::pin_status(keys)],
        Attribute::DisplaySerial => vec![token_status::display_serial(facts)],
        _ => return None,
    })
}

/// Lines about the OpenPGP keys that are made of the keys in the places of an OpenPGP card's, where a local store has them.
async fn openpgp_lines(
    session: &Session,
    keys: &TokenKeys,
    line: fn(Slot, &OpenPgpKey) -> String,
) -> Vec<Vec<u8>> {
    let grips = Slot::ALL.map(|slot| keys.in_place_of(slot).and_then(|key| key.key.grip()));
    let found = openpgp_certificates::keys_of(session, grips.to_vec()).await;
    let found = Slot::ALL.into_iter().zip(found);
    found.filter_map(|(slot, key)| Some(line(slot, &key?).into_bytes())).collect()
}

fn fingerprint(slot: Slot, key: &OpenPgpKey) -> String {
    format!("{} {}", slot_number(slot), key.fingerprint())
}

fn time(slot: Slot, key: &OpenPgpKey) -> String {
    format!("{} {}", slot_number(slot), key.created())
}
