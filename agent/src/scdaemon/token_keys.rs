//! The keys of a PKCS#11 token as GnuPG is shown them: in which order, and under which names; what they are for is found
//! out in [`super::token_places`].
//!
//! The order is that of `CKA_ID`: modules list their objects now so, now so. A key is called as gnupg-pkcs11-scd calls it:
//! manufacturer, model, serial number and label of the token, and `CKA_ID`; where that is missing, too long, or another
//! key's too, the keygrip stands in its place. A key that no name fits alone is left out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use claviger_cards::deck::TokenHandle;
use claviger_cards::pkcs11::{CertificateNumber, Facts, Key, KeyNumber};
use claviger_cards::token::{Insertion, Slot};
use claviger_keys::pkcs11::key_id::{KeyId, ObjectId};
use claviger_keys::x509::Certificate;

use super::session::Session;
use super::token_places::{Uses, places};
use crate::providers::OpenPgpKeys;

/// The longest `CKA_ID` that is part of a name, in octets: a status line has to hold it.
const MAX_ID: usize = 128;

/// What is shown of a token's keys.
pub(super) struct TokenKeys {
    facts: Arc<Facts>,
    certificates: HashMap<CertificateNumber, Certificate>,
    /// In the order in which they are shown.
    shown: Vec<Shown>,
    by_name: HashMap<ObjectId, usize>,
    by_number: HashMap<KeyNumber, usize>,
    /// Where in `shown` the keys in the places of an OpenPGP card's are.
    places: [Option<usize>; 3],
}

struct Shown {
    /// Where it is in the facts.
    at: usize,
    id: String,
    usage: String,
}

/// A key and what is shown of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct ShownKey<'a> {
    pub(super) key: &'a Key,
    /// What GnuPG calls it.
    pub(super) id: &'a str,
    /// The letters of what it is for.
    pub(super) usage: &'a str,
}

impl TokenKeys {
    /// What is shown of the keys in these facts, where these keys are wanted in the places of an OpenPGP card's.
    pub(super) fn new(facts: Arc<Facts>, wanted: &OpenPgpKeys) -> Self {
        let certificates = facts.certificates.iter().map(|stored| (stored.number, stored.x509.clone()));
        let mut keys = Self {
            certificates: certificates.collect(),
            shown: Vec::new(),
            by_name: HashMap::new(),
            by_number: HashMap::new(),
            places: [None; 3],
            facts,
        };
        keys.work_out(wanted);
        keys
    }

    fn work_out(&mut self, wanted: &OpenPgpKeys) {
        let named = named(&self.facts);
        let uses: Vec<_> =
            named.iter().map(|(_, key, _)| Uses::of(key, &self.certificates_of(key))).collect();
        let own = |grip| named.iter().position(|(_, key, _)| key.grip() == Some(grip));
        let wanted = wanted.all().map(|grip| grip.and_then(own));
        self.places = places(&uses, wanted);
        let [.., authenticate] = self.places;
        let letters = |place: usize, uses: &Uses| uses.letters(authenticate == Some(place));
        let usages: Vec<_> = uses.iter().enumerate().map(|(place, uses)| letters(place, uses)).collect();
        let numbers = named.iter().enumerate().map(|(place, (_, key, _))| (key.number, place));
        self.by_number = numbers.collect();
        let names = named.iter().enumerate().map(|(place, (.., name))| (name.object.clone(), place));
        self.by_name = names.collect();
        let shown = named.into_iter().zip(usages);
        self.shown = shown.map(|((at, _, name), usage)| Shown { at, id: name.to_string(), usage }).collect();
    }

    /// What is known of the token.
    pub(super) fn facts(&self) -> &Arc<Facts> {
        &self.facts
    }

    /// All keys that have a name.
    pub(super) fn all(&self) -> impl Iterator<Item = ShownKey<'_>> {
        (0..self.shown.len()).filter_map(|place| self.at(place))
    }

    /// The key with this number.
    pub(super) fn numbered(&self, number: KeyNumber) -> Option<ShownKey<'_>> {
        self.at(*self.by_number.get(&number)?)
    }

    /// The key that GnuPG calls so: with its name here, with one that gnupg-pkcs11-scd had for it, or with its keygrip in
    /// the place of `CKA_ID`.
    pub(super) fn called(&self, id: &str) -> Option<ShownKey<'_>> {
        let KeyId { token, object } = id.parse().ok()?;
        if token != self.facts.id {
            return None;
        }
        let by_grip =
            || self.facts.keys.iter().find(|key| key.grip().is_some_and(|grip| object.is_grip(&grip)));
        let place = self.by_name.get(&object).or_else(|| self.by_number.get(&by_grip()?.number))?;
        self.at(*place)
    }

    /// The key that stands in the place of an OpenPGP card's.
    pub(super) fn in_place_of(&self, slot: Slot) -> Option<ShownKey<'_>> {
        self.at(self.places[slot.index()]?)
    }

    /// The certificates and their names: a key's first certificate is called as the key is, any other by its fingerprint.
    pub(super) fn certificates(&self) -> impl Iterator<Item = (&Certificate, String)> {
        let firsts = self.all().filter_map(|key| Some((*key.key.certificates.first()?, key.id)));
        let names: HashMap<_, _> = firsts.collect();
        self.facts.certificates.iter().filter_map(move |stored| {
            let certificate = self.certificates.get(&stored.number)?;
            let own = names.get(&stored.number).map(|name| (*name).to_owned());
            let sha256 = || KeyId::by_sha256(self.facts.id.clone(), certificate.sha256()).to_string();
            Some((certificate, own.unwrap_or_else(sha256)))
        })
    }

    /// The certificates of a key.
    pub(super) fn certificates_of(&self, key: &Key) -> Vec<Certificate> {
        key.certificates.iter().filter_map(|number| self.certificates.get(number).cloned()).collect()
    }

    fn at(&self, place: usize) -> Option<ShownKey<'_>> {
        let shown = self.shown.get(place)?;
        let key = self.facts.keys.get(shown.at)?;
        Some(ShownKey { key, id: &shown.id, usage: &shown.usage })
    }
}

/// The keys that have a name, each with its place in the facts and its name, in the order in which they are shown.
fn named(facts: &Facts) -> Vec<(usize, &Key, KeyId)> {
    let mut times: HashMap<&[u8], usize> = HashMap::new();
    for key in &facts.keys {
        *times.entry(&key.id).or_default() += 1;
    }
    let name = |key: &Key| {
        let alone = (1..=MAX_ID).contains(&key.id.len()) && times.get(key.id.as_slice()) == Some(&1);
        if alone {
            return Some(KeyId::new(facts.id.clone(), key.id.clone()));
        }
        key.grip().map(|grip| KeyId::by_grip(facts.id.clone(), &grip))
    };
    let named = facts.keys.iter().enumerate().filter_map(|(at, key)| Some((at, key, name(key)?)));
    let mut named: Vec<_> = named.collect();
    named.sort_by_cached_key(|(_, key, name)| (key.id.clone(), key.label.clone(), name.object.to_string()));
    named
}

/// The key that GnuPG calls so, on the session's token or else on the first that has one of that name.
/// PKCS#11 modules that are starting are waited for if it is not found before.
pub(super) async fn find(session: &Session, id: &str) -> Option<(TokenHandle, KeyNumber)> {
    let among = |tokens: Vec<TokenHandle>| {
        session.token().ok().into_iter().chain(tokens).find_map(|token| {
            let number = session.hub.tokens.keys_of(&token)?.called(id)?.key.number;
            Some((token, number))
        })
    };
    match among(session.hub.deck.tokens()) {
        None if id.parse::<KeyId>().is_ok() => among(session.hub.all_tokens().await),
        found => found,
    }
}

/// What is shown of the tokens that are here, worked out once for each look at a token.
pub(super) struct KnownTokens {
    known: Mutex<HashMap<Insertion, Arc<TokenKeys>>>,
    wanted: OpenPgpKeys,
}

impl KnownTokens {
    /// Tokens where these keys are wanted in the places of an OpenPGP card's.
    pub(super) fn new(wanted: OpenPgpKeys) -> Self {
        Self { known: Mutex::default(), wanted }
    }

    /// What is shown of a token's keys; `None` for an OpenPGP card.
    pub(super) fn keys_of(&self, token: &TokenHandle) -> Option<Arc<TokenKeys>> {
        let facts = token.pkcs11()?;
        let known = self.known().get(&token.insertion()).cloned();
        if let Some(known) = known.filter(|known| Arc::ptr_eq(&known.facts, &facts)) {
            return Some(known);
        }
        let keys = Arc::new(TokenKeys::new(facts, &self.wanted));
        if token.is_present() {
            self.known().insert(token.insertion(), Arc::clone(&keys));
        }
        Some(keys)
    }

    /// A token is gone.
    pub(super) fn forget(&self, insertion: Insertion) {
        self.known().remove(&insertion);
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Insertion, Arc<TokenKeys>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use claviger_cards::pkcs11::KeyKind;

    use super::super::sample_token::{ALL, DERIVE, SIGN, Sample, grip, token};
    use super::*;

    const TOKEN: &str = "SoftHSM\\x20project/SoftHSM\\x20v2/4dd5289f1942f77a/tls";

    /// The last parts of the names, with the usage of each.
    fn shown(sample: Sample) -> Vec<(String, String)> {
        let keys = sample.keys();
        let last = |id: &str| id.strip_prefix(&format!("{TOKEN}/")).unwrap().to_owned();
        keys.all().map(|key| (last(key.id), key.usage.to_owned())).collect()
    }

    fn other(name: &str) -> KeyKind {
        KeyKind::Other(name.to_owned())
    }

    #[test]
    fn a_key_is_called_as_gnupg_pkcs11_scd_calls_it() {
        let keys = token().with_key(&[0xAB, 1], "rsa2048", ALL).keys();
        let id = format!("{TOKEN}/AB01");
        assert_eq!(keys.called(&id).unwrap().id, id);
        let fedora = "pkcs11:model=SoftHSM%20v2;token=tls;manufacturer=SoftHSM%20project;serial=4dd5289f1942f77a;id=%AB%01";
        for other in [format!("{TOKEN}/ab01"), format!("{TOKEN}/{}", grip("rsa2048")), fedora.to_owned()] {
            assert_eq!(keys.called(&other).unwrap().id, id, "{other}");
        }
        for none in [format!("{TOKEN}/AB02"), id.replace("tls", "other"), "AB01".to_owned()] {
            assert!(keys.called(&none).is_none(), "{none}");
        }
    }

    #[test]
    fn keys_whose_id_is_missing_too_long_or_not_alone_are_called_by_keygrip() {
        let sample = token()
            .with_key(&[], "rsa2048", ALL)
            .with_key(&[1], "leaf", SIGN)
            .with_key(&[1], "P-384", SIGN)
            .with_key(&[2; MAX_ID + 1], "ed25519", SIGN);
        let names: Vec<_> = shown(sample).into_iter().map(|(name, _)| name).collect();
        let mut same = [grip("leaf"), grip("P-384")];
        same.sort();
        assert_eq!(names, [grip("rsa2048"), same[0].clone(), same[1].clone(), grip("ed25519")]);
    }

    #[test]
    fn a_key_that_no_name_fits_alone_is_left_out() {
        let sample = token().with_key_of_kind(&[], other("ml-dsa-65"), SIGN).with_key_of_kind(
            &[3],
            other("ml-kem-768"),
            DERIVE,
        );
        assert_eq!(shown(sample), [("03".to_owned(), "e".to_owned())]);
    }

    #[test]
    fn the_order_is_that_of_the_ids_and_not_the_module_s() {
        let sample = token().with_key(&[3], "leaf", SIGN).with_key(&[1], "P-384", SIGN);
        let names: Vec<_> =
            shown(sample.with_key(&[2], "rsa2048", SIGN)).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["01", "02", "03"]);
    }

    #[test]
    fn a_key_s_first_certificate_is_called_as_the_key_and_others_by_fingerprint() {
        let sample = token().with_certified_key(&[1], "leaf", SIGN).with_certificate(&[2], "middle");
        let keys = sample.keys();
        let names: Vec<_> = keys.certificates().map(|(_, name)| name).collect();
        let middle = super::super::sample_token::certified("middle").sha256();
        assert_eq!(
            names,
            [
                format!("{TOKEN}/01"),
                format!(
                    "{TOKEN}/sha256:{}",
                    middle.iter().map(|octet| format!("{octet:02X}")).collect::<String>()
                )
            ]
        );
    }
}
