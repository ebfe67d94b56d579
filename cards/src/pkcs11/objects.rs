//! New objects on a token: key pairs that it makes, keys and certificates that are written to it (PKCS#11 3.1, `C_GenerateKeyPair`,
//! `C_CreateObject`). What the key itself says comes from `claviger-keys`; here is what every object has.

use claviger_keys::SecretKey;
use claviger_keys::pkcs11::attributes::CurveSpelling;
use claviger_keys::pkcs11::template::{self, Generation, Value};
use claviger_secret::Secret;

use super::facts::{Facts, Usage};
use super::outcome::Ending;
use super::plan::Plan;
use super::request::{NewKey, ObjectName};
use super::wire::{Attribute, AttributeValue, Task, User};
use crate::token::TokenError;

const CKA_CLASS: u64 = 0x000;
const CKA_TOKEN: u64 = 0x001;
const CKA_PRIVATE: u64 = 0x002;
const CKA_LABEL: u64 = 0x003;
const CKA_KEY_TYPE: u64 = 0x100;
const CKA_ID: u64 = 0x102;
const CKA_SENSITIVE: u64 = 0x103;
const CKA_ENCRYPT: u64 = 0x104;
const CKA_DECRYPT: u64 = 0x105;
const CKA_SIGN: u64 = 0x108;
const CKA_VERIFY: u64 = 0x10A;
const CKA_DERIVE: u64 = 0x10C;
const CKA_EXTRACTABLE: u64 = 0x162;

const CKO_PUBLIC_KEY: u64 = 0x02;
const CKO_PRIVATE_KEY: u64 = 0x03;

/// A key pair that the token makes.
pub(super) fn generate(
    facts: &Facts,
    kind: NewKey,
    name: &ObjectName,
    usage: Usage,
    spelling: CurveSpelling,
) -> Plan {
    let Generation { mechanism, key_type, public } = match kind {
        NewKey::Rsa(bits) => template::generate_rsa(bits as u64),
        NewKey::Ecc(curve) => {
            template::generate_ecc(curve, spelling, |mechanism| facts.has_mechanism(mechanism))
        }
    };
    let (own, _) = converted(public);
    let public = [public_half(name, usage), own].concat();
    let private = [private_half(name, usage), vec![number(CKA_KEY_TYPE, key_type)]].concat();
    let task = Task::Generate { mechanism, public, private };
    Plan { patient: true, ending: Ending::NewKey, ..Plan::plain(task, User::User) }
}

/// The private half of a key that is written to the token.
pub(super) fn import_private(
    facts: &Facts,
    key: &SecretKey,
    name: &ObjectName,
    usage: Usage,
) -> Result<Plan, TokenError> {
    let has = |mechanism| facts.has_mechanism(mechanism);
    let own = template::private_key(key, CurveSpelling::Name, has)
        .map_err(|_| TokenError::BadKey("its numbers do not belong together"))?;
    let (own, secrets) = converted(own);
    let class = number(CKA_CLASS, CKO_PRIVATE_KEY);
    let task = Task::Create([vec![class], private_half(name, usage), own].concat());
    Ok(Plan { secrets, ..Plan::plain(task, User::User) })
}

/// The public half of a key that is written to the token.
pub(super) fn import_public(facts: &Facts, key: &SecretKey, name: &ObjectName, usage: Usage) -> Plan {
    let has = |mechanism| facts.has_mechanism(mechanism);
    let (own, _) = converted(template::public_key(&key.public(), CurveSpelling::Name, has));
    let class = number(CKA_CLASS, CKO_PUBLIC_KEY);
    Plan::plain(Task::Create([vec![class], public_half(name, usage), own].concat()), User::User)
}

/// A certificate.
pub(super) fn put_certificate(octets: &[u8], name: &ObjectName) -> Result<Plan, TokenError> {
    let own = template::certificate(octets)
        .map_err(|_| TokenError::BadValue("a token takes nothing but certificates that can be read"))?;
    let (own, _) = converted(own);
    let common = [bool(CKA_TOKEN, true), bool(CKA_PRIVATE, false)];
    let task = Task::Create([common.as_slice(), &named(name), &own].concat());
    Ok(Plan::plain(task, User::User))
}

fn public_half(name: &ObjectName, usage: Usage) -> Vec<Attribute> {
    let mut attributes = vec![bool(CKA_TOKEN, true), bool(CKA_PRIVATE, false)];
    attributes.extend(named(name));
    attributes.push(bool(CKA_VERIFY, usage.sign));
    attributes.push(bool(CKA_ENCRYPT, usage.decrypt));
    if usage.derive {
        attributes.push(bool(CKA_DERIVE, true));
    }
    attributes
}

fn private_half(name: &ObjectName, usage: Usage) -> Vec<Attribute> {
    let mut attributes = vec![
        bool(CKA_TOKEN, true),
        bool(CKA_PRIVATE, true),
        bool(CKA_SENSITIVE, true),
        bool(CKA_EXTRACTABLE, false),
    ];
    attributes.extend(named(name));
    attributes.push(bool(CKA_SIGN, usage.sign));
    attributes.push(bool(CKA_DECRYPT, usage.decrypt));
    if usage.derive {
        attributes.push(bool(CKA_DERIVE, true));
    }
    attributes
}

fn named(name: &ObjectName) -> Vec<Attribute> {
    let octets = |kind, value: &[u8]| Attribute { kind, value: AttributeValue::Octets(value.to_vec()) };
    vec![octets(CKA_ID, &name.id), octets(CKA_LABEL, name.label.as_bytes())]
}

fn bool(kind: u64, value: bool) -> Attribute {
    Attribute { kind, value: AttributeValue::Bool(value) }
}

fn number(kind: u64, value: u64) -> Attribute {
    Attribute { kind, value: AttributeValue::Ulong(value) }
}

/// Attributes as they travel, with the secrets beside them.
fn converted(attributes: Vec<template::Attribute>) -> (Vec<Attribute>, Vec<Secret>) {
    let mut secrets = Vec::new();
    let travelling = attributes.into_iter().map(|template::Attribute { kind, value }| {
        let value = match value {
            Value::Number(number) => AttributeValue::Ulong(number),
            Value::Octets(octets) => AttributeValue::Octets(octets),
            Value::Secret(secret) => {
                secrets.push(secret);
                AttributeValue::Secret
            }
        };
        Attribute { kind, value }
    });
    (travelling.collect(), secrets)
}
