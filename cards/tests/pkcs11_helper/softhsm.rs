//! Helpers for SoftHSM, and keys that are made on its tokens.

use std::ffi::OsString;
use std::path::Path;

use claviger_cards::pkcs11::wire::{Answer, Attribute, AttributeValue, KeyObject, KeyRef, Task};
use cryptoki_sys::*;

use crate::client::{Client, opening, variable};

use crate::softhsm_tokens;
pub(crate) use crate::softhsm_tokens::{MODULE, SoftHsm};

/// The PINs of all tokens, as they travel.
pub(crate) const PIN: &[u8] = softhsm_tokens::PIN.as_bytes();
pub(crate) const OFFICERS_PIN: &[u8] = softhsm_tokens::OFFICERS_PIN.as_bytes();

impl SoftHsm {
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn environment(&self) -> [(&'static str, OsString); 1] {
        [variable("SOFTHSM2_CONF", self.conf())]
    }

    /// A helper for it.
    pub(crate) fn helper(&self) -> Client {
        Client::start(opening(MODULE), &self.environment())
    }
}

/// A kind of key that SoftHSM makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Rsa(u64),
    /// `CKM_` of its generation, and `CKA_EC_PARAMS`.
    Ec(CK_MECHANISM_TYPE, &'static [u8]),
}

pub(crate) const P256: Kind = Kind::Ec(CKM_EC_KEY_PAIR_GEN, b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07");
pub(crate) const P384: Kind = Kind::Ec(CKM_EC_KEY_PAIR_GEN, b"\x06\x05\x2b\x81\x04\x00\x22");
pub(crate) const P521: Kind = Kind::Ec(CKM_EC_KEY_PAIR_GEN, b"\x06\x05\x2b\x81\x04\x00\x23");
pub(crate) const ED25519: Kind = Kind::Ec(CKM_EC_EDWARDS_KEY_PAIR_GEN, b"\x13\x0cedwards25519");
pub(crate) const X25519: Kind = Kind::Ec(CKM_EC_EDWARDS_KEY_PAIR_GEN, b"\x13\x0acurve25519");

/// Makes a key pair and names it; its private and public object.
pub(crate) fn generate(client: &mut Client, slot: u64, kind: Kind, id: u8) -> (KeyObject, KeyObject) {
    generate_with(client, slot, kind, id, &[])
}

/// The same with more attributes of the private key.
pub(crate) fn generate_with(
    client: &mut Client,
    slot: u64,
    kind: Kind,
    id: u8,
    more: &[Attribute],
) -> (KeyObject, KeyObject) {
    let (mechanism, numbers) = match kind {
        Kind::Rsa(bits) => {
            (CKM_RSA_PKCS_KEY_PAIR_GEN, attribute(CKA_MODULUS_BITS, AttributeValue::Ulong(bits)))
        }
        Kind::Ec(mechanism, params) => {
            (mechanism, attribute(CKA_EC_PARAMS, AttributeValue::Octets(params.to_vec())))
        }
    };
    let public = [named(id), yes(&[CKA_TOKEN, CKA_VERIFY, CKA_ENCRYPT]), vec![numbers]].concat();
    let may = yes(&[CKA_TOKEN, CKA_PRIVATE, CKA_SENSITIVE, CKA_SIGN, CKA_DECRYPT, CKA_DERIVE]);
    let private = [named(id), may, more.to_vec()].concat();
    let (answer, _) = client.unlocked(slot, Task::Generate { mechanism, public, private }).unwrap();
    let Answer::Created(handles) = answer else { panic!("{answer:?}") };
    let keys = &client.tokens[&slot].keys;
    let find = |handle| keys.iter().find(|key| key.handle == handle).expect("a key with this handle").clone();
    (find(handles[1]), find(handles[0]))
}

pub(crate) fn named(id: u8) -> Vec<Attribute> {
    vec![
        attribute(CKA_ID, AttributeValue::Octets(vec![id])),
        attribute(CKA_LABEL, AttributeValue::Octets(format!("key {id}").into_bytes())),
    ]
}

pub(crate) fn yes(kinds: &[CK_ATTRIBUTE_TYPE]) -> Vec<Attribute> {
    kinds.iter().map(|kind| attribute(*kind, AttributeValue::Bool(true))).collect()
}

pub(crate) fn attribute(kind: CK_ATTRIBUTE_TYPE, value: AttributeValue) -> Attribute {
    Attribute { kind, value }
}

/// A key as the daemon refers to it.
pub(crate) fn refer(key: &KeyObject) -> KeyRef {
    KeyRef {
        handle: Some(key.handle),
        key_type: key.key_type,
        id: key.id.clone(),
        label: key.label.clone(),
        modulus: key.modulus.clone(),
        always_authenticate: key.always_authenticate,
    }
}
