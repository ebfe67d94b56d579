//! Neighbours: another application selected, a reset, a PIN state gone; and what is never sent to a stranger.

use super::script::{Bench, SELECT};
use super::{pin, question, reply, unlock_admin, unlock_user};
use crate::token::{Cryptogram, DataObject, PinPurpose, PinRef, Request, Slot, TokenError};

fn decipher() -> Request {
    Request::Decipher(Cryptogram::Ecdh(vec![9; 32]))
}

fn decipher_command() -> String {
    format!("002A8086 27 A6257F49228620{} 00", "09".repeat(32))
}

#[test]
fn a_lost_application_is_selected_again_and_the_pin_verified_silently() {
    for status in ["6D00", "6E00", "6A82", "6A86", "6A88"] {
        let mut bench = Bench::new();
        unlock_user(&mut bench);
        bench.expect(&decipher_command(), status);
        bench.probe_finds_another();
        let asked = question(bench.perform(decipher()));
        assert_eq!((asked.purpose, asked.may_use_cache), (PinPurpose::Unlock(PinRef::User), true));
        bench.probe_is_answered();
        bench.expect("00200082 06 313233343536", "9000");
        bench.expect(&decipher_command(), "059000");
        reply(bench.resume(asked.with_pin(pin("123456"))));
    }
}

#[test]
fn a_lost_verification_is_renewed_without_a_select() {
    let mut bench = Bench::new();
    unlock_user(&mut bench);
    bench.expect(&decipher_command(), "6982");
    bench.probe_is_answered();
    let asked = question(bench.perform(decipher()));
    assert!(asked.may_use_cache);
    assert!(!bench.facts().is_verified(PinRef::User));
}

#[test]
fn a_command_is_repeated_once_and_no_more() {
    let mut bench = Bench::new();
    unlock_user(&mut bench);
    bench.expect(&decipher_command(), "6982");
    bench.probe_is_answered();
    let asked = question(bench.perform(decipher()));
    bench.probe_is_answered();
    bench.expect("00200082 06 313233343536", "9000");
    bench.expect(&decipher_command(), "6982");
    let failed = bench.resume(asked.with_pin(pin("123456")));
    assert!(matches!(failed, Err(TokenError::Status { sw: 0x6982, .. })));
}

#[test]
fn an_error_of_our_own_application_is_told_as_it_is() {
    let mut bench = Bench::new();
    unlock_user(&mut bench);
    bench.expect(&decipher_command(), "6A80");
    bench.probe_is_answered();
    assert!(matches!(bench.perform(decipher()), Err(TokenError::Status { sw: 0x6a80, .. })));
    assert!(bench.facts().is_verified(PinRef::User));
}

#[test]
fn reading_goes_on_after_a_select() {
    let mut bench = Bench::new();
    bench.expect("00CA5F50 00", "6D00");
    bench.probe_finds_another();
    bench.expect("00CA5F50 00", "68 9000");
    reply(bench.perform(Request::Object(DataObject::Url)));
}

#[test]
fn a_pin_goes_to_no_application_but_ours() {
    let mut bench = Bench::new();
    let asked = question(bench.perform(Request::EnsureVerified(PinRef::User)));
    bench.expect("00CA006E 000000", "6D00");
    bench.expect(SELECT, "6A82");
    let failed = bench.resume(asked.with_pin(pin("123456")));
    assert!(matches!(failed, Err(TokenError::Status { sw: 0x6a82, .. })));
}

#[test]
fn a_pin_goes_to_no_card_but_ours() {
    let mut bench = Bench::new();
    let asked = question(bench.perform(Request::EnsureVerified(PinRef::User)));
    bench.model.aid[13] ^= 1;
    bench.probe_is_answered();
    bench.expect(SELECT, "9000");
    bench.probe_is_answered();
    assert!(matches!(bench.resume(asked.with_pin(pin("123456"))), Err(TokenError::Gone)));
}

#[test]
fn a_reset_by_a_neighbour_is_no_removal() {
    let mut bench = Bench::new();
    unlock_user(&mut bench);
    bench.a_neighbour_resets_the_card();
    let asked = question(bench.perform(decipher()));
    assert!(asked.may_use_cache);
    assert_eq!(bench.facts().resets, 1);
    bench.expect(SELECT, "9000");
    bench.probe_is_answered();
    bench.expect("00200082 06 313233343536", "9000");
    bench.expect(&decipher_command(), "059000");
    reply(bench.resume(asked.with_pin(pin("123456"))));
}

#[test]
fn what_was_read_outlasts_a_reset() {
    let mut bench = Bench::new();
    bench.expect("00CA5F50 00", "68 9000");
    reply(bench.perform(Request::Object(DataObject::Url)));
    reply(bench.perform(Request::Reset));
    reply(bench.perform(Request::Object(DataObject::Url)));
    bench.expect(SELECT, "9000");
    bench.expect("00CA007A 00", "7A05930300000490 00");
    reply(bench.perform(Request::SignatureCounter));
}

#[test]
fn a_key_is_written_to_no_application_but_ours() {
    let mut bench = Bench::new();
    unlock_admin(&mut bench);
    bench.probe_finds_another();
    let asked = question(bench.perform(Request::Put(DataObject::AesKey, vec![1; 16])));
    assert_eq!(asked.purpose, PinPurpose::Unlock(PinRef::Admin));
    bench.probe_is_answered();
    bench.expect("00200083 08 3132333435363738", "9000");
    bench.expect(&format!("00DA00D5 10 {}", "01".repeat(16)), "9000");
    reply(bench.resume(asked.with_pin(pin("12345678"))));
}

#[test]
fn a_card_that_is_pulled_out_is_gone() {
    let mut bench = Bench::new();
    bench.expect_removal("00478100 02 B600 00");
    assert!(matches!(bench.perform(Request::PublicKey(Slot::Sign)), Err(TokenError::Gone)));
}

#[test]
fn a_fault_on_the_way_is_told_with_what_was_being_done() {
    let mut bench = Bench::new();
    bench.expect_fault("00478100 02 B600 00");
    let failed = bench.perform(Request::PublicKey(Slot::Sign));
    assert!(matches!(failed, Err(TokenError::Transport { operation: "reading the public key", .. })));
}
