//! What a PKCS#11 token has for [`crate::certificates`]: a slot for each certificate, and for each key that has none. Nothing
//! is asked of the token.

use std::collections::HashMap;

use claviger_cards::pkcs11::{CertificateNumber, KeyNumber};
use claviger_cards::token::Insertion;
use claviger_keys::x509::Certificate;

use super::token_keys::TokenKeys;
use crate::certificates::{OnToken, Place, Slot};

/// The slots of a token: certificates in the order of the module, then keys in theirs.
pub(super) fn slots(insertion: Insertion, keys: &TokenKeys) -> Vec<Slot> {
    let token = Token { insertion, keys };
    let owners = token.owners();
    // There is a certificate for each one that is stored, in the same order.
    let certificates = keys.certificates().enumerate();
    let certified = certificates.map(|(at, (certificate, name))| {
        let stored = keys.facts().certificates.get(at).map(|stored| stored.number);
        let key = stored.and_then(|number| owners.get(&number).copied());
        token.certificate(at, certificate, name, key)
    });
    certified.chain(token.bare_keys()).collect()
}

struct Token<'a> {
    insertion: Insertion,
    keys: &'a TokenKeys,
}

impl Token<'_> {
    /// To which key, by its place in the facts, a certificate belongs.
    fn owners(&self) -> HashMap<CertificateNumber, usize> {
        let mut owners = HashMap::new();
        for (at, key) in self.keys.facts().keys.iter().enumerate() {
            for number in &key.certificates {
                owners.entry(*number).or_insert(at);
            }
        }
        owners
    }

    fn certificate(&self, at: usize, certificate: &Certificate, name: String, key: Option<usize>) -> Slot {
        let owner = key.and_then(|key| self.keys.facts().keys.get(key));
        let number = self.keys.facts().certificates.get(at).map(|stored| stored.number);
        let named_as_key = owner.is_some_and(|key| key.certificates.first().copied() == number);
        self.slot(name, named_as_key, key, Some((at, certificate)))
    }

    /// Slots of keys without a certificate.
    fn bare_keys(&self) -> impl Iterator<Item = Slot> {
        let keys = self.keys.facts().keys.iter().enumerate();
        let places: HashMap<KeyNumber, usize> = keys.map(|(at, key)| (key.number, at)).collect();
        let bare = self.keys.all().filter(|shown| shown.key.certificates.is_empty());
        bare.map(move |shown| {
            self.slot(shown.id.to_owned(), true, places.get(&shown.key.number).copied(), None)
        })
    }

    fn slot(
        &self,
        name: String,
        named_as_key: bool,
        key: Option<usize>,
        certificate: Option<(usize, &Certificate)>,
    ) -> Slot {
        let facts = self.keys.facts();
        let keygrip = key.and_then(|key| facts.keys.get(key)?.grip());
        let at = certificate.map(|(at, _)| at);
        Slot {
            insertion: self.insertion,
            serial: facts.serial.clone(),
            place: Place::Token(OnToken { facts: facts.clone(), name, named_as_key, key, certificate: at }),
            keygrip,
            fingerprint: None,
            certificate: certificate.map(|(_, certificate)| certificate.clone()),
        }
    }
}
