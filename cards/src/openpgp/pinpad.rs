//! PINs that are typed on the reader's own keys, so that this machine never has them.
//!
//! A PIN goes that way where the reader can take it and the card compares it as it is typed (no key derivation). Its
//! length must be known beforehand on readers that do not take any; a person may write it into the login data (5E), behind
//! a line break and `\x14`: `P=6,8` for six digits of user PIN and eight of admin PIN; 0 wants none typed there. That
//! form is GnuPG's.

use card_backend::{CardCaps, PinType};

use crate::openpgp::apdu::Response;
use crate::openpgp::commands::name;
use crate::openpgp::kdf::Kdf;
use crate::openpgp::pins::Step;
use crate::openpgp::session::{Probed, Session};
use crate::reader::{Pinpad, fault};
use crate::token::{DataObject, PinPurpose, PinRef, PinpadEnd, Progress, Reply, TokenError};

/// The length that stands for any.
const ANY: u8 = 0;

/// What begins control sequences in the login data, what ends one, and what begins the one that is ours.
const CONTROL: &[u8] = b"\n\x14";
const NEXT: u8 = 0x18;
const OURS: &[u8] = b"P=";

/// What a pinpad is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// The PIN as it is.
    Verify,
    /// The PIN as it is, and the new one twice.
    Modify,
}

impl Session<'_> {
    /// Whether this PIN is typed on the reader.
    pub(crate) fn is_typed_on_pinpad(&mut self, pin: PinRef, entry: Entry) -> Result<bool, TokenError> {
        self.length_on_pinpad(pin, entry).map(|length| length.is_some())
    }

    /// CHANGE REFERENCE DATA, everything typed on the reader.
    pub(crate) fn change_on_pinpad(
        &mut self,
        progress: &Progress,
        which: PinRef,
    ) -> Result<Step, TokenError> {
        self.probe()?;
        let length = self.length_on_pinpad(which, Entry::Modify)?;
        let (Some(length), false) = (length, self.lost_tries(progress, which)) else {
            return self.question_old(which).map(Step::Ask);
        };
        let changed = self.probe()?.on_pinpad(which, Entry::Modify, length);
        self.forget_pin(which);
        changed.map(|()| Step::Done(Reply::Done))
    }

    /// VERIFY, typed on the reader by an application that was probed. False if it is not typed there after all.
    pub(crate) fn verify_on_pinpad(&mut self, pin: PinRef) -> Result<bool, TokenError> {
        self.probe()?;
        match self.length_on_pinpad(pin, Entry::Verify)? {
            Some(length) => self.probe()?.on_pinpad(pin, Entry::Verify, length).map(|()| true),
            None => Ok(false),
        }
    }

    /// How long a PIN must be that is typed on the reader; [`ANY`] for any length, `None` if it is not typed there.
    fn length_on_pinpad(&mut self, pin: PinRef, entry: Entry) -> Result<Option<u8>, TokenError> {
        let pinpad = self.card.pinpad;
        let able = if entry == Entry::Verify { pinpad.verifies } else { pinpad.modifies };
        if !able || pin == PinRef::ResetCode || !matches!(self.kdf()?, Kdf::Plain) {
            return Ok(None);
        }
        let login = self.object(DataObject::Login)?.unwrap_or_default();
        Ok(length(pinpad, wish(&login, pin)))
    }
}

impl Probed<'_, '_> {
    fn on_pinpad(&mut self, which: PinRef, entry: Entry, length: u8) -> Result<(), TokenError> {
        let operation = if entry == Entry::Verify { name::VERIFY } else { name::CHANGE };
        // The room for lengths is what the reader layer is told by.
        let lengths = Some(CardCaps::new(false, false, 0, 0, length, length));
        let transaction = self.transaction()?;
        let answer = match entry {
            Entry::Verify => transaction.pinpad_verify(pin_type(which), &lengths),
            Entry::Modify => transaction.pinpad_modify(pin_type(which), &lengths),
        };
        let response = Response::parse(operation, answer.map_err(|error| fault(operation, &error))?)?;
        match ended(response.sw) {
            Some(end) => Err(TokenError::Pinpad(end)),
            None => self.judge(which, &response),
        }
    }
}

/// What the reader itself says (PC/SC part 10, 2.6.8).
fn ended(sw: u16) -> Option<PinpadEnd> {
    match sw {
        0x6400 => Some(PinpadEnd::TimedOut),
        0x6401 => Some(PinpadEnd::Cancelled),
        0x6402 => Some(PinpadEnd::NotRepeated),
        0x6403 => Some(PinpadEnd::WrongLength),
        _ => None,
    }
}

fn pin_type(pin: PinRef) -> PinType {
    match pin {
        PinRef::Sign | PinRef::ResetCode => PinType::Sign,
        PinRef::User => PinType::User,
        PinRef::Admin => PinType::Admin,
    }
}

fn length(pinpad: Pinpad, wish: Option<u8>) -> Option<u8> {
    match wish {
        None => pinpad.any_length.then_some(ANY),
        Some(ANY) => None,
        Some(length) => (pinpad.shortest..=pinpad.longest).contains(&length).then_some(length),
    }
}

/// The length that the login data name for a PIN; 0 if it is not to be typed on a reader.
#[must_use]
pub fn wish(login: &[u8], pin: PinRef) -> Option<u8> {
    let at = login.windows(CONTROL.len()).position(|pair| pair == CONTROL)?;
    let controls = login.get(at + CONTROL.len()..)?.split(|octet| *octet == b'\n').next()?;
    let ours = controls.split(|octet| *octet == NEXT).find_map(|control| control.strip_prefix(OURS))?;
    let mut numbers = std::str::from_utf8(ours).ok()?.split(',').map(|number| number.parse().ok());
    let user = numbers.next()??;
    let admin = numbers.next().unwrap_or(Some(user))?;
    Some(if pin == PinRef::Admin { admin } else { user })
}

/// The question that stands for both PINs on a pinpad.
pub(crate) fn is_answered_there(progress: &mut Progress, purpose: PinPurpose) -> bool {
    progress.typed_on_pinpad.take_if(|typed| *typed == purpose).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_login_data_may_name_lengths() {
        let wishes = |login: &[u8]| [wish(login, PinRef::User), wish(login, PinRef::Admin)];
        assert_eq!(wishes(b"jane"), [None, None]);
        assert_eq!(wishes(b"jane\n\x14P=6,8"), [Some(6), Some(8)]);
        assert_eq!(wishes(b"\n\x14F=2\x18P=7\nmore"), [Some(7), Some(7)]);
        assert_eq!(wishes(b"jane\n\x14P=0,8"), [Some(0), Some(8)]);
        for nonsense in [&b"jane\nP=6"[..], b"\n\x14P=", b"\n\x14P=x", b"\n\x14P=6,", b"\n\x14P=999"] {
            assert_eq!(wishes(nonsense), [None, None], "{nonsense:?}");
        }
    }

    #[test]
    fn a_pinpad_takes_the_lengths_that_it_can() {
        let fixed = Pinpad { verifies: true, modifies: true, any_length: false, shortest: 4, longest: 12 };
        let any = Pinpad { any_length: true, ..fixed };
        assert_eq!([length(fixed, None), length(any, None)], [None, Some(ANY)]);
        assert_eq!([length(fixed, Some(6)), length(any, Some(6))], [Some(6), Some(6)]);
        assert_eq!([length(fixed, Some(0)), length(any, Some(0))], [None, None]);
        assert_eq!([length(fixed, Some(3)), length(any, Some(13))], [None, None]);
    }
}
