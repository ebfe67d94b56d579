//! Application Related Data, DO 6E (OpenPGP card 3.4, section 4.4.3.1): nearly everything that a card says of itself.

use std::sync::Arc;

use crate::facts::{Capabilities, Facts, KeyState, PinStatus};
use crate::openpgp::commands::{APPLICATION, name};
use crate::openpgp::tlv::{self, Cut};
use crate::token::{Slot, TokenError};

/// The longest value of one object in 6E that is kept; the real ones have at most 60 octets.
const MAX_VALUE: usize = 256;

/// What a 6E says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    /// 4F.
    pub aid: [u8; 16],
    /// 5F52.
    pub historical: Vec<u8>,
    /// 7F66, where it is.
    pub length_information: Option<Vec<u8>>,
    /// Whether 7F74 is there.
    pub has_button: bool,
    /// C0.
    pub capabilities: Vec<u8>,
    /// C1, C2, C3.
    pub algorithms: [Vec<u8>; 3],
    /// C4.
    pub pin_status: [u8; 7],
    /// C5.
    pub fingerprints: [[u8; 20]; 3],
    /// C6.
    pub ca_fingerprints: [[u8; 20]; 3],
    /// CD.
    pub created: [u32; 3],
    /// D6, D7, D8, where they are.
    pub user_interaction: [Option<Vec<u8>>; 3],
    /// DE, where it is.
    pub key_information: Option<Vec<u8>>,
}

impl Related {
    /// Takes the answer to GET DATA 6E apart.
    ///
    /// # Errors
    /// [`TokenError::Malformed`] if it is cut short, or lacks what every card must have.
    pub fn parse(octets: &[u8]) -> Result<Self, TokenError> {
        let fields = Fields { octets };
        Ok(Self {
            aid: fields.aid()?,
            historical: fields.optional(0x5f52)?.unwrap_or_default().to_vec(),
            length_information: fields.optional(0x7f66)?.map(<[u8]>::to_vec),
            has_button: fields.optional(0x7f74)?.is_some(),
            capabilities: fields.required(0xc0)?.to_vec(),
            algorithms: [fields.required(0xc1)?, fields.required(0xc2)?, fields.required(0xc3)?]
                .map(<[u8]>::to_vec),
            pin_status: exactly(fields.required(0xc4)?).ok_or_else(|| malformed("DO C4 has not 7 octets"))?,
            fingerprints: thirds(fields.optional(0xc5)?),
            ca_fingerprints: thirds(fields.optional(0xc6)?),
            created: thirds(fields.optional(0xcd)?).map(u32::from_be_bytes),
            user_interaction: [fields.optional(0xd6)?, fields.optional(0xd7)?, fields.optional(0xd8)?]
                .map(|flag| flag.map(<[u8]>::to_vec)),
            key_information: fields.optional(0xde)?.map(<[u8]>::to_vec),
        })
    }

    /// Takes it over into the facts. What is known of a slot's public key is forgotten if the slot has changed.
    pub(crate) fn apply(&self, facts: &mut Arc<Facts>) {
        let facts = Arc::make_mut(facts);
        let before = Slot::ALL.map(|slot| facts.key_status(slot));
        facts.key_information.clone_from(&self.key_information);
        for slot in Slot::ALL {
            let at = slot.index();
            // Where one of the two is not known, nothing is known to have changed.
            let status = before[at].zip(facts.key_status(slot)).is_none_or(|(then, now)| then == now);
            let same = status
                && facts.fingerprints[at] == self.fingerprints[at]
                && facts.created[at] == self.created[at]
                && facts.algorithms[at] == self.algorithms[at];
            if !same {
                facts.public_keys[at] = KeyState::Unread;
            }
        }
        facts.aid = self.aid;
        facts.historical.clone_from(&self.historical);
        facts.capabilities = Capabilities(self.capabilities.clone());
        facts.algorithms.clone_from(&self.algorithms);
        facts.pin_status = PinStatus(self.pin_status);
        facts.fingerprints = self.fingerprints;
        facts.ca_fingerprints = self.ca_fingerprints;
        facts.created = self.created;
        facts.has_button = self.has_button;
        facts.user_interaction.clone_from(&self.user_interaction);
        facts.terminated = false;
    }
}

struct Fields<'a> {
    octets: &'a [u8],
}

impl<'a> Fields<'a> {
    fn optional(&self, tag: u32) -> Result<Option<&'a [u8]>, TokenError> {
        let value = tlv::find(self.octets, tag).map_err(|Cut| malformed("a data object is cut short"))?;
        match value {
            Some(value) if value.len() > MAX_VALUE => Err(malformed("a data object is too long")),
            value => Ok(value),
        }
    }

    fn required(&self, tag: u32) -> Result<&'a [u8], TokenError> {
        match self.optional(tag)? {
            Some(value) if !value.is_empty() => Ok(value),
            _ => Err(TokenError::Malformed {
                operation: name::RELATED,
                message: format!("DO {tag:02X} is missing"),
            }),
        }
    }

    fn aid(&self) -> Result<[u8; 16], TokenError> {
        let aid = exactly(self.required(0x4f)?).ok_or_else(|| malformed("the AID has not 16 octets"))?;
        if aid.starts_with(&APPLICATION) {
            Ok(aid)
        } else {
            Err(malformed("the AID is not an OpenPGP card's"))
        }
    }
}

fn exactly<const N: usize>(octets: &[u8]) -> Option<[u8; N]> {
    octets.try_into().ok()
}

/// Three values of the same size in a row; zeros for those that are not there.
fn thirds<const N: usize>(octets: Option<&[u8]>) -> [[u8; N]; 3] {
    let mut values = [[0; N]; 3];
    for (value, octets) in values.iter_mut().zip(octets.unwrap_or_default().chunks_exact(N)) {
        value.copy_from_slice(octets);
    }
    values
}

fn malformed(message: &str) -> TokenError {
    TokenError::Malformed { operation: name::RELATED, message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openpgp::sample;

    #[test]
    fn a_captured_6e_says_what_the_card_is() {
        let related = Related::parse(&sample::YUBIKEY_5).unwrap();
        assert_eq!(&related.aid[6..10], b"\x03\x04\x00\x06");
        assert_eq!(related.pin_status, [0xff, 0x7f, 0x7f, 0x7f, 3, 0, 3]);
        assert!(related.has_button);
        assert_eq!(related.algorithms[0], b"\x01\x08\x00\x00\x11\x00");
        assert_eq!(related.user_interaction[2].as_deref(), Some(&b"\x00\x20"[..]));
        assert_eq!(related.key_information.as_deref(), Some(&b"\x01\0\x02\0\x03\0\x81\x02"[..]));
    }

    #[test]
    fn a_6e_cut_at_any_byte_is_malformed() {
        for cut in 0..sample::YUBIKEY_5.len() {
            let parsed = Related::parse(&sample::YUBIKEY_5[..cut]);
            assert!(matches!(parsed, Err(TokenError::Malformed { .. })), "{cut}");
        }
    }

    #[test]
    fn another_fingerprint_means_another_key() {
        let mut facts = Arc::new(Facts::unknown(String::new(), Vec::new()));
        let mut related = Related::parse(&sample::YUBIKEY_5).unwrap();
        related.apply(&mut facts);
        Arc::make_mut(&mut facts).public_keys = [KeyState::Absent, KeyState::Absent, KeyState::Absent];
        related.fingerprints[1] = [7; 20];
        related.apply(&mut facts);
        assert!(matches!(facts.public_keys, [KeyState::Absent, KeyState::Unread, KeyState::Absent]));
        related.key_information = Some(b"\x01\0\x02\0\x03\x02\x81\x02".to_vec());
        related.apply(&mut facts);
        assert!(matches!(facts.public_keys, [KeyState::Absent, KeyState::Unread, KeyState::Unread]));
    }
}
