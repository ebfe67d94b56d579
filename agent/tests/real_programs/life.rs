//! The life of a card for each type of key: keys made or brought in, shown, used by gpg and ssh.

use crate::world::jobs::{decrypts, generate, import_rsa, is_shown_as_stock_shows_it, logs_in, signs};
use crate::world::{Card, Home, Reader, Scdaemon};

#[test]
fn a_curve25519_card_works_from_generation_to_log_in() {
    life_of_a_card(&[], "ed25519 cv25519 ed25519", |home| generate(home, &["2", "1", "2", "1", "2", "1"]));
}

#[test]
fn a_nist_p256_card_works_from_generation_to_log_in() {
    life_of_a_card(&[], "nistp256 nistp256 nistp256", |home| generate(home, &["2", "3", "2", "3", "2", "3"]));
}

#[test]
fn a_nist_p384_card_works_from_generation_to_log_in() {
    life_of_a_card(&[], "nistp384 nistp384 nistp384", |home| generate(home, &["2", "4", "2", "4", "2", "4"]));
}

#[test]
fn a_nist_p521_card_works_from_generation_to_log_in() {
    life_of_a_card(&[], "nistp521 nistp521 nistp521", |home| generate(home, &["2", "5", "2", "5", "2", "5"]));
}

#[test]
fn an_rsa_2048_card_works_from_generation_to_log_in() {
    life_of_a_card(&[], "rsa2048 rsa2048 rsa2048", |home| generate(home, &[]));
}

/// Three keys, each found in anything from seconds to a minute.
#[test]
fn an_rsa_4096_card_works_from_generation_to_log_in() {
    life_of_a_card(&[], "rsa4096 rsa4096 rsa4096", |home| {
        generate(home, &["1", "4096", "1", "4096", "1", "4096"]);
    });
}

#[test]
fn an_rsa_4096_card_works_from_import_to_log_in() {
    life_of_a_card(&[], "rsa4096 rsa4096 rsa4096", |home| drop(import_rsa(home, 4096)));
}

#[test]
fn a_card_with_short_apdus_only_makes_its_keys_in_pieces() {
    life_of_a_card(&["--short-apdu"], "rsa2048 rsa2048 rsa2048", |home| generate(home, &[]));
}

#[test]
fn a_card_with_short_apdus_only_takes_and_uses_keys_in_pieces() {
    life_of_a_card(&["--short-apdu"], "rsa4096 rsa4096 rsa4096", |home| drop(import_rsa(home, 4096)));
}

fn life_of_a_card(options: &[&str], types: &str, fill: impl FnOnce(&Home)) {
    let reader = Reader::start();
    let _card = Card::insert(&reader.slot(), options);
    let mut home = Home::new(&reader, Scdaemon::under_test());
    home.wait_for_card();
    is_shown_as_stock_shows_it(&mut home);
    fill(&home);
    home.gpg(&["--card-status"]).ok().shows(&format!("Key attributes ...: {types}\n"));
    is_shown_as_stock_shows_it(&mut home);
    signs(&home);
    decrypts(&home);
    logs_in(&home);
    is_shown_as_stock_shows_it(&mut home);
}
