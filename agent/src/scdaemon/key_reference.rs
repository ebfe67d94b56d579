//! How a client names a key: by slot, by keygrip, by serial number and what follows it, or as on a PKCS#11 token
//! ([`super::token_reference`]); and the card or token that has it.

use std::sync::Arc;

use claviger_assuan::error::{Code, Error};
use claviger_cards::deck::TokenHandle;
use claviger_cards::facts::{Facts, KeyState};
use claviger_cards::token::{Job, Request, Slot};
use claviger_keys::Keygrip;

use super::errors::scd;
use super::holders::{self, Holder, Place};
use super::session::Session;
use super::token_reference;
use crate::certificates::slot_called;
use crate::hex;

/// The digits of a serial number that say "OpenPGP application".
const OPENPGP_AID: &str = "D27600012401";

/// The digits of a whole serial number.
const SERIAL_DIGITS: usize = 32;

/// A key's name, parsed but not looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum KeyReference {
    /// `OPENPGP.1` … `OPENPGP.3`.
    Slot(Slot),
    /// 40 hexadecimal digits.
    Grip(Keygrip),
    /// A card's serial number, with what follows it (`/fingerprint`, `[CHV3]`).
    Serial(String, String),
}

impl KeyReference {
    /// Parses a name.
    ///
    /// # Errors
    /// INV_VALUE for none, INV_ID for what is no name.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Err(scd(Code::INV_VALUE));
        }
        if let Some(slot) = slot_called(text) {
            return Ok(Self::Slot(slot));
        }
        let digits = text.bytes().take_while(u8::is_ascii_hexdigit).count();
        match text.split_at_checked(digits) {
            Some((grip, "")) if digits == 40 => grip.parse().map(Self::Grip).map_err(|_| scd(Code::INV_ID)),
            Some((serial, rest)) if digits == SERIAL_DIGITS && serial.starts_with(OPENPGP_AID) => {
                Ok(Self::Serial(serial.to_owned(), rest.to_owned()))
            }
            _ => Err(scd(Code::INV_ID)),
        }
    }
}

/// The slot that a reference or a bare number names.
pub(super) fn slot_or_number(text: &str) -> Option<Slot> {
    match text {
        "1" => Some(Slot::Sign),
        "2" => Some(Slot::Decrypt),
        "3" => Some(Slot::Authenticate),
        _ => slot_called(text),
    }
}

/// Finds the key that `text` names for an operation which `slot` serves, selects the card or token that is to carry it out,
/// and returns where the key is there: on an OpenPGP card `slot` itself, or one of `others`; on a token any key, where a
/// slot's name means the key in its place.
///
/// # Errors
/// `unknown` for a keygrip or name that no card and no token here has; else the codes of GnuPG.
pub(super) async fn find(
    session: &mut Session,
    text: &str,
    slot: Slot,
    others: &[Slot],
    unknown: Code,
) -> Result<Place, Error> {
    let serves = |found: Slot| found == slot || others.contains(&found);
    let reference = match KeyReference::parse(text) {
        Err(error) if error.code() == Code::INV_ID => {
            let found = token_reference::find(session, text).await?.ok_or(scd(unknown))?;
            return Ok(select(session, found));
        }
        parsed => parsed?,
    };
    match reference {
        KeyReference::Slot(found) if !serves(found) => Err(scd(Code::INV_ID)),
        KeyReference::Slot(found) => token_reference::in_place_of(session, &session.token()?, found),
        KeyReference::Grip(grip) => {
            let mut holders = holders::of(session, &grip).await;
            if holders.is_empty() {
                return Err(scd(unknown));
            }
            holders.retain(|holder| holder.place.slot().is_none_or(serves));
            let best = holders::best(session, holders).ok_or(scd(Code::INV_ID))?;
            Ok(select(session, best))
        }
        KeyReference::Serial(serial, rest) => {
            if let Some(token) = token_reference::with_serial(session, &serial) {
                let place = token_reference::behind_serial(session, &token, &rest, slot)?;
                return Ok(select(session, Holder { token, place }));
            }
            check_serial(session, &serial)?;
            check_fingerprint(session, slot, &rest)?;
            Ok(Place::Slot(slot))
        }
    }
}

/// Makes a key's token the session's, unless it is already; returns where the key is there.
fn select(session: &mut Session, holder: Holder) -> Place {
    if !is_own(session, &holder) {
        session.select(holder.token, false);
    }
    holder.place
}

/// Refuses another card's serial number.
pub(super) fn check_serial(session: &Session, serial: &str) -> Result<(), Error> {
    let is_own = match session.token()?.pkcs11() {
        Some(facts) => facts.serial == serial,
        None => session.facts()?.serial() == serial,
    };
    if is_own { Ok(()) } else { Err(scd(Code::WRONG_CARD)) }
}

/// Refuses a fingerprint (`/` and 40 digits) of another key than the slot has; anything else is tolerated.
fn check_fingerprint(session: &Session, slot: Slot, rest: &str) -> Result<(), Error> {
    let Some(digits) = rest.strip_prefix('/') else { return Ok(()) };
    let wanted = digits.get(..40).and_then(|digits| hex::read(digits.as_bytes())).ok_or(scd(Code::INV_ID))?;
    let stored = session.facts()?.fingerprints[slot.index()];
    if stored.as_slice() == wanted { Ok(()) } else { Err(scd(Code::WRONG_SECKEY)) }
}

/// Has the token that has this key serve this command, the session's own before others; returns where it is there. As in
/// GnuPG, the session keeps its card: it only asks.
pub(super) async fn use_by_grip(session: &mut Session, grip: &Keygrip) -> Result<Option<Place>, Error> {
    let Some(first) = holders::of(session, grip).await.into_iter().next() else { return Ok(None) };
    if !is_own(session, &first) {
        session.borrow(first.token);
    }
    Ok(Some(first.place))
}

fn is_own(session: &Session, holder: &Holder) -> bool {
    session.token().is_ok_and(|own| own.insertion() == holder.token.insertion())
}

/// Makes sure that the public keys of a card were read. A slot that cannot be read counts as empty for the moment; an
/// operation on it brings its own error.
pub(super) async fn load_keys(token: &TokenHandle) {
    let unread = |card: Arc<Facts>, slot: Slot| matches!(card.public_keys[slot.index()], KeyState::Unread);
    for slot in Slot::ALL {
        if token.card().is_some_and(|card| unread(card, slot))
            && let Err(error) = token.submit(Job::new(Request::PublicKey(slot))).await
        {
            tracing::debug!(%error, ?slot, "no public key");
        }
    }
}

/// Makes sure that the public key of `slot` was read, too.
///
/// # Errors
/// Why it could not be: an empty slot is none.
pub(super) async fn load_key(session: &mut Session, slot: Slot) -> Result<(), Error> {
    load_keys(&session.token()?).await;
    if matches!(session.facts()?.public_keys[slot.index()], KeyState::Unread) {
        session.read(Request::PublicKey(slot)).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERIAL: &str = "D276000124010304FFFE123456780000";
    const GRIP: &str = "925BEAC2BFC3FC060AC364F8D01A7D00054F784E";

    #[test]
    fn a_key_has_several_names() {
        assert_eq!(KeyReference::parse("openpgp.3"), Ok(KeyReference::Slot(Slot::Authenticate)));
        assert_eq!(KeyReference::parse(GRIP), Ok(KeyReference::Grip(GRIP.parse().unwrap())));
        assert_eq!(
            KeyReference::parse(&format!("{SERIAL}/{GRIP}")),
            Ok(KeyReference::Serial(SERIAL.to_owned(), format!("/{GRIP}")))
        );
    }

    #[test]
    fn what_is_no_name_is_refused() {
        assert_eq!(KeyReference::parse("").unwrap_err().code(), Code::INV_VALUE);
        for wrong in ["OPENPGP.4", "OPENPGP.1 ", "D276", &GRIP[1..], "FF7F0000000000000000000000000000"] {
            assert_eq!(KeyReference::parse(wrong).unwrap_err().code(), Code::INV_ID, "{wrong}");
        }
    }
}
