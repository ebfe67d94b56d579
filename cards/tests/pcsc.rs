//! The deck over PC/SC, alone: cards come, go, are served and left as they are.

#![allow(clippy::unwrap_used, reason = "helpers of tests may do what tests may")]

mod common;
mod world;

use std::fs;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use claviger_cards::deck::Change;
use claviger_cards::token::{DataObject, Request, Slot, TokenError};
use pcsc::{Context, Disposition, Protocols, Scope, ShareMode};

use common::{PATIENCE, submit, tokens};
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

/// That a touch is waited for until the card gives up by itself rests on this: see `agent/src/scdaemon/touch.rs`.
#[test]
fn nothing_that_pcscd_offers_stops_a_command_that_a_card_is_busy_with() {
    inside("nothing_that_pcscd_offers_stops_a_command_that_a_card_is_busy_with", async {
        let deck = deck();
        let card = plug();
        let token = tokens(&deck, 1).await.remove(0);
        with_decryption_key(&token).await;
        let touch = DataObject::UserInteraction(Slot::Decrypt);
        submit(&token, Request::Put(touch, vec![1, 0x20])).await.unwrap();
        deck.shutdown();
        card.tell("touch withheld");
        let mut reset = neighbour(ShareMode::Shared);
        let leave = neighbour(ShareMode::Shared);
        let context = Context::establish(Scope::System).unwrap();
        let waiting = busy(context.clone());
        context.cancel().unwrap();
        let reset =
            tried(move || reset.reconnect(ShareMode::Shared, Protocols::ANY, Disposition::ResetCard).err());
        let leave = tried(move || leave.disconnect(Disposition::UnpowerCard).err().map(|(_, error)| error));
        assert!(waiting.recv_timeout(BUSY).is_err(), "SCardCancel");
        assert!(reset.try_recv().is_err(), "a reset");
        assert!(leave.try_recv().is_err(), "power down");
        card.tell("press");
        assert!(waiting.recv_timeout(PATIENCE).unwrap().ends_with(b"\x90\x00"));
    });
}

/// For so long nothing happens.
const BUSY: Duration = Duration::from_secs(2);

/// A thread in the middle of a decryption that waits for a touch, and what comes of it.
fn busy(context: Context) -> Receiver<Vec<u8>> {
    let (begins, begun) = channel();
    let answer = tried(move || {
        let reader = context.list_readers_owned().unwrap().remove(0);
        let mut card = context.connect(&reader, ShareMode::Shared, Protocols::ANY).unwrap();
        let transaction = card.transaction().unwrap();
        let mut buffer = [0; 256];
        let select = b"\x00\xa4\x04\x00\x06\xd2\x76\x00\x01\x24\x01".as_slice();
        for command in [select, b"\x00\x20\x00\x82\x06123456"] {
            assert!(transaction.transmit(command, &mut buffer).unwrap().ends_with(b"\x90\x00"));
        }
        begins.send(()).unwrap();
        let point = [&b"\x00\x2a\x80\x86\x27\xa6\x25\x7f\x49\x22\x86\x20\x09"[..], &[0; 31], &[0]].concat();
        transaction.transmit(&point, &mut buffer).unwrap().to_vec()
    });
    begun.recv().unwrap();
    thread::sleep(Duration::from_millis(300));
    answer
}

/// What comes of something that may block.
fn tried<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
    let (tell, hear) = channel();
    thread::spawn(move || tell.send(work()));
    hear
}
