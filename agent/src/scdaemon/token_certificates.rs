//! The half of WRITECERT that speaks of PKCS#11 tokens: which key a certificate is for, and how it is called there.

use std::collections::HashSet;

use claviger_assuan::error::{Code, Error};
use claviger_cards::pkcs11::{self, KeyNumber, ObjectName};
use claviger_cards::token::Request;

use super::certificates::{self, NoCertificate};
use super::errors::{from_certificate, scd};
use super::session::Session;
use crate::certificates::{Collection, Reference, Slot};

/// The slot that a reference names; several certificates of one key are one.
pub(super) fn slot_to_write<'a>(
    collection: &'a Collection,
    reference: &Reference,
) -> Result<&'a Slot, Error> {
    let slots = collection.slots(reference);
    let key = |slot: &&Slot| {
        let on_token = slot.on_token().and_then(|place| place.key);
        (slot.insertion, slot.number().map(|number| number.index()), on_token)
    };
    let count = slots.iter().map(key).collect::<HashSet<_>>().len();
    if count > 1 {
        return Err(from_certificate(&NoCertificate::Ambiguous { count }));
    }
    slots.into_iter().next().ok_or(scd(Code::NO_SECKEY))
}

/// What has the session's token store a certificate for a key. It gets the key's `CKA_ID` and label, and stands beside those
/// that the key has.
pub(super) fn put(
    session: &Session,
    number: KeyNumber,
    octets: &[u8],
    check: bool,
) -> Result<Request, Error> {
    let keys = session.hub.tokens.keys_of(&session.token()?).ok_or(scd(Code::CARD_REMOVED))?;
    let key = keys.facts().key(number).ok_or(scd(Code::NO_SECKEY))?;
    if check {
        let shown = keys.numbered(number).map_or(key.label.as_str(), |shown| shown.id);
        certificates::check(octets, key.grip(), shown)?;
    }
    let name = ObjectName { id: key.id.clone(), label: key.label.clone() };
    Ok(Request::Pkcs11(pkcs11::Request::PutCertificate { octets: octets.to_vec(), name }))
}
