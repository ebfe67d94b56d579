//! Certificates wherever they are: on cards, on PKCS#11 tokens and on the shelf beside them. What names one, which ones a
//! name fits, what is to be said of each, and which lead from one to its issuers. Nothing here talks with a card, a token, a
//! file or a client.
//!
//! ```text
//!   Facts of each card ───┐
//!   Facts of each token ──┴► Slot ──┐
//!                                   ├──► Collection ── Reference ──► Entry ──► line, flaws
//!   Shelf (local store) ────────────┘                                  └─────► chain
//! ```
//!
//! Words: a *slot* is a place for a certificate with the key that it belongs to: one of the three of an OpenPGP card; on a
//! PKCS#11 token each certificate that is there, and each key that has none. The *shelf* holds certificates that are on no
//! card and no token, found by the key that they certify; an *entry* is a certificate with its place.

pub(crate) mod chain;
mod collection;
mod listing;
mod query;
mod reference;

use std::sync::Arc;

use claviger_cards::facts::Facts;
use claviger_cards::pkcs11::{self, CertificateNumber};
use claviger_cards::token::{Insertion, Slot as CardSlot};
use claviger_keys::Keygrip;
use claviger_keys::x509::Certificate;

use crate::hex;

pub(crate) use self::collection::Collection;
pub(crate) use self::listing::{Kind, kind, line, worth};
pub(crate) use self::query::Query;
pub(crate) use self::reference::{NotReference, Reference, slot_called, slot_name};

/// Where certificates stand that are on no card and no token.
pub(crate) trait Shelf: Send + Sync {
    /// All of them. May read files; those who wait for others call it where that does not hold them up.
    fn certificates(&self) -> Vec<Certificate>;
}

/// A place for a certificate, and the key that it belongs to.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    /// Which stay of which card or token: two may claim the same serial number.
    pub(crate) insertion: Insertion,
    /// The serial number of card or token, as GnuPG knows it.
    pub(crate) serial: String,
    pub(crate) place: Place,
    /// The key that is there, if it was read and there is one.
    pub(crate) keygrip: Option<Keygrip>,
    /// The OpenPGP fingerprint that is stored for the key.
    pub(crate) fingerprint: Option<[u8; 20]>,
    /// The certificate, if it was read and there is one.
    pub(crate) certificate: Option<Certificate>,
}

/// Where a slot is.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// One of the three of an OpenPGP card.
    Card(CardSlot),
    /// On a PKCS#11 token.
    Token(OnToken),
}

/// A certificate, or a key without one, on a PKCS#11 token.
#[derive(Debug, Clone)]
pub(crate) struct OnToken {
    /// What is known of the token.
    pub(crate) facts: Arc<pkcs11::Facts>,
    /// What GnuPG calls it.
    pub(crate) name: String,
    /// Whether that is also what GnuPG calls its key.
    pub(crate) named_as_key: bool,
    /// Where in the facts its key is.
    pub(crate) key: Option<usize>,
    /// Where in the facts the certificate is.
    pub(crate) certificate: Option<usize>,
}

impl OnToken {
    /// The key.
    pub(crate) fn key(&self) -> Option<&pkcs11::Key> {
        self.facts.keys.get(self.key?)
    }

    /// The certificate as the token has it.
    pub(crate) fn stored(&self) -> Option<&pkcs11::Certificate> {
        self.facts.certificates.get(self.certificate?)
    }

    /// The certificate's name on the token.
    pub(crate) fn number(&self) -> Option<CertificateNumber> {
        self.stored().map(|stored| stored.number)
    }
}

impl Slot {
    /// The slots of a card, as far as they were read.
    pub(crate) fn all_of(insertion: Insertion, facts: &Facts) -> [Self; 3] {
        CardSlot::ALL.map(|number| Self {
            insertion,
            serial: facts.serial(),
            place: Place::Card(number),
            keygrip: facts.keygrips()[number.index()],
            fingerprint: facts.has_fingerprint(number).then(|| facts.fingerprints[number.index()]),
            certificate: facts.certificate(number).map(|octets| Certificate::new(octets.clone())),
        })
    }

    /// The slot's number on its card.
    pub(crate) fn number(&self) -> Option<CardSlot> {
        match &self.place {
            Place::Card(number) => Some(*number),
            Place::Token(_) => None,
        }
    }

    /// What it is, on its token.
    pub(crate) fn on_token(&self) -> Option<&OnToken> {
        match &self.place {
            Place::Card(_) => None,
            Place::Token(place) => Some(place),
        }
    }

    /// What it is called there: the slot's name on a card, and the whole name on a token.
    pub(crate) fn name(&self) -> &str {
        match &self.place {
            Place::Card(number) => slot_name(*number),
            Place::Token(place) => &place.name,
        }
    }
}

/// A certificate and where it is.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) certificate: Certificate,
    /// Its slot; `None` on the shelf.
    pub(crate) slot: Option<Arc<Slot>>,
}

impl Entry {
    /// The name that fits this one alone: that of its slot, or its fingerprint.
    pub(crate) fn id(&self) -> String {
        match self.slot.as_deref() {
            Some(Slot { place: Place::Token(place), .. }) => place.name.clone(),
            Some(slot) => format!("{}/{}", slot.serial, slot.name()),
            None => format!("sha256:{}", hex::write(&self.certificate.sha256())),
        }
    }

    /// The key that it certifies, or where that cannot be read, the key in its slot.
    pub(crate) fn keygrip(&self) -> Option<Keygrip> {
        match self.certificate.fields() {
            Ok(fields) => fields.keygrip(),
            Err(_) => self.slot.as_ref().and_then(|slot| slot.keygrip),
        }
    }
}

#[cfg(test)]
mod samples;
