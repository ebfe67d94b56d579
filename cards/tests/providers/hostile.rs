//! A provider whose module does its worst (`cards/hostile`): what the deck says of it, and that others go on.

use std::ffi::OsString;
use std::time::Duration;

use claviger_cards::deck::{Deck, TokenHandle};
use claviger_cards::pkcs11::ProviderConfig;
use claviger_cards::token::TokenError;
use claviger_keys::PublicKey;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::hostile_module;
use crate::trouble::sign;
use crate::world::{MODULE, P256, PATIENCE, SoftHsm, deck, generate, token, unlock, unlocked};

/// How long the hostile module is let loose.
const WHILE: Duration = Duration::from_secs(5);

/// How long is waited after a trouble.
const PAUSE: Duration = Duration::from_millis(20);

/// A provider with the hostile module before the same tokens.
fn hostile(softhsm: &SoftHsm, orders: &[(&str, &str)]) -> ProviderConfig {
    let mut config = softhsm.provider(hostile_module::path());
    config.name = "hostile".to_owned();
    config.limits.operation = Duration::from_millis(500);
    config.limits.start = Duration::from_secs(2);
    let orders = [&[("HOSTILE_MODULE", MODULE)], orders].concat();
    let variable = |(name, value): (&str, &str)| (OsString::from(name), Some(OsString::from(value)));
    config.environment.extend(orders.into_iter().map(variable));
    config
}

/// A token with a key, made through the real module.
async fn prepared(softhsm: &SoftHsm, label: &str) -> PublicKey {
    let deck = deck(vec![softhsm.provider(MODULE)]);
    let token = token(&deck, label).await;
    unlock(&token).await;
    generate(&token, P256, 1).await
}

/// What becomes of a signature at whose `C_Sign` the module does this; with what has to live
/// meanwhile.
async fn at_sign(fault: &str) -> (SoftHsm, TokenError, Deck, TokenHandle, PublicKey) {
    let softhsm = SoftHsm::with(&["one"]);
    let key = prepared(&softhsm, "one").await;
    let orders = [("HOSTILE_FAULTS", fault), ("HOSTILE_FUNCTION", "C_Sign"), ("HOSTILE_CALL", "1")];
    let deck = deck(vec![hostile(&softhsm, &orders)]);
    let before = token(&deck, "one").await;
    unlock(&before).await;
    let error = timeout(PATIENCE, sign(&before, &key)).await.unwrap().unwrap_err();
    (softhsm, error, deck, before, key)
}

#[tokio::test]
async fn an_operation_that_hangs_costs_the_helper_its_life() {
    let (_softhsm, error, deck, before, _) = at_sign("sleep").await;
    assert!(matches!(error, TokenError::Silent), "{error}");
    timeout(PATIENCE, before.removed()).await.unwrap();
    let after = token(&deck, "one").await;
    assert_ne!(after.insertion(), before.insertion());
    let state = deck.providers().remove(0);
    assert!(state.last_error.unwrap().contains("too long"));
}

#[tokio::test]
async fn a_crash_is_a_token_that_is_gone_and_no_signature_is_tried_twice() {
    for fault in ["crash", "exit"] {
        let (_softhsm, error, deck, before, _) = at_sign(fault).await;
        assert!(matches!(error, TokenError::Gone), "{fault}: {error}");
        timeout(PATIENCE, before.removed()).await.unwrap();
        token(&deck, "one").await;
        assert_eq!(deck.providers()[0].restarts, 1, "{fault}: one call, one crash");
    }
}

#[tokio::test]
async fn a_refusal_is_an_error_of_the_module_and_the_token_stays() {
    let (_softhsm, error, _deck, before, key) = at_sign("refuse").await;
    assert!(matches!(error, TokenError::Module { .. } | TokenError::Gone), "{error}");
    if before.is_present() {
        unlock(&before).await;
        sign(&before, &key).await.unwrap();
    }
}

#[tokio::test]
async fn others_sign_while_a_module_does_its_worst() {
    let (good, bad) = (SoftHsm::with(&["one", "two"]), SoftHsm::with(&["bad"]));
    let victim = prepared(&bad, "bad").await;
    let seed = std::process::id().to_string();
    println!("seed {seed}");
    let orders = [("HOSTILE_SEED", seed.as_str()), ("HOSTILE_WITHIN", "100")];
    let deck = deck(vec![good.provider(MODULE), hostile(&bad, &orders)]);
    let mut clients = JoinSet::new();
    for label in ["one", "two"] {
        let token = token(&deck, label).await;
        unlock(&token).await;
        let key = generate(&token, P256, 1).await;
        for _ in 0..4 {
            let (token, key) = (token.clone(), key.clone());
            clients.spawn(async move {
                loop {
                    sign(&token, &key).await.unwrap();
                    sleep(Duration::from_millis(1)).await;
                }
            });
        }
    }
    let troubles = torment(&deck, &victim).await;
    assert!(troubles > 0, "it was good all the time");
    // A client ends only by a failure.
    let ended = clients.try_join_next();
    assert!(ended.is_none(), "{ended:?}");
    clients.abort_all();
    let worst = deck.providers().into_iter().find(|state| &*state.name == "hostile").unwrap();
    println!("{troubles} troubles, {} restarts", worst.restarts);
}

/// Uses the hostile token for a while; how often it failed or was not there.
async fn torment(deck: &Deck, key: &PublicKey) -> usize {
    let end = tokio::time::Instant::now() + WHILE;
    let mut troubles = 0;
    while tokio::time::Instant::now() < end {
        let is_it =
            |token: &TokenHandle| token.pkcs11().is_some_and(|facts| facts.key_of(&key.keygrip()).is_some());
        let Some(token) = deck.tokens().into_iter().rev().find(is_it) else {
            troubles += 1;
            sleep(PAUSE).await;
            continue;
        };
        if unlocked(&token).await.is_err() || sign(&token, key).await.is_err() {
            troubles += 1;
            sleep(PAUSE).await;
        }
    }
    troubles
}
