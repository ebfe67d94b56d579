//! Fingerprints of keys (RFC 9580, section 5.5.4; GnuPG's version 5).

use std::fmt;
use std::str::FromStr;

use sha1::{Digest as _, Sha1};
use sha2::Sha256;

/// The longest version 4 key packet: its fingerprint counts the octets in two.
const MAX_V4_KEY: usize = 0xffff;

/// A fingerprint. Written in hexadecimal digits of upper case, and read in either case.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fingerprint {
    /// Of a version 4 key: 40 digits.
    V4([u8; 20]),
    /// Of a version 6 key, or of GnuPG's version 5: 64 digits.
    V6([u8; 32]),
}

impl Fingerprint {
    /// The fingerprint of a key, given the body of its packet; nothing if the version has none of these.
    #[must_use]
    pub fn of_key(body: &[u8]) -> Option<Self> {
        match body.first()? {
            4 if body.len() <= MAX_V4_KEY => Some(Self::v4(body)),
            5 => Self::long(0x9a, body),
            6 => Self::long(0x9b, body),
            _ => None,
        }
    }

    /// The octets.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        match self {
            Self::V4(octets) => octets,
            Self::V6(octets) => octets,
        }
    }

    fn v4(body: &[u8]) -> Self {
        let [.., high, low] = body.len().to_be_bytes();
        Self::V4(Sha1::new().chain_update([0x99, high, low]).chain_update(body).finalize().into())
    }

    fn long(mark: u8, body: &[u8]) -> Option<Self> {
        let len = u32::try_from(body.len()).ok()?.to_be_bytes();
        let hash = Sha256::new().chain_update([mark]).chain_update(len).chain_update(body);
        Some(Self::V6(hash.finalize().into()))
    }
}

impl From<[u8; 20]> for Fingerprint {
    fn from(octets: [u8; 20]) -> Self {
        Self::V4(octets)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|octet| write!(f, "{octet:02X}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not 40 or 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an OpenPGP fingerprint has 40 or 64 hexadecimal digits")]
pub struct NotFingerprint;

impl FromStr for Fingerprint {
    type Err = NotFingerprint;

    fn from_str(text: &str) -> Result<Self, NotFingerprint> {
        match text.len() {
            40 => octets(text).map(Self::V4),
            64 => octets(text).map(Self::V6),
            _ => None,
        }
        .ok_or(NotFingerprint)
    }
}

fn octets<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let mut octets = [0; N];
    for (octet, pair) in octets.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        let [high, low] = [pair.first()?, pair.last()?].map(|digit| char::from(*digit).to_digit(16));
        *octet = u8::try_from(high? << 4 | low?).ok()?;
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_read_in_either_case_and_written_in_upper() {
        for digits in ["A0b1".repeat(10), "A0b1".repeat(16)] {
            let fingerprint: Fingerprint = digits.parse().unwrap();
            assert_eq!(fingerprint.to_string(), digits.to_uppercase());
            assert_eq!(fingerprint.as_bytes().len(), digits.len() / 2);
        }
    }

    #[test]
    fn other_texts_are_no_fingerprints() {
        for text in ["", "A0B1", &"A0B1".repeat(8), &"G0B1".repeat(10), &"+1".repeat(20), &"é".repeat(20)] {
            assert_eq!(text.parse::<Fingerprint>(), Err(NotFingerprint), "{text}");
        }
    }

    #[test]
    fn keys_of_other_versions_have_none() {
        for body in [b"".as_slice(), b"\x02rest", b"\x03rest", b"\x07rest", &[4; 0x1_0000]] {
            assert_eq!(Fingerprint::of_key(body), None);
        }
        assert!(Fingerprint::of_key(&[4; 0xffff]).is_some());
    }

    #[test]
    fn versions_do_not_share_fingerprints() {
        let [four, five, six] = [b"\x04key", b"\x05key", b"\x06key"].map(|body| Fingerprint::of_key(body));
        assert_eq!(four.unwrap().as_bytes().len(), 20);
        assert_ne!(five.unwrap().as_bytes(), six.unwrap().as_bytes());
    }
}
