//! Numbers of keys and certificates: what was known before keeps its own.

use std::collections::HashMap;
use std::sync::Arc;

use claviger_keys::{Keygrip, x509};

use super::Known;
use crate::pkcs11::facts::KeyKind;
use crate::pkcs11::wire::CertificateObject;

/// What a key or certificate is known by when the token is enumerated anew.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Name {
    Key(Keygrip),
    OtherKey(Vec<u8>, String),
    Certificate(Vec<u8>, Vec<u8>, Arc<[u8]>),
}

impl Name {
    pub(super) fn of_key(id: &[u8], label: &str, kind: &KeyKind) -> Self {
        match kind {
            KeyKind::Known(_, grip) => Self::Key(*grip),
            KeyKind::Other(_) => Self::OtherKey(id.to_vec(), label.to_owned()),
        }
    }

    pub(super) fn of_certificate(object: &CertificateObject, x509: &x509::Certificate) -> Self {
        Self::Certificate(object.id.clone(), object.label.clone(), Arc::clone(x509.der()))
    }
}

/// Gives numbers: the old ones to what was known before.
pub(super) struct Numbers {
    old: HashMap<Name, Vec<u32>>,
    parsed: HashMap<u64, x509::Certificate>,
    pub(super) next: u32,
}

impl Numbers {
    pub(super) fn of(before: Option<&Known>) -> Self {
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
    pub(super) fn certificate(&self, object: &CertificateObject) -> Option<x509::Certificate> {
        self.parsed.get(&object.handle).filter(|known| **known.der() == *object.value).cloned()
    }

    pub(super) fn number(&mut self, name: &Name) -> u32 {
        if let Some(known) = self.old.get_mut(name).filter(|known| !known.is_empty()) {
            return known.remove(0);
        }
        let number = self.next;
        self.next = self.next.saturating_add(1);
        number
    }
}
