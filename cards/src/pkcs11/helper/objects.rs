//! The objects of a token: which there are, and their attributes, each read once.

use std::collections::HashMap;

use cryptoki_sys::*;

use super::faults::NO_OBJECT;
use super::sys::module::Refusal;
use super::sys::session::Session;
use super::sys::template::Pair;
use crate::pkcs11::wire::{CertificateObject, KeyObject};

/// The most objects of a class that are read.
const MAX_OBJECTS: usize = 10_000;

/// The most octets of all objects together: a report has to fit into a frame.
const MAX_OCTETS: usize = 12 << 20;

/// What a key or certificate takes in a report beside its values.
const OVERHEAD: usize = 64;

/// What is asked of every key, with the longest values that one call has room for.
const KEY: [(CK_ATTRIBUTE_TYPE, usize); 3] = [(CKA_KEY_TYPE, 16), (CKA_ID, 136), (CKA_LABEL, 264)];

/// What keys may be used for, and who has to say so.
const PRIVATE: [(CK_ATTRIBUTE_TYPE, usize); 5] =
    [(CKA_SIGN, 8), (CKA_DECRYPT, 8), (CKA_UNWRAP, 8), (CKA_DERIVE, 8), (CKA_ALWAYS_AUTHENTICATE, 8)];
const PUBLIC: [(CK_ATTRIBUTE_TYPE, usize); 4] =
    [(CKA_VERIFY, 8), (CKA_ENCRYPT, 8), (CKA_WRAP, 8), (CKA_DERIVE, 8)];

/// The public numbers of each type of key.
const RSA: [(CK_ATTRIBUTE_TYPE, usize); 2] = [(CKA_MODULUS, 1040), (CKA_PUBLIC_EXPONENT, 24)];
const EC: [(CK_ATTRIBUTE_TYPE, usize); 2] = [(CKA_EC_PARAMS, 512), (CKA_EC_POINT, 304)];
const OTHER: [(CK_ATTRIBUTE_TYPE, usize); 2] = [(CKA_PARAMETER_SET, 16), (CKA_PUBLIC_KEY_INFO, 4096)];

/// Where the private key has no point, as many have not, its newer ones may have this.
const INFO: [(CK_ATTRIBUTE_TYPE, usize); 1] = [(CKA_PUBLIC_KEY_INFO, 4096)];

/// A certificate.
const CERTIFICATE: [(CK_ATTRIBUTE_TYPE, usize); 3] = [(CKA_ID, 136), (CKA_LABEL, 264), (CKA_VALUE, 4096)];

/// What was read of a token's objects, in the module's order.
#[derive(Debug, Default)]
pub(super) struct Objects {
    pub(super) keys: Vec<KeyObject>,
    pub(super) certificates: Vec<CertificateObject>,
}

impl Objects {
    /// Looks which objects there are now, and reads those that are new.
    pub(super) fn update(&mut self, session: &Session) -> Result<(), Refusal> {
        let mut room = MAX_OCTETS;
        let mut known: HashMap<_, _> =
            self.keys.drain(..).map(|key| ((key.private, key.handle), key)).collect();
        for private in [true, false] {
            let class = if private { CKO_PRIVATE_KEY } else { CKO_PUBLIC_KEY };
            for handle in find(session, class)? {
                let key = match known.remove(&(private, handle)) {
                    Some(key) => Some(key),
                    None => present(read_key(session, handle, private))?,
                };
                self.keys.extend(key.filter(|key| fits(&mut room, key_octets(key))));
            }
        }
        self.update_certificates(session, &mut room)
    }

    fn update_certificates(&mut self, session: &Session, room: &mut usize) -> Result<(), Refusal> {
        let mut known: HashMap<_, _> =
            self.certificates.drain(..).map(|known| (known.handle, known)).collect();
        for handle in find(session, CKO_CERTIFICATE)? {
            let certificate = match known.remove(&handle) {
                Some(certificate) => Some(certificate),
                None => present(read_certificate(session, handle))?,
            };
            self.certificates.extend(certificate.filter(|it| fits(room, certificate_octets(it))));
        }
        Ok(())
    }

    /// Forgets the private keys: their handles end with the login.
    pub(super) fn forget_private(&mut self) {
        self.keys.retain(|key| !key.private);
    }

    /// Whether there is an object with this handle.
    pub(super) fn has(&self, handle: u64) -> bool {
        self.keys.iter().any(|key| key.handle == handle)
            || self.certificates.iter().any(|certificate| certificate.handle == handle)
    }

    /// Whether there is nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.certificates.is_empty()
    }
}

fn find(session: &Session, class: CK_OBJECT_CLASS) -> Result<Vec<CK_OBJECT_HANDLE>, Refusal> {
    session.find(&[Pair::ulong(CKA_CLASS, class)], MAX_OBJECTS)
}

/// An object may go while it is read.
fn present<T>(read: Result<T, Refusal>) -> Result<Option<T>, Refusal> {
    match read {
        Ok(object) => Ok(Some(object)),
        Err(refusal) if refusal.is_any(&NO_OBJECT) => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

/// Whether an object has room in a report, and takes it.
fn fits(room: &mut usize, octets: usize) -> bool {
    let left = room.checked_sub(octets);
    *room = left.unwrap_or_default();
    left.is_some()
}

fn key_octets(key: &KeyObject) -> usize {
    [&key.id, &key.label, &key.modulus, &key.exponent, &key.ec_params, &key.ec_point, &key.public_key_info]
        .iter()
        .fold(OVERHEAD, |sum, value| sum.saturating_add(value.len()))
}

fn certificate_octets(certificate: &CertificateObject) -> usize {
    [&certificate.id, &certificate.label, &certificate.value]
        .iter()
        .fold(OVERHEAD, |sum, value| sum.saturating_add(value.len()))
}

fn read_certificate(session: &Session, handle: CK_OBJECT_HANDLE) -> Result<CertificateObject, Refusal> {
    let mut values = Values::read(session, handle, &CERTIFICATE)?;
    let (id, label, value) = (values.octets(CKA_ID), values.octets(CKA_LABEL), values.octets(CKA_VALUE));
    Ok(CertificateObject { handle, id, label, value })
}

fn read_key(session: &Session, handle: CK_OBJECT_HANDLE, private: bool) -> Result<KeyObject, Refusal> {
    let usage: &[_] = if private { &PRIVATE } else { &PUBLIC };
    let mut values = Values::read(session, handle, &[&KEY, usage].concat())?;
    let key_type = values.ulong(CKA_KEY_TYPE).unwrap_or(CK_UNAVAILABLE_INFORMATION);
    let mut numbers = Values::read(session, handle, numbers(key_type))?;
    if matches!(key_type, CKK_EC | CKK_EC_EDWARDS | CKK_EC_MONTGOMERY) && !numbers.has(CKA_EC_POINT) {
        numbers.0.extend(Values::read(session, handle, &INFO)?.0);
    }
    let [sign, decrypt, unwrap] =
        if private { [CKA_SIGN, CKA_DECRYPT, CKA_UNWRAP] } else { [CKA_VERIFY, CKA_ENCRYPT, CKA_WRAP] };
    Ok(KeyObject {
        handle,
        private,
        key_type,
        id: values.octets(CKA_ID),
        label: values.octets(CKA_LABEL),
        sign: values.bool(sign),
        decrypt: values.bool(decrypt),
        unwrap: values.bool(unwrap),
        derive: values.bool(CKA_DERIVE),
        always_authenticate: values.bool(CKA_ALWAYS_AUTHENTICATE).unwrap_or_default(),
        modulus: numbers.octets(CKA_MODULUS),
        exponent: numbers.octets(CKA_PUBLIC_EXPONENT),
        ec_params: numbers.octets(CKA_EC_PARAMS),
        ec_point: numbers.octets(CKA_EC_POINT),
        public_key_info: numbers.octets(CKA_PUBLIC_KEY_INFO),
        parameter_set: numbers.ulong(CKA_PARAMETER_SET),
    })
}

/// What is asked of a key of this type. `CKA_PUBLIC_KEY_INFO` is not worth a call where the numbers are to be had.
fn numbers(key_type: CK_KEY_TYPE) -> &'static [(CK_ATTRIBUTE_TYPE, usize)] {
    match key_type {
        CKK_RSA => &RSA,
        CKK_EC | CKK_EC_EDWARDS | CKK_EC_MONTGOMERY => &EC,
        _ => &OTHER,
    }
}

/// Values of an object by attribute.
struct Values(Vec<(CK_ATTRIBUTE_TYPE, Option<Vec<u8>>)>);

impl Values {
    fn read(
        session: &Session,
        handle: CK_OBJECT_HANDLE,
        wanted: &[(CK_ATTRIBUTE_TYPE, usize)],
    ) -> Result<Self, Refusal> {
        let values = session.attributes(handle, wanted)?;
        Ok(Self(wanted.iter().map(|(kind, _)| *kind).zip(values).collect()))
    }

    fn has(&self, kind: CK_ATTRIBUTE_TYPE) -> bool {
        self.0
            .iter()
            .any(|(this, value)| *this == kind && value.as_ref().is_some_and(|value| !value.is_empty()))
    }

    fn take(&mut self, kind: CK_ATTRIBUTE_TYPE) -> Option<Vec<u8>> {
        self.0.iter_mut().find(|(this, _)| *this == kind)?.1.take()
    }

    fn octets(&mut self, kind: CK_ATTRIBUTE_TYPE) -> Vec<u8> {
        self.take(kind).unwrap_or_default()
    }

    fn bool(&mut self, kind: CK_ATTRIBUTE_TYPE) -> Option<bool> {
        self.take(kind)?.first().map(|value| *value != CK_FALSE)
    }

    fn ulong(&mut self, kind: CK_ATTRIBUTE_TYPE) -> Option<CK_ULONG> {
        Some(CK_ULONG::from_ne_bytes(self.take(kind)?.try_into().ok()?))
    }
}
