//! Cards that are not there, go in the middle of something, come back, or are reset by a neighbour.

use std::path::Path;

use crate::world::jobs::{decrypt, generate, seal, sign, signs};
use crate::world::{Card, Home, Reader, Scdaemon, Seen, Sshd, Wire};

#[test]
fn without_a_card_gpg_says_what_it_says_with_stock() {
    let (_reader, card, mut home) = card_with_keys();
    seal(&home);
    card.control("remove");
    let mut scenes = [Scdaemon::Stock, Scdaemon::under_test()].map(|scdaemon| {
        home.switch_to(scdaemon);
        home.questions();
        let said =
            [home.gpg(&["--card-status"]), sign(&home), decrypt(&home)].map(|seen| seen.fails().text());
        (said, home.questions())
    });
    let [stock, ours] = scenes.each_mut();
    assert_eq!(stock, ours);
    assert!(ours.0[0].contains("No such device"), "{ours:?}");
    assert!(ours.1[0].contains("Please insert the card"), "{ours:?}");
}

#[test]
fn without_pcscd_there_is_no_card_and_the_log_names_cause_and_cure() {
    let home = Home::with_pcsc(Path::new("/nonexistent/pcscd.comm"), Scdaemon::Ours);
    let log = home.path("scdaemon.log");
    home.write("scdaemon.conf", &format!("log-file {}\n", log.display()));
    home.gpg(&["--card-status"]).fails().shows("OpenPGP card not available");
    let logged = std::fs::read_to_string(log).expect("it was written");
    assert!(logged.contains("start pcscd") && logged.contains("apt install pcscd"), "{logged}");
}

#[test]
fn a_card_pulled_during_a_signature_signs_when_it_is_back_and_asks_for_the_pin_again() {
    let (_reader, card, home) = card_with_keys();
    pulled_and_back(&card, &home, || sign(&home));
}

#[test]
fn a_card_pulled_during_a_decryption_decrypts_when_it_is_back_and_asks_for_the_pin_again() {
    let (_reader, card, home) = card_with_keys();
    seal(&home);
    pulled_and_back(&card, &home, || decrypt(&home));
}

#[test]
fn a_card_pulled_during_an_ssh_log_in_logs_in_when_it_is_back_and_asks_for_the_pin_again() {
    let (_reader, card, home) = card_with_keys();
    let sshd = Sshd::for_key(&home.ssh_keys().ok().text());
    pulled_and_back(&card, &home, || sshd.log_in(&home));
}

/// Does a job with an unlocked card, again while the card is pulled at the first command of it, and again when the card
/// is back: at once, with one question.
fn pulled_and_back(card: &Card, home: &Home, job: impl Fn() -> Seen) {
    home.card_edit(&["admin", "forcesig", "quit"]).ok();
    job().ok();
    home.questions();
    job().ok();
    assert_eq!(home.questions(), [""; 0], "an unlocked card needs no PIN");
    card.control("vanish 1");
    job().fails();
    home.questions();
    card.put_back();
    job().ok();
    assert_eq!(home.questions().len(), 1, "the PIN is asked again");
}

#[test]
fn a_session_that_had_the_card_hears_card_removed_until_its_serialno() {
    let (_reader, card, home) = card_with_keys();
    let mut had_the_card = Wire::to_scdaemon(&home);
    had_the_card.ask("SERIALNO");
    card.control("remove");
    crate::world::wait_for("the removal", || {
        let reply = had_the_card.ask("GETATTR AID");
        if reply == "ERR 100663406 Card removed <SCD>" { Ok(()) } else { Err(reply) }
    });
    card.put_back();
    assert_eq!(had_the_card.ask("GETATTR AID"), "ERR 100663406 Card removed <SCD>");
    assert_eq!(had_the_card.ask("SERIALNO"), "OK");
    assert_eq!(had_the_card.ask("GETATTR AID"), "OK");
}

#[test]
fn a_neighbour_who_resets_or_selects_is_no_removal_and_gets_no_pin() {
    let (_reader, card, home) = card_with_keys();
    home.card_edit(&["admin", "forcesig", "quit"]).ok();
    signs(&home);
    let mut session = Wire::to_scdaemon(&home);
    session.ask("SERIALNO");
    for intrusion in ["reset", "seize"] {
        home.questions();
        card.control(intrusion);
        signs(&home);
        card.control(intrusion);
        assert_eq!(session.ask("GETATTR AID"), "OK", "after {intrusion}");
        assert_eq!(home.questions(), [""; 0], "a PIN still within its time unlocks the card again");
    }
    assert!(card.control("count").contains(" leaks=0 "));
}

#[test]
fn a_card_in_another_reader_goes_on_after_its_pin_was_asked() {
    let memory = tempfile::tempdir().expect("a temporary directory");
    let options = ["--state", memory.path().to_str().expect("its name is text")];
    let reader = Reader::start();
    let card = Card::insert(&reader.slot(), &options);
    let home = Home::new(&reader, Scdaemon::under_test());
    home.wait_for_card();
    generate(&home, &["2", "1", "2", "1", "2", "1"]);
    home.card_edit(&["admin", "forcesig", "quit"]).ok();
    signs(&home);
    home.questions();
    drop(card);
    let _card = Card::insert(&reader.slot_number(1), &options);
    home.wait_for_card();
    signs(&home);
    signs(&home);
    assert_eq!(home.questions().len(), 1, "the PIN is asked once");
    home.gpg(&["--card-status"]).ok().shows("Virtual PCD 00 01");
}

fn card_with_keys() -> (Reader, Card, Home) {
    let reader = Reader::start();
    let card = Card::insert(&reader.slot(), &[]);
    let home = Home::new(&reader, Scdaemon::under_test());
    home.wait_for_card();
    generate(&home, &["2", "1", "2", "1", "2", "1"]);
    (reader, card, home)
}
