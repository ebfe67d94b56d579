//! What is on a card, object by object, read by raw commands: the list of all data objects (OpenPGP card 3.4, section
//! 4.4.1), the public keys, and which PINs open it.

use std::collections::BTreeMap;

use claviger_cards::openpgp::kdf::Kdf;
use claviger_cards::openpgp::tlv;
use claviger_cards::token::PinRef;
use claviger_secret::Secret;

use super::at_rest::{AtRest, Memory};
use crate::world::scripted::hex;

/// Data objects that GET DATA reads without a PIN. What has a structure is taken apart, so that each object in it stands
/// for itself.
const OBJECTS: [u16; 17] = [
    0x4F, 0x5E, 0x65, 0x6E, 0x7A, 0xC4, 0xD5, 0xD6, 0xD7, 0xD8, 0xDE, 0xF9, 0xFA, 0x0101, 0x0102, 0x5F50,
    0x5F52,
];
/// Those of them that are structures, and the one inside.
const STRUCTURES: [u32; 4] = [0x65, 0x6E, 0x7A, 0x73];
/// The private object that PW1 opens, and the one that PW3 opens.
const AFTER_PINS: [(u16, u8); 2] = [(0x0103, 0x82), (0x0104, 0x83)];
/// Their control reference templates.
const KEYS: [u8; 3] = [0xB6, 0xB8, 0xA4];
const CERTIFICATES: [u8; 3] = [2, 1, 0];

/// The PINs that are to open a card.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pins {
    /// PW1.
    pub(crate) user: &'static str,
    /// PW3.
    pub(crate) admin: &'static str,
}

/// Stands for a PIN that is blocked.
pub(crate) const BLOCKED: &str = "";

impl Pins {
    /// Whether the PIN with this number is.
    pub(crate) fn is_blocked(self, number: u8) -> bool {
        let pin = if number == 0x83 { self.admin } else { self.user };
        pin == BLOCKED
    }
}

/// Those of a new card.
pub(crate) const NEW: Pins = Pins { user: "123456", admin: "12345678" };

/// The contents of a card, by name. Values are in hexadecimal; where the card refuses, what it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Contents(BTreeMap<String, String>);

impl Contents {
    /// Reads all. Nothing is changed by it, except that a wrong PIN costs a try.
    pub(crate) fn of(memory: &Memory, pins: Pins) -> Self {
        let mut card = AtRest::with(memory);
        let mut contents = BTreeMap::new();
        for tag in OBJECTS {
            let answer = card.ask(get_data(tag));
            match answer.strip_suffix(&[0x90, 0x00]).filter(|_| STRUCTURES.contains(&tag.into())) {
                Some(whole) => take_apart(&name(tag.into()), whole, &mut contents),
                None => drop(contents.insert(name(tag.into()), hex(&answer))),
            }
        }
        for slot in KEYS {
            let answer = card.ask_with([0x00, 0x47, 0x81, 0x00], &[slot, 0]);
            contents.insert(format!("key {slot:02X}"), hex(&answer));
        }
        for occurrence in CERTIFICATES {
            card.give([0x00, 0xA5, occurrence, 0x04], &[0x60, 0x04, 0x5C, 0x02, 0x7F, 0x21]);
            contents.insert(format!("7F21 number {}", 3 - occurrence), hex(&card.ask(get_data(0x7F21))));
        }
        let derivation = derivation(&mut card);
        for (number, which, pin) in [
            (0x81, PinRef::Sign, pins.user),
            (0x82, PinRef::User, pins.user),
            (0x83, PinRef::Admin, pins.admin),
        ] {
            let derived =
                derivation.derive(which, &Secret::copy_of(pin.as_bytes())).expect("the card has salts");
            let answer = card.give([0x00, 0x20, 0x00, number], derived.as_bytes());
            contents.insert(format!("VERIFY {number:02X}"), hex(&answer));
        }
        for (tag, _) in AFTER_PINS {
            contents.insert(name(tag.into()), hex(&card.ask(get_data(tag))));
        }
        Self(contents)
    }

    /// An object by its name.
    pub(crate) fn object(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// The names of the objects that are not the same on both and not among `except`.
    pub(crate) fn differences(&self, other: &Self, except: &[&str]) -> Vec<String> {
        let names = self.0.keys().chain(other.0.keys().filter(|name| !self.0.contains_key(*name)));
        names
            .filter(|name| !except.contains(&name.as_str()) && self.object(name) != other.object(name))
            .cloned()
            .collect()
    }

    /// What the card answers to each PIN, by its number.
    pub(crate) fn pins(&self) -> [(u8, &str); 3] {
        [0x81, 0x82, 0x83].map(|number| (number, self.object(&format!("VERIFY {number:02X}"))))
    }

    /// The names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// How the card wants its PINs, by its own F9.
fn derivation(card: &mut AtRest) -> Kdf {
    let answer = card.ask(get_data(0xF9));
    Kdf::parse(answer.strip_suffix(&[0x90, 0x00])).expect("F9 makes sense")
}

fn get_data(tag: u16) -> [u8; 4] {
    let [high, low] = tag.to_be_bytes();
    [0x00, 0xCA, high, low]
}

/// A tag as it is written: whole octets.
fn name(tag: u32) -> String {
    if tag > 0xFF { format!("{tag:04X}") } else { format!("{tag:02X}") }
}

/// Files each object of a structure under the path to it.
fn take_apart(path: &str, octets: &[u8], contents: &mut BTreeMap<String, String>) {
    for object in tlv::objects(octets).expect("a structure is made of objects") {
        let name = name(object.tag);
        // Some answers have their own tag around them.
        let path = if name == path { name } else { format!("{path}/{name}") };
        if STRUCTURES.contains(&object.tag) {
            take_apart(&path, object.value, contents);
        } else {
            contents.insert(path, hex(object.value));
        }
    }
}
