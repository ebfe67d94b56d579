//! Questions, tries, blocks, key derivation.

use super::script::{Bench, Model};
use super::{pin, question, reply, unlock_admin, unlock_user};
use crate::token::{DataObject, PinPurpose, PinRef, Request, TokenError};

#[test]
fn a_wrong_pin_tells_how_many_tries_are_left() {
    let mut bench = Bench::new();
    let asked = question(bench.perform(Request::EnsureVerified(PinRef::User)));
    assert_eq!(asked.tries_left, Some(3));
    bench.probe_is_answered();
    bench.expect("00200082 06 303030303030", "63C2");
    let wrong = bench.resume(asked.with_pin(pin("000000")));
    assert!(matches!(wrong, Err(TokenError::WrongPin { pin: PinRef::User, tries_left: Some(2) })));
    let again = question(bench.perform(Request::EnsureVerified(PinRef::User)));
    assert_eq!((again.tries_left, again.may_use_cache), (Some(2), true));
}

#[test]
fn a_card_that_does_not_count_aloud_is_counted_for() {
    let mut bench = Bench::new();
    let asked = question(bench.perform(Request::EnsureVerified(PinRef::User)));
    bench.probe_is_answered();
    bench.expect("00200082 06 303030303030", "6982");
    let wrong = bench.resume(asked.with_pin(pin("000000")));
    assert!(matches!(wrong, Err(TokenError::WrongPin { tries_left: None, .. })));
    let again = question(bench.perform(Request::EnsureVerified(PinRef::User)));
    assert_eq!(again.tries_left, Some(2));
}

#[test]
fn the_last_try_is_never_spent_from_a_cache() {
    let mut bench = Bench::with(Model { pin_status: [1, 64, 64, 64, 1, 0, 1], ..Model::default() });
    for pin in [PinRef::Sign, PinRef::User, PinRef::Admin] {
        let asked = question(bench.perform(Request::EnsureVerified(pin)));
        assert_eq!((asked.tries_left, asked.may_use_cache), (Some(1), false));
    }
}

#[test]
fn a_wrong_pin_is_wrong_where_the_card_says_no_more_than_that() {
    let mut bench = kdf_card(0xfffe);
    let asked = question(bench.perform(Request::Put(DataObject::Kdf, vec![0x81, 1, 0])));
    bench.probe_is_answered();
    bench.expect("00CA00F9 00", "9000");
    bench.expect("00240083 10 3837363534333231 3132333435363738", "6300");
    let wrong = bench.resume(asked.with_pin(pin("87654321")));
    assert!(matches!(wrong, Err(TokenError::WrongPin { pin: PinRef::Admin, tries_left: None })));
}

#[test]
fn with_fewer_tries_than_the_prompt_said_no_pin_is_sent() {
    let mut bench = Bench::new();
    let asked = question(bench.perform(Request::Sign(vec![7; 32])));
    assert_eq!(asked.tries_left, Some(3));
    bench.model.pin_status[4] = 1;
    bench.probe_is_answered();
    let again = question(bench.resume(asked.with_pin(pin("123456"))));
    assert_eq!((again.tries_left, again.may_use_cache), (Some(1), false));
    bench.probe_is_answered();
    bench.expect("00200081 06 313233343536", "9000");
    bench.expect(&format!("002A9E9A 20 {} 00", "07".repeat(32)), "AA9000");
    reply(bench.resume(again.with_pin(pin("123456"))));
    assert_eq!(bench.facts().pin_status.tries(PinRef::User), 3, "a right PIN fills the tries up");
}

#[test]
fn a_remembered_pin_that_is_refused_becomes_a_question() {
    let mut bench = Bench::new();
    let asked = question(bench.perform(Request::Sign(vec![7; 32])));
    assert!(!asked.memory_failed);
    bench.probe_is_answered();
    bench.expect("00200081 06 313233343536", "63C2");
    let again = question(bench.resume(asked.with_remembered_pin(pin("123456"))));
    assert!(again.memory_failed);
    assert_eq!((again.purpose, again.tries_left), (PinPurpose::Unlock(PinRef::Sign), Some(2)));
    // The answer is a person's: if it is wrong, that is an error.
    bench.model.pin_status[4] = 2;
    bench.probe_is_answered();
    bench.expect("00200081 06 303030303030", "63C1");
    let wrong = bench.resume(again.with_pin(pin("000000")));
    assert!(matches!(wrong, Err(TokenError::WrongPin { tries_left: Some(1), .. })));
}

#[test]
fn after_a_refusal_the_last_try_is_asked_for_and_not_remembered() {
    let mut bench = Bench::with(Model { pin_status: [1, 64, 64, 64, 3, 0, 2], ..Model::default() });
    let asked = question(bench.perform(Request::Put(DataObject::Login, b"jane".to_vec())));
    bench.probe_is_answered();
    bench.expect("00200083 08 3132333435363738", "6982");
    let again = question(bench.resume(asked.with_remembered_pin(pin("12345678"))));
    assert_eq!((again.tries_left, again.may_use_cache, again.memory_failed), (Some(1), false, true));
}

#[test]
fn two_copies_of_a_remembered_pin_cost_one_try() {
    let mut bench = Bench::new();
    let first = question(bench.perform(Request::Authenticate(vec![1])));
    let second = question(bench.perform(Request::Authenticate(vec![2])));
    bench.probe_is_answered();
    bench.expect("00200082 06 313233343536", "63C2");
    question(bench.resume(first.with_remembered_pin(pin("123456"))));
    bench.model.pin_status[4] = 2;
    bench.probe_is_answered();
    let again = question(bench.resume(second.with_remembered_pin(pin("123456"))));
    assert_eq!(again.tries_left, Some(2));
}

#[test]
fn a_short_pin_costs_no_command() {
    let mut bench = Bench::new();
    for (which, text, minimum) in
        [(PinRef::User, "12345", 6), (PinRef::Sign, "", 6), (PinRef::Admin, "1234567", 8)]
    {
        let before = bench.sent();
        let asked = question(bench.perform(Request::Verify(which)));
        let short = bench.resume(asked.with_pin(pin(text)));
        assert!(matches!(short, Err(TokenError::PinTooShort { minimum: least, .. }) if least == minimum));
        assert_eq!(bench.sent(), before);
    }
}

#[test]
fn a_blocked_user_pin_is_not_tried_again() {
    let mut bench = Bench::with(Model { pin_status: [1, 64, 64, 64, 0, 0, 3], ..Model::default() });
    let asked = question(bench.perform(Request::EnsureVerified(PinRef::User)));
    assert_eq!(asked.tries_left, Some(0));
    bench.probe_is_answered();
    let blocked = bench.resume(asked.with_pin(pin("123456")));
    assert!(matches!(blocked, Err(TokenError::PinBlocked(PinRef::User))));
}

#[test]
fn a_blocked_admin_pin_is_not_even_asked_for() {
    let mut bench = Bench::with(Model { pin_status: [1, 64, 64, 64, 3, 0, 0], ..Model::default() });
    bench.probe_is_answered();
    let blocked = bench.perform(Request::Put(DataObject::Login, b"jane".to_vec()));
    assert!(matches!(blocked, Err(TokenError::PinBlocked(PinRef::Admin))));
}

#[test]
fn the_try_that_blocks_says_so() {
    let mut bench = Bench::new();
    let asked = question(bench.perform(Request::EnsureVerified(PinRef::User)));
    bench.probe_is_answered();
    bench.expect("00200082 06 303030303030", "6983");
    let blocked = bench.resume(asked.with_pin(pin("000000")));
    assert!(matches!(blocked, Err(TokenError::PinBlocked(PinRef::User))));
    assert_eq!(bench.facts().pin_status.tries(PinRef::User), 0);
}

#[test]
fn somebody_elses_answer_unlocks_for_all() {
    let mut bench = Bench::new();
    let mine = question(bench.perform(Request::Authenticate(vec![1])));
    unlock_user(&mut bench);
    bench.expect("00880000 01 01 00", "AA9000");
    reply(bench.resume(mine.retry()));
    let late = question(bench.perform(Request::Verify(PinRef::User)));
    assert!(!late.may_use_cache, "VERIFY as such is always asked");
}

#[test]
fn a_late_answer_is_not_needed_and_not_sent() {
    let mut bench = Bench::new();
    let mine = question(bench.perform(Request::Authenticate(vec![1])));
    unlock_user(&mut bench);
    bench.expect("00880000 01 01 00", "AA9000");
    reply(bench.resume(mine.with_pin(pin("999999"))));
}

/// F9 with one salt and 96 octets to hash; the digest of it, computed with Python's hashlib.
const KDF: &str = "810103 820108 830400000060 84083031323334353637";

#[test]
fn every_pin_goes_through_the_cards_derivation() {
    let mut bench =
        Bench::with(Model { capabilities: [0x7d, 0, 8, 0, 8, 0, 1, 0, 0, 0], ..Model::default() });
    let asked = question(bench.perform(Request::EnsureVerified(PinRef::User)));
    bench.probe_is_answered();
    bench.expect("00CA00F9 00", &format!("{KDF} 9000"));
    let derived = "DA06661DCA8418908A83AEABB0BB1A3181505C7F279FE0F82047ACB7123D274B";
    bench.expect(&format!("00200082 20 {derived}"), "9000");
    reply(bench.resume(asked.with_pin(pin("123456"))));
    // F9 is read once.
    let asked = question(bench.perform(Request::EnsureVerified(PinRef::Admin)));
    bench.probe_is_answered();
    let derived = "ABD2EF12C0E7EA21C69AE12349662F65697506E605ADE50C7DAD76C86B5FF437";
    bench.expect(&format!("00200083 20 {derived}"), "9000");
    reply(bench.resume(asked.with_pin(pin("12345678"))));
}

#[test]
fn a_derivation_that_is_not_understood_costs_no_try() {
    for object in ["810107", "81", "810103820108", "8101038201098304000000608408303132333435"] {
        let mut bench =
            Bench::with(Model { capabilities: [0x7d, 0, 8, 0, 8, 0, 1, 0, 0, 0], ..Model::default() });
        let asked = question(bench.perform(Request::EnsureVerified(PinRef::User)));
        bench.probe_is_answered();
        bench.expect("00CA00F9 00", &format!("{object} 9000"));
        assert!(bench.resume(asked.with_pin(pin("123456"))).is_err(), "{object}");
    }
}

/// A card with a key derivation.
pub(super) fn kdf_card(manufacturer: u16) -> Bench {
    let mut model = Model { capabilities: [0x7d, 0, 8, 0, 8, 0, 1, 0, 0, 0], ..Model::default() };
    model.aid[8..10].copy_from_slice(&manufacturer.to_be_bytes());
    Bench::with(model)
}

#[test]
fn writing_a_derivation_forgets_what_was_verified_and_read() {
    let mut bench = kdf_card(6);
    bench.expect("00CA00F9 00", "810100 9000");
    reply(bench.perform(Request::Object(DataObject::Kdf)));
    unlock_admin(&mut bench);
    bench.expect("00DA00F9 03 810100", "9000");
    reply(bench.perform(Request::Put(DataObject::Kdf, vec![0x81, 1, 0])));
    assert_eq!(bench.facts().verified, [false; 3]);
    bench.expect("00CA00F9 00", "810100 9000");
    reply(bench.perform(Request::Object(DataObject::Kdf)));
}

#[test]
fn a_card_that_does_not_set_its_pins_gets_them_set_before_its_derivation() {
    let mut bench = kdf_card(0xfffe);
    bench.expect("00CA00F9 00", &format!("{KDF} 9000"));
    reply(bench.perform(Request::Object(DataObject::Kdf)));
    let asked = question(bench.perform(Request::Put(DataObject::Kdf, vec![0x81, 1, 0])));
    assert_eq!(asked.purpose, PinPurpose::Unlock(PinRef::Admin));
    bench.probe_is_answered();
    let derived = "ABD2EF12C0E7EA21C69AE12349662F65697506E605ADE50C7DAD76C86B5FF437";
    bench.expect(&format!("00240083 28 {derived} 3132333435363738"), "9000");
    bench.expect("00200083 08 3132333435363738", "9000");
    bench.expect("002C0281 06 313233343536", "9000");
    bench.expect("00DA00D3", "9000");
    bench.expect("00DA00F9 03 810100", "9000");
    reply(bench.resume(asked.with_pin(pin("12345678"))));
    assert_eq!(bench.facts().verified, [false; 3]);
}

#[test]
fn a_wrong_admin_pin_leaves_the_derivation_as_it_was() {
    let mut bench = kdf_card(0xfffe);
    let asked = question(bench.perform(Request::Put(DataObject::Kdf, vec![0x81, 1, 0])));
    bench.probe_is_answered();
    bench.expect("00CA00F9 00", "9000");
    bench.expect("00240083 10 3837363534333231 3132333435363738", "63C2");
    let wrong = bench.resume(asked.with_pin(pin("87654321")));
    assert!(matches!(wrong, Err(TokenError::WrongPin { tries_left: Some(2), .. })));
}

#[test]
fn with_fewer_tries_than_the_prompt_said_no_pin_is_changed() {
    let mut bench = Bench::new();
    let old = question(bench.perform(Request::ChangePin(PinRef::User)));
    let new = question(bench.resume(old.with_pin(pin("123456"))));
    bench.model.pin_status[4] = 2;
    bench.probe_is_answered();
    let again = question(bench.resume(new.with_pin(pin("654321"))));
    assert_eq!((again.purpose, again.tries_left), (PinPurpose::Old(PinRef::User), Some(2)));
    bench.probe_is_answered();
    bench.expect("00240081 0C 313233343536 363534333231", "9000");
    reply(bench.resume(again.with_pin(pin("123456"))));
}

#[test]
fn a_touch_that_did_not_come_costs_the_verification() {
    let mut bench = Bench::new();
    unlock_user(&mut bench);
    bench.expect("00880000 01 01 00", "6600");
    let late = bench.perform(Request::Authenticate(vec![1]));
    assert!(matches!(late, Err(TokenError::Status { sw: 0x6600, .. })));
    assert!(!bench.facts().is_verified(PinRef::User));
}

#[test]
fn a_wrong_old_pin_is_told_and_the_new_one_forgotten() {
    let mut bench = Bench::new();
    let old = question(bench.perform(Request::ChangePin(PinRef::Admin)));
    let new = question(bench.resume(old.with_pin(pin("87654321"))));
    bench.probe_is_answered();
    bench.expect("00240083 10 3837363534333231 3132333435363738", "63C2");
    let wrong = bench.resume(new.with_pin(pin("12345678")));
    assert!(matches!(wrong, Err(TokenError::WrongPin { pin: PinRef::Admin, tries_left: Some(2) })));
}

#[test]
fn an_old_pin_that_is_too_short_is_told_before_the_new_one_is_asked() {
    let mut bench = Bench::new();
    let old = question(bench.perform(Request::ChangePin(PinRef::User)));
    let short = bench.resume(old.with_pin(pin("1")));
    assert!(matches!(short, Err(TokenError::PinTooShort { pin: PinPurpose::Old(PinRef::User), .. })));
}

#[test]
fn without_a_reset_code_nothing_is_asked() {
    let mut bench = Bench::new();
    bench.probe_is_answered();
    let none = bench.perform(Request::UnblockWithResetCode);
    assert!(matches!(none, Err(TokenError::NoResetCode)));
}

#[test]
fn a_reset_code_unblocks_the_user_pin() {
    let mut bench = Bench::with(Model { pin_status: [1, 64, 64, 64, 0, 3, 3], ..Model::default() });
    bench.probe_is_answered();
    let code = question(bench.perform(Request::UnblockWithResetCode));
    assert_eq!((code.purpose, code.tries_left), (PinPurpose::Old(PinRef::ResetCode), Some(3)));
    let new = question(bench.resume(code.with_pin(pin("abcdefgh"))));
    bench.probe_is_answered();
    bench.expect("002C0081 0E 6162636465666768 363534333231", "9000");
    reply(bench.resume(new.with_pin(pin("654321"))));
    assert_eq!(bench.facts().pin_status.tries(PinRef::User), 3);
}

#[test]
fn the_admin_pin_is_verified_before_a_new_user_pin_is_asked() {
    let mut bench = Bench::new();
    let admin = question(bench.perform(Request::UnblockAsAdmin));
    assert_eq!((admin.purpose, admin.may_use_cache), (PinPurpose::Unlock(PinRef::Admin), false));
    bench.probe_is_answered();
    bench.expect("00200083 08 3132333435363738", "9000");
    let new = question(bench.resume(admin.with_pin(pin("12345678"))));
    assert_eq!(new.purpose, PinPurpose::New(PinRef::User));
    bench.probe_is_answered();
    bench.expect("002C0281 06 363534333231", "9000");
    reply(bench.resume(new.with_pin(pin("654321"))));
}

#[test]
fn a_reset_code_is_set_and_an_empty_one_removes_it() {
    for (code, command, tries) in [("abcdefgh", "00DA00D3 08 6162636465666768", 3), ("", "00DA00D3", 0)] {
        let mut bench = Bench::new();
        let admin = question(bench.perform(Request::SetResetCode));
        bench.probe_is_answered();
        bench.expect("00200083 08 3132333435363738", "9000");
        let new = question(bench.resume(admin.with_pin(pin("12345678"))));
        bench.probe_is_answered();
        bench.expect(command, "9000");
        reply(bench.resume(new.with_pin(pin(code))));
        assert_eq!(bench.facts().pin_status.tries(PinRef::ResetCode), tries);
    }
}
