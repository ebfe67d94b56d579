//! Certificates wherever they are: on cards and on the shelf beside them. What names one, which ones a name fits, what is
//! to be said of each, and which lead from one to its issuers. Nothing here talks with a card, a file or a client.
//!
//! ```text
//!   Facts of each card ──► Slot ──┐
//!                                 ├──► Collection ── Reference ──► Entry ──► line, flaws
//!   Shelf (local store) ──────────┘                                  └─────► chain
//! ```
//!
//! Words: a *slot* is one of the three places of an OpenPGP card, with its key and its certificate; the *shelf* holds
//! certificates that are on no card, found by the key that they certify; an *entry* is a certificate with its place.

pub(crate) mod chain;
mod collection;
mod listing;
mod reference;

use claviger_cards::facts::Facts;
use claviger_cards::token::{Insertion, Slot as CardSlot};
use claviger_keys::Keygrip;
use claviger_keys::x509::Certificate;

use crate::hex;

pub(crate) use self::collection::Collection;
pub(crate) use self::listing::{Kind, kind, line, worth};
pub(crate) use self::reference::{NotReference, Reference, slot_called, slot_name};

/// Where certificates stand that are on no card.
pub(crate) trait Shelf: Send + Sync {
    /// All of them. May read files; those who wait for others call it where that does not hold them up.
    fn certificates(&self) -> Vec<Certificate>;
}

/// A place of a card for a key and its certificate.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    /// Which stay of which card: two cards may claim the same serial number.
    pub(crate) insertion: Insertion,
    /// The card's serial number.
    pub(crate) serial: String,
    pub(crate) number: CardSlot,
    /// The key that is there, if it was read and there is one.
    pub(crate) keygrip: Option<Keygrip>,
    /// The OpenPGP fingerprint that is stored for the key.
    pub(crate) fingerprint: Option<[u8; 20]>,
    /// The certificate, if it was read and there is one.
    pub(crate) certificate: Option<Certificate>,
}

impl Slot {
    /// The slots of a card, as far as they were read.
    pub(crate) fn all_of(insertion: Insertion, facts: &Facts) -> [Self; 3] {
        CardSlot::ALL.map(|number| Self {
            insertion,
            serial: facts.serial(),
            number,
            keygrip: facts.keygrips()[number.index()],
            fingerprint: facts.has_fingerprint(number).then(|| facts.fingerprints[number.index()]),
            certificate: facts.certificate(number).map(|octets| Certificate::new(octets.clone())),
        })
    }
}

/// A certificate and where it is.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) certificate: Certificate,
    /// Its slot; `None` on the shelf.
    pub(crate) slot: Option<Slot>,
}

impl Entry {
    /// The name that fits this one alone: that of its slot, or its fingerprint.
    pub(crate) fn id(&self) -> String {
        match &self.slot {
            Some(slot) => format!("{}/{}", slot.serial, slot_name(slot.number)),
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
