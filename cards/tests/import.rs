//! Real keys of gpg put onto the virtual card, and read back from it.

#![allow(clippy::unwrap_used, reason = "helpers of tests may do what tests may")]

mod common;

use std::fs;
use std::path::Path;

use claviger_cards::deck::{Deck, DeckConfig};
use claviger_cards::token::{Reply, Request, Slot, TokenError};
use claviger_keys::{Curve, SecretKey};

use common::{VirtualCard, private_key, submit, tokens};

/// Curves that the virtual card has.
const CURVES: [Curve; 5] =
    [Curve::NistP256, Curve::NistP384, Curve::NistP521, Curve::Ed25519, Curve::Curve25519];

/// A key of gpg's, with what gpg knows of it.
struct Sample {
    key: SecretKey,
    fingerprint: String,
    slot: Slot,
}

fn samples() -> Vec<Sample> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/private-keys");
    let table = fs::read_to_string(dir.join("fingerprints.tsv")).unwrap();
    let rows = table.lines().filter(|line| !line.starts_with('#'));
    rows.map(|row| {
        let fields: Vec<_> = row.split('\t').collect();
        let slot = if fields[3] == "18" { Slot::Decrypt } else { Slot::Sign };
        let key = private_key(fields[0], fields[2]);
        Sample { key, fingerprint: fields[1].to_owned(), slot }
    })
    .collect()
}

#[tokio::test]
async fn imported_keys_are_the_keys_that_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("reader");
    let deck =
        Deck::new(DeckConfig { pcsc: false, reader_socket: Some(socket.clone()), ..DeckConfig::default() });
    deck.listen().unwrap();
    let card = VirtualCard::start(&["--socket", socket.to_str().unwrap()], &[]);
    let mut imported = 0;
    for Sample { key, fingerprint, slot } in samples() {
        if key.public().curve().is_some_and(|curve| !CURVES.contains(&curve)) {
            continue;
        }
        let (public, created) = (key.public(), key.created());
        let token = tokens(&deck, 1).await.remove(0);
        let request = Request::Import { slot, force: true, created, key: Box::new(key) };
        submit(&token, request).await.unwrap();
        let written = token.card().unwrap().fingerprints[slot.index()];
        let written: String = written.iter().map(|octet| format!("{octet:02X}")).collect();
        assert_eq!(written, fingerprint, "{}", public.algorithm_name());
        // In its next stay the card is asked itself.
        card.tell("remove");
        token.removed().await;
        card.tell("insert");
        let token = tokens(&deck, 1).await.remove(0);
        let read = submit(&token, Request::PublicKey(slot)).await.unwrap();
        assert!(matches!(read, Reply::PublicKey(key) if *key == public), "{}", public.algorithm_name());
        imported += 1;
    }
    assert!(imported >= 8, "{imported}");
}

#[tokio::test]
async fn a_key_is_not_replaced_without_force() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("reader");
    let deck =
        Deck::new(DeckConfig { pcsc: false, reader_socket: Some(socket.clone()), ..DeckConfig::default() });
    deck.listen().unwrap();
    let _card = VirtualCard::start(&["--socket", socket.to_str().unwrap()], &[]);
    let token = tokens(&deck, 1).await.remove(0);
    let ed25519 = || samples().into_iter().find(|sample| sample.key.public().curve() == Some(Curve::Ed25519));
    for round in 0..2 {
        let key = Box::new(ed25519().unwrap().key);
        let request = Request::Import { slot: Slot::Sign, force: false, created: 1, key };
        let done = submit(&token, request).await;
        match round {
            0 => assert!(done.is_ok(), "{done:?}"),
            _ => assert!(matches!(done, Err(TokenError::KeyExists(Slot::Sign))), "{done:?}"),
        }
    }
}
