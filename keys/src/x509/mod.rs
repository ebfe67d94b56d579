//! X.509 certificates (RFC 5280): reading what cards, files and GnuPG hold, naming it as GnuPG does, making new ones.
//!
//! ```text
//! octets ──► Certificate ──► Fields ──► Name, AltName, PublicKey, Keygrip
//!   ▲          │    ▲
//!   │          │    └── read_file (PEM or DER), keybox
//!   │          └──────► chain::build
//!   └── make: self-signed certificates and requests
//! ```
//!
//! A certificate is its octets, which are handed on as they are stored. Reading is lazy, once, and tolerant: the usual
//! library (x509-cert) reads strict DER and refuses what is met in the field (serial numbers that are negative or too
//! long, indefinite lengths, octets behind the end, odd strings, extensions that are none), and what it refuses could
//! not be listed. So there is one reader, ours ([`ber`](crate::ber)), which takes what can be known; tests and the fuzz
//! target say that it reads what that library reads.
//!
//! Nothing here verifies a signature or trusts a certificate: that is done by those who have a crypto library.

pub mod chain;
mod extensions;
mod fields;
mod file;
pub mod make;
mod name;
pub mod pem;
mod serial_issuer;
mod time;
mod unpack;

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::{Arc, OnceLock};

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

pub use self::extensions::{AltName, MAX_ALT_NAMES};
pub use self::fields::{Fields, X509Error};
pub use self::file::{FileError, MAX_CERTIFICATES, MAX_FILE, read_file};
pub use self::name::Name;
pub(crate) use self::name::dotted;
pub use self::serial_issuer::{MAX_SERIAL_ISSUER, NotSerialIssuer, SerialIssuer};
pub use self::time::time_text;
pub use self::unpack::{PackedError, unpack};
use crate::ber::Reader;

/// The longest certificate whose fields are read. Longer ones still have octets and fingerprints.
pub const MAX_CERTIFICATE: usize = 128 * 1024;

/// A certificate, or what is stored in the place of one. Clones are the same object.
#[derive(Clone)]
pub struct Certificate(Arc<Stored>);

struct Stored {
    der: Arc<[u8]>,
    sha1: OnceLock<[u8; 20]>,
    sha256: OnceLock<[u8; 32]>,
    fields: OnceLock<Result<Fields, X509Error>>,
}

impl Certificate {
    /// What is stored, whatever it is.
    #[must_use]
    pub fn new(der: impl Into<Arc<[u8]>>) -> Self {
        Self(Arc::new(Stored {
            der: der.into(),
            sha1: OnceLock::new(),
            sha256: OnceLock::new(),
            fields: OnceLock::new(),
        }))
    }

    /// The octets as they are stored.
    #[must_use]
    pub fn der(&self) -> &Arc<[u8]> {
        &self.0.der
    }

    /// The certificate without what is stored behind it (a card's padding); everything if there is no telling.
    #[must_use]
    pub fn bare(&self) -> &[u8] {
        Reader::new(self.der()).element().map_or(self.der(), |certificate| certificate.whole)
    }

    /// The SHA-1 fingerprint: of the certificate without what is stored behind it, as gpgsm and openssl compute it.
    #[must_use]
    pub fn sha1(&self) -> [u8; 20] {
        *self.0.sha1.get_or_init(|| Sha1::digest(self.bare()).into())
    }

    /// The SHA-256 fingerprint, in the same way.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        *self.0.sha256.get_or_init(|| Sha256::digest(self.bare()).into())
    }

    /// What the certificate says.
    ///
    /// # Errors
    /// [`X509Error`] if it is none, or broken in a place without which nothing can be said.
    pub fn fields(&self) -> Result<&Fields, &X509Error> {
        self.0.fields.get_or_init(|| Fields::read(self.der())).as_ref()
    }
}

/// Certificates are equal if their octets are, with what is stored behind them.
impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.der() == other.der()
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = self.fields().map(|fields| fields.subject().to_string());
        f.debug_tuple("Certificate").field(&subject).field(&self.der().len()).finish()
    }
}

/// Octets within a certificate, without a copy of them.
#[derive(Clone)]
struct Part {
    whole: Arc<[u8]>,
    range: Range<usize>,
}

impl Deref for Part {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.whole.get(self.range.clone()).unwrap_or_default()
    }
}
