//! A neighbour's reset in the middle of our transaction: the turn at the card is taken anew, with what was given for it.

use super::script::{Bench, SELECT};
use super::{pin, question, reply, unlock_admin, unlock_user};
use crate::token::{DataObject, PinRef, Request, TokenError};

const SIGN: &str = "002A9E9A 01 01 00";

/// The next turn begins as after any reset.
fn another_turn(bench: &mut Bench) {
    bench.expect(SELECT, "9000");
    bench.probe_is_answered();
}

#[test]
fn a_pin_that_was_taken_is_given_again() {
    let mut bench = Bench::new();
    let asked = question(bench.perform(Request::Sign(vec![1])));
    bench.probe_is_answered();
    bench.expect("00200081 06 313233343536", "9000");
    bench.expect_reset(SIGN);
    another_turn(&mut bench);
    bench.expect("00200081 06 313233343536", "9000");
    bench.expect(SIGN, "0505 9000");
    reply(bench.resume(asked.with_pin(pin("123456"))));
    assert_eq!(bench.facts().resets, 1);
}

#[test]
fn a_pin_that_was_not_sent_is_given_again() {
    let mut bench = Bench::new();
    let asked = question(bench.perform(Request::EnsureVerified(PinRef::User)));
    bench.probe_is_answered();
    bench.expect_reset("00200082 06 313233343536");
    another_turn(&mut bench);
    bench.expect("00200082 06 313233343536", "9000");
    reply(bench.resume(asked.with_pin(pin("123456"))));
}

#[test]
fn a_wrong_pin_is_not_given_again() {
    let mut bench = Bench::new();
    let asked = question(bench.perform(Request::EnsureVerified(PinRef::User)));
    bench.expect_reset(super::script::RELATED);
    another_turn(&mut bench);
    bench.expect("00200082 06 393939393939", "63C2");
    let wrong = bench.resume(asked.with_pin(pin("999999")));
    assert!(matches!(wrong, Err(TokenError::WrongPin { tries_left: Some(2), .. })));
}

#[test]
fn a_command_that_goes_first_is_asked_for_again() {
    let mut bench = Bench::new();
    unlock_user(&mut bench);
    bench.expect_reset("00880000 01 01 00");
    let asked = question(bench.perform(Request::Authenticate(vec![1])));
    assert!(asked.may_use_cache);
    another_turn(&mut bench);
    bench.expect("00200082 06 313233343536", "9000");
    bench.expect("00880000 01 01 00", "05 9000");
    reply(bench.resume(asked.with_pin(pin("123456"))));
}

#[test]
fn an_application_that_is_gone_in_the_middle_of_a_turn_costs_the_turn() {
    let mut bench = Bench::new();
    let asked = question(bench.perform(Request::Sign(vec![1])));
    bench.probe_is_answered();
    bench.expect("00200081 06 313233343536", "9000");
    bench.expect(SIGN, "6D00");
    bench.probe_finds_another();
    bench.probe_is_answered();
    bench.expect("00200081 06 313233343536", "9000");
    bench.expect(SIGN, "05 9000");
    reply(bench.resume(asked.with_pin(pin("123456"))));
}

#[test]
fn a_reset_between_select_and_6e_is_seen_by_the_answer() {
    let mut bench = Bench::new();
    unlock_admin(&mut bench);
    bench.a_neighbour_resets_the_card();
    bench.expect(SELECT, "9000");
    bench.expect(super::script::RELATED, "6D00");
    another_turn(&mut bench);
    reply(bench.perform(Request::Refresh));
}

#[test]
fn a_changed_pin_is_not_changed_twice_on_the_way_to_a_derivation() {
    let mut bench = super::pins::kdf_card(0xfffe);
    let asked = question(bench.perform(Request::Put(DataObject::Kdf, vec![0x81, 1, 0])));
    bench.probe_is_answered();
    bench.expect("00CA00F9 00", "9000");
    bench.expect("00240083 10 3837363534333231 3132333435363738", "9000");
    bench.expect_reset("00200083 08 3132333435363738");
    another_turn(&mut bench);
    bench.expect("00200083 08 3132333435363738", "9000");
    bench.expect("002C0281 06 313233343536", "9000");
    bench.expect("00DA00D3", "9000");
    bench.expect("00DA00F9 03 810100", "9000");
    reply(bench.resume(asked.with_pin(pin("87654321"))));
}

#[test]
fn a_card_that_is_reset_in_every_turn_is_given_up() {
    let mut bench = Bench::new();
    bench.expect_reset("00CA5F50 00");
    for _ in 1..4 {
        bench.expect(SELECT, "9000");
        bench.expect_reset("00CA5F50 00");
    }
    let failed = bench.perform(Request::Object(DataObject::Url));
    assert!(matches!(failed, Err(TokenError::Interrupted { .. })));
}
