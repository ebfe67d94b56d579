//! What is known of a PKCS#11 token: the snapshot that is published after each enumeration.

use std::collections::HashMap;
use std::sync::Arc;

use claviger_keys::pkcs11::token_id::TokenId;
use claviger_keys::{Keygrip, PublicKey, x509};

use super::wire::TokenFlags;

/// An immutable snapshot of a token.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Which provider has it.
    pub provider: Arc<str>,
    /// Its slot there. Only for people: tokens are recognised by [`Facts::id`].
    pub slot: u64,
    /// What the module calls the slot (PKCS#11: `slotDescription`); the reader's name, for OpenSC.
    pub slot_description: String,
    /// What the module says of itself (`libraryDescription`), for people.
    pub library: String,
    /// Manufacturer, model, serial number and label.
    pub id: TokenId,
    /// The serial number by which GnuPG knows it (32 digits).
    pub serial: String,
    /// Firmware version.
    pub firmware: (u8, u8),
    /// What the token says of itself at the moment: PINs, login, protected path.
    pub flags: TokenFlags,
    /// The least and the most octets of a PIN.
    pub pin_length: (u64, u64),
    /// Mechanisms of the token, as `CKM_` numbers, in ascending order.
    pub mechanisms: Vec<u64>,
    /// Whether the user is logged in, as far as is known.
    pub logged_in: bool,
    /// Whether all was seen that a logged-in user can see, in this insertion.
    pub seen_private: bool,
    /// The keys.
    pub keys: Vec<Key>,
    /// The certificates.
    pub certificates: Vec<Certificate>,
    /// Where in `keys` a keygrip is: the first one, if a token has a key twice.
    pub by_grip: HashMap<Keygrip, usize>,
}

impl Facts {
    /// The key with this keygrip.
    #[must_use]
    pub fn key_of(&self, grip: &Keygrip) -> Option<&Key> {
        self.keys.get(*self.by_grip.get(grip)?)
    }

    /// The key with this number.
    #[must_use]
    pub fn key(&self, number: KeyNumber) -> Option<&Key> {
        let is_it = |key: &&Key| key.number == number;
        // Where it was at the first look, and mostly is: signing is not to take longer the more keys there are.
        let first_place = usize::try_from(number.0).ok().and_then(|place| self.keys.get(place)).filter(is_it);
        first_place.or_else(|| self.keys.iter().find(is_it))
    }

    /// Whether the token has a mechanism.
    #[must_use]
    pub fn has_mechanism(&self, mechanism: u64) -> bool {
        self.mechanisms.binary_search(&mechanism).is_ok()
    }
}

/// A key's name within one insertion of a token: it keeps it when the token is enumerated anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyNumber(pub u32);

/// A certificate's name within one insertion of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CertificateNumber(pub u32);

/// A key of a token: what was found of it as private key, public key and certificate, put together.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its name here.
    pub number: KeyNumber,
    /// `CKA_ID`, which private key, public key and certificate have in common.
    pub id: Vec<u8>,
    /// `CKA_LABEL` of the private key, or else of the public key.
    pub label: String,
    /// What kind of key it is.
    pub kind: KeyKind,
    /// What it may be used for.
    pub usage: Usage,
    /// Whether a PIN is wanted for each use (`CKA_ALWAYS_AUTHENTICATE`).
    pub always_authenticate: bool,
    /// Whether a private key was seen: before a login many tokens show none.
    pub private_seen: bool,
    /// The certificates that have the same `CKA_ID` or the same public key.
    pub certificates: Vec<CertificateNumber>,
}

impl Key {
    /// The public key, if it is one that we know.
    #[must_use]
    pub fn public(&self) -> Option<&PublicKey> {
        match &self.kind {
            KeyKind::Known(key, _) => Some(key),
            KeyKind::Other(_) => None,
        }
    }

    /// The keygrip, for keys that have one.
    #[must_use]
    pub fn grip(&self) -> Option<Keygrip> {
        match &self.kind {
            KeyKind::Known(_, grip) => Some(*grip),
            KeyKind::Other(_) => None,
        }
    }
}

/// What kind of key it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyKind {
    /// One that GnuPG can name.
    Known(PublicKey, Keygrip),
    /// Another, by a name for people: `ml-dsa-65`, `ml-kem-768`, a curve's object identifier.
    Other(String),
}

/// What a key may be used for (`CKA_SIGN`, `CKA_DECRYPT` or `CKA_UNWRAP`, `CKA_DERIVE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Signatures.
    pub sign: bool,
    /// Decryption, with an RSA key.
    pub decrypt: bool,
    /// Key agreement.
    pub derive: bool,
}

/// A certificate of a token.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// Its name here.
    pub number: CertificateNumber,
    /// `CKA_ID`.
    pub id: Vec<u8>,
    /// `CKA_LABEL`.
    pub label: String,
    /// `CKA_VALUE`, unpacked where it was gzip'ed.
    pub octets: Arc<[u8]>,
    /// The same, to be read; it is read once, however many look at it.
    pub x509: x509::Certificate,
}

impl Certificate {
    /// A certificate as it is on a token, unpacked.
    #[must_use]
    pub fn new(number: CertificateNumber, id: Vec<u8>, label: String, octets: Arc<[u8]>) -> Self {
        let x509 = x509::Certificate::new(Arc::clone(&octets));
        Self { number, id, label, octets, x509 }
    }
}
