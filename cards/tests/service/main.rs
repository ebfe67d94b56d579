//! A faulty service: each message between us and pcscd is lost, cut, refused or not answered, one at a time. Whatever it
//! is, what was being done ends in time, and the next operation works once the fault is over; no PIN try is lost.

#![allow(clippy::unwrap_used, reason = "helpers of tests may do what tests may")]

#[path = "../common/mod.rs"]
mod common;
mod proxy;
#[path = "../world/mod.rs"]
mod world;

use std::path::Path;
use std::time::{Duration, Instant};

use claviger_cards::deck::{Deck, DeckConfig, TokenHandle};
use claviger_cards::token::{PinRef, Request, Slot, TokenError};
use tokio::time::{sleep, timeout};

use common::{VirtualCard, submit};
use proxy::{Fault, Proxy};
use world::{decipher, inside_with, plug};

/// How long a neighbour may hold the card, or the card be silent.
const LIMIT: Duration = Duration::from_millis(300);

/// How long opening the card and a decryption may take, whatever happens: three waits, and what follows a removal.
const IN_TIME: Duration = Duration::from_secs(4);

/// How long the next operation may be tried after a fault.
const RECOVERY: Duration = Duration::from_secs(5);

/// Results of pcsc-lite's (`pcsclite.h`) that speak of the service: internal error, cancelled, invalid handle, no memory,
/// timeout, no service, stopped, comm data lost.
const SERVICE_RESULTS: [u32; 8] =
    [0x8010_0001, 0x8010_0002, 0x8010_0003, 0x8010_0006, 0x8010_000a, 0x8010_001d, 0x8010_001e, 0x8010_002f];

/// Those that speak of the card: sharing violation, none there, not transacted, reader unavailable, unresponsive, unpowered,
/// reset, removed.
const CARD_RESULTS: [u32; 8] =
    [0x8010_000b, 0x8010_000c, 0x8010_0016, 0x8010_0017, 0x8010_0066, 0x8010_0067, 0x8010_0068, 0x8010_0069];

#[test]
fn a_connection_that_ends_at_any_message_is_no_end() {
    let name = "a_connection_that_ends_at_any_message_is_no_end";
    with_each(name, &[Fault::HangUp, Fault::Lose, Fault::Cut]);
}

#[test]
fn a_service_that_refuses_any_message_is_asked_again() {
    with_each("a_service_that_refuses_any_message_is_asked_again", &SERVICE_RESULTS.map(Fault::Refuse));
}

#[test]
fn a_service_that_misses_the_card_at_any_message_is_asked_again() {
    let name = "a_service_that_misses_the_card_at_any_message_is_asked_again";
    with_each(name, &CARD_RESULTS.map(Fault::Refuse));
}

#[test]
fn a_service_that_is_silent_at_any_message_is_not_waited_for() {
    with_each("a_service_that_is_silent_at_any_message_is_not_waited_for", &[Fault::Stall]);
}

/// Opens the card and deciphers, with each fault at each request.
fn with_each(name: &str, faults: &[Fault]) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("pcscd.comm");
    inside_with(name, &[("PCSCLITE_CSOCK_NAME", &path)], async {
        // Inside, the directory is the one that the outer process has made.
        let path = std::env::var_os("PCSCLITE_CSOCK_NAME").unwrap();
        let proxy = Proxy::listen(Path::new(&path));
        let card = plug();
        prepare(&proxy).await;
        proxy.arm(None);
        let deck = deck();
        work(&deck).await.unwrap();
        let requests = proxy.counts();
        deck.shutdown();
        let (mut cases, mut errors, mut longest) = (0, 0, Duration::ZERO);
        for (command, count) in requests {
            for at in 1..=count {
                for fault in faults {
                    let (took, ended) = one(&proxy, &card, (command, at, *fault)).await;
                    longest = longest.max(took);
                    cases += 1;
                    errors += usize::from(ended.is_err());
                }
            }
        }
        println!("{cases} cases, {errors} errors, the longest after {longest:?}");
        assert!(errors > 0);
    });
}

/// A card with a key.
async fn prepare(proxy: &Proxy) {
    proxy.arm(None);
    let deck = deck();
    let token = common::tokens(&deck, 1).await.remove(0);
    world::with_decryption_key(&token).await;
    assert!(token.card().unwrap().has_fingerprint(Slot::Decrypt));
    deck.shutdown();
}

fn deck() -> Deck {
    Deck::new(DeckConfig { deadline: LIMIT, patience: LIMIT, ..DeckConfig::default() })
}

/// One fault, and what comes after it.
async fn one(
    proxy: &Proxy,
    card: &VirtualCard,
    fault: (u32, usize, Fault),
) -> (Duration, Result<(), String>) {
    let deck = deck();
    proxy.arm(Some(fault));
    let begun = Instant::now();
    let ended = timeout(IN_TIME, work(&deck)).await;
    let took = begun.elapsed();
    let ended = ended.unwrap_or_else(|_| panic!("{fault:?}: a hang"));
    proxy.disarm();
    let again = async {
        while let Err(error) = work(&deck).await {
            assert!(begun.elapsed() < IN_TIME + RECOVERY, "{fault:?}: {ended:?}, afterwards {error}");
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(IN_TIME + RECOVERY, again).await.unwrap_or_else(|_| panic!("{fault:?}: a hang afterwards"));
    let token = deck.tokens().remove(0);
    submit(&token, Request::Refresh).await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
    assert_eq!(token.card().unwrap().pin_status.tries(PinRef::User), 3, "{fault:?}");
    assert!(card.tell("count").contains("leaks=0"));
    deck.shutdown();
    (took, ended)
}

/// Finds the card and deciphers.
async fn work(deck: &Deck) -> Result<(), String> {
    deck.scan().await.map_err(|error| error.to_string())?;
    let token = deck.tokens().first().cloned().ok_or("no card")?;
    deciphers(&token).await.map_err(|error| error.to_string())
}

async fn deciphers(token: &TokenHandle) -> Result<(), TokenError> {
    submit(token, decipher()).await.map(drop)
}
