//! Readers with keys of their own (PC/SC part 10, "IFDs with Secure PIN Entry Capabilities", revision 2.02.09): what they
//! can do, and the structures that tell them which command to make out of a PIN.

use card_backend::{CardCaps, PinType};
use pcsc::{Card, Error};
use tracing::debug;

use super::makes::{self, Make, Setup};
use crate::reader::Pinpad;

/// CM_IOCTL_GET_FEATURE_REQUEST (2.2).
const GET_FEATURES: u32 = 3400;

/// libccid's IOCTL_SMARTCARD_VENDOR_IFD_EXCHANGE: a command to the reader itself.
const ESCAPE: u32 = 1;

/// Features (2.3).
const VERIFY_DIRECT: u8 = 0x06;
const MODIFY_DIRECT: u8 = 0x07;
const TLV_PROPERTIES: u8 = 0x12;

/// Properties (2.6.14).
const SHORTEST_PIN: u8 = 0x06;
const LONGEST_PIN: u8 = 0x07;
const VENDOR: u8 = 0x0b;
const PRODUCT: u8 = 0x0c;

/// Limits of a reader that does not tell its own; longer fixed PINs do not fit into four bits of the format.
const DEFAULT_SHORTEST: u8 = 1;
const DEFAULT_LONGEST: u8 = 15;

/// The longest answer about features or properties, in octets.
const MAX_ANSWER: usize = 256;

/// Room for a status word and for what some readers put around it on the way.
const MAX_RESULT: usize = 16;

/// How long a reader waits for a key, in seconds. Many have a longer time of their own and keep to that.
const PATIENCE: u8 = 30;

/// A character per octet, from the left, positions in octets; ASCII.
const FORMAT: u8 = 0x82;

/// The entry ends with the key for it; or as soon as the longest PIN is reached.
const BY_KEY: u8 = 0x02;
const BY_LENGTH: u8 = 0x01;

/// US English, for readers that have words.
const LANGUAGE: [u8; 2] = [0x09, 0x04];

/// What stands where the PIN will be.
const BLANK: u8 = 0xff;

/// VERIFY and CHANGE REFERENCE DATA of the OpenPGP card (7.2.2, 7.2.3).
const INS_VERIFY: u8 = 0x20;
const INS_CHANGE: u8 = 0x24;

/// A reader that takes control commands: the one that a card is in.
pub(super) trait Control {
    /// The reader's answer to a command.
    fn control(&self, code: pcsc::ffi::DWORD, command: &[u8]) -> Result<Vec<u8>, Error>;
}

impl Control for Card {
    fn control(&self, code: pcsc::ffi::DWORD, command: &[u8]) -> Result<Vec<u8>, Error> {
        let mut buffer = [0; MAX_ANSWER];
        Self::control(self, code, command, &mut buffer).map(<[u8]>::to_vec)
    }
}

/// What a reader can do, and how it is told to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Features {
    verify: Option<u32>,
    modify: Option<u32>,
    shortest: Option<u8>,
    longest: Option<u8>,
    any_length: bool,
}

impl Features {
    /// Asks the reader of this name. One that does not answer has no keys.
    pub(super) fn of(reader: &impl Control, name: &str) -> Self {
        let Ok(answer) = reader.control(pcsc::ctl_code(GET_FEATURES.into()), &[]) else {
            return Self::default();
        };
        let (mut features, properties) = Self::parse(&answer);
        let make = match properties {
            None => makes::by_name(name),
            Some(code) => {
                let answer = reader.control(code.into(), &[]).unwrap_or_default();
                features.take_over(&answer);
                make(&answer)
            }
        };
        match make {
            Some(make) => features.of_make(&make, reader),
            None => features,
        }
    }

    /// With what is known of readers of this make.
    fn of_make(self, make: &Make, reader: &impl Control) -> Self {
        if let Some(Setup { command, must_succeed }) = make.setup
            && let Err(error) = reader.control(pcsc::ctl_code(ESCAPE.into()), command)
        {
            debug!(%error, must_succeed, "the reader does not take what it is told first");
            if must_succeed {
                return Self::default();
            }
        }
        let longest = self.longest.filter(|_| !make.understates);
        Self { any_length: make.any_length, longest, ..self }
    }

    /// What the reader's keys are good for.
    pub(super) fn pinpad(&self) -> Pinpad {
        Pinpad {
            verifies: self.verify.is_some(),
            modifies: self.modify.is_some(),
            any_length: self.any_length,
            shortest: self.shortest.unwrap_or(DEFAULT_SHORTEST),
            longest: self.longest.unwrap_or(DEFAULT_LONGEST).min(DEFAULT_LONGEST),
        }
    }

    /// Has a PIN typed and verified; the card's answer, or the reader's own.
    pub(super) fn verify(
        &self,
        card: &Card,
        pin: PinType,
        lengths: Option<CardCaps>,
    ) -> Result<Vec<u8>, Error> {
        let code = self.verify.ok_or(Error::UnsupportedFeature)?;
        operate(card, code, &verify_structure(pin, &self.limits(pin, lengths)))
    }

    /// Has a PIN and its new value typed and changed.
    pub(super) fn modify(
        &self,
        card: &Card,
        pin: PinType,
        lengths: Option<CardCaps>,
    ) -> Result<Vec<u8>, Error> {
        let code = self.modify.ok_or(Error::UnsupportedFeature)?;
        operate(card, code, &modify_structure(pin, &self.limits(pin, lengths)))
    }

    /// The features, and how to ask for properties. Control codes have the high octet first (2.2).
    fn parse(answer: &[u8]) -> (Self, Option<u32>) {
        let code =
            |tag| property(answer, tag).and_then(|value| value.try_into().ok()).map(u32::from_be_bytes);
        let features = Self { verify: code(VERIFY_DIRECT), modify: code(MODIFY_DIRECT), ..Self::default() };
        (features, code(TLV_PROPERTIES))
    }

    fn take_over(&mut self, answer: &[u8]) {
        let length =
            |tag| number(answer, tag).and_then(|n| u8::try_from(n).ok()).filter(|length| *length > 0);
        self.shortest = length(SHORTEST_PIN);
        self.longest = length(LONGEST_PIN);
    }

    fn limits(&self, pin: PinType, lengths: Option<CardCaps>) -> Limits {
        let (least, fixed) = match pin {
            PinType::Sign | PinType::User => (6, lengths.map_or(0, |lengths| lengths.pw1_max_len())),
            PinType::Admin => (8, lengths.map_or(0, |lengths| lengths.pw3_max_len())),
        };
        let Pinpad { shortest, longest, .. } = self.pinpad();
        match fixed.min(DEFAULT_LONGEST) {
            0 => Limits { fixed: 0, shortest: shortest.max(least).min(longest), longest },
            fixed => Limits { fixed, shortest: fixed, longest: fixed },
        }
    }
}

/// What the properties say of who made the reader.
fn make(properties: &[u8]) -> Option<Make> {
    makes::by_numbers(number(properties, VENDOR)?, number(properties, PRODUCT))
}

/// Properties have the low octet first (2.6.14).
fn number(properties: &[u8], tag: u8) -> Option<u32> {
    let octets = property(properties, tag)?;
    Some(octets.iter().rev().fold(0_u32, |number, octet| number << 8 | u32::from(*octet)))
}

/// How long a PIN is.
struct Limits {
    /// Exactly so long; 0 if that is not known.
    fixed: u8,
    shortest: u8,
    longest: u8,
}

impl Limits {
    fn end_of_entry(&self) -> u8 {
        if self.shortest == self.longest { BY_KEY | BY_LENGTH } else { BY_KEY }
    }
}

/// The value of a tag, with a length of one octet between.
fn property(mut octets: &[u8], wanted: u8) -> Option<&[u8]> {
    while let [tag, length, rest @ ..] = octets {
        let (value, behind) = rest.split_at_checked(usize::from(*length))?;
        if *tag == wanted {
            return Some(value);
        }
        octets = behind;
    }
    None
}

/// PIN_VERIFY_STRUCTURE (2.5.2).
fn verify_structure(pin: PinType, limits: &Limits) -> Vec<u8> {
    let head = [PATIENCE, PATIENCE, FORMAT, limits.fixed, 0x00, limits.longest, limits.shortest];
    // One message, the first.
    let shown = [limits.end_of_entry(), 0x01, LANGUAGE[0], LANGUAGE[1], 0x00];
    let command = command(INS_VERIFY, pin.id(), limits.fixed);
    [&head[..], &shown, &lengths(&command), &command].concat()
}

/// PIN_MODIFY_STRUCTURE (2.5.3).
fn modify_structure(pin: PinType, limits: &Limits) -> Vec<u8> {
    // Where both PINs go, then how long they may be.
    let places = [0x00, limits.fixed];
    let head = [PATIENCE, PATIENCE, FORMAT, limits.fixed, 0x00];
    // The old one once, the new one twice; three messages.
    let shown = [0x03, limits.end_of_entry(), 0x03, LANGUAGE[0], LANGUAGE[1], 0x00, 0x01, 0x02];
    // PW1 is changed under its first number whatever it was verified for.
    let reference = if pin == PinType::Admin { pin.id() } else { PinType::Sign.id() };
    let command = command(INS_CHANGE, reference, limits.fixed * 2);
    [&head[..], &places, &[limits.longest, limits.shortest], &shown, &lengths(&command), &command].concat()
}

/// The command with room for what will be typed; a reader that takes any length makes the room itself.
fn command(ins: u8, reference: u8, room: u8) -> Vec<u8> {
    let mut command = vec![0x00, ins, 0x00, reference, room];
    command.resize(command.len() + usize::from(room), BLANK);
    command
}

/// The prologue of a block of T=1, and how long the command is.
fn lengths(command: &[u8]) -> [u8; 7] {
    // At most 5 + 2 · 15.
    let length = u8::try_from(command.len()).unwrap_or(u8::MAX);
    [0x00, 0x00, length, length, 0x00, 0x00, 0x00]
}

fn operate(card: &Card, code: u32, structure: &[u8]) -> Result<Vec<u8>, Error> {
    let mut result = [0; MAX_RESULT];
    let answer = card.control(code.into(), structure, &mut result)?;
    // Only the status word; some readers leave their own framing before it.
    Ok(answer.get(answer.len().saturating_sub(2)..).unwrap_or_default().to_vec())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// As libccid answers for a reader with both features and properties.
    const FEATURES: &[u8] = b"\x06\x04\x42\x33\x00\x06\x07\x04\x42\x33\x00\x07\x12\x04\x42\x33\x00\x12";
    const PROPERTIES: &[u8] = b"\x06\x01\x04\x07\x01\x08\x0b\x02\x4b\x0c\x0c\x02\x04\x05";

    fn any_length() -> Features {
        Features {
            verify: Some(0x4233_0006),
            modify: Some(0x4233_0007),
            any_length: true,
            ..Features::default()
        }
    }

    #[test]
    fn features_and_properties_are_understood() {
        let (mut features, properties) = Features::parse(FEATURES);
        assert_eq!(properties, Some(0x4233_0012));
        features.take_over(PROPERTIES);
        features.any_length = make(PROPERTIES).is_some_and(|make| make.any_length);
        let pinpad = Pinpad { verifies: true, modifies: true, any_length: true, shortest: 4, longest: 8 };
        assert_eq!(features.pinpad(), pinpad);
        assert_eq!(Features::parse(&[]).0.pinpad(), Pinpad { shortest: 1, longest: 15, ..Pinpad::default() });
    }

    #[test]
    fn an_answer_cut_at_any_octet_has_the_features_before_it() {
        for cut in 0..FEATURES.len() {
            let (features, properties) = Features::parse(&FEATURES[..cut]);
            assert_eq!(features.verify.is_some(), cut >= 6, "{cut}");
            assert_eq!(features.modify.is_some(), cut >= 12, "{cut}");
            assert_eq!(properties, None);
        }
        for cut in 0..PROPERTIES.len() {
            assert_eq!(make(&PROPERTIES[..cut]).is_some(), cut >= 10, "{cut}");
        }
    }

    /// A reader that says what it was written to say, and notes what it is told.
    struct Scripted {
        features: &'static [u8],
        properties: &'static [u8],
        takes_escapes: bool,
        told: RefCell<Vec<Vec<u8>>>,
    }

    impl Control for Scripted {
        fn control(&self, code: pcsc::ffi::DWORD, command: &[u8]) -> Result<Vec<u8>, Error> {
            if code == pcsc::ctl_code(ESCAPE.into()) {
                self.told.borrow_mut().push(command.to_vec());
                return if self.takes_escapes { Ok(Vec::new()) } else { Err(Error::NotTransacted) };
            }
            let asks_features = code == pcsc::ctl_code(GET_FEATURES.into());
            Ok(if asks_features { self.features } else { self.properties }.to_vec())
        }
    }

    /// What becomes of a reader with such properties, and what it was told.
    fn met(name: &str, properties: &'static [u8], takes_escapes: bool) -> (Pinpad, Vec<Vec<u8>>) {
        let features = if properties.is_empty() { &FEATURES[..12] } else { FEATURES };
        let reader = Scripted { features, properties, takes_escapes, told: RefCell::default() };
        (Features::of(&reader, name).pinpad(), reader.told.into_inner())
    }

    #[test]
    fn readers_that_want_to_be_told_something_first_are_told() {
        let spr532 = b"\x06\x01\x04\x07\x01\x08\x0b\x02\xe6\x04\x0c\x02\x03\xe0";
        for takes in [true, false] {
            let (pinpad, told) = met("", spr532, takes);
            assert!(pinpad.verifies && pinpad.any_length, "whatever it says to it");
            assert_eq!(told, [[0x80, 0x02, 0x00]]);
        }
        let vega = b"\x0b\x02\x82\x09\x0c\x02\x08\x00";
        for takes in [true, false] {
            let (pinpad, told) = met("", vega, takes);
            assert_eq!((pinpad.verifies, pinpad.modifies, pinpad.any_length), (takes, takes, false));
            assert_eq!(told, [[0xb5, 0x01, 0x00, 0x03, 0x00]]);
        }
    }

    #[test]
    fn a_reader_whose_driver_tells_no_numbers_is_known_by_its_name() {
        let (pinpad, told) = met("SCM SPRx32 00 00", b"", true);
        assert!(pinpad.any_length);
        assert_eq!(told, [[0x80, 0x02, 0x00]]);
        assert!(met("REINER SCT cyberJack 00 00", b"", true).0.any_length);
        assert!(!met("Virtual PCD 00 00", b"", true).0.any_length);
        assert!(!met("Gnuk", b"\x06\x01\x04", true).0.any_length, "its driver would have told");
    }

    #[test]
    fn cherrys_take_longer_pins_than_they_say() {
        let (pinpad, told) = met("", b"\x07\x01\x08\x0b\x02\x6a\x04\x0c\x02\x3e\x00", true);
        assert_eq!((pinpad.any_length, pinpad.longest), (true, DEFAULT_LONGEST));
        assert_eq!(told, [[0_u8; 0]; 0]);
    }

    #[test]
    fn a_pin_of_any_length_is_verified() {
        let structure = verify_structure(PinType::User, &any_length().limits(PinType::User, None));
        let expected = b"\x1e\x1e\x82\x00\x00\x0f\x06\x02\x01\x09\x04\x00\x00\x00\x05\x05\x00\x00\x00\x00\x20\x00\x82\x00";
        assert_eq!(structure, expected);
    }

    #[test]
    fn a_pin_of_known_length_is_verified() {
        let lengths = CardCaps::new(false, false, 0, 0, 6, 8);
        let structure = verify_structure(PinType::Admin, &any_length().limits(PinType::Admin, Some(lengths)));
        let expected = b"\x1e\x1e\x82\x08\x00\x08\x08\x03\x01\x09\x04\x00\x00\x00\x0d\x0d\x00\x00\x00\x00\x20\x00\x83\x08";
        assert_eq!(structure, [&expected[..], &[0xff; 8]].concat());
    }

    #[test]
    fn a_pin_is_changed_under_its_first_number() {
        let any = modify_structure(PinType::User, &any_length().limits(PinType::User, None));
        let expected = b"\x1e\x1e\x82\x00\x00\x00\x00\x0f\x06\x03\x02\x03\x09\x04\x00\x01\x02\x00\x00\x05\x05\x00\x00\x00\x00\x24\x00\x81\x00";
        assert_eq!(any, expected);
        let lengths = CardCaps::new(false, false, 0, 0, 6, 6);
        let fixed = modify_structure(PinType::Sign, &any_length().limits(PinType::Sign, Some(lengths)));
        let expected = b"\x1e\x1e\x82\x06\x00\x00\x06\x06\x06\x03\x03\x03\x09\x04\x00\x01\x02\x00\x00\x11\x11\x00\x00\x00\x00\x24\x00\x81\x0c";
        assert_eq!(fixed, [&expected[..], &[0xff; 12]].concat());
    }
}
