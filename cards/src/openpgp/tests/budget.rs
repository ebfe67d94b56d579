//! What each job costs, in APDUs; the figures of the table.

use super::script::{Bench, Model, hex};
use super::{pin, question, reply, unlock_user};
use crate::facts::KeyState;
use crate::openpgp::tlv;
use crate::token::{Cryptogram, DataObject, PinPurpose, PinRef, Reply, Request, Slot};

fn ecc_key(octet: u8) -> String {
    let key = tlv::write(&[0x7f, 0x49], &tlv::write(&[0x86], &[octet; 32]));
    format!("{}9000", hex(&key))
}

/// What `gpg --card-status` makes the agent ask for.
fn status(bench: &mut Bench) {
    reply(bench.perform(Request::Refresh));
    reply(bench.perform(Request::SignatureCounter));
    for object in [
        DataObject::Name,
        DataObject::Language,
        DataObject::Sex,
        DataObject::Url,
        DataObject::Login,
        DataObject::Kdf,
        DataObject::Private(1),
        DataObject::Private(2),
    ] {
        reply(bench.perform(Request::Object(object)));
    }
    for slot in Slot::ALL {
        reply(bench.perform(Request::PublicKey(slot)));
    }
    reply(bench.perform(Request::Certificates));
}

#[test]
fn card_status_takes_seventeen_commands_cold_and_two_warm() {
    let mut bench = Bench::new();
    bench.probe_is_answered();
    bench.expect("00CA007A 00", "7A05930300000490 00");
    bench.expect("00CA0065 00", "650E 5B034A3C3C 5F2D02656E 5F350132 9000");
    bench.expect("00CA5F50 00", "9000");
    bench.expect("00CA005E 00", "6A6E 9000");
    bench.expect("00CA00F9 00", "810100 9000");
    bench.expect("00CA0101 00", "9000");
    bench.expect("00CA0102 00", "9000");
    for (octet, template) in [(0x11, "B6"), (0x22, "B8"), (0x33, "A4")] {
        bench.expect(&format!("00478100 02 {template}00 00"), &ecc_key(octet));
    }
    bench.expect("00CA7F21 000800", "30 9000");
    bench.expect("00CC7F21 000800", "9000");
    bench.expect("00CC7F21 000800", "31 9000");
    status(&mut bench);
    assert!(bench.sent() <= 17, "{}", bench.sent());
    assert_eq!(bench.facts().signature_counter, Some(4));
    assert!(bench.facts().keygrips().iter().all(Option::is_some));

    let cold = bench.sent();
    bench.probe_is_answered();
    bench.expect("00CA007A 00", "7A05930300000590 00");
    status(&mut bench);
    assert_eq!(bench.sent() - cold, 2);
}

#[test]
fn a_signature_with_a_forced_pin_takes_three_commands() {
    let mut bench = Bench::with(Model { pin_status: [0, 64, 64, 64, 3, 0, 3], ..Model::default() });
    for _ in 0..2 {
        let before = bench.sent();
        let asked = question(bench.perform(Request::Sign(vec![7; 32])));
        assert_eq!((asked.purpose, asked.may_use_cache), (PinPurpose::Unlock(PinRef::Sign), false));
        bench.probe_is_answered();
        bench.expect("00200081 06 313233343536", "9000");
        bench.expect(&format!("002A9E9A 20 {} 00", "07".repeat(32)), "AABB9000");
        let signature = reply(bench.resume(asked.with_pin(pin("123456"))));
        assert!(matches!(signature, Reply::Signature(octets) if octets == [0xaa, 0xbb]));
        assert_eq!(bench.sent() - before, 3);
        assert!(!bench.facts().is_verified(PinRef::Sign));
    }
}

#[test]
fn a_signature_with_a_verified_pin_takes_one_command_and_counts_on() {
    let mut bench = Bench::new();
    bench.expect("00CA007A 00", "7A05930300000490 00");
    reply(bench.perform(Request::SignatureCounter));
    let asked = question(bench.perform(Request::Sign(vec![7; 32])));
    assert!(asked.may_use_cache);
    bench.probe_is_answered();
    bench.expect("00200081 06 313233343536", "9000");
    bench.expect(&format!("002A9E9A 20 {} 00", "07".repeat(32)), "AA9000");
    reply(bench.resume(asked.with_pin(pin("123456"))));

    let before = bench.sent();
    bench.expect(&format!("002A9E9A 20 {} 00", "07".repeat(32)), "AA9000");
    reply(bench.perform(Request::Sign(vec![7; 32])));
    assert_eq!(bench.sent() - before, 1);
    assert_eq!(bench.facts().signature_counter, Some(6));
}

#[test]
fn a_decryption_takes_three_commands_and_then_one() {
    let mut bench = Bench::new();
    let before = bench.sent();
    let point = || Request::Decipher(Cryptogram::Ecdh(vec![9; 32]));
    let command = format!("002A8086 27 A6257F49228620{} 00", "09".repeat(32));
    let asked = question(bench.perform(point()));
    assert_eq!(asked.purpose, PinPurpose::Unlock(PinRef::User));
    bench.probe_is_answered();
    bench.expect("00200082 06 313233343536", "9000");
    bench.expect(&command, &format!("{}9000", "05".repeat(32)));
    let plaintext = reply(bench.resume(asked.with_pin(pin("123456"))));
    assert!(matches!(plaintext, Reply::Plaintext(octets) if octets.as_bytes() == [5; 32]));
    assert_eq!(bench.sent() - before, 3);

    let before = bench.sent();
    bench.expect(&command, &format!("{}9000", "05".repeat(32)));
    reply(bench.perform(point()));
    assert_eq!(bench.sent() - before, 1);
}

#[test]
fn verifying_for_decryption_does_not_verify_for_signatures() {
    let mut bench = Bench::new();
    unlock_user(&mut bench);
    assert!(bench.facts().is_verified(PinRef::User) && !bench.facts().is_verified(PinRef::Sign));
    let asked = question(bench.perform(Request::Sign(vec![7; 32])));
    assert!(asked.may_use_cache, "the same PIN, which the agent still has, may answer");
}

#[test]
fn a_slot_with_a_fingerprint_and_no_key_is_probed_once_and_asked_for_once() {
    let mut bench = Bench::new();
    bench.expect("00478100 02 B600 00", "6A88");
    bench.probe_is_answered();
    for _ in 0..2 {
        assert!(bench.perform(Request::PublicKey(Slot::Sign)).is_err());
    }
    assert!(matches!(bench.facts().public_keys[0], KeyState::Absent));
}

#[test]
fn an_empty_slot_costs_one_command_once() {
    let mut bench = Bench::with(Model { fingerprints: [0; 3], ..Model::default() });
    bench.expect("00478100 02 B600 00", "6A88");
    for _ in 0..2 {
        assert!(bench.perform(Request::PublicKey(Slot::Sign)).is_err());
    }
}

#[test]
fn a_slot_that_the_card_calls_empty_costs_nothing() {
    let model = Model { key_information: Some(b"\x01\x00\x02\x01\x03\x02"), ..Model::default() };
    let mut bench = Bench::with(model);
    let before = bench.sent();
    assert!(bench.perform(Request::PublicKey(Slot::Sign)).is_err());
    assert_eq!(bench.sent(), before);
    bench.expect("00478100 02 B800 00", &ecc_key(0x22));
    reply(bench.perform(Request::PublicKey(Slot::Decrypt)));
}

#[test]
fn what_needs_no_command_needs_no_transaction() {
    let mut bench = Bench::new();
    let before = bench.transactions();
    question(bench.perform(Request::Sign(vec![7; 32])));
    reply(bench.perform(Request::Object(DataObject::PinStatus)));
    assert_eq!(bench.transactions(), before);
}

#[test]
fn a_job_is_one_transaction() {
    let mut bench = Bench::new();
    let before = bench.transactions();
    unlock_user(&mut bench);
    assert_eq!(bench.transactions(), before + 1);
}
