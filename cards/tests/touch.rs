//! A card that waits for a finger before it uses a key.

#![allow(clippy::unwrap_used, reason = "helpers of tests may do what tests may")]

mod common;

use std::time::Duration;

use claviger_cards::deck::{Deck, DeckConfig, TokenHandle};
use claviger_cards::finger::Finger;
use claviger_cards::token::{Cryptogram, DataObject, Job, Outcome, PinRef, Reply, Request, Slot, TokenError};
use claviger_secret::Secret;
use tokio::time::timeout;

use common::{PATIENCE, VirtualCard, submit, tokens};

/// A card with a key in each slot.
async fn card_with_keys(socket: &std::path::Path) -> (Deck, VirtualCard, TokenHandle) {
    let deck = Deck::new(DeckConfig {
        pcsc: false,
        reader_socket: Some(socket.to_owned()),
        deadline: PATIENCE,
        ..DeckConfig::default()
    });
    deck.listen().unwrap();
    let card = VirtualCard::start(&["--socket", socket.to_str().unwrap()], &[]);
    let token = tokens(&deck, 1).await.remove(0);
    for slot in Slot::ALL {
        let attributes = Some(match slot {
            Slot::Decrypt => b"\x12\x2b\x06\x01\x04\x01\x97\x55\x01\x05\x01".to_vec(),
            Slot::Sign | Slot::Authenticate => b"\x16\x2b\x06\x01\x04\x01\xda\x47\x0f\x01".to_vec(),
        });
        submit(&token, Request::Generate { slot, force: false, created: 1, attributes, ecdh: None })
            .await
            .unwrap();
    }
    (deck, card, token)
}

fn use_of(slot: Slot) -> Request {
    match slot {
        Slot::Sign => Request::Sign(vec![7; 32]),
        Slot::Decrypt => Request::Decipher(Cryptogram::Ecdh([&[9][..], &[0; 31]].concat())),
        Slot::Authenticate => Request::Authenticate(vec![7; 32]),
    }
}

/// The job with its PIN, ready to be submitted, and its finger.
async fn unlocked(token: &TokenHandle, slot: Slot) -> (Job, Finger) {
    submit(token, Request::ForgetVerifications(PinRef::VERIFIED)).await.unwrap();
    let Ok(Outcome::NeedsPin(question)) = token.submit(Job::new(use_of(slot))).await else {
        panic!("no question")
    };
    let job = question.with_pin(Secret::copy_of(b"123456"));
    let finger = job.finger();
    (job, finger)
}

#[tokio::test]
async fn a_touch_that_a_key_wants_is_told_of_and_the_key_is_used_when_it_comes() {
    let dir = tempfile::tempdir().unwrap();
    let (_deck, card, token) = card_with_keys(&dir.path().join("reader")).await;
    card.tell("touch withheld");
    for slot in Slot::ALL {
        submit(&token, Request::Put(DataObject::UserInteraction(slot), vec![1, 0x20])).await.unwrap();
        let (job, mut finger) = unlocked(&token, slot).await;
        let work = tokio::spawn({
            let token = token.clone();
            async move { token.submit(job).await }
        });
        assert_eq!(timeout(PATIENCE, finger.awaited()).await.unwrap(), slot);
        card.tell("press");
        let outcome = timeout(PATIENCE, work).await.unwrap().unwrap().unwrap();
        assert!(matches!(outcome, Outcome::Done(Reply::Signature(_) | Reply::Plaintext(_))), "{slot:?}");
        let still = timeout(Duration::from_millis(50), finger.awaited()).await;
        assert!(still.is_err(), "{slot:?}: it is awaited no more");
    }
}

#[tokio::test]
async fn a_slow_card_whose_keys_want_no_touch_waits_for_no_finger() {
    let dir = tempfile::tempdir().unwrap();
    let (_deck, card, token) = card_with_keys(&dir.path().join("reader")).await;
    submit(&token, Request::Refresh).await.unwrap();
    let (job, mut finger) = unlocked(&token, Slot::Decrypt).await;
    card.tell("latency 1500");
    tokio::select! {
        biased;
        slot = finger.awaited() => panic!("a touch was awaited for {slot:?}"),
        outcome = token.submit(job) => assert!(matches!(outcome, Ok(Outcome::Done(_)))),
    }
}

#[tokio::test]
async fn a_card_that_is_pulled_while_it_waits_for_a_finger_is_gone_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (_deck, card, token) = card_with_keys(&dir.path().join("reader")).await;
    submit(&token, Request::Put(DataObject::UserInteraction(Slot::Sign), vec![1, 0x20])).await.unwrap();
    card.tell("touch withheld");
    let (job, mut finger) = unlocked(&token, Slot::Sign).await;
    let work = tokio::spawn(async move { token.submit(job).await });
    finger.awaited().await;
    card.tell("remove");
    let outcome = timeout(Duration::from_secs(2), work).await.unwrap().unwrap();
    assert!(matches!(outcome, Err(TokenError::Gone)), "{outcome:?}");
}
