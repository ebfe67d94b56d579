//! A token of testdata's certificates and their keys, for tests.

use claviger_keys::PublicKey;
use claviger_keys::x509::{Certificate as X509, read_file};

use super::*;
use crate::pkcs11::wire::{KeyObject, TokenFlags};

/// `CKF_LOGIN_REQUIRED`.
const LOGIN_REQUIRED: TokenFlags = TokenFlags(4);

pub(in crate::pkcs11) fn x509(name: &str) -> X509 {
    let path = format!("{}/../testdata/certificates/{name}.pem", env!("CARGO_MANIFEST_DIR"));
    read_file(&std::fs::read(path).unwrap()).unwrap().remove(0)
}

pub(in crate::pkcs11) fn public(name: &str) -> PublicKey {
    x509(name).fields().unwrap().public_key().unwrap().clone()
}

/// An object with what it says of its key.
pub(in crate::pkcs11) fn object(name: &str, id: &[u8], private: bool) -> KeyObject {
    let mut object = KeyObject {
        handle: u64::from(id.first().copied().unwrap_or(99)) + if private { 1000 } else { 2000 },
        private,
        key_type: 0,
        id: id.to_vec(),
        label: name.as_bytes().to_vec(),
        sign: Some(true),
        decrypt: Some(false),
        unwrap: None,
        derive: None,
        always_authenticate: false,
        modulus: Vec::new(),
        exponent: Vec::new(),
        ec_params: Vec::new(),
        ec_point: Vec::new(),
        public_key_info: Vec::new(),
        parameter_set: None,
    };
    match public(name) {
        PublicKey::Rsa(key) => {
            (object.modulus, object.exponent) = (key.n().to_vec(), key.e().to_vec());
        }
        PublicKey::Ecc(key) => {
            let oid = key.curve().oid();
            object.key_type = 3;
            object.ec_params = [&[6, oid.len() as u8][..], oid].concat();
            // SoftHSM and OpenSC show the point in the public key alone.
            object.ec_point = if private { Vec::new() } else { key.point().to_vec() };
        }
    }
    object
}

pub(in crate::pkcs11) fn certificate(name: &str, id: &[u8]) -> CertificateObject {
    let value = x509(name).der().to_vec();
    CertificateObject { handle: 3000 + value.len() as u64, id: id.to_vec(), label: name.into(), value }
}

pub(in crate::pkcs11) fn report(keys: Vec<KeyObject>, certificates: Vec<CertificateObject>) -> TokenReport {
    TokenReport {
        slot: 7,
        slot_description: "Reader 0".to_owned(),
        manufacturer: "SoftHSM project".to_owned(),
        model: "SoftHSM v2".to_owned(),
        serial: "4dd5289f1942f77a".to_owned(),
        label: "tls".to_owned(),
        firmware: (2, 6),
        flags: LOGIN_REQUIRED,
        pin_length: (4, 255),
        mechanisms: vec![0x1041, 1],
        logged_in: false,
        seen_private: false,
        keys,
        certificates,
    }
}

/// A token with the key of a certificate, and these mechanisms.
pub(in crate::pkcs11) fn token(name: &str, mechanisms: &[u64]) -> (Known, KeyNumber) {
    let keys = vec![object(name, b"\x01", true), object(name, b"\x01", false)];
    let report = TokenReport { mechanisms: mechanisms.to_vec(), ..report(keys, Vec::new()) };
    let config = ProviderConfig::new("test", "/module.so");
    let known = Pairing::new("test".into(), String::new(), &config, None).pair(report).unwrap();
    let number = known.facts.keys[0].number;
    (known, number)
}
