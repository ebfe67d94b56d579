//! The key derivation for PINs, DO F9 (OpenPGP card 3.4, section 4.3.2; RFC 4880, section 3.7.1.3).
//!
//! A card that has one never sees a PIN as it was typed; a derivation that we do not understand is therefore an error,
//! and never a reason to send the plain PIN.

use openpgp_card::ocard::data::KdfDo;
use sha2::digest::Output;
use sha2::{Digest, Sha256, Sha512};
use zeroize::Zeroize;

use claviger_secret::Secret;

use crate::openpgp::tlv::{self, Object};
use crate::token::{PinRef, TokenError};

/// The longest F9 that is read: its longest form has 110 octets.
const MAX_OBJECT: usize = 256;

/// Its tag.
const TAG: u32 = 0xf9;

/// The most octets that are hashed for one PIN: four times what OpenPGP's one-octet count can say.
const MAX_COUNT: u32 = 4 * 65_011_712;

/// How much is hashed in one go.
const BLOCK: usize = 4096;

const OPERATION: &str = "deriving the PIN";

/// How a card wants its PINs.
#[derive(Debug)]
pub enum Kdf {
    /// As they were typed.
    Plain,
    /// Salted, and hashed over and over.
    Iterated(Box<Iterated>),
}

/// Parameters of the iterated and salted derivation.
#[derive(Debug)]
pub struct Iterated {
    object: KdfDo,
    count: u32,
    long: bool,
}

impl Kdf {
    /// Reads F9; `None` and an empty one mean that there is no derivation.
    ///
    /// # Errors
    /// [`TokenError::Malformed`] and [`TokenError::NotSupported`].
    pub fn parse(object: Option<&[u8]>) -> Result<Self, TokenError> {
        let Some(octets) = object.filter(|octets| !octets.is_empty()) else { return Ok(Self::Plain) };
        if octets.len() > MAX_OBJECT {
            return Err(malformed("DO F9 is too long"));
        }
        let octets = unwrapped(octets)?;
        let object = KdfDo::try_from(octets).map_err(|error| malformed(&error.to_string()))?;
        match object.kdf_algo() {
            0 => Ok(Self::Plain),
            3 => Iterated::new(object).map(|kdf| Self::Iterated(Box::new(kdf))),
            _ => Err(TokenError::NotSupported("its key derivation for PINs is unknown")),
        }
    }

    /// The content of F9, which some cards (opcard) give with its own tag and length in front.
    #[must_use]
    pub fn content(object: &[u8]) -> &[u8] {
        unwrapped(object).unwrap_or(object)
    }

    /// What the card compares when `pin` was typed.
    ///
    /// # Errors
    /// [`TokenError::Malformed`] when the card has no salt.
    pub fn derive(&self, which: PinRef, pin: &Secret) -> Result<Secret, TokenError> {
        match self {
            Self::Plain => Ok(pin.duplicate()),
            Self::Iterated(kdf) => kdf.derive(which, pin),
        }
    }
}

impl Iterated {
    fn new(object: KdfDo) -> Result<Self, TokenError> {
        let count = object.iter_count().ok_or_else(|| malformed("no iteration count"))?;
        if count > MAX_COUNT {
            return Err(TokenError::NotSupported("its key derivation for PINs takes too long"));
        }
        let long = match object.hash_algo() {
            Some(0x08) => false,
            Some(0x0a) => true,
            _ => return Err(TokenError::NotSupported("its key derivation for PINs has an unknown hash")),
        };
        Ok(Self { object, count, long })
    }

    fn derive(&self, which: PinRef, pin: &Secret) -> Result<Secret, TokenError> {
        let own = match which {
            PinRef::Sign | PinRef::User => None,
            PinRef::ResetCode => self.object.salt_rc(),
            PinRef::Admin => self.object.salt_pw3(),
        };
        // The short form has one salt for all.
        let salt = own.or(self.object.salt_pw1()).ok_or_else(|| malformed("no salt"))?;
        Ok(if self.long {
            iterate::<Sha512>(self.count, salt, pin)
        } else {
            iterate::<Sha256>(self.count, salt, pin)
        })
    }
}

/// Hashes `count` octets of salt and PIN, over and over, but both of them once in any case.
fn iterate<D: Digest>(count: u32, salt: &[u8], pin: &Secret) -> Secret {
    let once = salt.len() + pin.len();
    let repeats = BLOCK.div_ceil(once.max(1));
    let mut block = Secret::with_capacity(repeats * once);
    for _ in 0..repeats {
        // It was made to hold them all.
        let _ = block.extend(salt).and_then(|()| block.extend(pin.as_bytes()));
    }
    let mut left = usize::try_from(count).unwrap_or(usize::MAX).max(once);
    let mut hash = D::new();
    while left > 0 {
        let part = block.as_bytes().get(..left).unwrap_or(block.as_bytes());
        hash.update(part);
        left = left.saturating_sub(part.len().max(1));
    }
    let mut output: Output<D> = hash.finalize();
    let derived = Secret::copy_of(&output);
    output.as_mut_slice().zeroize();
    derived
}

fn unwrapped(octets: &[u8]) -> Result<&[u8], TokenError> {
    match tlv::objects(octets).map_err(|cut| malformed(&cut.to_string()))?.as_slice() {
        [Object { tag: TAG, value }] => Ok(value),
        _ => Ok(octets),
    }
}

fn malformed(message: &str) -> TokenError {
    TokenError::Malformed { operation: OPERATION, message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification: three salts, 100,000 octets.
    fn object(hash: u8) -> Vec<u8> {
        let mut octets = vec![0x81, 1, 3, 0x82, 1, hash, 0x83, 4, 0, 1, 0x86, 0xa0];
        for (tag, salt) in [(0x84, b"01234567"), (0x85, b"89abcdef"), (0x86, b"ABCDEFGH")] {
            octets.extend([tag, 8]);
            octets.extend(salt);
        }
        octets
    }

    fn derive(octets: &[u8], which: PinRef, pin: &[u8]) -> String {
        let kdf = Kdf::parse(Some(octets)).unwrap();
        let derived = kdf.derive(which, &Secret::copy_of(pin)).unwrap();
        derived.as_bytes().iter().map(|octet| format!("{octet:02X}")).collect()
    }

    #[test]
    fn the_example_of_the_specification_comes_out() {
        let user = derive(&object(8), PinRef::User, b"123456");
        assert_eq!(user, "773784A602B6C81E3F092F4D7D00E17CC822D88F7360FCF2D2EF2D9D901F44B6");
        let admin = derive(&object(8), PinRef::Admin, b"12345678");
        assert_eq!(admin, "2675D6164A0D4827D1D00C7EEA620D015C00030A1CAB38B4D0DD600B27DC9630");
    }

    #[test]
    fn the_hash_is_the_one_that_the_card_names() {
        assert_eq!(derive(&object(8), PinRef::User, b"123456").len(), 64);
        assert_eq!(derive(&object(10), PinRef::User, b"123456").len(), 128);
    }

    #[test]
    fn a_tag_in_front_changes_nothing() {
        let wrapped = tlv::write(&[0xf9], &object(8));
        assert_eq!(derive(&wrapped, PinRef::User, b"123456"), derive(&object(8), PinRef::User, b"123456"));
        for cut in 1..24 {
            let derived = Kdf::parse(Some(&wrapped[..cut]));
            assert!(derived.is_err(), "{cut}");
        }
        assert!(matches!(Kdf::parse(Some(b"\xf9\x03\x81\x01\x00")), Ok(Kdf::Plain)));
    }

    #[test]
    fn one_salt_serves_all_where_there_is_only_one() {
        let short = &object(8)[..22];
        assert_eq!(derive(short, PinRef::Admin, b"12345678"), derive(short, PinRef::User, b"12345678"));
        let long = object(8);
        assert_ne!(derive(&long, PinRef::Admin, b"12345678"), derive(&long, PinRef::User, b"12345678"));
    }

    #[test]
    fn a_derivation_cut_at_any_byte_never_becomes_a_plain_pin() {
        let whole = object(8);
        for cut in 1..22 {
            let derived = Kdf::parse(Some(&whole[..cut]))
                .and_then(|kdf| kdf.derive(PinRef::User, &Secret::copy_of(b"123456")));
            assert!(derived.is_err(), "{cut}");
        }
    }

    #[test]
    fn no_object_an_empty_one_and_one_that_is_off_mean_plain_pins() {
        for object in [None, Some(&b""[..]), Some(&b"\x81\x01\x00"[..])] {
            let derived = Kdf::parse(object).unwrap().derive(PinRef::User, &Secret::copy_of(b"123456"));
            assert_eq!(derived.unwrap().as_bytes(), b"123456");
        }
    }

    #[test]
    fn what_would_take_for_ever_is_refused() {
        let mut octets = object(8);
        octets[8..12].fill(0xff);
        assert!(matches!(Kdf::parse(Some(&octets)), Err(TokenError::NotSupported(_))));
    }
}
