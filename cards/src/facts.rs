//! What is known of a token without asking it: the snapshot that its thread publishes after every job.
//!
//! The raw octets are kept, because clients are told some of them as they are; accessors give their meaning.
//! Section numbers are those of the OpenPGP card specification 3.4. What the card sends is taken apart elsewhere
//! ([`crate::openpgp::related`]).

use std::sync::Arc;

use openpgp_card::ocard::algorithm::AlgorithmAttributes;

use claviger_keys::{Keygrip, PublicKey};

use crate::token::{Keygrips, PinRef, Slot};

/// Manufacturers whose cards set their PINs when DO F9 is written: Yubico, FSIJ (Gnuk).
const SET_THEIR_OWN_PINS: [u16; 2] = [0x0006, 0xf517];

/// An immutable snapshot of a token.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The application identifier as it is on the card (4.2.1); all zero for a card without one (terminated).
    pub aid: [u8; 16],
    /// The answer to reset.
    pub atr: Vec<u8>,
    /// The reader's name.
    pub reader: String,
    /// The historical bytes (6.1).
    pub historical: Vec<u8>,
    /// Extended capabilities, DO C0 (4.4.3.7).
    pub capabilities: Capabilities,
    /// Algorithm attributes of the slots as they are on the card, DOs C1–C3 (4.4.3.9).
    pub algorithms: [Vec<u8>; 3],
    /// PW status bytes, DO C4.
    pub pin_status: PinStatus,
    /// Fingerprints of the slots, DO C5; all zero where none was stored.
    pub fingerprints: [[u8; 20]; 3],
    /// Fingerprints of the CA keys, DO C6.
    pub ca_fingerprints: [[u8; 20]; 3],
    /// Creation times of the keys, DO CD.
    pub created: [u32; 3],
    /// Whether the card has a button (DO 7F74 is there).
    pub has_button: bool,
    /// User interaction flags of the slots, DOs D6–D8, where 6E has them.
    pub user_interaction: [Option<Vec<u8>>; 3],
    /// Key information, DO DE, where 6E has it.
    pub key_information: Option<Vec<u8>>,
    /// DO 93 as it was read, plus the signatures made here since; `None` before it was asked for.
    pub signature_counter: Option<u32>,
    /// The public keys, as far as they were read.
    pub public_keys: [KeyState; 3],
    /// The certificates, as far as they were read.
    pub certificates: [CertificateState; 3],
    /// What is verified at the moment, by [`PinRef`] (81, 82, 83); a neighbour may have changed that unseen.
    pub verified: [bool; 3],
    /// The application was terminated: nothing works but a raw ACTIVATE FILE.
    pub terminated: bool,
    /// How often the token lost its state in this insertion (reset by a neighbour or by ourselves).
    pub resets: u32,
}

impl Facts {
    /// Of a card of which nothing is known but where it is.
    #[must_use]
    pub fn unknown(reader: String, atr: Vec<u8>) -> Self {
        Self {
            aid: [0; 16],
            atr,
            reader,
            historical: Vec::new(),
            capabilities: Capabilities::default(),
            algorithms: Default::default(),
            pin_status: PinStatus::default(),
            fingerprints: [[0; 20]; 3],
            ca_fingerprints: [[0; 20]; 3],
            created: [0; 3],
            has_button: false,
            user_interaction: Default::default(),
            key_information: None,
            signature_counter: None,
            public_keys: Default::default(),
            certificates: Default::default(),
            verified: [false; 3],
            terminated: false,
            resets: 0,
        }
    }

    /// The serial number: the AID in 32 upper-case hexadecimal digits.
    #[must_use]
    pub fn serial(&self) -> String {
        self.aid.iter().map(|octet| format!("{octet:02X}")).collect()
    }

    /// The version of the specification that the card follows, 0x0304 for 3.4.
    #[must_use]
    pub fn version(&self) -> u16 {
        u16::from_be_bytes([self.aid[6], self.aid[7]])
    }

    /// The manufacturer's number.
    #[must_use]
    pub fn manufacturer(&self) -> u16 {
        u16::from_be_bytes([self.aid[8], self.aid[9]])
    }

    /// Whether the card sets its PINs to the hashes in DO F9 by itself, as the specification lets it (4.3.2).
    #[must_use]
    pub fn sets_pins_by_kdf(&self) -> bool {
        SET_THEIR_OWN_PINS.contains(&self.manufacturer())
    }

    /// The algorithm of a slot; `None` for one that is not known.
    #[must_use]
    pub fn algorithm(&self, slot: Slot) -> Option<AlgorithmAttributes> {
        let raw = &self.algorithms[slot.index()];
        match raw.as_slice() {
            // Cards of version 1 end after the length of e; theirs is the standard import format.
            [1, _, _, _, _] => AlgorithmAttributes::try_from([raw.as_slice(), &[0]].concat().as_slice()),
            raw => AlgorithmAttributes::try_from(raw),
        }
        .ok()
    }

    /// Whether the slot has a fingerprint.
    #[must_use]
    pub fn has_fingerprint(&self, slot: Slot) -> bool {
        self.fingerprints[slot.index()] != [0; 20]
    }

    /// What DO DE says of a slot: 0 no key, 1 made on the card, 2 imported; `None` where 6E has no DE.
    #[must_use]
    pub fn key_status(&self, slot: Slot) -> Option<u8> {
        let reference = [1, 2, 3][slot.index()];
        let pairs = self.key_information.as_deref()?.chunks_exact(2);
        pairs.filter(|pair| pair[0] == reference).map(|pair| pair[1]).next()
    }

    /// The public key of a slot, if it was read.
    #[must_use]
    pub fn public_key(&self, slot: Slot) -> Option<&PublicKey> {
        match &self.public_keys[slot.index()] {
            KeyState::Present(key, _) => Some(key),
            KeyState::Unread | KeyState::Absent => None,
        }
    }

    /// The keygrips of the slots, as far as their keys were read.
    #[must_use]
    pub fn keygrips(&self) -> Keygrips {
        Slot::ALL.map(|slot| match &self.public_keys[slot.index()] {
            KeyState::Present(_, grip) => Some(*grip),
            KeyState::Unread | KeyState::Absent => None,
        })
    }

    /// The slot that has this key, among those that were read.
    #[must_use]
    pub fn slot_of(&self, grip: &Keygrip) -> Option<Slot> {
        Slot::ALL.into_iter().find(|slot| self.keygrips()[slot.index()].as_ref() == Some(grip))
    }

    /// The certificate of a slot, byte for byte as it is on the card, if it was read and there is one.
    #[must_use]
    pub fn certificate(&self, slot: Slot) -> Option<&Arc<[u8]>> {
        match &self.certificates[slot.index()] {
            CertificateState::Present(octets) => Some(octets),
            CertificateState::Unread | CertificateState::Absent | CertificateState::Refused(_) => None,
        }
    }

    /// Whether a PIN is verified, as far as is known. The resetting code never is.
    #[must_use]
    pub fn is_verified(&self, pin: PinRef) -> bool {
        pin.index().is_some_and(|index| self.verified[index])
    }
}

/// What is known of a slot's public key.
#[derive(Debug, Clone, Default)]
pub enum KeyState {
    /// It was not asked for yet.
    #[default]
    Unread,
    /// There is none.
    Absent,
    /// It is this one.
    Present(PublicKey, Keygrip),
}

/// What is known of a slot's certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CertificateState {
    /// It was not asked for yet.
    #[default]
    Unread,
    /// There is none.
    Absent,
    /// It is this one.
    Present(Arc<[u8]>),
    /// The card answered with this status word, and says nothing of whether there is one.
    Refused(u16),
}

/// Extended capabilities (4.4.3.7), of any length that a card thought right.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities(pub Vec<u8>);

impl Capabilities {
    /// GET CHALLENGE.
    #[must_use]
    pub fn get_challenge(&self) -> bool {
        self.bit(0x40)
    }

    /// Key import.
    #[must_use]
    pub fn key_import(&self) -> bool {
        self.bit(0x20)
    }

    /// The PW status byte can be changed.
    #[must_use]
    pub fn pin_status_changeable(&self) -> bool {
        self.bit(0x10)
    }

    /// Private use DOs 0101–0104.
    #[must_use]
    pub fn private_objects(&self) -> bool {
        self.bit(0x08)
    }

    /// Algorithm attributes can be changed.
    #[must_use]
    pub fn algorithms_changeable(&self) -> bool {
        self.bit(0x04)
    }

    /// PSO:DEC with AES.
    #[must_use]
    pub fn aes(&self) -> bool {
        self.bit(0x02)
    }

    /// The KDF DO F9.
    #[must_use]
    pub fn kdf(&self) -> bool {
        self.bit(0x01)
    }

    /// Secure messaging.
    #[must_use]
    pub fn secure_messaging(&self) -> bool {
        self.bit(0x80)
    }

    /// The algorithm of secure messaging, as the card names it.
    #[must_use]
    pub fn secure_messaging_algorithm(&self) -> u8 {
        self.0.get(1).copied().unwrap_or(0)
    }

    /// The most octets of one GET CHALLENGE; 0 where the card does not say.
    #[must_use]
    pub fn max_challenge(&self) -> u16 {
        self.word(2)
    }

    /// The most octets of a certificate; 0 where the card does not say.
    #[must_use]
    pub fn max_certificate(&self) -> u16 {
        self.word(4)
    }

    /// The most octets of other data objects (cards of version 3); 0 where the card does not say.
    #[must_use]
    pub fn max_special(&self) -> u16 {
        self.word(6)
    }

    fn bit(&self, mask: u8) -> bool {
        self.0.first().is_some_and(|first| first & mask != 0)
    }

    pub(crate) fn word(&self, at: usize) -> u16 {
        match self.0.get(at..at + 2) {
            Some(&[high, low]) => u16::from_be_bytes([high, low]),
            _ => 0,
        }
    }
}

/// PW status bytes (4.4.1, DO C4): validity of PW1, greatest lengths, tries left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PinStatus(pub [u8; 7]);

impl PinStatus {
    /// Whether PW1 serves a single signature.
    #[must_use]
    pub fn forced(&self) -> bool {
        self.0[0] == 0
    }

    /// The tries that are left, as last known.
    #[must_use]
    pub fn tries(&self, pin: PinRef) -> u8 {
        match pin {
            PinRef::Sign | PinRef::User => self.0[4],
            PinRef::ResetCode => self.0[5],
            PinRef::Admin => self.0[6],
        }
    }

    pub(crate) fn set_tries(&mut self, pin: PinRef, left: u8) {
        match pin {
            PinRef::Sign | PinRef::User => self.0[4] = left,
            PinRef::ResetCode => self.0[5] = left,
            PinRef::Admin => self.0[6] = left,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_of_any_length_have_a_meaning() {
        let full = Capabilities(vec![0x7d, 0, 0x0b, 0xfe, 0x08, 0, 0, 0xff, 0, 0]);
        assert!(full.get_challenge() && full.key_import() && full.kdf() && !full.aes());
        assert_eq!(
            (full.max_challenge(), full.max_certificate(), full.max_special()),
            (0x0bfe, 0x0800, 0xff)
        );
        for cut in 0..full.0.len() {
            let short = Capabilities(full.0[..cut].to_vec());
            assert_eq!(short.kdf(), cut > 0);
            assert_eq!(short.max_certificate(), if cut > 5 { 0x0800 } else { 0 });
        }
    }

    #[test]
    fn pw1_has_one_counter_for_both_of_its_uses() {
        let mut status = PinStatus([1, 64, 64, 64, 3, 0, 3]);
        status.set_tries(PinRef::User, 2);
        assert_eq!((status.tries(PinRef::Sign), status.tries(PinRef::Admin)), (2, 3));
        assert!(!status.forced());
    }

    #[test]
    fn the_serial_number_is_the_aid_in_upper_case() {
        let mut facts = Facts::unknown("reader".into(), vec![]);
        facts.aid = *b"\xd2\x76\x00\x01\x24\x01\x03\x04\xff\xfe\x12\x34\x56\x78\x00\x00";
        assert_eq!(facts.serial(), "D276000124010304FFFE123456780000");
        assert_eq!((facts.version(), facts.manufacturer()), (0x0304, 0xfffe));
    }
}
