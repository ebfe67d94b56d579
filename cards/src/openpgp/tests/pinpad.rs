//! PINs that are typed on the reader.

use super::script::{Bench, Model};
use super::{pin, question, reply};
use crate::reader::Pinpad;
use crate::token::{DataObject, NeedsPin, PinPurpose, PinRef, PinpadEnd, Request, TokenError};

const ANY_LENGTH: Pinpad =
    Pinpad { verifies: true, modifies: true, any_length: true, shortest: 4, longest: 12 };
const KNOWN_LENGTHS: Pinpad = Pinpad { any_length: false, ..ANY_LENGTH };

/// A card without login data in such a reader.
fn card_in(pinpad: Pinpad) -> Bench {
    let mut bench = Bench::with(Model { pinpad, ..Model::default() });
    bench.use_pinpad(false);
    bench
}

/// The first question about a PIN: the login data are read for it.
fn first_question(bench: &mut Bench, request: Request, login: &str) -> NeedsPin {
    bench.expect("00CA005E 00", &format!("{login} 9000"));
    question(bench.perform(request))
}

#[test]
fn a_pin_is_typed_on_the_reader_and_never_here() {
    let mut bench = card_in(ANY_LENGTH);
    let asked = first_question(&mut bench, Request::Sign(vec![7; 32]), "");
    assert!(asked.on_pinpad);
    bench.probe_is_answered();
    bench.expect("VERIFY 81 0", "9000");
    bench.expect(&format!("002A9E9A 20 {} 00", "07".repeat(32)), "AA9000");
    reply(bench.resume(asked.typed_on_pinpad()));
    assert!(bench.facts().is_verified(PinRef::Sign));
}

#[test]
fn the_admin_pin_is_typed_there_too_and_what_is_set_with_it_is_not() {
    let mut bench = card_in(ANY_LENGTH);
    let admin = first_question(&mut bench, Request::UnblockAsAdmin, "");
    assert!(admin.on_pinpad);
    bench.probe_is_answered();
    bench.expect("VERIFY 83 0", "9000");
    let new = question(bench.resume(admin.typed_on_pinpad()));
    assert_eq!((new.purpose, new.on_pinpad), (PinPurpose::New(PinRef::User), false));
    bench.probe_is_answered();
    bench.expect("002C0281 06 363534333231", "9000");
    reply(bench.resume(new.with_pin(pin("654321"))));
}

#[test]
fn old_and_new_pin_are_typed_together() {
    let mut bench = card_in(ANY_LENGTH);
    let old = first_question(&mut bench, Request::ChangePin(PinRef::Admin), "");
    assert_eq!((old.purpose, old.on_pinpad), (PinPurpose::Old(PinRef::Admin), true));
    bench.probe_is_answered();
    bench.expect("MODIFY 83 0", "9000");
    reply(bench.resume(old.typed_on_pinpad()));
}

#[test]
fn a_reader_that_cannot_modify_leaves_that_to_the_host() {
    let mut bench = card_in(Pinpad { modifies: false, ..ANY_LENGTH });
    assert!(!question(bench.perform(Request::ChangePin(PinRef::User))).on_pinpad);
    assert!(first_question(&mut bench, Request::Verify(PinRef::User), "").on_pinpad);
}

#[test]
fn a_wrong_pin_from_the_reader_is_a_wrong_pin() {
    let mut bench = card_in(ANY_LENGTH);
    let asked = first_question(&mut bench, Request::Verify(PinRef::User), "");
    bench.probe_is_answered();
    bench.expect("VERIFY 82 0", "63C2");
    let wrong = bench.resume(asked.typed_on_pinpad());
    assert!(matches!(wrong, Err(TokenError::WrongPin { pin: PinRef::User, tries_left: Some(2) })));
    assert_eq!(bench.facts().pin_status.tries(PinRef::User), 2);
}

#[test]
fn what_the_reader_says_itself_costs_no_try() {
    for (status, end) in [
        ("6400", PinpadEnd::TimedOut),
        ("6401", PinpadEnd::Cancelled),
        ("6402", PinpadEnd::NotRepeated),
        ("6403", PinpadEnd::WrongLength),
    ] {
        let mut bench = card_in(ANY_LENGTH);
        let asked = first_question(&mut bench, Request::Verify(PinRef::User), "");
        bench.probe_is_answered();
        bench.expect("VERIFY 82 0", status);
        let ended = bench.resume(asked.typed_on_pinpad());
        assert!(matches!(ended, Err(TokenError::Pinpad(why)) if why == end), "{status}");
        assert_eq!(bench.facts().pin_status.tries(PinRef::User), 3);
    }
}

#[test]
fn with_fewer_tries_than_the_prompt_said_nothing_is_typed() {
    let mut bench = card_in(ANY_LENGTH);
    let asked = first_question(&mut bench, Request::Verify(PinRef::User), "");
    bench.model.pin_status[4] = 1;
    bench.probe_is_answered();
    let again = question(bench.resume(asked.typed_on_pinpad()));
    assert_eq!((again.tries_left, again.on_pinpad), (Some(1), true));
}

#[test]
fn a_stranger_s_application_gets_no_pin_from_the_reader() {
    let mut bench = card_in(ANY_LENGTH);
    let asked = first_question(&mut bench, Request::Verify(PinRef::User), "");
    bench.probe_finds_another();
    bench.expect("VERIFY 82 0", "9000");
    reply(bench.resume(asked.typed_on_pinpad()));
}

#[test]
fn a_reader_of_known_lengths_takes_those_that_the_card_names() {
    let mut bench = card_in(KNOWN_LENGTHS);
    assert!(!first_question(&mut bench, Request::Verify(PinRef::User), "6A61").on_pinpad);
    // Line break, 14, P=6,8.
    let mut bench = card_in(KNOWN_LENGTHS);
    let asked = first_question(&mut bench, Request::Verify(PinRef::Admin), "0A14503D362C38");
    bench.probe_is_answered();
    bench.expect("VERIFY 83 8", "9000");
    reply(bench.resume(asked.typed_on_pinpad()));
}

#[test]
fn it_may_be_taken_that_every_reader_takes_any_length() {
    let mut bench = Bench::with(Model { pinpad: KNOWN_LENGTHS, ..Model::default() });
    bench.use_pinpad(true);
    assert!(first_question(&mut bench, Request::Verify(PinRef::User), "").on_pinpad);
}

#[test]
fn a_card_with_a_derivation_gets_its_pins_from_the_host() {
    let mut model = Model { pinpad: ANY_LENGTH, ..Model::default() };
    model.capabilities[0] = 0x7d;
    let mut bench = Bench::with(model);
    bench.use_pinpad(false);
    bench.expect("00CA00F9 00", "810103 820108 830400000060 84083031323334353637 9000");
    assert!(!question(bench.perform(Request::Verify(PinRef::User))).on_pinpad);
}

#[test]
fn the_pin_that_a_derivation_begins_with_comes_from_the_host() {
    let mut model = Model { pinpad: ANY_LENGTH, ..Model::default() };
    model.capabilities[0] = 0x7d;
    let mut bench = Bench::with(model);
    bench.use_pinpad(false);
    bench.expect("00CA00F9 00", "810100 9000");
    let off = Request::Put(DataObject::Kdf, vec![0x81, 1, 0]);
    assert!(!first_question(&mut bench, off, "").on_pinpad);
}

#[test]
fn a_verified_card_has_nothing_typed() {
    let mut bench = card_in(ANY_LENGTH);
    let mine = first_question(&mut bench, Request::EnsureVerified(PinRef::User), "");
    let other = question(bench.perform(Request::EnsureVerified(PinRef::User)));
    bench.probe_is_answered();
    bench.expect("VERIFY 82 0", "9000");
    reply(bench.resume(other.typed_on_pinpad()));
    reply(bench.resume(mine.typed_on_pinpad()));
}
