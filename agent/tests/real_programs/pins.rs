//! PINs: wrong ones, none, and those of a card with a KDF.

use crate::world::jobs::{decrypt, decrypts, generate, seal, sign, signs};
use crate::world::{Card, Home, Reader, Scdaemon, Seen, wait_for};

#[test]
fn a_wrong_pin_costs_one_try_and_the_next_prompt_tells_how_many_are_left() {
    let (_reader, _card, home) = card_with_keys(&[]);
    home.answers("user 000000\n");
    sign(&home).fails().shows("Bad PIN");
    home.gpg(&["--card-status"]).ok().shows("PIN retry counter : 2 0 3\n");
    home.questions();
    home.answers("user 123456\n");
    signs(&home);
    let questions = home.questions();
    assert!(matches!(&questions[..], [only] if only.contains("Remaining attempts: 2")), "{questions:?}");
    home.gpg(&["--card-status"]).ok().shows("PIN retry counter : 3 0 3\n");
}

#[test]
fn a_cancelled_pinentry_is_an_operation_cancelled_and_costs_no_try() {
    let (_reader, card, home) = card_with_keys(&[]);
    seal(&home);
    // Making the keys has unlocked the card.
    card.control("remove");
    card.put_back();
    home.answers("user cancel\n");
    sign(&home).fails().shows("Operation cancelled");
    decrypt(&home).fails().shows("Operation cancelled");
    home.gpg(&["--card-status"]).ok().shows("PIN retry counter : 3 0 3\n");
    home.answers("user 123456\n");
    signs(&home);
}

#[test]
fn a_forced_signature_pin_is_asked_each_time_and_an_unforced_one_once() {
    let (_reader, card, home) = card_with_keys(&[]);
    home.questions();
    signs(&home);
    signs(&home);
    assert_eq!(home.questions().len(), 2);
    home.card_edit(&["admin", "forcesig", "quit"]).ok();
    card.control("remove");
    card.put_back();
    home.questions();
    signs(&home);
    signs(&home);
    assert_eq!(home.questions().len(), 1);
}

#[test]
fn a_scdaemon_that_ends_leaves_the_card_locked() {
    let (_reader, card, home) = card_with_keys(&[]);
    home.card_edit(&["admin", "forcesig", "quit"]).ok();
    home.questions();
    signs(&home);
    home.kill_agent();
    home.questions();
    signs(&home);
    assert_eq!(home.questions().len(), 1, "{:?}", card.apdus());
}

#[test]
fn a_changed_pin_opens_the_card_and_the_old_one_does_not() {
    let (_reader, _card, home) = card_with_keys(&[]);
    home.answers("user 123456\nnew 654321\nadmin 12345678\nnewadmin 87654321\n");
    home.card_edit(&["admin", "passwd", "1", "3", "q", "quit"]).ok().shows("SC_OP_SUCCESS");
    sign(&home).fails().shows("Bad PIN");
    home.answers("user 654321\nadmin 87654321\n");
    signs(&home);
    home.card_edit(&["admin", "login", "carla", "quit"]).ok();
    home.gpg(&["--card-status"]).ok().shows("Login data .......: carla\n");
}

#[test]
fn a_kdf_card_signs_and_decrypts_with_the_right_pin_and_loses_no_try() {
    let (reader, card, home) = card_with_keys(&[]);
    home.card_edit(&["admin", "kdf-setup", "quit"]).ok();
    home.gpg(&["--card-status"]).ok().shows("KDF setting ......: on\n").shows("PIN retry counter : 3 0 3\n");
    for _ in 0..2 {
        signs(&home);
        decrypts(&home);
        home.gpg(&["--card-status"]).ok().shows("PIN retry counter : 3 0 3\n");
        // A daemon that knows nothing of the card yet does the same.
        home.kill_agent();
    }
    home.card_edit(&["admin", "login", "carla", "quit"]).ok();
    home.gpg(&["--card-status"]).ok().shows("PIN retry counter : 3 0 3\n");
    drop((card, reader));
}

#[test]
fn a_hang_up_signal_forgets_pins_and_locks_the_card() {
    let (_reader, card, home) = card_with_keys(&[]);
    home.card_edit(&["admin", "forcesig", "quit"]).ok();
    signs(&home);
    home.questions();
    signs(&home);
    assert_eq!(home.questions(), [""; 0]);
    card.apdus();
    let pid = home.agent(&["SCD GETINFO pid"]).ok().line("D ");
    Seen::of(home.command("kill").args(["-HUP", &pid]), b"").ok();
    wait_for("the card's lock", || {
        let sent = card.apdus();
        if sent.iter().any(|line| line.contains(" 0020FF81 ")) { Ok(()) } else { Err(sent.join("\n")) }
    });
    signs(&home);
    assert_eq!(home.questions().len(), 1, "the PIN is asked again");
}

/// A card with Curve25519 keys, as it left `options`, and a home that knows them.
fn card_with_keys(options: &[&str]) -> (Reader, Card, Home) {
    let reader = Reader::start();
    let card = Card::insert(&reader.slot(), options);
    let home = Home::new(&reader, Scdaemon::under_test());
    home.wait_for_card();
    generate(&home, &["2", "1", "2", "1", "2", "1"]);
    (reader, card, home)
}
