//! Generation and import.

use claviger_keys::{SecretKey, Sexp};

use super::script::{Bench, CV25519, ED25519, Model, RSA_2048, hex};
use super::{pin, question, reply, unlock_admin};
use crate::openpgp::tlv;
use crate::token::{PinPurpose, PinRef, Reply, Request, Slot, TokenError};

const CREATED: u32 = 1_704_067_200;
/// What it is, is the key layer's business and tested there.
const ANY_FINGERPRINT: &str = "****************************************";
const TIME: &str = "65920080";

fn generate(slot: Slot, force: bool, attributes: Option<&[u8]>) -> Request {
    let attributes = attributes.map(<[u8]>::to_vec);
    Request::Generate { slot, force, created: CREATED, attributes, ecdh: None }
}

fn new_key() -> String {
    format!("{}9000", hex(&tlv::write(&[0x7f, 0x49], &tlv::write(&[0x86], &[0x11; 32]))))
}

/// The fingerprint that is written for it, as the key layer computes it.
fn fingerprint(bench: &Bench, slot: Slot) -> String {
    hex(&bench.facts().fingerprints[slot.index()])
}

fn ecc_key(curve: &str, flags: &str, q: &[u8], d: &[u8]) -> Box<SecretKey> {
    let atom = |octets: &[u8]| [format!("{}:", octets.len()).as_bytes(), octets].concat();
    let list = |parts: &[Vec<u8>]| [b"(".to_vec(), parts.concat(), b")".to_vec()].concat();
    let ecc = list(&[
        atom(b"ecc"),
        list(&[atom(b"curve"), atom(curve.as_bytes())]),
        list(&[atom(b"flags"), atom(flags.as_bytes())]),
        list(&[atom(b"q"), atom(q)]),
        list(&[atom(b"d"), atom(d)]),
    ]);
    let created = list(&[atom(b"created-at"), atom(CREATED.to_string().as_bytes())]);
    let whole = list(&[atom(b"private-key"), ecc, created]);
    Box::new(SecretKey::from_keydata(&whole).unwrap())
}

fn ed25519_key() -> Box<SecretKey> {
    ecc_key("Ed25519", "eddsa", &[&[0x40][..], &[0x11; 32]].concat(), &[0x22; 32])
}

#[test]
fn a_generated_key_gets_its_fingerprint_and_then_its_time() {
    let mut bench = Bench::with(Model { fingerprints: [0, 0, 0], ..Model::default() });
    let before = bench.sent();
    let asked = question(bench.perform(generate(Slot::Sign, false, None)));
    assert_eq!(asked.purpose, PinPurpose::Unlock(PinRef::Admin));
    bench.probe_is_answered();
    bench.expect("00200083 08 3132333435363738", "9000");
    bench.expect("00478000 02 B600 00", &new_key());
    bench.expect(&format!("00DA00C7 14 {ANY_FINGERPRINT}"), "9000");
    bench.expect(&format!("00DA00CE 04 {TIME}"), "9000");
    reply(bench.resume(asked.with_pin(pin("12345678"))));
    assert!(bench.sent() - before <= 6, "stock has 6E, C4, VERIFY, GENERATE, C7, CE");
    let facts = bench.facts();
    assert_eq!((facts.created[0], facts.signature_counter), (CREATED, Some(0)));
    assert!(facts.public_key(Slot::Sign).is_some());
}

#[test]
fn a_key_that_is_there_is_not_replaced_without_force() {
    let mut bench = Bench::new();
    bench.probe_is_answered();
    let refused = bench.perform(generate(Slot::Decrypt, false, None));
    assert!(matches!(refused, Err(TokenError::KeyExists(Slot::Decrypt))));
    question(bench.perform(generate(Slot::Decrypt, true, None)));
}

#[test]
fn a_key_that_appeared_meanwhile_is_not_replaced_either() {
    let mut bench = Bench::with(Model { fingerprints: [0, 0, 0], ..Model::default() });
    let asked = question(bench.perform(generate(Slot::Sign, false, None)));
    bench.model.fingerprints[0] = 9;
    bench.probe_is_answered();
    bench.expect("00200083 08 3132333435363738", "9000");
    let refused = bench.resume(asked.with_pin(pin("12345678")));
    assert!(matches!(refused, Err(TokenError::KeyExists(Slot::Sign))));
}

#[test]
fn a_change_of_the_algorithm_is_a_step_that_is_done_once() {
    let mut bench = Bench::with(Model { algorithms: [RSA_2048, CV25519, ED25519], ..Model::default() });
    unlock_admin(&mut bench);
    bench.expect("00DA00C1 0A 162B06010401DA470F01", "9000");
    bench.model.algorithms[0] = ED25519;
    bench.model.fingerprints[0] = 0;
    bench.probe_is_answered();
    let asked = question(bench.perform(generate(Slot::Sign, true, Some(ED25519))));
    assert_eq!(asked.purpose, PinPurpose::Unlock(PinRef::Admin));
    bench.probe_is_answered();
    bench.expect("00200083 08 3132333435363738", "6982");
    assert!(bench.resume(asked.with_pin(pin("12345678"))).is_err());

    // The client tries again: the algorithm is right by now.
    let asked = question(bench.perform(generate(Slot::Sign, true, Some(ED25519))));
    bench.model.pin_status[6] = 2;
    bench.probe_is_answered();
    bench.expect("00200083 08 3132333435363738", "9000");
    bench.expect("00478000 02 B600 00", &new_key());
    bench.expect(&format!("00DA00C7 14 {ANY_FINGERPRINT}"), "9000");
    bench.expect(&format!("00DA00CE 04 {TIME}"), "9000");
    let key = reply(bench.resume(asked.with_pin(pin("12345678"))));
    assert!(matches!(key, Reply::PublicKey(_)));
    assert_ne!(fingerprint(&bench, Slot::Sign), hex(&[0; 20]));
}

#[test]
fn an_imported_key_goes_to_a_probed_application_only() {
    let mut bench = Bench::with(Model { fingerprints: [0, 0, 0], ..Model::default() });
    unlock_admin(&mut bench);
    bench.probe_finds_another();
    let asked = question(bench.perform(import(Slot::Sign, ed25519_key())));
    assert_eq!((asked.purpose, asked.may_use_cache), (PinPurpose::Unlock(PinRef::Admin), true));
    bench.probe_is_answered();
    bench.expect("00200083 08 3132333435363738", "9000");
    bench.expect(&format!("00DB3FFF 2C 4D2A B600 7F48029220 5F4820 {}", "22".repeat(32)), "9000");
    bench.expect(&format!("00DA00C7 14 {ANY_FINGERPRINT}"), "9000");
    bench.expect(&format!("00DA00CE 04 {TIME}"), "9000");
    reply(bench.resume(asked.with_pin(pin("12345678"))));
}

fn import(slot: Slot, key: Box<SecretKey>) -> Request {
    Request::Import { slot, force: false, created: CREATED, key }
}

#[test]
fn a_key_for_another_slot_is_refused_before_anything_is_asked() {
    let mut bench = Bench::with(Model { fingerprints: [0, 0, 0], ..Model::default() });
    let refused = bench.perform(import(Slot::Decrypt, ed25519_key()));
    assert!(matches!(refused, Err(TokenError::BadKey(_))));
}

#[test]
fn an_imported_key_brings_its_algorithm_along() {
    let mut bench = Bench::with(Model {
        fingerprints: [0, 0, 0],
        algorithms: [RSA_2048, CV25519, ED25519],
        ..Model::default()
    });
    unlock_admin(&mut bench);
    bench.expect("00DA00C1 0A 162B06010401DA470F01", "9000");
    bench.model.algorithms[0] = ED25519;
    bench.probe_is_answered();
    let asked = question(bench.perform(import(Slot::Sign, ed25519_key())));
    bench.probe_is_answered();
    bench.expect("00200083 08 3132333435363738", "9000");
    bench.expect(&format!("00DB3FFF 2C 4D2A B600 7F48029220 5F4820 {}", "22".repeat(32)), "9000");
    bench.expect(&format!("00DA00C7 14 {ANY_FINGERPRINT}"), "9000");
    bench.expect(&format!("00DA00CE 04 {TIME}"), "9000");
    reply(bench.resume(asked.with_pin(pin("12345678"))));
}

/// RSA 2048, made by gpg.
fn rsa_key() -> Box<SecretKey> {
    let file = include_str!(
        "../../../../testdata/private-keys/unprotected/21F046E16A0E6E684346062312193F629BFD8672.key"
    );
    let (_, sexp) = file.split_once("Key:").unwrap();
    let mut canonical = Sexp::from_advanced(sexp.trim().as_bytes()).unwrap().to_canonical();
    canonical.pop();
    canonical.extend(format!("(10:created-at10:{CREATED}))").bytes());
    Box::new(SecretKey::from_keydata(&canonical).unwrap())
}

#[test]
fn each_import_format_of_rsa_has_its_numbers() {
    let (e, p, crt, n) = ("9104", "928180 938180", "948180 958180 968180", "97820100");
    for (format, template, numbers) in [
        (0, format!("{e}{p}"), 4 + 256),
        (1, format!("{e}{p}{n}"), 4 + 256 + 256),
        (2, format!("{e}{p}{crt}"), 4 + 256 + 384),
        (3, format!("{e}{p}{crt}{n}"), 4 + 256 + 384 + 256),
    ] {
        let attributes: &'static [u8] = vec![1, 8, 0, 0, 32, format].leak();
        let model =
            Model { fingerprints: [0; 3], algorithms: [attributes, CV25519, ED25519], ..Model::default() };
        let mut bench = Bench::with(model);
        unlock_admin(&mut bench);
        bench.probe_is_answered();
        let template: String = template.split_whitespace().collect();
        let inner = format!("B600 7F48{:02X}{template} 5F4882{numbers:04X}", template.len() / 2);
        let length = inner.split_whitespace().collect::<String>().len() / 2 + numbers;
        let secret = "*".repeat(2 * (numbers - 4));
        let data = length + 4;
        bench.expect(&format!("00DB3FFF 00{data:04X} 4D82{length:04X} {inner} 00010001 {secret}"), "9000");
        bench.expect(&format!("00DA00C7 14 {ANY_FINGERPRINT}"), "9000");
        bench.expect(&format!("00DA00CE 04 {TIME}"), "9000");
        reply(bench.perform(import(Slot::Sign, rsa_key())));
    }
}

#[test]
fn a_modulus_of_another_size_changes_the_attributes_and_nothing_else_in_them() {
    let model = Model {
        fingerprints: [0; 3],
        algorithms: [b"\x01\x10\x00\x00\x11\x03", CV25519, ED25519],
        ..Model::default()
    };
    let mut bench = Bench::with(model);
    unlock_admin(&mut bench);
    bench.expect("00DA00C1 06 010800001103", "9000");
    bench.model.algorithms[0] = b"\x01\x08\x00\x00\x11\x03";
    bench.probe_is_answered();
    question(bench.perform(import(Slot::Sign, rsa_key())));
}

#[test]
fn a_card_that_cannot_change_its_algorithm_takes_no_other_key() {
    let model =
        Model { capabilities: [0x78, 0, 8, 0, 8, 0, 1, 0, 0, 0], fingerprints: [0; 3], ..Model::default() };
    let mut bench = Bench::with(model);
    let refused = bench.perform(import(Slot::Sign, rsa_key()));
    assert!(matches!(refused, Err(TokenError::BadKey(_))));
}

#[test]
fn an_algorithm_that_the_card_refuses_is_told_and_no_key_is_sent() {
    let mut bench = Bench::with(Model { fingerprints: [0; 3], ..Model::default() });
    unlock_admin(&mut bench);
    bench.expect("00DA00C1 06 010800002000", "6A80");
    bench.probe_is_answered();
    bench.probe_is_answered();
    let refused = bench.perform(import(Slot::Sign, rsa_key()));
    assert!(matches!(refused, Err(TokenError::Status { sw: 0x6a80, .. })), "{refused:?}");
}
