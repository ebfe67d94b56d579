//! Tokens that come and go.

use std::fs;
use std::path::PathBuf;

use claviger_cards::pkcs11::wire::{Fault, KeyObject, Opening, SignMechanism, Task, User};

use crate::client::{Client, opening};
use crate::softhsm::{MODULE, P256, SoftHsm, generate, refer};

fn signing(key: &KeyObject) -> Task {
    Task::Sign { key: refer(key), mechanism: SignMechanism::Ecdsa, data: vec![7; 32] }
}

/// The directory of a token's: its name ends with the serial number's last digits.
fn directory(softhsm: &SoftHsm, serial: &str) -> PathBuf {
    let entries = fs::read_dir(softhsm.tokens()).unwrap().map(|entry| entry.unwrap().path());
    let is_it = |path: &PathBuf| path.to_string_lossy().replace('-', "").ends_with(serial);
    entries.into_iter().find(is_it).expect("a directory for the token")
}

#[test]
fn a_token_that_is_taken_away_in_use_is_gone_and_comes_back() {
    let softhsm = SoftHsm::with(&["tls"]);
    let mut client = softhsm.helper();
    let slot = client.slot("tls");
    let (key, _) = generate(&mut client, slot, P256, 1);
    client.task(slot, signing(&key)).unwrap();

    let away = softhsm.path().join("away");
    fs::rename(softhsm.tokens(), &away).unwrap();
    assert_eq!(client.task(slot, signing(&key)).unwrap_err(), Fault::Gone);
    assert!(client.tokens.is_empty(), "that was reported first");
    // The module cannot even be initialised now; it is tried again.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert_eq!(client.task(slot, signing(&key)).unwrap_err(), Fault::Gone);

    fs::rename(&away, softhsm.tokens()).unwrap();
    client.wait_until("the token is back", |tokens| !tokens.is_empty());
    let needed = client.task(slot, signing(&key));
    assert!(matches!(needed, Err(Fault::LoginNeeded { user: User::User, .. })), "{needed:?}");
    client.unlocked(slot, signing(&key)).unwrap();
}

#[test]
fn a_token_that_is_taken_away_leaves_its_neighbour_at_work() {
    let softhsm = SoftHsm::with(&["one", "two"]);
    let mut client = softhsm.helper();
    let (one, two) = (client.slot("one"), client.slot("two"));
    let (key, _) = generate(&mut client, one, P256, 1);
    let (lost, _) = generate(&mut client, two, P256, 1);
    let here = directory(&softhsm, &client.token("two").serial);
    let away = softhsm.path().join("away");
    fs::rename(&here, &away).unwrap();
    assert_eq!(client.task(two, signing(&lost)).unwrap_err(), Fault::Gone);
    client.task(one, signing(&key)).unwrap();

    fs::rename(&away, &here).unwrap();
    client.wait_until("both are there", |tokens| tokens.len() == 2);
    client.unlocked(two, signing(&lost)).unwrap();
    client.unlocked(one, signing(&key)).unwrap();
}

#[test]
fn a_token_that_is_taken_away_while_nothing_is_done_is_noticed() {
    let softhsm = SoftHsm::with(&["tls"]);
    let mut client = softhsm.helper();
    fs::rename(softhsm.tokens(), softhsm.path().join("away")).unwrap();
    client.wait_until("the token is gone", |tokens| tokens.is_empty());
}

#[test]
fn uninitialised_tokens_and_other_slots_are_left_alone() {
    let softhsm = SoftHsm::with(&["one", "two"]);
    let client = softhsm.helper();
    assert_eq!(client.tokens.len(), 2, "SoftHSM has a third slot");
    let (one, two) = (client.slot("one"), client.token("two").slot_description.clone());

    let client = Client::start(Opening { slots: vec![one], ..opening(MODULE) }, &softhsm.environment());
    assert_eq!(client.tokens.values().map(|token| token.label.as_str()).collect::<Vec<_>>(), ["one"]);

    let client =
        Client::start(Opening { without_readers: vec![two], ..opening(MODULE) }, &softhsm.environment());
    assert_eq!(client.tokens.values().map(|token| token.label.as_str()).collect::<Vec<_>>(), ["one"]);
}
