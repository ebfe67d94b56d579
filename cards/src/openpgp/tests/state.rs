//! What is remembered, what is forgotten, raw commands, termination, certificates, random octets.

use super::script::{Bench, Model, RELATED, SELECT, hex, open, related};
use super::{pin, question, reply, unlock_admin, unlock_user};
use crate::facts::KeyState;
use crate::openpgp::tests::script;
use crate::token::{DataObject, Job, PinRef, Reply, Request, Slot, Token, TokenError};

#[test]
fn what_was_read_is_kept_until_it_is_written() {
    let mut bench = Bench::new();
    unlock_admin(&mut bench);
    bench.expect("00CA005E 00", "6A6E 9000");
    for _ in 0..2 {
        let value = reply(bench.perform(Request::Object(DataObject::Login)));
        assert!(matches!(value, Reply::Object(Some(octets)) if octets == b"jn"));
    }
    bench.expect("00DA005E 04 6A616E65", "9000");
    reply(bench.perform(Request::Put(DataObject::Login, b"jane".to_vec())));
    bench.expect("00CA005E 00", "6A616E65 9000");
    reply(bench.perform(Request::Object(DataObject::Login)));
}

#[test]
fn writing_a_name_forgets_the_whole_template_that_it_is_in() {
    let mut bench = Bench::new();
    unlock_admin(&mut bench);
    let template = "6506 5B01 4A 5F2D00 9000";
    bench.expect("00CA0065 00", template);
    reply(bench.perform(Request::Object(DataObject::Name)));
    bench.expect("00DA005B 01 4A", "9000");
    reply(bench.perform(Request::Put(DataObject::Name, b"J".to_vec())));
    bench.expect("00CA0065 00", template);
    reply(bench.perform(Request::Object(DataObject::Language)));
}

#[test]
fn what_6e_has_is_not_read_again_until_it_is_written() {
    let mut bench = Bench::with(Model { user_interaction: Some(b"\x00\x20"), ..Model::default() });
    let flag = DataObject::UserInteraction(Slot::Decrypt);
    let before = bench.sent();
    let value = reply(bench.perform(Request::Object(flag)));
    assert!(matches!(value, Reply::Object(Some(octets)) if octets == [0, 0x20]));
    assert_eq!(bench.sent(), before);
    unlock_admin(&mut bench);
    bench.expect("00DA00D7 02 0120", "9000");
    reply(bench.perform(Request::Put(flag, vec![1, 0x20])));
    bench.expect("00CA00D7 00", "0120 9000");
    let value = reply(bench.perform(Request::Object(flag)));
    assert!(matches!(value, Reply::Object(Some(octets)) if octets == [1, 0x20]));
}

#[test]
fn the_pin_status_octet_changes_what_is_forced() {
    let mut bench = Bench::new();
    unlock_admin(&mut bench);
    bench.expect("00DA00C4 01 00", "9000");
    reply(bench.perform(Request::Put(DataObject::PinStatus, vec![0])));
    assert!(bench.facts().pin_status.forced());
}

#[test]
fn private_objects_3_and_4_are_for_those_who_are_verified() {
    let mut bench = Bench::new();
    let refused = bench.perform(Request::Object(DataObject::Private(3)));
    assert!(matches!(refused, Err(TokenError::Status { sw: 0x6982, .. })));
    unlock_user(&mut bench);
    bench.expect("00CA0103 00", "61 9000");
    reply(bench.perform(Request::Object(DataObject::Private(3))));
}

#[test]
fn an_absent_object_is_none() {
    let mut bench = Bench::new();
    bench.expect("00CA00F9 00", "6A88");
    bench.probe_is_answered();
    for _ in 0..2 {
        let value = reply(bench.perform(Request::Object(DataObject::Kdf)));
        assert!(matches!(value, Reply::Object(None)));
    }
}

#[test]
fn a_raw_command_may_have_changed_anything() {
    let mut bench = Bench::new();
    unlock_user(&mut bench);
    bench.expect("00200082 06 313233343536", "9000");
    let command = script::octets("0020008206313233343536");
    let answer = reply(bench.perform(Request::Apdu { command, more: false }));
    assert!(matches!(answer, Reply::Apdu(octets) if octets == [0x90, 0x00]));
    assert_eq!(bench.facts().verified, [false; 3]);
    bench.probe_is_answered();
    bench.expect("00CA007A 00", "7A05930300000490 00");
    reply(bench.perform(Request::SignatureCounter));
}

#[test]
fn a_harmless_raw_command_changes_nothing() {
    let mut bench = Bench::new();
    unlock_user(&mut bench);
    bench.expect("00CA007A 00", "AA6101");
    bench.expect("00C00000 01", "BB9000");
    let command = script::octets("00CA007A00");
    let answer = reply(bench.perform(Request::Apdu { command, more: true }));
    assert!(matches!(answer, Reply::Apdu(octets) if octets == [0xaa, 0xbb, 0x90, 0x00]));
    assert!(bench.facts().is_verified(PinRef::User));
}

#[test]
fn a_raw_command_of_an_impossible_length_is_not_sent() {
    let mut bench = Bench::new();
    for length in [0, 3, 0x1_0010] {
        let command = vec![0; length];
        let refused = bench.perform(Request::Apdu { command, more: false });
        assert!(matches!(refused, Err(TokenError::BadValue(_))));
    }
}

#[test]
fn a_terminated_card_takes_raw_commands_and_comes_back_with_a_reset() {
    let whole = format!("{}9000", hex(&related(&Model::default())));
    let mut token = open(&[
        (SELECT, "6285"),
        (SELECT, "6285"),
        ("00440000", "9000"),
        (SELECT, "9000"),
        (RELATED, &whole),
    ])
    .unwrap()
    .expect("a terminated card is a token");
    assert!(token.facts().terminated);
    let refused = token.perform(Job::new(Request::Refresh));
    assert!(matches!(refused, Err(TokenError::Status { sw: 0x6285, .. })));
    let activate = Request::Apdu { command: script::octets("00440000"), more: false };
    reply(token.perform(Job::new(activate)));
    reply(token.perform(Job::new(Request::Reset)));
    assert!(!token.facts().terminated);
    assert_eq!(token.facts().serial(), "D276000124010304FFFE123456780000");
}

#[test]
fn a_new_algorithm_forgets_verifications_and_the_key() {
    let mut bench = Bench::new();
    unlock_admin(&mut bench);
    bench.expect("00DA00C1 06 010800002000", "9000");
    bench.model.algorithms[0] = script::RSA_2048;
    bench.probe_is_answered();
    reply(bench.perform(Request::SetAlgorithm(Slot::Sign, script::RSA_2048.to_vec())));
    assert_eq!(bench.facts().verified, [false; 3]);
    assert!(matches!(bench.facts().public_keys[0], KeyState::Unread));
    assert_eq!(bench.facts().algorithms[0], script::RSA_2048);
    let next = question(bench.perform(Request::SetAlgorithm(Slot::Decrypt, script::RSA_2048.to_vec())));
    assert!(!next.may_use_cache, "the admin PIN is asked for each slot");
}

#[test]
fn the_certificates_of_slots_1_and_2_are_selected_first() {
    let mut bench = Bench::new();
    bench.expect("00CA7F21 000800", "6A88");
    bench.probe_is_answered();
    let none = reply(bench.perform(Request::Certificate(Slot::Authenticate)));
    assert!(matches!(none, Reply::Object(None)));
    bench.expect("00A50204 06 60045C027F21", "9000");
    bench.expect("00CA7F21 000800", "3082 9000");
    for _ in 0..2 {
        let read = reply(bench.perform(Request::Certificate(Slot::Sign)));
        assert!(matches!(read, Reply::Object(Some(octets)) if octets == [0x30, 0x82]));
    }
    unlock_admin(&mut bench);
    bench.expect("00A50004 06 60045C027F21", "9000");
    bench.expect("00DA7F21 02 3000", "9000");
    reply(bench.perform(Request::PutCertificate(Slot::Authenticate, vec![0x30, 0])));
}

#[test]
fn an_old_yubikey_gets_select_data_as_it_wants_it() {
    let mut bench = Bench::new();
    bench.expect("00A50104 06 60045C027F21", "6A80");
    bench.probe_is_answered();
    bench.expect("00A50104 07 0660045C027F21", "9000");
    bench.expect("00CA7F21 000800", "30 9000");
    reply(bench.perform(Request::Certificate(Slot::Decrypt)));
}

#[test]
fn a_certificate_that_the_card_has_no_room_for_is_not_sent() {
    let mut bench = Bench::new();
    let long = bench.perform(Request::PutCertificate(Slot::Authenticate, vec![0; 0x801]));
    assert!(matches!(long, Err(TokenError::BadValue(_))));
}

#[test]
fn random_octets_come_in_pieces() {
    let mut bench = Bench::new();
    bench.expect("00840000 FE", &format!("{}9000", "AB".repeat(254)));
    bench.expect("00840000 02", "CDCD9000");
    let random = reply(bench.perform(Request::Random(256)));
    assert!(matches!(random, Reply::Random(octets) if octets.len() == 256 && octets[255] == 0xcd));
    assert!(bench.perform(Request::Random(0x1_0001)).is_err());
}

#[test]
fn a_card_without_random_octets_does_not_keep_us_asking() {
    let mut bench = Bench::new();
    bench.expect("00840000 02", "9000");
    assert!(matches!(bench.perform(Request::Random(2)), Err(TokenError::Malformed { .. })));
}

#[test]
fn verifications_are_forgotten_on_the_card_too() {
    let mut bench = Bench::new();
    unlock_user(&mut bench);
    for reference in ["81", "82", "83"] {
        bench.expect(&format!("0020FF{reference}"), "9000");
    }
    reply(bench.perform(Request::ForgetVerifications(PinRef::VERIFIED)));
    assert!(!bench.facts().is_verified(PinRef::User));
    let asked = question(bench.perform(Request::EnsureVerified(PinRef::User)));
    drop(asked.with_pin(pin("123456")));
}

#[test]
fn a_verification_lapses_on_the_card_and_the_others_stay() {
    let mut bench = Bench::new();
    unlock_user(&mut bench);
    unlock_admin(&mut bench);
    bench.probe_is_answered();
    bench.expect("0020FF82", "9000");
    reply(bench.perform(Request::Lapse(vec![PinRef::Sign, PinRef::User])));
    assert!(!bench.facts().is_verified(PinRef::User) && bench.facts().is_verified(PinRef::Admin));
    reply(bench.perform(Request::Lapse(vec![PinRef::Sign, PinRef::User])));
}

#[test]
fn a_neighbour_hears_nothing_of_a_lapse() {
    let mut bench = Bench::new();
    unlock_user(&mut bench);
    bench.expect(RELATED, "6D00");
    reply(bench.perform(Request::Lapse(vec![PinRef::User])));
    assert!(!bench.facts().is_verified(PinRef::User));
    // Our application is selected again by the next job, and not before.
    bench.expect(SELECT, "9000");
    bench.expect("00CA0101 00", "9000");
    reply(bench.perform(Request::Object(DataObject::Private(1))));
}

#[test]
fn after_a_reset_there_is_nothing_to_lapse() {
    let mut bench = Bench::new();
    unlock_user(&mut bench);
    bench.a_neighbour_resets_the_card();
    reply(bench.perform(Request::Lapse(vec![PinRef::User])));
}

#[test]
fn a_card_that_cannot_forget_is_locked_for_us_at_least() {
    let mut bench = Bench::new();
    unlock_user(&mut bench);
    bench.probe_is_answered();
    bench.expect("0020FF82", "6A86");
    let refused = bench.perform(Request::Lapse(vec![PinRef::User]));
    assert!(matches!(refused, Err(TokenError::NotSupported(_))));
    assert!(!bench.facts().is_verified(PinRef::User));
}

#[test]
fn one_verification_is_forgotten_without_the_others() {
    let mut bench = Bench::new();
    unlock_user(&mut bench);
    bench.expect("0020FF83", "9000");
    reply(bench.perform(Request::ForgetVerifications(&[PinRef::Admin])));
    assert!(bench.facts().is_verified(PinRef::User));
    bench.expect("0020FF82", "9000");
    reply(bench.perform(Request::ForgetVerifications(&[PinRef::User])));
    assert!(!bench.facts().is_verified(PinRef::User));
}

#[test]
fn a_snapshot_stays_as_it_was() {
    let mut bench = Bench::new();
    let before = bench.facts();
    unlock_user(&mut bench);
    assert!(!before.is_verified(PinRef::User) && bench.facts().is_verified(PinRef::User));
}
