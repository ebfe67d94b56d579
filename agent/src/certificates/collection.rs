//! All certificates that are at hand, and which of them a name fits.

use std::collections::HashSet;
use std::sync::Arc;

use claviger_cards::token::Insertion;
use claviger_keys::x509::Certificate;

use super::query::Query;
use super::{Entry, Reference, Slot};

/// Slots of cards and tokens, the session's own card first, and what is on the shelf.
pub(crate) struct Collection {
    slots: Vec<Arc<Slot>>,
    shelf: Vec<Certificate>,
    /// The session's card.
    own: Option<Insertion>,
}

impl Collection {
    /// A collection; `own` is the card that references without a serial number mean.
    pub(crate) fn new(slots: Vec<Slot>, shelf: Vec<Certificate>, own: Option<Insertion>) -> Self {
        Self { slots: slots.into_iter().map(Arc::new).collect(), shelf, own }
    }

    /// All certificates, those on cards and tokens first.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        self.slots.iter().filter_map(entry).chain(self.shelf.iter().map(on_shelf))
    }

    /// All slots.
    pub(crate) fn all_slots(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().map(Arc::as_ref)
    }

    /// A reference, held against all slots.
    pub(crate) fn query<'a>(&self, reference: &'a Reference) -> Query<'a> {
        Query::new(reference, &self.slots, self.own)
    }

    /// The slots that a reference names: their keys count, whatever their certificates say.
    pub(crate) fn slots(&self, reference: &Reference) -> Vec<&Slot> {
        let query = self.query(reference);
        self.all_slots().filter(|slot| query.names(slot)).collect()
    }

    /// The certificates that a reference means, each once, however many places it has: what is in the slots that it
    /// names; if that is nothing, what the shelf has for their keys. Several are an ambiguity.
    pub(crate) fn meant_by(&self, reference: &Reference) -> Vec<Entry> {
        let query = self.query(reference);
        let mut found: Vec<_> = match reference {
            Reference::Sha1(_) | Reference::Sha256(_) | Reference::SerialIssuer(_) => {
                self.entries().filter(|entry| query.fits(entry)).collect()
            }
            _ => self.slots.iter().filter(|slot| query.names(slot)).filter_map(entry).collect(),
        };
        if found.is_empty() {
            let of_its_keys = self.shelf.iter().filter(|certificate| query.is_of_its_keys(certificate));
            found = of_its_keys.map(on_shelf).collect();
        }
        let mut once = HashSet::new();
        found.retain(|entry| once.insert(entry.certificate.sha256()));
        found
    }
}

fn entry(slot: &Arc<Slot>) -> Option<Entry> {
    Some(Entry { certificate: slot.certificate.clone()?, slot: Some(Arc::clone(slot)) })
}

fn on_shelf(certificate: &Certificate) -> Entry {
    Entry { certificate: certificate.clone(), slot: None }
}

#[cfg(test)]
mod tests {
    use claviger_cards::token::Slot as CardSlot;
    use claviger_keys::Keygrip;

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
                found.slot.and_then(|slot| slot.number()),
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
            let query = collection.query(&reference);
            collection.entries().filter(|entry| query.fits(entry)).count()
        };
        assert_eq!(fitting(Reference::Keygrip(grip("leaf").unwrap())), 2, "on the card and on the shelf");
        assert_eq!(fitting(Reference::Slot(CardSlot::Decrypt)), 1);
        assert_eq!(fitting(Reference::Pkcs11(vec!["pkcs11:".parse().unwrap()])), 0, "no card is a token");
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
