//! The keys of a PKCS#11 token as GnuPG is shown them: in which order, under which names, for which uses, and which three
//! stand for those of an OpenPGP card.
//!
//! | in the place of | a key |
//! |---|---|
//! | signature, `$SIGNKEYID` | the first that signs and is not meant for logging in; else the first that signs |
//! | decryption, `$ENCRKEYID` | the first that is shown as one for encryption |
//! | authentication, `$AUTHKEYID` | the first that signs and is meant for logging in; else the second that signs; else the only one |
//!
//! - The order is that of `CKA_ID`: modules list their objects now so, now so.
//! - A key is *meant for logging in* if its label has `auth` in it (`PIV AUTH key`), or if a certificate of it is for
//!   `clientAuth` and not for `emailProtection`.
//! - Usage: `sc` for what signs; `a` beside it for what is meant for logging in, and for the key in the place of
//!   authentication, so that an agent of 2.4 offers ssh these keys and not each one on an HSM; `e` for RSA keys that decrypt
//!   and for keys on curves that agree on secrets and cannot sign: gpg takes the letter for "ECDH".

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use claviger_cards::deck::TokenHandle;
use claviger_cards::pkcs11::{Certificate as StoredCertificate, Facts, Key, KeyNumber};
use claviger_cards::token::{Insertion, Slot};
use claviger_keys::x509::Certificate as X509;
use claviger_keys::{Curve, CurveKind};

use super::session::Session;
use crate::hex;

/// The longest `CKA_ID` that is part of a name, in octets: a status line has to hold it.
const MAX_ID: usize = 128;

/// How many keys' certificates are looked at for what they are for: on a token with more, no key is meant for logging in by
/// its certificate.
const MAX_LOOKED_AT: usize = 256;

/// What is shown of a token's keys.
#[derive(Debug)]
pub(super) struct TokenKeys {
    facts: Arc<Facts>,
    /// In the order in which they are shown.
    shown: Vec<Shown>,
    by_id: HashMap<String, usize>,
    by_number: HashMap<KeyNumber, usize>,
    /// Where in `shown` the keys in the places of an OpenPGP card's are.
    places: [Option<usize>; 3],
}

#[derive(Debug)]
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
    /// What is shown of the keys in these facts.
    pub(super) fn new(facts: Arc<Facts>) -> Self {
        let order = order(&facts);
        let uses: Vec<Uses> = order.iter().filter_map(|(at, _)| facts.keys.get(*at)).map(Uses::of).collect();
        let logs_in = logging_in(&facts, &order, &uses);
        let places = places(&uses, &logs_in);
        let authenticates = |at: usize| logs_in.get(at) == Some(&true) || places[2] == Some(at);
        let shown: Vec<_> = order
            .into_iter()
            .zip(&uses)
            .enumerate()
            .map(|(place, ((at, id), uses))| Shown { at, id, usage: uses.letters(authenticates(place)) })
            .collect();
        let by_id = shown.iter().enumerate().map(|(place, key)| (key.id.clone(), place)).collect();
        let number = |key: &Shown| facts.keys.get(key.at).map(|key| key.number);
        let numbers = shown.iter().enumerate().filter_map(|(place, key)| Some((number(key)?, place)));
        let by_number = numbers.collect();
        Self { facts, shown, by_id, by_number, places }
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

    /// The key that GnuPG calls so.
    pub(super) fn called(&self, id: &str) -> Option<ShownKey<'_>> {
        self.at(*self.by_id.get(id)?)
    }

    /// The key that stands in the place of an OpenPGP card's.
    pub(super) fn in_place_of(&self, slot: Slot) -> Option<ShownKey<'_>> {
        self.at(self.places[slot.index()]?)
    }

    /// The certificates and their names: a key's first certificate is called as the key is, any other by its fingerprint.
    pub(super) fn certificates(&self) -> impl Iterator<Item = (&StoredCertificate, String)> {
        let firsts = self.all().filter_map(|key| Some((*key.key.certificates.first()?, key.id)));
        let mut names: HashMap<_, _> = firsts.collect();
        let token = token_name(&self.facts);
        self.facts.certificates.iter().map(move |certificate| {
            let own = names.remove(&certificate.number).map(str::to_owned);
            (certificate, own.unwrap_or_else(|| format!("{token}/{}", fingerprint(certificate))))
        })
    }

    fn at(&self, place: usize) -> Option<ShownKey<'_>> {
        let shown = self.shown.get(place)?;
        let key = self.facts.keys.get(shown.at)?;
        Some(ShownKey { key, id: &shown.id, usage: &shown.usage })
    }
}

/// Where the keys are in the facts, and their names, in the order in which they are shown. A key that no name fits alone is
/// left out.
fn order(facts: &Facts) -> Vec<(usize, String)> {
    let mut times: HashMap<&[u8], usize> = HashMap::new();
    for key in &facts.keys {
        *times.entry(&key.id).or_default() += 1;
    }
    let token = token_name(facts);
    let name = |key: &Key| {
        let alone = !key.id.is_empty() && key.id.len() <= MAX_ID && times.get(key.id.as_slice()) == Some(&1);
        let last = if alone { Some(hex::write(&key.id)) } else { key.grip().map(|grip| grip.to_string()) };
        last.map(|last| format!("{token}/{last}"))
    };
    let mut order: Vec<_> = facts.keys.iter().enumerate().collect();
    order.sort_by_key(|(_, key)| (&key.id, &key.label, key.grip().map(|grip| grip.to_string())));
    order.into_iter().filter_map(|(at, key)| Some((at, name(key)?))).collect()
}

fn fingerprint(certificate: &StoredCertificate) -> String {
    format!("sha256:{}", hex::write(&X509::new(Arc::clone(&certificate.octets)).sha256()))
}

fn token_name(facts: &Facts) -> String {
    let id = &facts.id;
    [&id.manufacturer, &id.model, &id.serial, &id.label].map(|part| escaped(part)).join("/")
}

fn escaped(part: &str) -> String {
    let octet = |octet: u8| match octet {
        b'\\' | b'/' => format!("\\x{octet:02X}"),
        0x21..=0x7E => char::from(octet).to_string(),
        _ => format!("\\x{octet:02X}"),
    };
    part.bytes().map(octet).collect()
}

/// What a key can do in the eyes of GnuPG.
#[derive(Debug, Clone, Copy, Default)]
struct Uses {
    /// It has a keygrip.
    named: bool,
    signs: bool,
    encrypts: bool,
}

impl Uses {
    fn of(key: &Key) -> Self {
        let usage = key.usage;
        let curve = key.public().map(|public| public.curve().map(Curve::kind));
        let (signs, encrypts) = match curve {
            Some(None) => (usage.sign, usage.decrypt),
            Some(Some(CurveKind::Edwards)) => (usage.sign, false),
            Some(Some(CurveKind::Montgomery)) => (false, usage.derive),
            Some(Some(CurveKind::Weierstrass)) => (usage.sign, usage.derive && !usage.sign),
            None => (usage.sign, usage.decrypt || usage.derive),
        };
        Self { named: key.grip().is_some(), signs, encrypts }
    }

    fn letters(self, authenticates: bool) -> String {
        let mut letters = String::new();
        if self.signs {
            letters.push_str("sc");
        }
        if self.encrypts {
            letters.push('e');
        }
        if self.signs && authenticates {
            letters.push('a');
        }
        if letters.is_empty() { "-".to_owned() } else { letters }
    }
}

/// Which keys are meant for logging in.
fn logging_in(facts: &Facts, order: &[(usize, String)], uses: &[Uses]) -> Vec<bool> {
    let by_certificate = order.len() <= MAX_LOOKED_AT;
    let keys = order.iter().map(|(at, _)| facts.keys.get(*at)).zip(uses);
    let is_meant = |key: &Key| {
        key.label.to_ascii_lowercase().contains("auth")
            || by_certificate && has_client_certificate(facts, key)
    };
    keys.map(|(key, uses)| uses.signs && key.is_some_and(is_meant)).collect()
}

fn has_client_certificate(facts: &Facts, key: &Key) -> bool {
    let own = facts.certificates.iter().filter(|certificate| key.certificates.contains(&certificate.number));
    let is_for_clients = |octets: &Arc<[u8]>| {
        let certificate = X509::new(Arc::clone(octets));
        certificate.fields().is_ok_and(|fields| {
            let has = |usage: &str| fields.usages().iter().any(|known| known == usage);
            has("clientAuth") && !has("emailProtection")
        })
    };
    own.map(|certificate| &certificate.octets).any(is_for_clients)
}

/// The keys in the places of an OpenPGP card's.
fn places(uses: &[Uses], logs_in: &[bool]) -> [Option<usize>; 3] {
    let logs_in = |at: &usize| logs_in.get(*at) == Some(&true);
    let keys = |fits: fn(&Uses) -> bool| {
        uses.iter().enumerate().filter(move |(_, uses)| uses.named && fits(uses)).map(|(at, _)| at)
    };
    let mut signing = keys(|uses| uses.signs);
    let first = signing.next();
    let second = signing.next();
    let sign = keys(|uses| uses.signs).find(|at| !logs_in(at)).or(first);
    let encrypt = keys(|uses| uses.encrypts).next();
    let authenticate = keys(|uses| uses.signs).find(logs_in).or(second).or(first);
    [sign, encrypt, authenticate]
}

/// The key that GnuPG calls so, on the session's token or else on the first that has one of that name.
pub(super) fn find(session: &Session, id: &str) -> Option<(TokenHandle, KeyNumber)> {
    let others = session.hub.deck.tokens();
    session.token().ok().into_iter().chain(others).find_map(|token| {
        let number = session.hub.tokens.keys_of(&token)?.called(id)?.key.number;
        Some((token, number))
    })
}

/// What is shown of the tokens that are here, worked out once for each look at a token.
#[derive(Default)]
pub(super) struct KnownTokens(Mutex<HashMap<Insertion, Arc<TokenKeys>>>);

impl KnownTokens {
    /// What is shown of a token's keys; `None` for an OpenPGP card.
    pub(super) fn keys_of(&self, token: &TokenHandle) -> Option<Arc<TokenKeys>> {
        let facts = token.pkcs11()?;
        let known = self.known().get(&token.insertion()).cloned();
        if let Some(known) = known.filter(|known| Arc::ptr_eq(&known.facts, &facts)) {
            return Some(known);
        }
        let keys = Arc::new(TokenKeys::new(facts));
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn uses(sample: Sample) -> Vec<String> {
        shown(sample).into_iter().map(|(_, usage)| usage).collect()
    }

    /// The last octet of `CKA_ID` of the keys in the places of an OpenPGP card's.
    fn places(sample: Sample) -> [Option<u8>; 3] {
        let keys = sample.keys();
        Slot::ALL.map(|slot| keys.in_place_of(slot).and_then(|key| key.key.id.last().copied()))
    }

    fn other(name: &str) -> KeyKind {
        KeyKind::Other(name.to_owned())
    }

    #[test]
    fn a_key_is_called_as_gnupg_pkcs11_scd_calls_it() {
        let keys = token().with_key(&[0xAB, 1], "rsa2048", ALL).keys();
        let id = format!("{TOKEN}/AB01");
        assert_eq!(keys.called(&id).unwrap().id, id);
        assert!(keys.called(&format!("{TOKEN}/ab01")).is_none());
    }

    #[test]
    fn separators_and_what_is_no_visible_ascii_are_escaped_in_names() {
        let mut sample = token().with_key(&[1], "rsa2048", ALL);
        sample.0.id.label = "a/b\\ü+%".to_owned();
        let keys = sample.keys();
        let id = keys.all().next().unwrap().id;
        assert!(id.ends_with("/a\\x2Fb\\x5C\\xC3\\xBC+%/01"), "{id}");
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
        let sample = token().with_key(&[3], "leaf", SIGN).with_key(&[1], "P-384", SIGN).with_key(
            &[2],
            "rsa2048",
            SIGN,
        );
        assert_eq!(places(sample), [Some(1), None, Some(2)]);
    }

    #[test]
    fn a_single_key_stands_in_all_places_that_it_can() {
        assert_eq!(places(token().with_key(&[1], "rsa2048", ALL)), [Some(1); 3]);
        assert_eq!(places(token().with_key(&[1], "leaf", ALL)), [Some(1), None, Some(1)]);
        assert_eq!(places(token().with_key(&[1], "x25519", ALL)), [None, Some(1), None]);
        assert_eq!(places(token()), [None; 3]);
    }

    #[test]
    fn a_key_with_auth_in_its_label_is_the_one_for_logging_in() {
        let piv = token()
            .with_key(&[1], "leaf", ALL)
            .labelled("PIV AUTH key")
            .with_key(&[2], "rsa2048", SIGN)
            .labelled("SIGN key")
            .with_key(&[3], "x25519", ALL)
            .labelled("KEY MAN key")
            .with_key(&[4], "P-384", SIGN)
            .labelled("CARD AUTH key");
        assert_eq!(places(piv), [Some(2), Some(3), Some(1)]);
    }

    #[test]
    fn a_key_with_a_certificate_for_clients_is_the_one_for_logging_in() {
        let sample = token().with_certified_key(&[1], "client", SIGN).with_certified_key(&[2], "leaf", SIGN);
        assert_eq!(places(sample), [Some(2), None, Some(1)]);
        let alone = token().with_certified_key(&[1], "client", SIGN);
        assert_eq!(places(alone), [Some(1), None, Some(1)]);
    }

    #[test]
    fn a_key_that_gnupg_cannot_name_stands_in_no_place() {
        assert_eq!(places(token().with_key_of_kind(&[1], other("ml-dsa-65"), SIGN)), [None; 3]);
    }

    #[test]
    fn only_keys_for_logging_in_are_said_to_be() {
        let sample = token().with_key(&[1], "leaf", SIGN).with_key(&[2], "P-384", SIGN).with_key(
            &[3],
            "ed25519",
            SIGN,
        );
        assert_eq!(uses(sample), ["sc", "sca", "sc"]);
        let labelled =
            token().with_key(&[1], "leaf", SIGN).labelled("Authentication").with_key(&[2], "P-384", SIGN);
        assert_eq!(uses(labelled), ["sca", "sc"]);
    }

    #[test]
    fn a_kind_of_key_is_shown_for_what_gpg_can_make_of_it() {
        let all = |certificate| uses(token().with_key(&[1], certificate, ALL));
        assert_eq!(all("rsa2048"), ["scea"]);
        assert_eq!(all("leaf"), ["sca"], "gpg would take it for ECDH with an e");
        assert_eq!(all("ed25519"), ["sca"]);
        assert_eq!(all("x25519"), ["e"]);
        assert_eq!(uses(token().with_key(&[1], "leaf", DERIVE)), ["e"]);
        assert_eq!(uses(token().with_key(&[1], "x25519", SIGN)), ["-"]);
    }

    #[test]
    fn a_key_s_first_certificate_is_called_as_the_key_and_others_by_fingerprint() {
        let sample = token().with_certified_key(&[1], "leaf", SIGN).with_certificate(&[2], "middle");
        let keys = sample.keys();
        let names: Vec<_> = keys.certificates().map(|(_, name)| name).collect();
        let middle = super::super::sample_token::certified("middle").sha256();
        assert_eq!(names, [format!("{TOKEN}/01"), format!("{TOKEN}/sha256:{}", hex::write(&middle))]);
    }
}
