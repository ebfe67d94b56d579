//! The fields of a certificate (RFC 5280, section 4.1).

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::extensions::{AltName, Extensions};
use super::name::Name;
use super::{MAX_CERTIFICATE, Part, time};
use crate::ber::{BIT_STRING, BerError, Element, INTEGER, Reader, SEQUENCE};
use crate::keygrip::Keygrip;
use crate::public::PublicKey;

/// The field `[0]`, which tells the version.
const VERSION: u8 = 0xa0;

/// The field `[3]`.
const EXTENSIONS: u8 = 0xa3;

/// Why a certificate cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum X509Error {
    /// Nothing is stored.
    #[error("it is empty")]
    Empty,
    /// There is more than [`MAX_CERTIFICATE`].
    #[error("{octets} octets; at most {MAX_CERTIFICATE} are read")]
    TooLong {
        /// How many there are.
        octets: usize,
    },
    /// It has not the form of a certificate.
    #[error(transparent)]
    Form(#[from] BerError),
    /// A date of its validity is none.
    #[error("no date at octet {at}")]
    Date {
        /// Where the field begins.
        at: usize,
    },
}

/// What a certificate says.
pub struct Fields {
    serial: Part,
    issuer: Name,
    subject: Name,
    not_before: i64,
    not_after: i64,
    spki: Part,
    public_key: Option<PublicKey>,
    keygrip: OnceLock<Option<Keygrip>>,
    extensions: Extensions,
    tbs: Part,
    signature_algorithm: Part,
    signature: Part,
}

impl Fields {
    /// Reads what is stored.
    pub(super) fn read(der: &Arc<[u8]>) -> Result<Self, X509Error> {
        check_length(der.len())?;
        let whole = |element: &Element<'_>| Part { whole: Arc::clone(der), range: element.range() };
        let content = |element: &Element<'_>| Part { whole: Arc::clone(der), range: element.content_range() };
        let mut certificate = Reader::new(der).expect(SEQUENCE)?.inside();
        let tbs = certificate.expect(SEQUENCE)?;
        let signature_algorithm = certificate.expect(SEQUENCE)?;
        let signature = certificate.expect(BIT_STRING)?;

        let mut fields = tbs.inside();
        fields.optional(VERSION)?;
        let serial = fields.expect(INTEGER)?;
        fields.expect(SEQUENCE)?;
        let issuer = fields.expect(SEQUENCE)?;
        let mut validity = fields.expect(SEQUENCE)?.inside();
        let (not_before, not_after) = (date(&mut validity)?, date(&mut validity)?);
        let subject = fields.expect(SEQUENCE)?;
        let spki = fields.expect(SEQUENCE)?;
        let extensions = fields.find(|field| field.tag == EXTENSIONS);
        Ok(Self {
            serial: content(&serial),
            issuer: Name::within(whole(&issuer)),
            subject: Name::within(whole(&subject)),
            not_before,
            not_after,
            public_key: PublicKey::from_spki_der(spki.whole).ok(),
            spki: whole(&spki),
            keygrip: OnceLock::new(),
            extensions: extensions.map(|field| Extensions::read(&field, der)).unwrap_or_default(),
            tbs: whole(&tbs),
            signature_algorithm: whole(&signature_algorithm),
            signature: without_unused_bits(content(&signature)),
        })
    }

    /// The serial number as it is stored: in two's complement, with the zeros that may stand in front.
    #[must_use]
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// The issuer.
    #[must_use]
    pub const fn issuer(&self) -> &Name {
        &self.issuer
    }

    /// The subject.
    #[must_use]
    pub const fn subject(&self) -> &Name {
        &self.subject
    }

    /// From when it is valid, in seconds since 1970.
    #[must_use]
    pub const fn not_before(&self) -> i64 {
        self.not_before
    }

    /// The last second in which it is valid.
    #[must_use]
    pub const fn not_after(&self) -> i64 {
        self.not_after
    }

    /// The key: SubjectPublicKeyInfo as it is stored.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The key, if it is of a kind that we know.
    #[must_use]
    pub const fn public_key(&self) -> Option<&PublicKey> {
        self.public_key.as_ref()
    }

    /// The keygrip of the key, which is that of the certificate for gpgsm.
    #[must_use]
    pub fn keygrip(&self) -> Option<Keygrip> {
        *self.keygrip.get_or_init(|| self.public_key().map(PublicKey::keygrip))
    }

    /// Whether it says that it is one of a certification authority.
    #[must_use]
    pub const fn is_ca(&self) -> bool {
        self.extensions.is_ca
    }

    /// Whether issuer and subject are the same, and not both nothing.
    #[must_use]
    pub fn is_self_issued(&self) -> bool {
        self.issuer == self.subject && !self.subject.is_empty()
    }

    /// The identifier of the key.
    #[must_use]
    pub fn subject_key_id(&self) -> Option<&[u8]> {
        self.extensions.subject_key_id.as_deref()
    }

    /// The identifier of the issuer's key.
    #[must_use]
    pub fn authority_key_id(&self) -> Option<&[u8]> {
        self.extensions.authority_key_id.as_deref()
    }

    /// Other names of the subject.
    #[must_use]
    pub fn alt_names(&self) -> &[AltName] {
        &self.extensions.alt_names
    }

    /// What the key may be used for, by the names of RFC 5280 or as dotted identifiers; nothing if it does not say.
    #[must_use]
    pub fn usages(&self) -> &[String] {
        &self.extensions.usages
    }

    /// What is signed.
    #[must_use]
    pub fn tbs(&self) -> &[u8] {
        &self.tbs
    }

    /// With what it is signed: AlgorithmIdentifier in DER.
    #[must_use]
    pub fn signature_algorithm(&self) -> &[u8] {
        &self.signature_algorithm
    }

    /// The signature.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fields")
            .field("subject", &self.subject)
            .field("issuer", &self.issuer)
            .field("serial", &self.serial())
            .finish_non_exhaustive()
    }
}

fn check_length(octets: usize) -> Result<(), X509Error> {
    match octets {
        0 => Err(X509Error::Empty),
        1..=MAX_CERTIFICATE => Ok(()),
        _ => Err(X509Error::TooLong { octets }),
    }
}

fn date(validity: &mut Reader<'_>) -> Result<i64, X509Error> {
    let element = validity.element()?;
    time::read(&element).ok_or(X509Error::Date { at: element.range().start })
}

/// The octets of a BIT STRING. The first octet says how many bits at the end do not count: none, in a signature.
fn without_unused_bits(mut bits: Part) -> Part {
    bits.range.start = bits.range.end.min(bits.range.start.saturating_add(1));
    bits
}
