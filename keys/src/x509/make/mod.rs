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
    /// [`CardSignatureError`] if it has not the length that signatures of the key have. Whether it is right is not looked at.
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
