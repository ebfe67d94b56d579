//! Objects of a token: made, imported, removed, and many of them.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use claviger_cards::pkcs11::wire::{Answer, Attribute, AttributeValue, Fault, SignMechanism, Task, User};
use cryptoki_sys::*;
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::nid::Nid;

use crate::client::Client;
use crate::softhsm::{P256, PIN, SoftHsm, attribute, generate, named, refer, yes};

const P256_PARAMS: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";

/// How many key pairs and certificates a large token has.
const MANY: usize = 1000;

/// How long its first look may take, and how long the login that shows the private keys.
const IN_TIME: Duration = Duration::from_secs(2);

fn octets(kind: CK_ATTRIBUTE_TYPE, value: &[u8]) -> Attribute {
    attribute(kind, AttributeValue::Octets(value.to_vec()))
}

fn ulong(kind: CK_ATTRIBUTE_TYPE, value: CK_ULONG) -> Attribute {
    attribute(kind, AttributeValue::Ulong(value))
}

fn certificate(id: &[u8], value: &[u8]) -> Vec<Attribute> {
    let parts = [ulong(CKA_CLASS, CKO_CERTIFICATE), ulong(CKA_CERTIFICATE_TYPE, CKC_X_509)];
    let names = [octets(CKA_ID, id), octets(CKA_LABEL, b"a certificate"), octets(CKA_SUBJECT, b"\x30\x00")];
    let flags = vec![
        attribute(CKA_TOKEN, AttributeValue::Bool(true)),
        attribute(CKA_PRIVATE, AttributeValue::Bool(false)),
    ];
    [parts.to_vec(), names.to_vec(), vec![octets(CKA_VALUE, value)], flags].concat()
}

fn create(client: &mut Client, slot: u64, attributes: Vec<Attribute>, secrets: &[&[u8]]) -> u64 {
    let secrets = [&[PIN], secrets].concat();
    match client.try_task(slot, Some(User::User), Task::Create(attributes), &secrets).unwrap() {
        Ok((Answer::Created(handles), _)) => handles[0],
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_key_is_imported_and_signs() {
    let softhsm = SoftHsm::with(&["tls"]);
    let mut client = softhsm.helper();
    let slot = client.slot("tls");
    let key = EcKey::generate(&EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap()).unwrap();
    let parts = vec![
        ulong(CKA_CLASS, CKO_PRIVATE_KEY),
        ulong(CKA_KEY_TYPE, CKK_EC),
        octets(CKA_EC_PARAMS, P256_PARAMS),
    ];
    let value = vec![attribute(CKA_VALUE, AttributeValue::Secret)];
    let template = [parts, named(7), yes(&[CKA_TOKEN, CKA_PRIVATE, CKA_SENSITIVE, CKA_SIGN]), value].concat();
    let needed = client.try_task(slot, None, Task::Create(template.clone()), &[&[1; 32]]).unwrap();
    assert!(matches!(needed, Err(Fault::LoginNeeded { user: User::User, .. })), "{needed:?}");
    let number = key.private_key().to_vec_padded(32).unwrap();
    let handle = create(&mut client, slot, template, &[&number]);
    let made = client.token("tls").keys.iter().find(|key| key.handle == handle).unwrap().clone();
    assert!(made.private && made.id == [7] && made.label == b"key 7" && made.sign == Some(true));
    let task = Task::Sign { key: refer(&made), mechanism: SignMechanism::Ecdsa, data: vec![3; 32] };
    let Ok((Answer::Signature(signature), _)) = client.task(slot, task) else { panic!("no signature") };
    let number = |octets: &[u8]| openssl::bn::BigNum::from_slice(octets).unwrap();
    let (r, s) = signature.split_at(32);
    let parsed = EcdsaSig::from_private_components(number(r), number(s)).unwrap();
    let public = EcKey::from_public_key(key.group(), key.public_key()).unwrap();
    assert!(parsed.verify(&[3; 32], &public).unwrap());
}

#[test]
fn certificates_are_written_and_removed() {
    let softhsm = SoftHsm::with(&["tls"]);
    let mut client = softhsm.helper();
    let slot = client.slot("tls");
    let long = vec![0x30; 9000];
    let handle = create(&mut client, slot, certificate(b"\x01", &long), &[]);
    let written = &client.token("tls").certificates;
    assert_eq!(written.len(), 1);
    assert_eq!(
        (written[0].handle, &written[0].id[..], &written[0].label[..]),
        (handle, &b"\x01"[..], &b"a certificate"[..])
    );
    assert_eq!(written[0].value, long, "longer than one call has room for");

    assert_eq!(client.task(slot, Task::Destroy { handle: handle + 77 }).unwrap_err(), Fault::NoObject);
    client.task(slot, Task::Destroy { handle }).unwrap();
    assert!(client.token("tls").certificates.is_empty());
    assert_eq!(client.task(slot, Task::Destroy { handle }).unwrap_err(), Fault::NoObject);
}

#[test]
fn what_another_program_makes_is_seen_when_asked_for() {
    let softhsm = SoftHsm::with(&["tls"]);
    let mut client = softhsm.helper();
    let mut other = softhsm.helper();
    let slot = client.slot("tls");
    client.unlocked(slot, Task::Login).unwrap();
    let (key, _) = generate(&mut other, slot, P256, 5);
    assert!(client.token("tls").keys.is_empty());
    // By its id, without a handle.
    let mut meant = refer(&key);
    meant.handle = None;
    let task = Task::Sign { key: meant, mechanism: SignMechanism::Ecdsa, data: vec![7; 32] };
    client.task(slot, task).unwrap();
    assert_eq!(client.token("tls").keys.len(), 2);
    client.task(slot, Task::Enumerate).unwrap();
    assert_eq!(client.token("tls").keys.len(), 2);
}

#[test]
fn a_thousand_keys_and_certificates_are_read_quickly() {
    let softhsm = SoftHsm::with(&["tls"]);
    let mut client = softhsm.helper();
    let slot = client.slot("tls");
    generate(&mut client, slot, P256, 1);
    create(&mut client, slot, certificate(b"\x01", &[0x30; 1000]), &[]);
    drop(client);
    multiply(&softhsm);

    let start = Instant::now();
    let mut client = softhsm.helper();
    assert!(start.elapsed() < IN_TIME, "{:?}", start.elapsed());
    let start = Instant::now();
    client.unlocked(slot, Task::Login).unwrap();
    assert!(start.elapsed() < IN_TIME, "{:?}", start.elapsed());
    let token = client.token("tls");
    assert_eq!((token.keys.len(), token.certificates.len()), (2 * MANY, MANY));
}

/// Copies each object's file: names are all that a copy needs.
fn multiply(softhsm: &SoftHsm) {
    let token = fs::read_dir(softhsm.tokens()).unwrap().next().unwrap().unwrap().path();
    let files = fs::read_dir(&token).unwrap().map(|entry| entry.unwrap().path());
    let is_object =
        |path: &PathBuf| path.extension().is_some_and(|it| it == "object") && !path.ends_with("token.object");
    for (object, path) in files.filter(is_object).collect::<Vec<_>>().iter().enumerate() {
        for number in 1..MANY {
            let name = format!("{object:08x}-0000-0000-0000-{number:012x}.object");
            fs::copy(path, token.join(name)).unwrap();
        }
    }
}
