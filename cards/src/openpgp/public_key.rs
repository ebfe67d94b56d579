//! Public keys as cards give them: DO 7F49 (OpenPGP card 3.4, section 7.2.14).

use openpgp_card::ocard::algorithm::AlgorithmAttributes;

use claviger_keys::{Curve, PublicKey};

use crate::facts::KeyState;
use crate::openpgp::commands::{self, name};
use crate::openpgp::session::Session;
use crate::openpgp::tlv;
use crate::token::{Reply, Slot, TokenError};

/// Tags and lengths around the numbers of an RSA key: 7F49 82 xx xx 81 82 xx xx … 82 xx ….
const RSA_WRAPPING: usize = 16;

/// A key's status in DO DE: there is none (4.4.3.8).
const NO_KEY: u8 = 0;

/// Where nothing is known of the algorithm, a short answer has to do.
const SHORT: usize = 256;

impl Session<'_> {
    /// The public key of a slot: as it was read before, else from the card.
    pub(crate) fn public_key(&mut self, slot: Slot) -> Result<Reply, TokenError> {
        match &self.card.facts.public_keys[slot.index()] {
            KeyState::Present(key, _) => return Ok(Reply::PublicKey(Box::new(key.clone()))),
            KeyState::Absent => return Err(TokenError::NoKey(slot)),
            KeyState::Unread => {}
        }
        if self.card.facts.key_status(slot) == Some(NO_KEY) {
            return Err(self.no_key(slot));
        }
        let command = commands::read_public_key(slot, self.public_key_size(slot));
        let mut response = self.send(&command)?;
        // Nothing else was to be expected of a slot without a fingerprint, and no probe is spent on it.
        let expected = response.sw == 0x6a88 && !self.card.facts.has_fingerprint(slot);
        if response.looks_lost() && !expected && self.reselected()? {
            response = self.send(&command)?;
        }
        if !response.is_ok() {
            // Cards have different status words for it; GnuPG takes them all for an empty slot.
            return Err(self.no_key(slot));
        }
        let key = parse(&self.card.facts.algorithms[slot.index()], &response.data)?;
        self.key_is_known(slot, &key);
        Ok(Reply::PublicKey(Box::new(key)))
    }

    fn no_key(&mut self, slot: Slot) -> TokenError {
        self.card.facts_mut().public_keys[slot.index()] = KeyState::Absent;
        TokenError::NoKey(slot)
    }

    pub(crate) fn key_is_known(&mut self, slot: Slot, key: &PublicKey) {
        self.card.facts_mut().public_keys[slot.index()] = KeyState::Present(key.clone(), key.keygrip());
    }

    /// The most octets that the card gives for a slot's public key.
    pub(crate) fn public_key_size(&self, slot: Slot) -> usize {
        match self.card.facts.algorithm(slot) {
            Some(AlgorithmAttributes::Rsa(rsa)) => {
                RSA_WRAPPING + usize::from(rsa.len_n()).div_ceil(8) + usize::from(rsa.len_e()).div_ceil(8)
            }
            _ => SHORT,
        }
    }
}

/// The public key in the answer to GENERATE ASYMMETRIC KEY PAIR, of a slot with these algorithm attributes.
///
/// # Errors
/// [`TokenError::Malformed`] if it is not one; [`TokenError::NotSupported`] if its algorithm is not known here.
pub fn parse(attributes: &[u8], octets: &[u8]) -> Result<PublicKey, TokenError> {
    let template = required(octets, 0x7f49)?;
    match attributes {
        [1, ..] => {
            let (n, e) = (required(template, 0x81)?, required(template, 0x82)?);
            PublicKey::rsa(n, e).map_err(|error| malformed(&error.to_string()))
        }
        [18 | 19 | 22, oid @ ..] => {
            let curve = curve(oid).ok_or(TokenError::NotSupported("the key's curve is not known here"))?;
            PublicKey::ecc(curve, required(template, 0x86)?).map_err(|error| malformed(&error.to_string()))
        }
        _ => Err(TokenError::NotSupported("the key's algorithm is not known here")),
    }
}

/// The curve in algorithm attributes, behind whose OID an octet with the import format may stand (4.4.3.9).
pub(crate) fn curve(oid: &[u8]) -> Option<Curve> {
    Curve::from_oid(oid).or_else(|| oid.split_last().and_then(|(_, oid)| Curve::from_oid(oid)))
}

fn required(octets: &[u8], tag: u32) -> Result<&[u8], TokenError> {
    let found = tlv::find(octets, tag).map_err(|cut| malformed(&cut.to_string()))?;
    found.ok_or_else(|| malformed(&format!("no {tag:02X} in it")))
}

fn malformed(message: &str) -> TokenError {
    TokenError::Malformed { operation: name::READ_KEY, message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openpgp::sample;

    #[test]
    fn keys_of_each_kind_are_read() {
        for (attributes, octets) in sample::public_keys() {
            assert!(parse(&attributes, &octets).is_ok(), "{attributes:02x?}");
        }
    }

    #[test]
    fn a_key_cut_at_any_byte_is_malformed() {
        for (attributes, octets) in sample::public_keys() {
            for cut in 0..octets.len() {
                let parsed = parse(&attributes, &octets[..cut]);
                assert!(matches!(parsed, Err(TokenError::Malformed { .. })), "{cut}");
            }
        }
    }

    #[test]
    fn an_unknown_curve_is_not_supported_and_no_panic() {
        let octets = tlv::write(&[0x7f, 0x49], &tlv::write(&[0x86], &[4; 65]));
        for attributes in [&b""[..], b"\x13", b"\x13\x2b", b"\x07\x01"] {
            assert!(matches!(parse(attributes, &octets), Err(TokenError::NotSupported(_))));
        }
    }

    #[test]
    fn the_import_format_behind_the_oid_does_not_hide_the_curve() {
        assert_eq!(curve(b"\x2b\x81\x04\x00\x0a\xff"), Some(Curve::Secp256k1));
        assert_eq!(curve(b"\x2b\x81\x04\x00\x0a"), Some(Curve::Secp256k1));
        assert_eq!(curve(b""), None);
    }
}
