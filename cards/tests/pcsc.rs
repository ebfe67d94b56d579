//! The deck over PC/SC, alone: cards come, go, are served and left as they are.

#![allow(clippy::unwrap_used, reason = "helpers of tests may do what tests may")]

mod common;
mod world;

use std::fs;
use std::thread;
use std::time::Duration;

use claviger_cards::deck::Change;
use claviger_cards::token::{Request, TokenError};
use pcsc::ShareMode;

use common::{submit, tokens};
use world::{decipher, deck, event, inside, neighbour, plug, wait_for_card, with_decryption_key};

#[test]
fn cards_come_and_go_by_events() {
    inside("cards_come_and_go_by_events", async {
        let deck = deck();
        deck.scan().await.unwrap();
        assert!(deck.tokens().is_empty());
        assert_eq!(deck.readers().len(), 2);
        let mut events = deck.subscribe();
        let card = plug();
        event(&mut events, Change::Inserted).await;
        let token = deck.tokens().remove(0);
        assert!(token.reader().starts_with("Virtual PCD"));
        card.tell("remove");
        event(&mut events, Change::Removed).await;
        assert!(!token.is_present());
        assert!(matches!(submit(&token, Request::Refresh).await, Err(TokenError::Gone)));
        card.tell("insert");
        event(&mut events, Change::Inserted).await;
        submit(&deck.tokens()[0], Request::Refresh).await.unwrap();
        assert_ne!(deck.tokens()[0].insertion(), token.insertion());
    });
}

#[test]
fn a_card_over_pcsc_costs_no_more_than_the_table_says() {
    inside("a_card_over_pcsc_costs_no_more_than_the_table_says", async {
        let deck = deck();
        let card = plug();
        let token = tokens(&deck, 1).await.remove(0);
        assert_eq!(card.apdus(), 2, "SELECT and 6E open a card");
        with_decryption_key(&token).await;
        let (done, cost) = card.cost(submit(&token, decipher())).await;
        assert!(done.is_ok());
        assert_eq!(cost, 1);
        let (refreshed, cost) = card.cost(submit(&token, Request::Refresh)).await;
        assert!(refreshed.is_ok());
        assert_eq!(cost, 1, "6E of more than 256 octets comes in one piece");
        let ((), cost) = card.cost(async { deck.scan().await.unwrap() }).await;
        assert_eq!(cost, 0, "a scan asks no card that is known");
    });
}

#[test]
fn cards_are_left_as_they_are() {
    inside("cards_are_left_as_they_are", async {
        let deck = deck();
        let card = plug();
        wait_for_card();
        // It keeps the card powered, so that a reset could only be ours.
        let _neighbour = neighbour(ShareMode::Shared);
        let token = tokens(&deck, 1).await.remove(0);
        submit(&token, Request::Refresh).await.unwrap();
        let events = |log: &str| log.lines().filter(|line| line.starts_with('#')).count();
        let before = events(&fs::read_to_string(&card.log).unwrap());
        deck.shutdown();
        assert!(deck.tokens().is_empty());
        thread::sleep(Duration::from_millis(300));
        let log = fs::read_to_string(&card.log).unwrap();
        assert_eq!(events(&log), before, "{log}");
    });
}
