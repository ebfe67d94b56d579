//! Certificates: which commands they cost, what outlasts what, cards that answer in a way of their own.

use super::script::{Bench, Model, hex};
use super::{reply, unlock_admin};
use crate::facts::CertificateState;
use crate::token::{Reply, Request, Slot, TokenError};

const GET: &str = "00CA7F21 000800";
const NEXT: &str = "00CC7F21 000800";
const SELECT_DECRYPT: &str = "00A50104 06 60045C027F21";
const SELECT_SIGN: &str = "00A50204 06 60045C027F21";
const SELECT_AUTHENTICATE: &str = "00A50004 06 60045C027F21";

/// A card of this version of the specification.
fn version(major: u8, minor: u8) -> Model {
    let mut model = Model::default();
    model.aid[6..8].copy_from_slice(&[major, minor]);
    model
}

fn read(bench: &mut Bench) {
    assert!(matches!(reply(bench.perform(Request::Certificates)), Reply::Done));
}

/// What is known, in the order of the slots: one octet of each, `None` for no certificate.
fn known(bench: &Bench) -> [Option<u8>; 3] {
    Slot::ALL.map(|slot| bench.facts().certificate(slot).map(|octets| octets[0]))
}

/// A card that gives all three in a row.
fn filled() -> Bench {
    let mut bench = Bench::new();
    bench.expect(GET, "33 9000");
    bench.expect(NEXT, "22 9000");
    bench.expect(NEXT, "11 9000");
    read(&mut bench);
    bench
}

#[test]
fn three_commands_read_three_certificates_once() {
    let mut bench = Bench::new();
    let before = bench.sent();
    bench.expect(GET, "33 9000");
    bench.expect(NEXT, "22 9000");
    bench.expect(NEXT, "11 9000");
    for _ in 0..2 {
        read(&mut bench);
    }
    assert_eq!(bench.sent() - before, 3);
    assert_eq!(known(&bench), [Some(0x11), Some(0x22), Some(0x33)]);
    for slot in Slot::ALL {
        reply(bench.perform(Request::Certificate(slot)));
    }
    assert_eq!(bench.sent() - before, 3, "what is known is not read again");
}

#[test]
fn three_commands_learn_that_there_is_none() {
    let mut bench = Bench::new();
    bench.expect(GET, "9000");
    bench.expect(NEXT, "9000");
    bench.expect(NEXT, "9000");
    read(&mut bench);
    read(&mut bench);
    assert_eq!(bench.facts().certificates, [const { CertificateState::Absent }; 3]);
}

#[test]
fn a_card_that_does_not_know_the_next_one_is_asked_for_each() {
    let mut bench = Bench::new();
    bench.expect(GET, "33 9000");
    bench.expect(NEXT, "6D00");
    bench.expect(SELECT_DECRYPT, "9000");
    bench.expect(GET, "22 9000");
    bench.expect(SELECT_SIGN, "9000");
    bench.expect(GET, "9000");
    read(&mut bench);
    assert_eq!(known(&bench), [None, Some(0x22), Some(0x33)]);

    // And not in a row again, when they are to be read anew.
    bench.expect("00440000", "9000");
    reply(bench.perform(Request::Apdu { command: vec![0, 0x44, 0, 0], more: false }));
    bench.probe_is_answered();
    bench.expect(SELECT_AUTHENTICATE, "9000");
    bench.expect(GET, "33 9000");
    bench.expect(SELECT_DECRYPT, "9000");
    bench.expect(GET, "22 9000");
    bench.expect(SELECT_SIGN, "9000");
    bench.expect(GET, "11 9000");
    read(&mut bench);
    assert_eq!(known(&bench), [Some(0x11), Some(0x22), Some(0x33)]);
}

#[test]
fn a_card_that_ends_early_is_not_believed() {
    let mut bench = Bench::new();
    bench.expect(GET, "33 9000");
    bench.expect(NEXT, "11 9000");
    bench.expect(NEXT, "6A88");
    bench.expect(SELECT_DECRYPT, "9000");
    bench.expect(GET, "9000");
    bench.expect(SELECT_SIGN, "9000");
    bench.expect(GET, "11 9000");
    read(&mut bench);
    assert_eq!(known(&bench), [Some(0x11), None, Some(0x33)], "it had left out the empty one");
}

#[test]
fn a_card_that_gives_the_same_again_is_not_believed() {
    let mut bench = Bench::new();
    bench.expect(GET, "33 9000");
    bench.expect(NEXT, "33 9000");
    bench.expect(SELECT_DECRYPT, "9000");
    bench.expect(GET, "33 9000");
    bench.expect(SELECT_SIGN, "9000");
    bench.expect(GET, "9000");
    read(&mut bench);
    assert_eq!(known(&bench), [None, Some(0x33), Some(0x33)]);
}

#[test]
fn a_card_that_calls_the_first_one_absent_is_asked_for_each() {
    let mut bench = Bench::new();
    bench.expect(GET, "6A88");
    bench.probe_is_answered();
    bench.expect(SELECT_DECRYPT, "9000");
    bench.expect(GET, "6A82");
    bench.expect(SELECT_SIGN, "9000");
    bench.expect(GET, "11 9000");
    read(&mut bench);
    assert_eq!(known(&bench), [Some(0x11), None, None]);
}

#[test]
fn a_card_without_select_data_is_asked_once() {
    let mut bench = Bench::new();
    bench.expect(GET, "33 9000");
    bench.expect(NEXT, "6D00");
    bench.expect(SELECT_DECRYPT, "6D00");
    bench.probe_is_answered();
    read(&mut bench);
    read(&mut bench);
    let refused = CertificateState::Refused(0x6d00);
    assert_eq!(bench.facts().certificates[..2], [refused.clone(), refused]);
    assert_eq!(known(&bench), [None, None, Some(0x33)]);
    // Who names the slot gets the card's answer.
    bench.expect(SELECT_SIGN, "6D00");
    bench.probe_is_answered();
    let error = bench.perform(Request::Certificate(Slot::Sign));
    assert!(matches!(error, Err(TokenError::Status { sw: 0x6d00, .. })));
}

#[test]
fn a_certificate_that_the_card_cannot_read_hides_no_other() {
    let mut bench = Bench::new();
    bench.expect(GET, "6F00");
    bench.expect(SELECT_DECRYPT, "9000");
    bench.expect(GET, "22 9000");
    bench.expect(SELECT_SIGN, "9000");
    bench.expect(GET, "11 9000");
    read(&mut bench);
    read(&mut bench);
    assert_eq!(bench.facts().certificates[2], CertificateState::Refused(0x6f00));
    assert_eq!(known(&bench), [Some(0x11), Some(0x22), None]);
}

#[test]
fn a_card_of_version_2_has_one_certificate() {
    for (major, minor) in [(1, 1), (2, 0), (2, 1)] {
        let mut bench = Bench::with(version(major, minor));
        bench.expect(GET, "33 9000");
        read(&mut bench);
        read(&mut bench);
        assert_eq!(known(&bench), [None, None, Some(0x33)]);
    }
}

#[test]
fn the_others_are_read_in_a_row_when_one_is_known() {
    let mut bench = Bench::new();
    bench.expect(GET, "33 9000");
    reply(bench.perform(Request::Certificate(Slot::Authenticate)));
    bench.expect(GET, "33 9000");
    bench.expect(NEXT, "22 9000");
    bench.expect(NEXT, "11 9000");
    read(&mut bench);
    assert_eq!(known(&bench), [Some(0x11), Some(0x22), Some(0x33)]);
}

#[test]
fn the_last_one_is_read_alone() {
    let mut bench = Bench::new();
    for (select, octet) in [(SELECT_SIGN, "11"), (SELECT_DECRYPT, "22")] {
        bench.expect(select, "9000");
        bench.expect(GET, &format!("{octet}9000"));
    }
    reply(bench.perform(Request::Certificate(Slot::Sign)));
    reply(bench.perform(Request::Certificate(Slot::Decrypt)));
    bench.expect(SELECT_AUTHENTICATE, "9000");
    bench.expect(GET, "33 9000");
    read(&mut bench);
    assert_eq!(known(&bench), [Some(0x11), Some(0x22), Some(0x33)]);
}

#[test]
fn what_was_read_outlasts_a_reset() {
    let mut bench = filled();
    bench.a_neighbour_resets_the_card();
    read(&mut bench);
    reply(bench.perform(Request::Reset));
    read(&mut bench);
    assert_eq!(known(&bench), [Some(0x11), Some(0x22), Some(0x33)]);
}

#[test]
fn a_written_certificate_goes_to_its_slot_and_is_read_anew() {
    let mut bench = filled();
    unlock_admin(&mut bench);
    bench.expect(SELECT_AUTHENTICATE, "9000");
    bench.expect("00DA7F21 02 4400", "9000");
    reply(bench.perform(Request::PutCertificate(Slot::Authenticate, vec![0x44, 0])));
    assert_eq!(bench.facts().certificates[2], CertificateState::Unread);
    bench.expect(GET, "4400 9000");
    read(&mut bench);
    assert_eq!(known(&bench), [Some(0x11), Some(0x22), Some(0x44)]);
}

#[test]
fn a_removed_certificate_is_gone() {
    let mut bench = filled();
    unlock_admin(&mut bench);
    bench.expect(SELECT_DECRYPT, "9000");
    bench.expect("00DA7F21", "9000");
    reply(bench.perform(Request::PutCertificate(Slot::Decrypt, Vec::new())));
    bench.expect(SELECT_DECRYPT, "9000");
    bench.expect(GET, "9000");
    read(&mut bench);
    assert_eq!(known(&bench), [Some(0x11), None, Some(0x33)]);
}

#[test]
fn a_raw_command_may_have_changed_certificates() {
    let mut bench = filled();
    bench.expect("00DA7F21 01 55", "9000");
    reply(bench.perform(Request::Apdu { command: b"\x00\xda\x7f\x21\x01\x55".to_vec(), more: false }));
    assert_eq!(known(&bench), [None; 3]);
    bench.probe_is_answered();
    bench.expect(SELECT_AUTHENTICATE, "9000");
    bench.expect(GET, "33 9000");
    bench.expect(NEXT, "22 9000");
    bench.expect(NEXT, "55 9000");
    read(&mut bench);
    assert_eq!(known(&bench), [Some(0x55), Some(0x22), Some(0x33)]);
}

#[test]
fn another_applet_is_noticed_before_its_answer_counts() {
    let mut bench = Bench::new();
    bench.expect(GET, "6D00");
    bench.probe_finds_another();
    bench.expect(GET, "33 9000");
    bench.expect(NEXT, "22 9000");
    bench.expect(NEXT, "11 9000");
    read(&mut bench);
    assert_eq!(known(&bench), [Some(0x11), Some(0x22), Some(0x33)]);
}

#[test]
fn a_card_that_goes_in_the_middle_leaves_nothing_half_known() {
    let mut bench = Bench::new();
    bench.expect(GET, "33 9000");
    bench.expect(NEXT, "22 9000");
    bench.expect_removal(NEXT);
    assert!(matches!(bench.perform(Request::Certificates), Err(TokenError::Gone)));
    assert_eq!(bench.facts().certificates[..2], [const { CertificateState::Unread }; 2]);
}

#[test]
fn a_certificate_without_an_end_is_an_error_and_not_a_certificate() {
    let mut bench = Bench::new();
    bench.expect(GET, &format!("{}6100", "78".repeat(256)));
    for _ in 0..255 {
        bench.expect("00C00000 00", &format!("{}6100", "78".repeat(256)));
    }
    bench.expect("00C00000 00", &format!("{}6100", "78".repeat(256)));
    assert!(matches!(bench.perform(Request::Certificates), Err(TokenError::Malformed { .. })));
    assert_eq!(known(&bench), [None; 3]);
}

#[test]
fn a_certificate_longer_than_announced_is_taken_as_it_is() {
    let mut bench = Bench::new();
    let huge = vec![0x30; 0xff00];
    bench.expect(GET, &format!("{}9000", hex(&huge)));
    bench.expect(NEXT, "9000");
    bench.expect(NEXT, "9000");
    read(&mut bench);
    assert_eq!(bench.facts().certificate(Slot::Authenticate).map(|octets| octets.len()), Some(0xff00));
}
