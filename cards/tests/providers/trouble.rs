//! Modules and helpers that fail, and tokens that are taken away: what is lost, what comes back, what nobody else notices.

use std::ffi::OsString;
use std::fs;
use std::time::Duration;

use claviger_cards::deck::{Deck, DeckConfig, HelperProgram, TokenHandle};
use claviger_cards::pkcs11::{ProviderConfig, ProviderPhase, ProviderState, Request, SignScheme};
use claviger_cards::token::{Reply, Request as TokenRequest, TokenError};
use claviger_keys::PublicKey;
use openssl::bn::BigNum;
use openssl::ecdsa::EcdsaSig;
use openssl::pkey::PKey;
use rustix::process::{Pid, Signal, kill_process};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::world::{
    MODULE, P256, PATIENCE, SoftHsm, UNLOCK, deck, generate, token, unlock, with_pins, without_pin,
};

/// Has the token sign, and checks the signature.
pub(crate) async fn sign(token: &TokenHandle, key: &PublicKey) -> Result<(), TokenError> {
    let digest = [7; 32];
    let number = token.pkcs11().and_then(|facts| facts.key_of(&key.keygrip()).map(|key| key.number));
    let key_number = number.ok_or(TokenError::NoObject)?;
    let request = Request::Sign { key: key_number, scheme: SignScheme::Ecdsa, data: digest.to_vec() };
    let Reply::Signature(signature) = without_pin(token, request).await? else { panic!("no signature") };
    let [r, s] = [&signature[..32], &signature[32..]].map(|half| BigNum::from_slice(half).unwrap());
    let signature = EcdsaSig::from_private_components(r, s).unwrap();
    let key = PKey::public_key_from_der(&key.spki_der()).unwrap().ec_key().unwrap();
    match signature.verify(&digest, &key) {
        Ok(true) => Ok(()),
        wrong => Err(TokenError::Malformed { operation: "C_Sign", message: format!("{wrong:?}") }),
    }
}

/// Waits until a provider is in a state.
async fn until(deck: &Deck, name: &str, reached: impl Fn(&ProviderState) -> bool) -> ProviderState {
    let wait = async {
        loop {
            if let Some(state) =
                deck.providers().into_iter().find(|state| *state.name == *name && reached(state))
            {
                return state;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{:?}", deck.providers()))
}

#[tokio::test]
async fn a_module_that_cannot_be_loaded_is_nobody_else_s_trouble() {
    let softhsm = SoftHsm::with(&["one"]);
    let mut broken = softhsm.provider("/nowhere/module.so");
    broken.name = "broken".to_owned();
    let deck = deck(vec![broken, softhsm.provider(MODULE)]);
    let token = token(&deck, "one").await;
    unlock(&token).await;
    let key = generate(&token, P256, 1).await;
    sign(&token, &key).await.unwrap();
    let state = until(&deck, "broken", |state| state.restarts > 1).await;
    let why = state.last_error.unwrap();
    assert!(why.contains("/nowhere/module.so"), "{why}");
    assert_eq!((state.tokens, state.library), (0, None));
}

#[tokio::test]
async fn a_helper_that_is_killed_is_started_anew_and_its_tokens_come_back() {
    let softhsm = SoftHsm::with(&["one"]);
    let deck = deck(vec![softhsm.provider(MODULE)]);
    let before = token(&deck, "one").await;
    unlock(&before).await;
    let key = generate(&before, P256, 1).await;
    let pid = deck.providers()[0].process.and_then(|id| Pid::from_raw(id as i32)).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    timeout(PATIENCE, before.removed()).await.unwrap();
    assert!(matches!(without_pin(&before, Request::Enumerate).await, Err(TokenError::Gone)));
    let after = token(&deck, "one").await;
    assert_ne!(after.insertion(), before.insertion(), "a PIN is for one stay");
    with_pins(&after, TokenRequest::EnsureVerified(claviger_cards::token::PinRef::User), &[UNLOCK])
        .await
        .unwrap();
    sign(&after, &key).await.unwrap();
    assert_eq!(deck.providers()[0].restarts, 1);
}

#[tokio::test]
async fn a_token_that_is_taken_away_is_missed_and_found_again() {
    let softhsm = SoftHsm::with(&["one"]);
    let deck = deck(vec![softhsm.provider(MODULE)]);
    let before = token(&deck, "one").await;
    unlock(&before).await;
    let key = generate(&before, P256, 1).await;
    let away = softhsm.tokens().with_extension("away");
    fs::rename(softhsm.tokens(), &away).unwrap();
    fs::create_dir(softhsm.tokens()).unwrap();
    let missed = async {
        while before.is_present() {
            // It may still sign for a moment: SoftHSM has read the key.
            let _ = without_pin(&before, Request::Enumerate).await;
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, missed).await.unwrap();
    fs::remove_dir(softhsm.tokens()).unwrap();
    fs::rename(&away, softhsm.tokens()).unwrap();
    let after = token(&deck, "one").await;
    unlock(&after).await;
    sign(&after, &key).await.unwrap();
}

/// A deck with one provider whose helper is a shell command.
fn deck_of_shell(command: &str, start: Duration) -> Deck {
    let mut config = ProviderConfig::new("shell", "/module.so");
    (config.limits.start, config.limits.operation) = (start, start);
    Deck::new(DeckConfig {
        pcsc: false,
        providers: vec![config],
        helper: Some(HelperProgram {
            program: "/bin/sh".into(),
            arguments: ["-c", command].map(OsString::from).to_vec(),
        }),
        ..DeckConfig::default()
    })
}

#[tokio::test]
async fn a_helper_that_says_nothing_is_waited_for_once() {
    let deck = deck_of_shell("exec sleep 1000", Duration::from_millis(200));
    timeout(PATIENCE, deck.scan()).await.unwrap().unwrap();
    let state = until(&deck, "shell", |state| state.restarts > 0).await;
    assert!(state.last_error.unwrap().contains("it took too long"));
    for _ in 0..3 {
        // None of these waits: the first one did, as long as a start may take.
        tokio::select! {
            biased;
            scanned = deck.settled() => scanned,
            () = sleep(Duration::from_millis(100)) => panic!("waited again"),
        }
    }
}

#[tokio::test]
async fn a_helper_that_talks_nonsense_is_ended() {
    for nonsense in [
        "head -c 100000 /dev/urandom",
        "printf '\\377\\377\\377\\377\\0\\0\\0\\0'",
        "yes",
        "printf '\\0\\0\\0\\1\\0\\0\\0\\0\\77'",
        // A look that is over (`Looked`), before it is ready.
        "printf '\\0\\0\\0\\2\\0\\0\\0\\0\\4\\0'",
    ] {
        let deck = deck_of_shell(&format!("{nonsense} >&0; exec sleep 1000"), Duration::from_secs(30));
        timeout(PATIENCE, deck.scan()).await.unwrap().unwrap();
        let state = until(&deck, "shell", |state| state.phase == ProviderPhase::Resting).await;
        let why = state.last_error.unwrap();
        assert!(why.contains("does not speak our language"), "{nonsense}: {why}");
    }
}

#[tokio::test]
async fn eight_clients_sign_with_two_tokens_at_the_same_time() {
    let softhsm = SoftHsm::with(&["one", "two"]);
    let deck = deck(vec![softhsm.provider(MODULE)]);
    let mut clients = JoinSet::new();
    for label in ["one", "two"] {
        let token = token(&deck, label).await;
        unlock(&token).await;
        let key = generate(&token, P256, 1).await;
        for _ in 0..4 {
            let (token, key) = (token.clone(), key.clone());
            clients.spawn(async move {
                for _ in 0..25 {
                    sign(&token, &key).await.unwrap();
                }
            });
        }
    }
    clients.join_all().await;
}

#[tokio::test]
async fn nothing_is_started_before_somebody_looks() {
    let softhsm = SoftHsm::with(&["one"]);
    let deck = deck(vec![softhsm.provider(MODULE)]);
    sleep(Duration::from_millis(100)).await;
    assert!(deck.providers().is_empty() && deck.tokens().is_empty());
    deck.scan().await.unwrap();
    assert_eq!((deck.providers().len(), deck.tokens().len()), (1, 1));
}
