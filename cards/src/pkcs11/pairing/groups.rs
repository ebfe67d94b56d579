//! Which objects are one key: those with the same `CKA_ID`, unless they are of different keys; else those of the same key.

use std::collections::HashMap;

use claviger_keys::pkcs11::attributes::{Described, KeyAttributes};
use claviger_keys::pkcs11::numbers::{CKK_EC, CKK_EC_EDWARDS, CKK_EC_MONTGOMERY, CKK_RSA};
use claviger_keys::{CurveKind, PublicKey};

use super::numbers::{Name, Numbers};
use super::usage::usage;
use crate::pkcs11::facts::{Certificate, CertificateNumber, Key, KeyKind, KeyNumber};
use crate::pkcs11::wire::{KeyObject, KeyRef, TokenReport};

/// Objects that are one key.
pub(super) struct Group<'r> {
    pub(super) private: Option<&'r KeyObject>,
    public: Option<&'r KeyObject>,
    described: Option<Described>,
    id: &'r [u8],
    certificates: Vec<CertificateNumber>,
}

/// The groups of a report, private keys first.
pub(super) fn grouped<'r>(report: &'r TokenReport, certificates: &'r [Certificate]) -> Vec<Group<'r>> {
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

    pub(super) fn key(self, numbers: &mut Numbers) -> (Key, KeyRef) {
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
        CKK_RSA => "rsa",
        CKK_EC | CKK_EC_EDWARDS | CKK_EC_MONTGOMERY => "ec",
        _ => "unknown",
    }
}

/// `CKA_KEY_TYPE` of a key of which only the certificate was seen.
fn key_type(kind: &KeyKind) -> u64 {
    match kind {
        KeyKind::Known(PublicKey::Rsa(_), _) => CKK_RSA,
        KeyKind::Known(PublicKey::Ecc(key), _) => match key.curve().kind() {
            CurveKind::Weierstrass => CKK_EC,
            CurveKind::Edwards => CKK_EC_EDWARDS,
            CurveKind::Montgomery => CKK_EC_MONTGOMERY,
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
