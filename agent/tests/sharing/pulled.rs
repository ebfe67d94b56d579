//! The card is pulled at each command of a job.

use std::time::{Duration, Instant};

use super::jobs::{DECRYPT, GENERATE, Job, PASSWD, SIGN, WRITE_KEY, card_with_keys, finds_the_card, tries};
use crate::world::wait_for;

/// More commands than these no job has.
const MOST: usize = 40;

#[test]
fn a_card_pulled_at_any_command_of_a_signature_ends_it_with_an_error() {
    pulled_at_each_command(&SIGN, 2);
}

#[test]
fn a_card_pulled_at_any_command_of_a_decryption_ends_it_with_an_error() {
    pulled_at_each_command(&DECRYPT, 2);
}

#[test]
fn a_card_pulled_at_any_command_of_a_generation_ends_it_with_an_error() {
    pulled_at_each_command(&GENERATE, 4);
}

#[test]
fn a_card_pulled_at_any_command_of_keytocard_ends_it_with_an_error() {
    pulled_at_each_command(&WRITE_KEY, 4);
}

#[test]
fn a_card_pulled_at_any_command_of_a_change_of_pin_ends_it_with_an_error() {
    pulled_at_each_command(&PASSWD, 2);
}

/// Does the job with a fresh card, pulled at the first command, the second, and so on until it is done before that comes.
/// Each time the error comes at once, no try is lost, and the job is done when the card is back.
fn pulled_at_each_command(job: &Job, at_least: usize) {
    let (_reader, card, _home, mut session) = card_with_keys();
    let mut longest = Duration::ZERO;
    for at in 1..=MOST {
        card.control("remove");
        wait_for("the removal", || match session.ask("SERIALNO", b"") {
            Err(_) => Ok(()),
            Ok(_) => Err("the card is there"),
        });
        card.control("insert");
        finds_the_card(&mut session);
        card.control(&format!("vanish {at}"));
        let begun = Instant::now();
        let ended = (job.run)(&mut session);
        longest = longest.max(begun.elapsed());
        let Err(error) = ended else {
            card.control("disarm");
            println!("{}: pulled at each of {} commands, ended after {longest:?} at most", job.name, at - 1);
            assert!(at > at_least, "{} took {at} commands only", job.name);
            return;
        };
        assert_eq!(error, "ERR 100663406 Card removed <SCD>", "{}, pulled at {at}", job.name);
        card.control("insert");
        finds_the_card(&mut session);
        assert_eq!(tries(&mut session), (3, 3), "{}, pulled at {at}", job.name);
        (job.run)(&mut session).unwrap_or_else(|error| panic!("{} after {at}: {error}", job.name));
    }
    panic!("{} has no end", job.name);
}
