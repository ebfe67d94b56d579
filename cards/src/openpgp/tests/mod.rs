//! Cards played from a script: which commands go out, in which order, and what comes of the answers.

mod budget;
mod certificates;
mod interrupted;
mod keys;
mod length;
mod lost;
mod pinpad;
mod pins;
mod script;
mod state;

use claviger_secret::Secret;

use crate::token::{Job, NeedsPin, Outcome, PinPurpose, PinRef, Reply, Request, TokenError};

use script::Bench;

/// The question that must have come back.
fn question(outcome: Result<Outcome, TokenError>) -> NeedsPin {
    match outcome {
        Ok(Outcome::NeedsPin(question)) => question,
        other => panic!("no question: {other:?}"),
    }
}

/// The reply that must have come back.
fn reply(outcome: Result<Outcome, TokenError>) -> Reply {
    match outcome {
        Ok(Outcome::Done(reply)) => reply,
        other => panic!("not done: {other:?}"),
    }
}

fn pin(text: &str) -> Secret {
    Secret::copy_of(text.as_bytes())
}

/// Verifies the user PIN with what the script has for it.
fn unlock_user(bench: &mut Bench) {
    let asked = question(bench.perform(Request::EnsureVerified(PinRef::User)));
    assert_eq!(asked.purpose, PinPurpose::Unlock(PinRef::User));
    bench.probe_is_answered();
    bench.expect("00200082 06 313233343536", "9000");
    reply(bench.resume(asked.with_pin(pin("123456"))));
}

/// Verifies the admin PIN with what the script has for it.
fn unlock_admin(bench: &mut Bench) {
    let asked = question(bench.perform(Request::EnsureVerified(PinRef::Admin)));
    bench.probe_is_answered();
    bench.expect("00200083 08 3132333435363738", "9000");
    reply(bench.resume(asked.with_pin(pin("12345678"))));
}

#[test]
fn a_cold_card_is_opened_with_two_commands() {
    let bench = Bench::new();
    assert_eq!(bench.sent(), 2);
    assert_eq!(bench.facts().serial(), "D276000124010304FFFE123456780000");
}

#[test]
fn a_card_without_the_application_is_no_token() {
    assert!(script::open(&[(script::SELECT, "6A82")]).unwrap().is_none());
}

#[test]
fn a_6e_cut_at_any_byte_is_an_error_and_no_card() {
    let whole = script::related(&script::Model::default());
    for cut in 0..whole.len() {
        let answer = format!("{}9000", script::hex(&whole[..cut]));
        let opened = script::open(&[(script::SELECT, "9000"), (script::RELATED, &answer)]);
        assert!(matches!(opened, Err(TokenError::Malformed { .. })), "{cut}");
    }
}

#[test]
fn an_answer_without_a_status_word_is_malformed() {
    for answer in ["", "90"] {
        let opened = script::open(&[(script::SELECT, answer)]);
        assert!(matches!(opened, Err(TokenError::Malformed { .. })), "{answer}");
    }
}

#[test]
fn a_job_that_was_asked_twice_keeps_its_pins_apart() {
    let mut bench = Bench::new();
    let old = question(bench.perform(Request::ChangePin(PinRef::User)));
    assert_eq!(old.purpose, PinPurpose::Old(PinRef::User));
    let job: Job = old.with_pin(pin("123456"));
    let new = question(bench.resume(job));
    assert_eq!(new.purpose, PinPurpose::New(PinRef::User));
    bench.probe_is_answered();
    bench.expect("00240081 0C 313233343536 363534333231", "9000");
    reply(bench.resume(new.with_pin(pin("654321"))));
}
