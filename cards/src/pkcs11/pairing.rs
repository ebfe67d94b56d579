//! From what a helper reports of a token to what is known of it: private keys, public keys and certificates are put together
//! as keys, numbered, indexed. No module is asked here.
//!
//! What belongs together has the same `CKA_ID`; where that is missing or says too much, the same public key. Before a login
//! most tokens show no private keys: a public key, or a certificate that is no authority's, stands for its private key then.

use std::collections::HashMap;
use std::sync::Arc;

use claviger_keys::pkcs11::attributes::{Described, KeyAttributes};
use claviger_keys::pkcs11::token_id::TokenId;
use claviger_keys::pkcs11::uri::{ObjectType, Uri, Whereabouts};
use claviger_keys::x509::{self, unpack};
use claviger_keys::{CurveKind, Keygrip, PublicKey};

use super::ProviderConfig;
use super::facts::{Certificate, CertificateNumber, Facts, Key, KeyKind, KeyNumber, Usage};
use super::wire::{CertificateObject, KeyObject, KeyRef, TokenReport};

/// What is known of a token: the facts for everybody, and what leads from their numbers to objects of the module.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) facts: Arc<Facts>,
    /// By number: where in the facts it is, and how the helper finds it.
    keys: HashMap<KeyNumber, (usize, KeyRef)>,
    handles: HashMap<CertificateNumber, u64>,
    next: u32,
}

impl Known {
    /// A key, and how the helper finds it.
    pub(super) fn key(&self, number: KeyNumber) -> Option<(&Key, &KeyRef)> {
        let (at, reference) = self.keys.get(&number)?;
        Some((self.facts.keys.get(*at)?, reference))
    }

    /// The handle of a certificate.
    pub(super) fn certificate(&self, number: CertificateNumber) -> Option<u64> {
        self.handles.get(&number).copied()
    }

    /// The number of the key with this handle of its private key.
    pub(super) fn key_with_handle(&self, handle: u64) -> Option<&Key> {
        let found = self.keys.values().find(|(_, reference)| reference.handle == Some(handle));
        self.facts.keys.get(found?.0)
    }
}

/// Whether both are of one token.
pub(super) fn is_same_token(one: &Known, other: &Known) -> bool {
    one.facts.id == other.facts.id
}

/// Puts reports of one provider together.
pub(super) struct Pairing {
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
    pub(super) fn new(
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
    pub(super) fn pair(mut self, report: TokenReport) -> Option<Known> {
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
        // Where nothing is hidden, a key without its private half is somebody else's.
        let all_seen = report.seen_private || !report.flags.login_required();
        let shown = groups.into_iter().filter(|group| group.private.is_some() || !all_seen);
        let keys = shown.map(|group| group.key(numbers));
        keys.filter(|(key, _)| is_chosen(&self.keys, &key.id, &key.label, ObjectType::Private)).unzip()
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

/// Objects that are one key.
struct Group<'r> {
    private: Option<&'r KeyObject>,
    public: Option<&'r KeyObject>,
    described: Option<Described>,
    id: &'r [u8],
    certificates: Vec<CertificateNumber>,
}

/// The groups of a report, private keys first.
fn grouped<'r>(report: &'r TokenReport, certificates: &'r [Certificate]) -> Vec<Group<'r>> {
    let mut all = Groups::default();
    let (private, public): (Vec<_>, Vec<_>) = report.keys.iter().partition(|key| key.private);
    for object in private {
        let group = Group { private: Some(object), ..Group::new(&object.id, described(object)) };
        all.add(group);
    }
    for object in public {
        let described = described(object);
        match all.find(&object.id, described.as_ref()) {
            Some(group) => group.join_public(object, described),
            None => all.add(Group { public: Some(object), ..Group::new(&object.id, described) }),
        }
    }
    for certificate in certificates {
        all.join_certificate(certificate);
    }
    all.groups
}

fn described(object: &KeyObject) -> Option<Described> {
    let attributes = KeyAttributes {
        key_type: object.key_type,
        modulus: &object.modulus,
        exponent: &object.exponent,
        ec_params: &object.ec_params,
        ec_point: &object.ec_point,
        public_key_info: &object.public_key_info,
        parameter_set: object.parameter_set,
    };
    attributes.describe().ok()
}

/// Groups, found by `CKA_ID` and by public key without looking at all of them.
#[derive(Default)]
struct Groups<'r> {
    groups: Vec<Group<'r>>,
    by_id: HashMap<&'r [u8], Vec<usize>>,
    by_key: HashMap<PublicKey, usize>,
}

impl<'r> Groups<'r> {
    fn add(&mut self, group: Group<'r>) {
        let at = self.groups.len();
        if !group.id.is_empty() {
            self.by_id.entry(group.id).or_default().push(at);
        }
        if let Some(Described::Key(key)) = &group.described {
            self.by_key.entry(key.clone()).or_insert(at);
        }
        self.groups.push(group);
    }

    /// The group to which an object of this `CKA_ID` and this key belongs.
    fn find(&mut self, id: &[u8], described: Option<&Described>) -> Option<&mut Group<'r>> {
        let mut same_id = self.by_id.get(id).into_iter().flatten().copied();
        let fits = |at: &usize| self.groups.get(*at).is_some_and(|group| group.can_be(described));
        let by_id = same_id.find(fits);
        let by_key = || match described {
            Some(Described::Key(key)) => self.by_key.get(key).copied(),
            _ => None,
        };
        let at = by_id.or_else(by_key)?;
        self.groups.get_mut(at)
    }

    fn join_certificate(&mut self, certificate: &'r Certificate) {
        let fields = certificate.x509.fields().ok();
        let key = fields.and_then(|fields| fields.public_key().cloned()).map(Described::Key);
        let number = certificate.number;
        if let Some(group) = self.find(&certificate.id, key.as_ref()) {
            group.certificates.push(number);
            group.described = group.described.take().or(key);
        } else if fields.is_some_and(|fields| !fields.is_ca())
            && let Some(key) = key
        {
            let mut group = Group::new(&certificate.id, Some(key));
            group.certificates.push(number);
            self.add(group);
        }
    }
}

impl<'r> Group<'r> {
    fn new(id: &'r [u8], described: Option<Described>) -> Self {
        Self { private: None, public: None, described, id, certificates: Vec::new() }
    }

    /// Whether this can be the group of that key: nothing that is known of either speaks against it.
    fn can_be(&self, described: Option<&Described>) -> bool {
        match (&self.described, described) {
            (Some(own), Some(other)) => own == other,
            _ => true,
        }
    }

    fn join_public(&mut self, object: &'r KeyObject, described: Option<Described>) {
        self.public = self.public.or(Some(object));
        self.described = self.described.take().or(described);
    }

    fn key(self, numbers: &mut Numbers) -> (Key, KeyRef) {
        let main = self.private.or(self.public);
        let kind = self.kind(main);
        let raw_label = main.map(|object| object.label.clone()).unwrap_or_default();
        let label = String::from_utf8_lossy(&raw_label).into_owned();
        let always_authenticate = self.private.is_some_and(|object| object.always_authenticate);
        let reference = KeyRef {
            handle: self.private.map(|object| object.handle),
            key_type: main.map_or_else(|| key_type(&kind), |object| object.key_type),
            id: self.id.to_vec(),
            label: raw_label,
            modulus: modulus(&kind),
            always_authenticate,
        };
        let number = KeyNumber(numbers.number(&Name::of_key(self.id, &label, &kind)));
        let usage = usage(&kind, self.private, self.public);
        let key = Key {
            number,
            id: self.id.to_vec(),
            label,
            kind,
            usage,
            always_authenticate,
            private_seen: self.private.is_some(),
            certificates: self.certificates,
        };
        (key, reference)
    }

    fn kind(&self, main: Option<&KeyObject>) -> KeyKind {
        match &self.described {
            Some(Described::Key(key)) => KeyKind::Known(key.clone(), key.keygrip()),
            Some(Described::Other(name)) => KeyKind::Other(name.clone()),
            None => KeyKind::Other(main.map_or("unknown", |object| type_name(object.key_type)).to_owned()),
        }
    }
}

/// What a key whose public half is nowhere to be seen is called.
fn type_name(key_type: u64) -> &'static str {
    match key_type {
        0x00 => "rsa",
        0x03 | 0x40 | 0x41 => "ec",
        _ => "unknown",
    }
}

/// `CKA_KEY_TYPE` of a key of which only the certificate was seen.
fn key_type(kind: &KeyKind) -> u64 {
    match kind {
        KeyKind::Known(PublicKey::Rsa(_), _) => 0x00,
        KeyKind::Known(PublicKey::Ecc(key), _) => match key.curve().kind() {
            CurveKind::Weierstrass => 0x03,
            CurveKind::Edwards => 0x40,
            CurveKind::Montgomery => 0x41,
        },
        KeyKind::Other(_) => u64::MAX,
    }
}

fn modulus(kind: &KeyKind) -> Vec<u8> {
    match kind {
        KeyKind::Known(PublicKey::Rsa(key), _) => key.n().to_vec(),
        _ => Vec::new(),
    }
}

/// What a key is for: as the private key says, else as the public key says for the other side, else what such keys can do.
fn usage(kind: &KeyKind, private: Option<&KeyObject>, public: Option<&KeyObject>) -> Usage {
    let can = match kind {
        KeyKind::Known(PublicKey::Rsa(_), _) => Usage { sign: true, decrypt: true, derive: false },
        KeyKind::Known(PublicKey::Ecc(key), _) => match key.curve().kind() {
            CurveKind::Weierstrass => Usage { sign: true, decrypt: false, derive: true },
            CurveKind::Edwards => Usage { sign: true, decrypt: false, derive: false },
            CurveKind::Montgomery => Usage { sign: false, decrypt: false, derive: true },
        },
        KeyKind::Other(_) => Usage::default(),
    };
    let Some(object) = private.or(public) else { return Usage { derive: can.derive && !can.sign, ..can } };
    let derive = match (private, object.derive) {
        (Some(_), Some(derive)) => derive,
        // A public key's CKA_DERIVE says little: tokens leave it unset.
        (None, Some(true)) => true,
        (None, _) => object.sign == Some(false) || !can.sign,
        (Some(_), None) => true,
    };
    Usage {
        sign: can.sign && object.sign.unwrap_or(true),
        decrypt: can.decrypt && (object.decrypt.unwrap_or(true) || object.unwrap == Some(true)),
        derive: can.derive && derive,
    }
}

/// What a key or certificate is known by when the token is enumerated anew.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Name {
    Key(Keygrip),
    OtherKey(Vec<u8>, String),
    Certificate(Vec<u8>, Vec<u8>, Arc<[u8]>),
}

impl Name {
    fn of_key(id: &[u8], label: &str, kind: &KeyKind) -> Self {
        match kind {
            KeyKind::Known(_, grip) => Self::Key(*grip),
            KeyKind::Other(_) => Self::OtherKey(id.to_vec(), label.to_owned()),
        }
    }

    fn of_certificate(object: &CertificateObject, x509: &x509::Certificate) -> Self {
        Self::Certificate(object.id.clone(), object.label.clone(), Arc::clone(x509.der()))
    }
}

/// Gives numbers: the old ones to what was known before.
struct Numbers {
    old: HashMap<Name, Vec<u32>>,
    parsed: HashMap<u64, x509::Certificate>,
    next: u32,
}

impl Numbers {
    fn of(before: Option<&Known>) -> Self {
        let Some(before) = before else {
            return Self { old: HashMap::new(), parsed: HashMap::new(), next: 1 };
        };
        let mut old: HashMap<Name, Vec<u32>> = HashMap::new();
        let mut parsed = HashMap::new();
        for key in &before.facts.keys {
            old.entry(Name::of_key(&key.id, &key.label, &key.kind)).or_default().push(key.number.0);
        }
        for certificate in &before.facts.certificates {
            let (id, label) = (certificate.id.clone(), certificate.label.clone().into_bytes());
            let name = Name::Certificate(id, label, Arc::clone(&certificate.octets));
            old.entry(name).or_default().push(certificate.number.0);
            if let Some(handle) = before.certificate(certificate.number) {
                parsed.insert(handle, certificate.x509.clone());
            }
        }
        Self { old, parsed, next: before.next }
    }

    /// The certificate of an object that was read before and is the same.
    fn certificate(&self, object: &CertificateObject) -> Option<x509::Certificate> {
        self.parsed.get(&object.handle).filter(|known| **known.der() == *object.value).cloned()
    }

    fn number(&mut self, name: &Name) -> u32 {
        if let Some(known) = self.old.get_mut(name).filter(|known| !known.is_empty()) {
            return known.remove(0);
        }
        let number = self.next;
        self.next = self.next.saturating_add(1);
        number
    }
}
