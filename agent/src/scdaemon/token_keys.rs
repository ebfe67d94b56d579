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
