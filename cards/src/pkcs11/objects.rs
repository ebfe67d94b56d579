//! New objects on a token: key pairs that it makes, keys and certificates that are written to it (PKCS#11 3.1, `C_GenerateKeyPair`,
//! `C_CreateObject`). What the key itself says comes from `claviger-keys`; here is what every object has.

use claviger_keys::SecretKey;
use claviger_keys::pkcs11::attributes::CurveSpelling;
use claviger_keys::pkcs11::numbers::{CKA_CLASS, CKA_KEY_TYPE};
use claviger_keys::pkcs11::template::{self, Generation, Value};
use claviger_secret::Secret;

use super::facts::{Facts, Usage};
use super::outcome::Ending;
use super::plan::Plan;
use super::request::{NewKey, ObjectName};
use super::wire::{Attribute, AttributeValue, Task, User};
use crate::token::TokenError;

const CKA_TOKEN: u64 = 0x001;
const CKA_PRIVATE: u64 = 0x002;
const CKA_LABEL: u64 = 0x003;
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

#[cfg(test)]
mod tests {
    use claviger_keys::{Curve, EccSecret, PublicKey, SecretMaterial};

    use super::*;
    use crate::pkcs11::pairing::sample;

    const CKM_EC_EDWARDS_KEY_PAIR_GEN: u64 = 0x1055;

    fn named_key() -> ObjectName {
        ObjectName { id: vec![7], label: "key".to_owned() }
    }

    /// A token's facts with these mechanisms.
    fn facts(mechanisms: &[u64]) -> std::sync::Arc<Facts> {
        sample::token("rsa2048", mechanisms).0.facts
    }

    /// The value of an attribute that is there once.
    fn value(attributes: &[Attribute], kind: u64) -> Option<&AttributeValue> {
        let mut found = attributes.iter().filter(|attribute| attribute.kind == kind);
        let value = found.next().map(|attribute| &attribute.value);
        assert!(found.next().is_none(), "{kind:#x} twice: {attributes:?}");
        value
    }

    fn truths(attributes: &[Attribute], kinds: &[u64]) -> Vec<Option<bool>> {
        let truth = |kind: &u64| match value(attributes, *kind) {
            Some(AttributeValue::Bool(truth)) => Some(*truth),
            None => None,
            other => panic!("{other:?}"),
        };
        kinds.iter().map(truth).collect()
    }

    #[test]
    fn a_new_key_stays_on_its_token_and_is_for_what_was_asked() {
        let usage = Usage { sign: true, ..Usage::default() };
        let kind = NewKey::Ecc(Curve::Ed25519);
        let facts = facts(&[CKM_EC_EDWARDS_KEY_PAIR_GEN]);
        let plan = generate(&facts, kind, &named_key(), usage, CurveSpelling::Name);
        assert!(plan.patient && plan.secrets.is_empty() && plan.ending == Ending::NewKey);
        let Task::Generate { mechanism, public, private } = plan.task else { panic!("{:?}", plan.task) };
        assert_eq!(mechanism, CKM_EC_EDWARDS_KEY_PAIR_GEN);
        let hidden = [CKA_TOKEN, CKA_PRIVATE, CKA_SENSITIVE, CKA_EXTRACTABLE];
        assert_eq!(truths(&private, &hidden), [Some(true), Some(true), Some(true), Some(false)]);
        assert_eq!(truths(&public, &hidden), [Some(true), Some(false), None, None]);
        let uses = [CKA_SIGN, CKA_DECRYPT, CKA_DERIVE];
        assert_eq!(truths(&private, &uses), [Some(true), Some(false), None]);
        assert_eq!(truths(&public, &[CKA_VERIFY, CKA_ENCRYPT, CKA_DERIVE]), [Some(true), Some(false), None]);
        for half in [&public, &private] {
            assert_eq!(value(half, CKA_ID), Some(&AttributeValue::Octets(vec![7])));
            assert_eq!(value(half, CKA_LABEL), Some(&AttributeValue::Octets(b"key".to_vec())));
        }
    }

    #[test]
    fn a_key_for_agreement_says_so_in_both_halves() {
        let usage = Usage { derive: true, ..Usage::default() };
        let kind = NewKey::Ecc(Curve::NistP256);
        let plan = generate(&facts(&[]), kind, &named_key(), usage, CurveSpelling::Name);
        let Task::Generate { public, private, .. } = plan.task else { panic!("{:?}", plan.task) };
        assert_eq!(
            (truths(&public, &[CKA_DERIVE]), truths(&private, &[CKA_DERIVE])),
            (vec![Some(true)], vec![Some(true)])
        );
    }

    #[test]
    fn a_key_that_is_written_travels_beside_the_message() {
        let PublicKey::Ecc(public) = PublicKey::ecc(Curve::Ed25519, &[7; 32]).unwrap() else {
            panic!("no curve")
        };
        let secret = EccSecret::new(public, &[9; 32]).unwrap();
        let key = SecretKey::new(SecretMaterial::Ecc(secret), 0, None);
        let (facts, usage) = (facts(&[]), Usage { sign: true, ..Usage::default() });
        let plan = import_private(&facts, &key, &named_key(), usage).unwrap();
        assert_eq!(plan.secrets.iter().map(Secret::as_bytes).collect::<Vec<_>>(), [[9; 32]]);
        assert!(!format!("{:?}", plan.task).contains("9, 9, 9"), "{:?}", plan.task);
        let Task::Create(attributes) = plan.task else { panic!("{:?}", plan.task) };
        assert_eq!(value(&attributes, CKA_CLASS), Some(&AttributeValue::Ulong(CKO_PRIVATE_KEY)));
        assert_eq!(attributes.iter().filter(|it| it.value == AttributeValue::Secret).count(), 1);
        let plan = import_public(&facts, &key, &named_key(), usage);
        let Task::Create(attributes) = plan.task else { panic!("{:?}", plan.task) };
        assert_eq!(value(&attributes, CKA_CLASS), Some(&AttributeValue::Ulong(CKO_PUBLIC_KEY)));
        assert!(plan.secrets.is_empty() && attributes.iter().all(|it| it.value != AttributeValue::Secret));
    }

    #[test]
    fn a_certificate_is_for_everybody_and_has_to_be_one() {
        let certificate = sample::x509("rsa2048");
        let plan = put_certificate(certificate.der(), &named_key()).unwrap();
        let Task::Create(attributes) = plan.task else { panic!("{:?}", plan.task) };
        assert_eq!(truths(&attributes, &[CKA_TOKEN, CKA_PRIVATE]), [Some(true), Some(false)]);
        assert_eq!(value(&attributes, CKA_CLASS), Some(&AttributeValue::Ulong(1)));
        let refused = put_certificate(b"no certificate", &named_key());
        assert!(matches!(refused, Err(TokenError::BadValue(_))), "{refused:?}");
    }
}
