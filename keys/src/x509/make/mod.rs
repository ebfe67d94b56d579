//! New certificates and requests (RFC 5280, RFC 2986), for a key that is somewhere else: first what is to be signed
//! comes out, then the signature comes in, as a card gives it.
//!
//! ```text
//! SelfSigned or Request ── to_be_signed(key) ──► ToBeSigned ── assemble(signature) ──► DER
//! ```
//!
//! There is one profile: what a client of TLS shows. The library that would write certificates (x509-cert) makes what is
//! to be signed only together with a signer that is there; so the writer of [`ber`](crate::ber) does it, and the tests
//! have that library, openssl and GnuTLS read the result.

mod extensions;
mod signature;
mod subject;

use std::ops::RangeInclusive;

pub use self::signature::{CardSignatureError, SignatureAlgorithm};
pub use self::subject::{MAX_COMMON_NAME, Subject, SubjectError};
use super::time;
use crate::ber::{BIT_STRING, INTEGER, SEQUENCE, element};
use crate::public::{PublicKey, signed};

/// Octets of a serial number: more than the 64 bits of randomness that certification authorities owe, and fewer than
/// the 20 octets that RFC 5280 allows.
pub const SERIAL: usize = 16;

/// Why a certificate or request cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MakeError {
    /// The key is for key agreement.
    #[error("a key of {} cannot sign", .0.algorithm_name())]
    CannotSign(PublicKey),
    /// The subject has no place in a certificate.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// The validity ends before it begins, or is in no year that can be written.
    #[error("an impossible validity: {} to {} seconds since 1970", .0.start(), .0.end())]
    Validity(RangeInclusive<i64>),
}

/// A certificate that a key makes for itself.
#[derive(Debug, Clone)]
pub struct SelfSigned<'a> {
    /// Whose it is.
    pub subject: &'a Subject,
    /// Random octets, of which a positive number is made.
    pub serial: [u8; SERIAL],
    /// From when and until when, in seconds since 1970.
    pub validity: RangeInclusive<i64>,
}

impl SelfSigned<'_> {
    /// The certificate without its signature.
    ///
    /// # Errors
    /// [`MakeError`] if it cannot be made.
    pub fn to_be_signed(&self, key: &PublicKey) -> Result<ToBeSigned, MakeError> {
        let algorithm = SignatureAlgorithm::of(key).ok_or_else(|| MakeError::CannotSign(key.clone()))?;
        let name = self.subject.name()?;
        let fields = [
            element(VERSION, &element(INTEGER, &[VERSION_3])),
            element(INTEGER, &positive(self.serial)),
            algorithm.identifier(),
            name.clone(),
            self.validity()?,
            name,
            key.spki_der(),
            element(EXTENSIONS, &extensions::of_tls_client(key, self.subject)?),
        ];
        Ok(ToBeSigned { der: element(SEQUENCE, &fields.concat()), algorithm })
    }

    fn validity(&self) -> Result<Vec<u8>, MakeError> {
        let (from, until) = (*self.validity.start(), *self.validity.end());
        let times = time::write(from).zip(time::write(until)).filter(|_| from <= until);
        let (from, until) = times.ok_or_else(|| MakeError::Validity(self.validity.clone()))?;
        Ok(element(SEQUENCE, &[from, until].concat()))
    }
}

const VERSION: u8 = 0xa0;
const VERSION_3: u8 = 2;
const EXTENSIONS: u8 = 0xa3;

/// With the top bits 01: positive, and always as long.
fn positive(mut serial: [u8; SERIAL]) -> [u8; SERIAL] {
    let [first, ..] = &mut serial;
    *first = *first & 0x7f | 0x40;
    serial
}

/// A request for a certificate (PKCS#10), which asks for the extensions that a self-signed one would have.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// Whose it is.
    pub subject: &'a Subject,
}

impl Request<'_> {
    /// The request without its signature (RFC 2986, section 4.1).
    ///
    /// # Errors
    /// [`MakeError`] if it cannot be made.
    pub fn to_be_signed(&self, key: &PublicKey) -> Result<ToBeSigned, MakeError> {
        let algorithm = SignatureAlgorithm::of(key).ok_or_else(|| MakeError::CannotSign(key.clone()))?;
        let fields = [
            element(INTEGER, &[REQUEST_VERSION]),
            self.subject.name()?,
            key.spki_der(),
            element(ATTRIBUTES, &extensions::asked_for(&extensions::of_tls_client(key, self.subject)?)),
        ];
        Ok(ToBeSigned { der: element(SEQUENCE, &fields.concat()), algorithm })
    }
}

const REQUEST_VERSION: u8 = 0;
const ATTRIBUTES: u8 = 0xa0;

/// What a key has to sign.
#[derive(Debug, Clone)]
pub struct ToBeSigned {
    der: Vec<u8>,
    algorithm: SignatureAlgorithm,
}

impl ToBeSigned {
    /// The message to be signed.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// How it is to be signed.
    #[must_use]
    pub const fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// The finished certificate or request, in DER. The signature is as a card gives it: r‖s for ECDSA.
    ///
    /// # Errors
    /// [`CardSignatureError`] if it has not the length that signatures of the key have. Whether it is right is not looked
    /// at.
    pub fn assemble(&self, signature: &[u8]) -> Result<Vec<u8>, CardSignatureError> {
        let signature = self.algorithm.of_card(signature)?;
        let unused_bits = [0];
        let fields = [
            self.der.clone(),
            self.algorithm.identifier(),
            element(BIT_STRING, &[&unused_bits, signature.as_slice()].concat()),
        ];
        Ok(element(SEQUENCE, &fields.concat()))
    }
}

/// An INTEGER of a number without sign.
fn integer(number: &[u8]) -> Vec<u8> {
    element(INTEGER, &signed(number))
}

/// What is made is read by others in `tests/real_programs/make.rs`.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve::Curve;

    fn key(curve: Curve) -> PublicKey {
        PublicKey::ecc(curve, &vec![4; curve.point_size()]).unwrap()
    }

    fn make(validity: RangeInclusive<i64>, curve: Curve) -> Result<ToBeSigned, MakeError> {
        let subject = Subject::of_user_id("Zoë");
        SelfSigned { subject: &subject, serial: [0; SERIAL], validity }.to_be_signed(&key(curve))
    }

    #[test]
    fn keys_that_cannot_sign_and_times_that_cannot_be_are_refused() {
        assert!(make(0..=0, Curve::Ed25519).is_ok());
        let cannot_sign = MakeError::CannotSign(key(Curve::X448));
        assert_eq!(make(0..=1, Curve::X448).unwrap_err(), cannot_sign);
        let nobody = Subject::default();
        assert_eq!(Request { subject: &nobody }.to_be_signed(&key(Curve::X448)).unwrap_err(), cannot_sign);
        for validity in [RangeInclusive::new(1, 0), i64::MIN..=0, 0..=253_402_300_800, 0..=i64::MAX] {
            assert_eq!(make(validity.clone(), Curve::Ed25519).unwrap_err(), MakeError::Validity(validity));
        }
    }

    #[test]
    fn a_signature_of_another_length_is_refused() {
        for (curve, wanted) in [(Curve::NistP521, 132), (Curve::Ed25519, 64), (Curve::Ed448, 114)] {
            let what = make(0..=1, curve).unwrap();
            assert!(what.assemble(&vec![0; wanted]).is_ok());
            for found in [0, wanted - 1, wanted + 1] {
                assert_eq!(what.assemble(&vec![1; found]), Err(CardSignatureError { wanted, found }));
            }
        }
    }

    #[test]
    fn serial_numbers_are_positive_and_of_one_length() {
        for octet in [0x00, 0x3f, 0x7f, 0x80, 0xff] {
            let [first, rest @ ..] = positive([octet; SERIAL]);
            assert!((0x40..0x80).contains(&first) && rest == [octet; SERIAL - 1]);
        }
    }

    #[test]
    fn the_hash_is_as_long_as_the_numbers_of_the_curve() {
        for (curve, bits) in [(Curve::NistP256, 256), (Curve::BrainpoolP384r1, 384), (Curve::NistP521, 512)] {
            let hash = make(0..=1, curve).unwrap().algorithm().hash().unwrap();
            assert_eq!(hash.digest_len() * 8, bits);
        }
        assert_eq!(make(0..=1, Curve::Ed25519).unwrap().algorithm().hash(), None);
    }
}
