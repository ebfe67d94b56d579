//! From what a helper reports of a token to what is known of it: private keys, public keys and certificates are put together
//! as keys, numbered, indexed. No module is asked here.
//!
//! What belongs together has the same `CKA_ID`; where that is missing or says too much, the same public key. Before a login
//! most tokens show no private keys: a public key, or a certificate that is no authority's, stands for its private key then.

mod groups;
mod numbers;
#[cfg(test)]
pub(super) mod sample;
#[cfg(test)]
mod tests;
mod usage;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use claviger_keys::pkcs11::token_id::TokenId;
use claviger_keys::pkcs11::uri::{ObjectType, Uri, Whereabouts};
use claviger_keys::x509::{self, unpack};

use self::groups::{Group, grouped};
use self::numbers::{Name, Numbers};
use super::ProviderConfig;
use super::facts::{Certificate, CertificateNumber, Facts, Key, KeyNumber};
use super::wire::{CertificateObject, KeyRef, TokenReport};

/// What is known of a token: the facts for everybody, and what leads from their numbers to objects of the module.
#[derive(Debug)]
pub(in crate::pkcs11) struct Known {
    pub(in crate::pkcs11) facts: Arc<Facts>,
    /// By number: where in the facts it is, and how the helper finds it.
    keys: HashMap<KeyNumber, (usize, KeyRef)>,
    handles: HashMap<CertificateNumber, u64>,
    next: u32,
}

impl Known {
    /// A key, and how the helper finds it.
    pub(in crate::pkcs11) fn key(&self, number: KeyNumber) -> Option<(&Key, &KeyRef)> {
        let (at, reference) = self.keys.get(&number)?;
        Some((self.facts.keys.get(*at)?, reference))
    }

    /// The handle of a certificate.
    pub(in crate::pkcs11) fn certificate(&self, number: CertificateNumber) -> Option<u64> {
        self.handles.get(&number).copied()
    }

    /// The number of the key with this handle of its private key.
    pub(in crate::pkcs11) fn key_with_handle(&self, handle: u64) -> Option<&Key> {
        let found = self.keys.values().find(|(_, reference)| reference.handle == Some(handle));
        self.facts.keys.get(found?.0)
    }
}

/// Whether both are of one token.
pub(in crate::pkcs11) fn is_same_token(one: &Known, other: &Known) -> bool {
    one.facts.id == other.facts.id
}

/// Puts reports of one provider together.
pub(in crate::pkcs11) struct Pairing {
    provider: Arc<str>,
    library: String,
    tokens: Vec<Uri>,
    without_tokens: Vec<Uri>,
    keys: Vec<Uri>,
    certificates: Vec<Uri>,
    /// What was known in this insertion before: numbers are kept, certificates not read twice.
    before: Option<Arc<Known>>,
}

impl Pairing {
    pub(in crate::pkcs11) fn new(
        provider: Arc<str>,
        library: String,
        config: &ProviderConfig,
        before: Option<Arc<Known>>,
    ) -> Self {
        Self {
            provider,
            library,
            tokens: config.tokens.clone(),
            without_tokens: config.without_tokens.clone(),
            keys: config.keys.clone(),
            certificates: config.certificates.clone(),
            before,
        }
    }

    /// What is known now; `None` of a token that the configuration leaves alone.
    pub(in crate::pkcs11) fn pair(mut self, report: TokenReport) -> Option<Known> {
        let id = TokenId {
            manufacturer: report.manufacturer.clone(),
            model: report.model.clone(),
            serial: report.serial.clone(),
            label: report.label.clone(),
        };
        if !self.is_wanted(&id, &report) {
            return None;
        }
        self.before = self.before.filter(|before| before.facts.id == id);
        let mut numbers = Numbers::of(self.before.as_deref());
        let (certificates, handles) = self.certificates(&report, &mut numbers);
        let groups = grouped(&report, &certificates);
        let (keys, references) = self.keys(groups, &report, &mut numbers);
        let facts = self.facts(id, report, keys, certificates);
        let keys = references
            .into_iter()
            .enumerate()
            .filter_map(|(at, reference)| Some((facts.keys.get(at)?.number, (at, reference))))
            .collect();
        Some(Known { facts: Arc::new(facts), keys, handles, next: numbers.next })
    }

    fn is_wanted(&self, id: &TokenId, report: &TokenReport) -> bool {
        let place = Whereabouts {
            slot: Some(report.slot),
            slot_description: Some(&report.slot_description),
            library_description: Some(&self.library),
            ..Whereabouts::default()
        };
        let fits = |uri: &Uri| uri.matches_token(id, &place);
        (self.tokens.is_empty() || self.tokens.iter().any(fits)) && !self.without_tokens.iter().any(fits)
    }

    fn certificates(
        &self,
        report: &TokenReport,
        numbers: &mut Numbers,
    ) -> (Vec<Certificate>, HashMap<CertificateNumber, u64>) {
        let mut certificates = Vec::with_capacity(report.certificates.len());
        let mut handles = HashMap::new();
        for object in &report.certificates {
            let label = String::from_utf8_lossy(&object.label).into_owned();
            if !is_chosen(&self.certificates, &object.id, &label, ObjectType::Certificate) {
                continue;
            }
            let x509 = numbers.certificate(object).unwrap_or_else(|| read(object));
            let number = CertificateNumber(numbers.number(&Name::of_certificate(object, &x509)));
            handles.insert(number, object.handle);
            let octets = Arc::clone(x509.der());
            certificates.push(Certificate { number, id: object.id.clone(), label, octets, x509 });
        }
        (certificates, handles)
    }

    fn keys(
        &self,
        groups: Vec<Group<'_>>,
        report: &TokenReport,
        numbers: &mut Numbers,
    ) -> (Vec<Key>, Vec<KeyRef>) {
        let hidden = report.flags.login_required() && !report.logged_in;
        let mut known = Remembered::of(self.before.as_deref());
        let mut keys: Vec<_> = groups
            .into_iter()
            .map(|group| group.key(numbers))
            // Where nothing is hidden, a key without its private half is somebody else's.
            .filter_map(|(key, reference)| match (key.private_seen, hidden, report.seen_private) {
                (true, _, _) | (false, true, false) => Some((key, reference)),
                (false, true, true) => known.take(&key).map(|before| (before, reference)),
                (false, false, _) => None,
            })
            .collect();
        if hidden {
            keys.extend(known.rest());
        }
        keys.into_iter()
            .filter(|(key, _)| is_chosen(&self.keys, &key.id, &key.label, ObjectType::Private))
            .unzip()
    }

    fn facts(
        &self,
        id: TokenId,
        report: TokenReport,
        keys: Vec<Key>,
        certificates: Vec<Certificate>,
    ) -> Facts {
        let mut by_grip = HashMap::with_capacity(keys.len());
        for (at, key) in keys.iter().enumerate() {
            if let Some(grip) = key.grip() {
                by_grip.entry(grip).or_insert(at);
            }
        }
        let mut mechanisms = report.mechanisms;
        mechanisms.sort_unstable();
        Facts {
            provider: Arc::clone(&self.provider),
            slot: report.slot,
            slot_description: report.slot_description,
            library: self.library.clone(),
            serial: id.gnupg_serial(),
            id,
            firmware: report.firmware,
            flags: report.flags,
            pin_length: report.pin_length,
            mechanisms,
            logged_in: report.logged_in,
            seen_private: report.seen_private,
            keys,
            certificates,
            by_grip,
        }
    }
}

/// The keys whose private halves were seen before a logout: they are there all the same.
struct Remembered<'k> {
    keys: BTreeMap<KeyNumber, (&'k Key, &'k KeyRef)>,
}

impl<'k> Remembered<'k> {
    fn of(before: Option<&'k Known>) -> Self {
        let all = before.into_iter().flat_map(|before| {
            let of = |key: &'k Key| Some((key.number, before.key(key.number)?));
            before.facts.keys.iter().filter(|key| key.private_seen).filter_map(of)
        });
        Self { keys: all.collect() }
    }

    fn take(&mut self, key: &Key) -> Option<Key> {
        let (before, _) = self.keys.remove(&key.number)?;
        Some(Key { certificates: key.certificates.clone(), ..before.clone() })
    }

    /// Those of which nothing is to be seen now; their handles are none any more.
    fn rest(self) -> impl Iterator<Item = (Key, KeyRef)> {
        self.keys
            .into_values()
            .map(|(key, reference)| (key.clone(), KeyRef { handle: None, ..reference.clone() }))
    }
}

/// Whether an object is one of those that the configuration names.
fn is_chosen(uris: &[Uri], id: &[u8], label: &str, kind: ObjectType) -> bool {
    uris.is_empty() || uris.iter().any(|uri| uri.matches_object(id, label, kind))
}

/// A certificate as it is, or as it was packed.
fn read(object: &CertificateObject) -> x509::Certificate {
    match unpack(&object.value) {
        Ok(octets) => x509::Certificate::new(octets.into_owned()),
        Err(_) => x509::Certificate::new(object.value.clone()),
    }
}
