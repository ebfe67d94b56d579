//! All certificates that are at hand, and which of them a name fits.

use claviger_cards::token::Insertion;
use claviger_keys::Keygrip;
use claviger_keys::x509::Certificate;

use super::{Entry, Reference, Slot};

/// Slots of cards, the session's own card first, and what is on the shelf.
pub(crate) struct Collection {
    slots: Vec<Slot>,
    shelf: Vec<Certificate>,
    /// The session's card.
    own: Option<Insertion>,
}

impl Collection {
    /// A collection; `own` is the card that references without a serial number mean.
    pub(crate) fn new(slots: Vec<Slot>, shelf: Vec<Certificate>, own: Option<Insertion>) -> Self {
        Self { slots, shelf, own }
    }

    /// All certificates, those on cards first.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        let on_cards = self.slots.iter().filter_map(entry);
        on_cards.chain(self.shelf.iter().map(on_shelf))
    }

    /// All slots.
    pub(crate) fn all_slots(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter()
    }

    /// The slots that a reference names: their keys count, whatever their certificates say.
    pub(crate) fn slots<'a>(&'a self, reference: &'a Reference) -> impl Iterator<Item = &'a Slot> + 'a {
        self.slots.iter().filter(move |slot| self.names_slot(reference, slot))
    }

    /// The certificates that a reference means, each once, however many places it has: what is in the slots that it
    /// names; if that is nothing, what the shelf has for their keys. Several are an ambiguity.
    pub(crate) fn meant_by(&self, reference: &Reference) -> Vec<Entry> {
        let found: Vec<_> = match reference {
            Reference::Sha1(_) | Reference::Sha256(_) | Reference::SerialIssuer(_) => {
                self.entries().filter(|entry| self.fits(reference, entry)).collect()
            }
            _ => self.slots(reference).filter_map(entry).collect(),
        };
        let found = if found.is_empty() { self.shelved_for(reference).collect() } else { found };
        let mut once: Vec<Entry> = Vec::new();
        for entry in found {
            if !once.iter().any(|known| known.certificate.bare() == entry.certificate.bare()) {
                once.push(entry);
            }
        }
        once
    }

    /// Whether a reference fits a certificate, wherever it is.
    pub(crate) fn fits(&self, reference: &Reference, entry: &Entry) -> bool {
        let certificate = &entry.certificate;
        match reference {
            Reference::Sha1(wanted) => certificate.sha1() == *wanted,
            Reference::Sha256(wanted) => certificate.sha256() == *wanted,
            Reference::SerialIssuer(wanted) => {
                certificate.fields().is_ok_and(|fields| wanted.matches(fields))
            }
            Reference::Keygrip(grip) if is_of(certificate, grip) => true,
            _ => match &entry.slot {
                Some(slot) => self.names_slot(reference, slot),
                None => self.keys(reference).any(|grip| is_of(certificate, &grip)),
            },
        }
    }

    fn names_slot(&self, reference: &Reference, slot: &Slot) -> bool {
        match reference {
            Reference::Slot(number) => self.own == Some(slot.insertion) && *number == slot.number,
            Reference::SlotOf(serial, number) => *serial == slot.serial && *number == slot.number,
            Reference::Keygrip(grip) => slot.keygrip.as_ref() == Some(grip),
            Reference::Fingerprint(wanted) => slot.fingerprint.is_some_and(|own| wanted.as_bytes() == own),
            Reference::Sha1(_) | Reference::Sha256(_) | Reference::SerialIssuer(_) | Reference::Pkcs11 => {
                false
            }
        }
    }

    /// The keys that a reference names: by itself, or by their slots.
    fn keys<'a>(&'a self, reference: &'a Reference) -> impl Iterator<Item = Keygrip> + 'a {
        let itself = match reference {
            Reference::Keygrip(grip) => Some(*grip),
            _ => None,
        };
        itself.into_iter().chain(self.slots(reference).filter_map(|slot| slot.keygrip))
    }

    fn shelved_for<'a>(&'a self, reference: &'a Reference) -> impl Iterator<Item = Entry> + 'a {
        let keys: Vec<_> = self.keys(reference).collect();
        self.shelf
            .iter()
            .filter(move |certificate| keys.iter().any(|grip| is_of(certificate, grip)))
            .map(on_shelf)
    }
}

fn entry(slot: &Slot) -> Option<Entry> {
    Some(Entry { certificate: slot.certificate.clone()?, slot: Some(slot.clone()) })
}

fn on_shelf(certificate: &Certificate) -> Entry {
    Entry { certificate: certificate.clone(), slot: None }
}

fn is_of(certificate: &Certificate, grip: &Keygrip) -> bool {
    certificate.fields().is_ok_and(|fields| fields.keygrip().as_ref() == Some(grip))
}

#[cfg(test)]
mod tests {
    use claviger_cards::token::Slot as CardSlot;

    use super::super::samples::{OWN, certificate, slot};
    use super::*;

    fn grip(name: &str) -> Option<Keygrip> {
        certificate(name).fields().unwrap().keygrip()
    }

    /// A card with `leaf` for its key in slot 3, no certificate in slot 2, and somebody else's in slot 1.
    fn collection() -> Collection {
        let slots = vec![
            slot(CardSlot::Sign, grip("rsa2048"), Some(certificate("middle"))),
            slot(CardSlot::Decrypt, grip("ed25519"), None),
            slot(CardSlot::Authenticate, grip("leaf"), Some(certificate("leaf"))),
        ];
        let shelf = ["root", "middle", "leaf", "ed25519"].map(certificate).to_vec();
        Collection::new(slots, shelf, Some(OWN))
    }

    fn meant(collection: &Collection, reference: &str) -> Vec<Entry> {
        collection.meant_by(&Reference::parse(reference.as_bytes()).unwrap())
    }

    #[test]
    fn every_kind_of_name_leads_to_the_same_certificate() {
        let collection = collection();
        let leaf = certificate("leaf");
        let names = [
            "OPENPGP.3".to_owned(),
            "D276000124010304FFFE123456780000/OPENPGP.3".to_owned(),
            grip("leaf").unwrap().to_string(),
            format!("sha1:{}", crate::hex::write(&leaf.sha1())),
            format!("sha256:{}", crate::hex::write(&leaf.sha256())),
            format!("fpr:{}", "03".repeat(20)),
            claviger_keys::x509::SerialIssuer::from(leaf.fields().unwrap()).to_string().replace('+', "%2B"),
        ];
        for name in names {
            let [found] = meant(&collection, &name).try_into().unwrap_or_else(|_| panic!("{name}"));
            assert_eq!(found.certificate, leaf);
            assert_eq!(
                found.slot.map(|slot| slot.number),
                Some(CardSlot::Authenticate),
                "{name}: the card comes first"
            );
        }
    }

    #[test]
    fn a_slot_without_one_has_what_the_shelf_has_for_its_key() {
        let [found] = meant(&collection(), "OPENPGP.2").try_into().unwrap();
        assert!(found.slot.is_none() && found.certificate == certificate("ed25519"));
    }

    #[test]
    fn a_slot_has_its_own_certificate_even_if_it_is_another_key_s() {
        for name in ["OPENPGP.1".to_owned(), grip("rsa2048").unwrap().to_string()] {
            let [found] = meant(&collection(), &name).try_into().unwrap();
            assert_eq!(found.certificate, certificate("middle"));
        }
    }

    #[test]
    fn two_certificates_of_one_key_are_ambiguous_and_the_same_one_twice_is_not() {
        let shelf = ["middle", "cross", "middle"].map(certificate).to_vec();
        let collection = Collection::new(Vec::new(), shelf, None);
        let name = grip("middle").unwrap().to_string();
        assert_eq!(meant(&collection, &name).len(), 2);
        let id = format!("sha256:{}", crate::hex::write(&certificate("cross").sha256()));
        assert_eq!(meant(&collection, &id).len(), 1);
    }

    #[test]
    fn a_filter_shows_everything_that_it_fits() {
        let collection = collection();
        let fitting = |reference: Reference| {
            collection.entries().filter(|entry| collection.fits(&reference, entry)).count()
        };
        assert_eq!(fitting(Reference::Keygrip(grip("leaf").unwrap())), 2, "on the card and on the shelf");
        assert_eq!(fitting(Reference::Slot(CardSlot::Decrypt)), 1);
        assert_eq!(fitting(Reference::Pkcs11), 0);
        assert_eq!((collection.entries().count(), collection.all_slots().count()), (6, 3));
    }

    #[test]
    fn a_slot_alone_is_one_of_the_session_s_own_card() {
        let slots = vec![slot(CardSlot::Sign, None, Some(certificate("leaf")))];
        let collection = Collection::new(slots, Vec::new(), None);
        assert!(meant(&collection, "OPENPGP.1").is_empty());
        assert_eq!(meant(&collection, "D276000124010304FFFE123456780000/OPENPGP.1").len(), 1);
    }
}
