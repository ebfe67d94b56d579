//! Short and extended length, chaining, GET RESPONSE.

use super::script::{Bench, ED25519, Model, RELATED, RSA_2048, RSA_4096, SELECT, hex, open, related};
use super::{pin, question, reply, unlock_admin};
use crate::token::{Cryptogram, DataObject, PinRef, Reply, Request, Slot, TokenError};

const SHORT_RELATED: &str = "00CA006E 00";

/// 6E in two pieces, as a short card gives it.
fn in_pieces(whole: &[u8]) -> (String, String) {
    let (first, second) = whole.split_at(200);
    (format!("{}61{:02X}", hex(first), second.len()), format!("{}9000", hex(second)))
}

/// A card that knows no extended length.
fn short_card(model: Model) -> Bench {
    let (first, second) = in_pieces(&related(&model));
    let rest = format!("00C00000 {:02X}", related(&model).len() - 200);
    Bench::opened_by(model, &[(SELECT, "9000"), (RELATED, "6700"), (SHORT_RELATED, &first), (&rest, &second)])
}

fn short_probe(bench: &mut Bench) {
    let whole = related(&bench.model);
    let (first, second) = in_pieces(&whole);
    bench.expect(SHORT_RELATED, &first);
    bench.expect(&format!("00C00000 {:02X}", whole.len() - 200), &second);
}

#[test]
fn a_refusal_of_extended_length_is_remembered() {
    let mut bench = short_card(Model::default());
    short_probe(&mut bench);
    reply(bench.perform(Request::Refresh));
}

#[test]
fn a_card_that_names_the_exact_length_gets_it() {
    let whole = format!("{}9000", hex(&related(&Model::default())));
    let opened =
        open(&[(SELECT, "9000"), (RELATED, "6C F0"), (SHORT_RELATED, "6CF0"), ("00CA006E F0", &whole)]);
    assert!(opened.unwrap().is_some());
}

#[test]
fn a_reader_that_fails_on_extended_length_is_asked_short() {
    let model = Model::default();
    let (first, second) = in_pieces(&related(&model));
    let rest = format!("00C00000 {:02X}", related(&model).len() - 200);
    let mut bench = Bench::opened_after_a_fault(model, &[(SHORT_RELATED, &first), (&rest, &second)]);
    short_probe(&mut bench);
    reply(bench.perform(Request::Refresh));
}

#[test]
fn a_long_command_is_chained_on_a_short_card() {
    let mut bench = short_card(Model { algorithms: [ED25519, RSA_2048, ED25519], ..Model::default() });
    let asked = question(bench.perform(Request::Decipher(Cryptogram::Rsa(vec![5; 256]))));
    short_probe(&mut bench);
    bench.expect("00200082 06 313233343536", "9000");
    bench.expect(&format!("102A8086 FE 00{}", "05".repeat(253)), "9000");
    bench.expect(&format!("002A8086 03 {} 00", "05".repeat(3)), "68699000");
    let plaintext = reply(bench.resume(asked.with_pin(pin("123456"))));
    assert!(matches!(plaintext, Reply::Plaintext(octets) if octets.as_bytes() == b"hi"));
}

#[test]
fn a_chain_that_is_refused_ends_there() {
    let mut bench = short_card(Model::default());
    let asked = question(bench.perform(Request::Put(DataObject::Login, vec![b'x'; 300])));
    short_probe(&mut bench);
    bench.expect("00200083 08 3132333435363738", "9000");
    bench.expect(&format!("10DA005E FE {}", "78".repeat(254)), "6884");
    let refused = bench.resume(asked.with_pin(pin("12345678")));
    assert!(matches!(refused, Err(TokenError::Status { sw: 0x6884, .. })));
}

#[test]
fn a_long_answer_comes_in_one_piece_where_the_card_can() {
    let model = Model {
        length_information: Some(b"\x02\x02\x08\x00\x02\x02\x08\x00"),
        algorithms: [RSA_4096, ED25519, ED25519],
        ..Model::default()
    };
    let mut bench = Bench::with(model);
    let asked = question(bench.perform(Request::Sign(vec![7; 83])));
    bench.probe_is_answered();
    bench.expect("00200081 06 313233343536", "9000");
    let command = format!("002A9E9A 000053 {} 0200", "07".repeat(83));
    bench.expect(&command, &format!("{}9000", "0A".repeat(512)));
    let signature = reply(bench.resume(asked.with_pin(pin("123456"))));
    assert!(matches!(signature, Reply::Signature(octets) if octets == [10; 512]));
}

#[test]
fn a_command_longer_than_the_card_takes_is_chained() {
    let model = Model { length_information: Some(b"\x02\x02\x01\x20\x02\x02\x08\x00"), ..Model::default() };
    let mut bench = Bench::with(model);
    unlock_admin(&mut bench);
    bench.expect(&format!("10DA7F21 FE {}", "78".repeat(254)), "9000");
    bench.expect(&format!("00DA7F21 2E {}", "78".repeat(46)), "9000");
    reply(bench.perform(Request::PutCertificate(Slot::Authenticate, vec![b'x'; 300])));
}

#[test]
fn a_reader_that_cannot_carry_a_long_command_falls_back_to_chaining() {
    let mut bench = Bench::new();
    unlock_admin(&mut bench);
    bench.expect_fault(&format!("00DA005E 00012C {}", "78".repeat(300)));
    bench.expect(&format!("10DA005E FE {}", "78".repeat(254)), "9000");
    bench.expect(&format!("00DA005E 2E {}", "78".repeat(46)), "9000");
    reply(bench.perform(Request::Put(DataObject::Login, vec![b'x'; 300])));
}

#[test]
fn an_answer_without_an_end_is_malformed() {
    let mut bench = Bench::new();
    bench.expect("00CA5F50 00", "78 6110");
    bench.expect("00C00000 10", "6110");
    let endless = bench.perform(Request::Object(DataObject::Url));
    assert!(matches!(endless, Err(TokenError::Malformed { .. })));
}

#[test]
fn an_answer_of_many_pieces_has_a_limit() {
    let mut bench = Bench::new();
    bench.expect("00CA5F50 00", "78 6100");
    let piece = format!("{}6100", "78".repeat(256));
    for _ in 0..257 {
        bench.expect("00C00000 00", &piece);
    }
    let endless = bench.perform(Request::Object(DataObject::Url));
    assert!(matches!(endless, Err(TokenError::Malformed { .. })));
}

#[test]
fn an_error_behind_the_first_piece_is_an_error() {
    let mut bench = Bench::new();
    bench.expect("00CA5F50 00", "78 6110");
    bench.expect("00C00000 10", "6F00");
    let failed = bench.perform(Request::Object(DataObject::Url));
    assert!(matches!(failed, Err(TokenError::Status { sw: 0x6f00, .. })));
}

#[test]
fn a_pin_is_never_sent_in_extended_length() {
    let mut bench = Bench::new();
    let asked = question(bench.perform(Request::Verify(PinRef::User)));
    bench.probe_is_answered();
    let long = "x".repeat(127);
    bench.expect(&format!("00200082 7F {}", "78".repeat(127)), "63C2");
    assert!(bench.resume(asked.with_pin(pin(&long))).is_err());
}

#[test]
fn data_of_a_length_that_the_card_does_not_want_say_nothing_of_extended_length() {
    let mut bench = Bench::new();
    unlock_admin(&mut bench);
    bench.expect(&format!("00DA005E 00012C {}", "78".repeat(300)), "6700");
    bench.expect(&format!("10DA005E FE {}", "78".repeat(254)), "6700");
    let refused = bench.perform(Request::Put(DataObject::Login, vec![b'x'; 300]));
    assert!(matches!(refused, Err(TokenError::Status { sw: 0x6700, .. })));
    bench.expect(RELATED, &format!("{}9000", hex(&related(&Model::default()))));
    reply(bench.perform(Request::Refresh));
}
