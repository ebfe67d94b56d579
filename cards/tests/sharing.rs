//! The deck over PC/SC, with others: neighbours who select, reset and hold the card, and a service that comes and goes.

#![allow(clippy::unwrap_used, reason = "helpers of tests may do what tests may")]

mod common;
mod world;

use std::fs;
use std::time::Duration;

use claviger_cards::deck::{Change, Deck, DeckConfig, ScanError, TokenHandle};
use claviger_cards::token::{Request, TokenError};
use pcsc::{Card, Disposition, Protocols, ShareMode};
use tokio::time::timeout;

use common::{PATIENCE, submit, tokens};
use world::{
    Holder, HoldingProcess, Service, alone, decipher, decipher_again, deck, event, inside, neighbour, plug,
    stop_pcscd, wait_for_card, with_decryption_key,
};

/// SELECT of the virtual card's other applet.
const SELECT: &[u8] = b"\x00\xa4\x04\x00\x06\xf0\x00\x00\x01\x01\x01";

/// What a neighbour can do to a card.
type Disturbance = fn(Card);

/// Everything that PC/SC lets a neighbour do, and leave the card so.
const DISTURBANCES: [(&str, Disturbance); 9] = [
    ("SELECT", |card| {
        select(&card);
        leave(card, Disposition::LeaveCard);
    }),
    ("SELECT in a transaction", |mut card| {
        select(&card.transaction().unwrap());
        leave(card, Disposition::LeaveCard);
    }),
    ("SELECT, then a reset", |card| {
        select(&card);
        leave(card, Disposition::ResetCard);
    }),
    ("a reset at the end", |card| leave(card, Disposition::ResetCard)),
    ("power taken away at the end", |card| leave(card, Disposition::UnpowerCard)),
    ("a reset in between", |card| reconnect(card, Disposition::ResetCard)),
    ("power taken away in between", |card| reconnect(card, Disposition::UnpowerCard)),
    ("a reset at the end of a transaction", |card| end_transaction(card, Disposition::ResetCard)),
    ("power taken away at the end of a transaction", |card| end_transaction(card, Disposition::UnpowerCard)),
];

fn select(card: &Card) {
    let mut answer = [0; 258];
    assert_eq!(card.transmit(SELECT, &mut answer).unwrap(), [0x90, 0x00]);
}

fn leave(card: Card, disposition: Disposition) {
    card.disconnect(disposition).map_err(|(_, error)| error).unwrap();
}

fn reconnect(mut card: Card, disposition: Disposition) {
    card.reconnect(ShareMode::Shared, Protocols::ANY, disposition).unwrap();
    leave(card, Disposition::LeaveCard);
}

fn end_transaction(mut card: Card, disposition: Disposition) {
    card.transaction().unwrap().end(disposition).map_err(|(_, error)| error).unwrap();
    leave(card, Disposition::LeaveCard);
}

#[test]
fn the_first_command_after_any_disturbance_works() {
    inside("the_first_command_after_any_disturbance_works", async {
        let deck = deck();
        let card = plug();
        let token = tokens(&deck, 1).await.remove(0);
        with_decryption_key(&token).await;
        for (what, disturb) in DISTURBANCES {
            println!("{what}");
            disturb(neighbour(ShareMode::Shared));
            decipher_again(&token).await;
            for first in [Request::Refresh, Request::SignatureCounter, Request::Random(8), Request::Reset] {
                disturb(neighbour(ShareMode::Shared));
                token.submit(claviger_cards::token::Job::new(first)).await.unwrap();
            }
            decipher_again(&token).await;
        }
        assert!(token.is_present());
        assert!(card.tell("count").contains("leaks=0"));
        assert_eq!(tries(&token).await, 3);
    });
}

async fn tries(token: &TokenHandle) -> u8 {
    submit(token, Request::Refresh).await.unwrap();
    token.card().unwrap().pin_status.tries(claviger_cards::token::PinRef::User)
}

#[test]
fn a_neighbour_that_resets_the_card_and_goes_on_holding_it_is_waited_for() {
    inside("a_neighbour_that_resets_the_card_and_goes_on_holding_it_is_waited_for", async {
        let deck = deck();
        let _card = plug();
        let token = tokens(&deck, 1).await.remove(0);
        with_decryption_key(&token).await;
        for job in [Request::Refresh, Request::Reset, Request::PowerDown, decipher()] {
            end_transaction(neighbour(ShareMode::Shared), Disposition::ResetCard);
            let holder = Holder::start();
            let waiting = submit(&token, job);
            tokio::pin!(waiting);
            let early = timeout(Duration::from_millis(300), &mut waiting).await;
            assert!(early.is_err(), "{early:?}");
            holder.let_go();
            waiting.await.unwrap();
        }
    });
}

#[test]
fn a_neighbour_that_resets_the_card_is_no_removal() {
    inside("a_neighbour_that_resets_the_card_is_no_removal", async {
        let deck = deck();
        let card = plug();
        let token = tokens(&deck, 1).await.remove(0);
        with_decryption_key(&token).await;
        let mut events = deck.subscribe();
        neighbour(ShareMode::Shared).disconnect(Disposition::ResetCard).map_err(|(_, error)| error).unwrap();
        decipher_again(&token).await;
        event(&mut events, Change::Reset).await;
        assert!(token.is_present());
        assert_eq!(token.card().unwrap().resets, 1);
        assert!(card.tell("count").contains("leaks=0"));
    });
}

#[test]
fn a_neighbour_that_selects_its_applet_gets_no_pin() {
    inside("a_neighbour_that_selects_its_applet_gets_no_pin", async {
        let deck = deck();
        let card = plug();
        let token = tokens(&deck, 1).await.remove(0);
        with_decryption_key(&token).await;
        let other = neighbour(ShareMode::Shared);
        let mut answer = [0; 258];
        let selected = other.transmit(b"\x00\xa4\x04\x00\x06\xf0\x00\x00\x01\x01\x01", &mut answer);
        assert_eq!(selected.unwrap(), [0x90, 0x00]);
        other.disconnect(Disposition::LeaveCard).map_err(|(_, error)| error).unwrap();
        decipher_again(&token).await;
        assert!(card.tell("count").contains("leaks=0"));
    });
}

#[test]
fn a_neighbour_that_holds_the_card_too_long_makes_us_busy_and_is_named() {
    let name = "a_neighbour_that_holds_the_card_too_long_makes_us_busy_and_is_named";
    inside(name, async {
        let deadline = Duration::from_millis(300);
        let deck = Deck::new(DeckConfig { deadline, ..DeckConfig::default() });
        let _card = plug();
        let token = tokens(&deck, 1).await.remove(0);
        let holder = HoldingProcess::start(name);
        for job in [Request::SignatureCounter, Request::Reset] {
            let busy = submit(&token, job).await.unwrap_err();
            let TokenError::Busy { neighbours } = &busy else { panic!("{busy}") };
            assert_eq!(neighbours.iter().map(|process| process.id).collect::<Vec<_>>(), [holder.id()]);
            assert!(busy.to_string().contains("sharing-"), "{busy}");
            assert!(busy.to_string().contains(&format!("(process {})", holder.id())), "{busy}");
        }
        drop(holder);
        let served = timeout(PATIENCE, async { while submit(&token, Request::Refresh).await.is_err() {} });
        served.await.unwrap();
        assert_eq!(token.card().unwrap().signature_counter, None, "what was given up is not carried out");
    });
}

#[test]
fn a_card_that_is_held_when_it_is_to_be_opened_is_told_and_opened_later() {
    inside("a_card_that_is_held_when_it_is_to_be_opened_is_told_and_opened_later", async {
        let _card = plug();
        wait_for_card();
        let holder = Holder::start();
        let deadline = Duration::from_millis(300);
        let deck = Deck::new(DeckConfig { deadline, ..DeckConfig::default() });
        let refused = deck.scan().await;
        assert!(matches!(refused, Err(ScanError::CardUnusable { .. })), "{refused:?}");
        holder.let_go();
        tokens(&deck, 1).await;
    });
}

#[test]
fn a_card_that_a_neighbour_has_for_itself_is_there_when_it_is_free() {
    inside("a_card_that_a_neighbour_has_for_itself_is_there_when_it_is_free", async {
        let _card = plug();
        let exclusive = alone();
        let deck = deck();
        let refused = deck.scan().await;
        assert!(matches!(refused, Err(ScanError::CardUnusable { .. })), "{refused:?}");
        drop(exclusive);
        deck.scan().await.unwrap();
        assert_eq!(deck.tokens().len(), 1);
    });
}

#[test]
fn who_waits_hears_of_a_card_that_could_not_be_opened_at_first() {
    inside("who_waits_hears_of_a_card_that_could_not_be_opened_at_first", async {
        let _card = plug();
        let exclusive = alone();
        let deck = deck();
        assert!(matches!(deck.scan().await, Err(ScanError::CardUnusable { .. })));
        let mut events = deck.subscribe();
        drop(exclusive);
        tokio::select! {
            never = deck.attend() => match never {},
            () = event(&mut events, Change::Inserted) => {}
        }
    });
}

#[test]
fn without_the_service_the_cure_is_told_and_with_it_all_is_well_again() {
    inside("without_the_service_the_cure_is_told_and_with_it_all_is_well_again", async {
        let deck = deck();
        let _card = plug();
        let token = tokens(&deck, 1).await.remove(0);
        let mut events = deck.subscribe();
        stop_pcscd("TERM");
        event(&mut events, Change::Removed).await;
        assert!(!token.is_present());
        let error = deck.scan().await.unwrap_err();
        assert!(matches!(error, ScanError::NoService { .. }), "{error}");
        assert!(error.to_string().contains("pcscd"), "{error}");
        let _service = Service::start();
        let token = tokens(&deck, 1).await.remove(0);
        submit(&token, Request::Refresh).await.unwrap();
    });
}

#[test]
fn a_service_that_was_killed_is_noticed_when_it_is_back_and_nobody_asks() {
    inside("a_service_that_was_killed_is_noticed_when_it_is_back_and_nobody_asks", async {
        let deck = deck();
        let _card = plug();
        let token = tokens(&deck, 1).await.remove(0);
        with_decryption_key(&token).await;
        let mut events = deck.subscribe();
        let mut open = Vec::new();
        let mut service = None;
        for signal in ["KILL", "TERM", "KILL", "KILL"] {
            stop_pcscd(signal);
            event(&mut events, Change::Removed).await;
            // The new one believes in the old one until that was waited for.
            drop(service.take());
            service = Some(Service::start());
            event(&mut events, Change::Inserted).await;
            let token = deck.tokens().remove(0);
            decipher_again(&token).await;
            open.push(fs::read_dir("/proc/self/fd").unwrap().count());
        }
        assert_eq!(open.first(), open.last(), "descriptors: {open:?}");
    });
}
