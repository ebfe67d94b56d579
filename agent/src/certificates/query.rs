//! Which slots and certificates of a collection a reference fits.
//!
//! Some references fit in several ways, of which the nearest counts, where there is anything at all:
//!
//! | a reference | fits first | then | last |
//! |---|---|---|---|
//! | a `pkcs11:` URI | certificates that it describes | those of keys that it describes | |
//! | a key's name on a token | the first certificate of the key with that `CKA_ID` | of the key with that keygrip | any with that `CKA_ID` |
//! | a keygrip | what belongs to that key | on tokens, what certifies it, where the key is not there | |

use std::collections::HashSet;
use std::sync::Arc;

use claviger_cards::token::Insertion;
use claviger_keys::Keygrip;
use claviger_keys::pkcs11::key_id::{KeyId, ObjectId};
use claviger_keys::pkcs11::uri::{ObjectType, Uri, Whereabouts};
use claviger_keys::x509::Certificate;

use super::{Entry, OnToken, Place, Reference, Slot};

/// A reference that was held against the slots of a collection.
pub(crate) struct Query<'a> {
    reference: &'a Reference,
    own: Option<Insertion>,
    /// How near the nearest slot is.
    nearest: Option<Nearness>,
    /// The keys that the reference names: by itself, or by their slots.
    keys: HashSet<Keygrip>,
}

/// In which way a slot is what a reference names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Nearness {
    Itself,
    ItsKey,
    ItsLikeness,
}

impl<'a> Query<'a> {
    /// Holds a reference against slots; `own` is the card that references without a serial number mean.
    pub(super) fn new(reference: &'a Reference, slots: &[Arc<Slot>], own: Option<Insertion>) -> Self {
        let mut query = Self { reference, own, nearest: None, keys: HashSet::new() };
        query.nearest = slots.iter().filter_map(|slot| query.nearness(slot)).min();
        let by_slots = slots.iter().filter(|slot| query.names(slot)).filter_map(|slot| slot.keygrip);
        let itself = match reference {
            Reference::Keygrip(grip) => Some(*grip),
            _ => None,
        };
        query.keys = by_slots.chain(itself).collect();
        query
    }

    /// Whether the reference names a slot: its key counts, whatever its certificate says.
    pub(crate) fn names(&self, slot: &Slot) -> bool {
        self.nearest.is_some() && self.nearness(slot) == self.nearest
    }

    /// Whether the reference fits a certificate, wherever it is.
    pub(crate) fn fits(&self, entry: &Entry) -> bool {
        let certificate = &entry.certificate;
        match self.reference {
            Reference::Sha1(wanted) => certificate.sha1() == *wanted,
            Reference::Sha256(wanted) => certificate.sha256() == *wanted,
            Reference::SerialIssuer(wanted) => {
                certificate.fields().is_ok_and(|fields| wanted.matches(fields))
            }
            Reference::Keygrip(grip) if is_of(certificate, grip) => true,
            _ => match &entry.slot {
                Some(slot) => self.names(slot),
                None => self.is_of_its_keys(certificate),
            },
        }
    }

    /// Whether a certificate is of a key that the reference names.
    pub(super) fn is_of_its_keys(&self, certificate: &Certificate) -> bool {
        let own = certificate.fields().ok().and_then(|fields| fields.keygrip());
        own.is_some_and(|grip| self.keys.contains(&grip))
    }

    fn nearness(&self, slot: &Slot) -> Option<Nearness> {
        match (self.reference, &slot.place) {
            (Reference::Keygrip(grip), _) if slot.keygrip.as_ref() == Some(grip) => Some(Nearness::Itself),
            (Reference::Keygrip(grip), Place::Token(_)) if slot.keygrip.is_none() => {
                let certificate = slot.certificate.as_ref()?;
                is_of(certificate, grip).then_some(Nearness::ItsLikeness)
            }
            (Reference::Key(id), Place::Token(place)) => called(id, place, slot.certificate.as_ref()),
            (Reference::Pkcs11(readings), Place::Token(place)) => {
                readings.iter().filter_map(|uri| described(uri, place)).min()
            }
            _ => self.is_card_slot(slot).then_some(Nearness::Itself),
        }
    }

    fn is_card_slot(&self, slot: &Slot) -> bool {
        match self.reference {
            Reference::Slot(number) => self.own == Some(slot.insertion) && Some(*number) == slot.number(),
            Reference::SlotOf(serial, number) => *serial == slot.serial && Some(*number) == slot.number(),
            Reference::Fingerprint(wanted) => slot.fingerprint.is_some_and(|own| wanted.as_bytes() == own),
            _ => false,
        }
    }
}

/// Whether GnuPG calls it so, or did.
fn called(id: &KeyId, place: &OnToken, certificate: Option<&Certificate>) -> Option<Nearness> {
    if id.token != place.facts.id {
        return None;
    }
    if let ObjectId::Sha256(fingerprint) = &id.object {
        return (certificate?.sha256() == *fingerprint).then_some(Nearness::Itself);
    }
    let key = place.key().filter(|_| place.named_as_key);
    let is_key = key.is_some_and(|key| id.object.is_id(&key.id));
    let is_grip = || key.and_then(|key| key.grip()).is_some_and(|grip| id.object.is_grip(&grip));
    let is_like = || place.stored().is_some_and(|stored| id.object.is_id(&stored.id));
    if is_key {
        Some(Nearness::Itself)
    } else if is_grip() {
        Some(Nearness::ItsKey)
    } else {
        is_like().then_some(Nearness::ItsLikeness)
    }
}

/// Whether a URI describes a certificate, or its key.
fn described(uri: &Uri, place: &OnToken) -> Option<Nearness> {
    let facts = &place.facts;
    let whereabouts = Whereabouts {
        slot: Some(facts.slot),
        slot_description: Some(&facts.slot_description),
        library_description: Some(&facts.library),
        ..Whereabouts::default()
    };
    if !uri.matches_token(&facts.id, &whereabouts) {
        return None;
    }
    let certificate = place
        .stored()
        .is_some_and(|stored| uri.matches_object(&stored.id, &stored.label, ObjectType::Certificate));
    let key = || {
        let halves = [ObjectType::Private, ObjectType::Public];
        place
            .key()
            .is_some_and(|key| halves.iter().any(|half| uri.matches_object(&key.id, &key.label, *half)))
    };
    if certificate { Some(Nearness::Itself) } else { key().then_some(Nearness::ItsKey) }
}

fn is_of(certificate: &Certificate, grip: &Keygrip) -> bool {
    certificate.fields().is_ok_and(|fields| fields.keygrip().as_ref() == Some(grip))
}
