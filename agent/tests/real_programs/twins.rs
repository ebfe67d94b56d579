//! Two cards with the same keys, as people have them who fear to lose one.

use crate::world::jobs::{decrypt, generate, seal, signs};
use crate::world::{Card, Home, Reader, Scdaemon, wait_for};

/// PSO: COMPUTE DIGITAL SIGNATURE in a card's own log.
const SIGNATURE: &str = " 002A9E9A ";

#[test]
fn gpg_signs_with_the_card_that_it_means_or_else_with_the_one_that_is_unlocked() {
    let (_reader, [first, second], home) = twins();
    home.card_edit(&["admin", "forcesig", "quit"]).ok();
    signs(&home);
    home.questions();
    first.apdus();
    second.apdus();
    signs(&home);
    assert_eq!(home.questions(), [""; 0], "it is unlocked");
    let signatures = |card: &Card| card.apdus().iter().filter(|line| line.contains(SIGNATURE)).count();
    assert_eq!([signatures(&first), signatures(&second)].iter().sum::<usize>(), 1);
}

#[test]
fn without_its_card_gpg_2_2_asks_for_it_and_later_ones_decrypt_with_the_other() {
    let (_reader, [first, _second], home) = twins();
    seal(&home);
    first.control("remove");
    wait_for_cards(&home, 1);
    home.questions();
    let seen = decrypt(&home);
    let asked = home.questions();
    if is_2_2(&home) {
        seen.fails();
        assert!(asked[0].contains("Please insert the card with serial number"), "{asked:?}");
    } else {
        seen.ok().shows("Signed and sealed.\n");
        assert!(asked[0].contains("00000002"), "{asked:?}");
    }
}

fn is_2_2(home: &Home) -> bool {
    home.gpg(&["--version"]).text().contains("GnuPG) 2.2.")
}

/// Keys are made on one card; the other has a copy of its memory, and a number of its own.
fn twins() -> (Reader, [Card; 2], Home) {
    let memory = tempfile::tempdir().expect("a temporary directory");
    let [one, other] = ["one", "other"].map(|name| memory.path().join(name).display().to_string());
    let reader = Reader::start();
    let home = Home::new(&reader, Scdaemon::under_test());
    let first = ["--state", &one, "--serial", "00000001"];
    let card = Card::insert(&reader.slot(), &first);
    home.wait_for_card();
    generate(&home, &["2", "1", "2", "1", "2", "1"]);
    drop(card);
    let copied = std::process::Command::new("cp").args(["-r", &one, &other]).status();
    assert!(copied.expect("cp is there").success());
    let cards = [
        Card::insert(&reader.slot(), &first),
        Card::insert(&reader.slot_number(1), &["--state", &other, "--serial", "00000002"]),
    ];
    wait_for_cards(&home, 2);
    drop(memory);
    (reader, cards, home)
}

/// Waits until the scdaemon sees so many.
fn wait_for_cards(home: &Home, count: usize) {
    wait_for("the cards", || {
        home.agent(&["SCD SERIALNO"]);
        let list = home.agent(&["SCD GETINFO card_list"]);
        if list.text().matches("D27600012401").count() == count { Ok(()) } else { Err(list) }
    });
}
