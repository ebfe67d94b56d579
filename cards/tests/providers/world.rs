//! Decks with SoftHSM behind a provider. This program is the helper too.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use claviger_cards::deck::{Deck, DeckConfig, HelperProgram, TokenHandle};
use claviger_cards::pkcs11::{self, NewKey, ObjectName, ProviderConfig, Usage};
use claviger_cards::token::{Job, NeedsPin, Outcome, PinPurpose, PinRef, Reply, Request, TokenError};
use claviger_keys::{Curve, PublicKey};
use claviger_secret::Secret;

pub(crate) use crate::softhsm_tokens::{MODULE, OFFICERS_PIN, PIN, SoftHsm};

/// How long anything in a test may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Tells this program that it is the helper.
const MARK: &str = "CLAVIGER_TEST_IS_HELPER";

/// If this program was started as a helper, it is one until its end.
pub(crate) fn be_helper_if_asked() {
    if std::env::var_os(MARK).is_some() {
        let _ = pkcs11::helper::run();
        std::process::exit(1);
    }
}

impl SoftHsm {
    /// A provider of it.
    pub(crate) fn provider(&self, module: impl AsRef<Path>) -> ProviderConfig {
        let mut config = ProviderConfig::new("softhsm", module.as_ref());
        config.environment = vec![
            (OsString::from("SOFTHSM2_CONF"), Some(self.conf().into_os_string())),
            (OsString::from(MARK), Some(OsString::from("yes"))),
        ];
        config.limits.poll = Duration::from_millis(100);
        config
    }
}

/// A deck with these providers and no readers.
pub(crate) fn deck(providers: Vec<ProviderConfig>) -> Deck {
    let arguments = ["--exact", "this_program_is_the_helper_too", "--nocapture", "--test-threads=1"];
    Deck::new(DeckConfig {
        pcsc: false,
        providers,
        helper: Some(HelperProgram {
            program: std::env::current_exe().unwrap(),
            arguments: arguments.map(OsString::from).to_vec(),
        }),
        ..DeckConfig::default()
    })
}

/// The token with this label, once it is there.
pub(crate) async fn token(deck: &Deck, label: &str) -> TokenHandle {
    let found = async {
        loop {
            deck.scan_anew().await.unwrap();
            let is_it = |token: &TokenHandle| token.pkcs11().is_some_and(|facts| facts.id.label == label);
            if let Some(token) = deck.tokens().into_iter().find(is_it) {
                return token;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, found)
        .await
        .unwrap_or_else(|_| panic!("no token {label}: {:?}", deck.providers()))
}

/// Has a token carry out a request, with these PINs for what it asks in turn.
pub(crate) async fn with_pins(
    token: &TokenHandle,
    request: Request,
    pins: &[(PinPurpose, &str)],
) -> Result<Reply, TokenError> {
    let mut job = Job::new(request);
    let mut pins = pins.iter();
    loop {
        match tokio::time::timeout(PATIENCE, token.submit(job)).await.expect("in time")? {
            Outcome::Done(reply) => return Ok(reply),
            Outcome::NeedsPin(need) => job = answered(need, pins.next()),
        }
    }
}

fn answered(need: NeedsPin, pin: Option<&(PinPurpose, &str)>) -> Job {
    let (purpose, pin) = pin.unwrap_or_else(|| panic!("not expected: {need:?}"));
    assert_eq!(need.purpose, *purpose);
    need.with_pin(Secret::copy_of(pin.as_bytes()))
}

/// The same where nothing is asked.
pub(crate) async fn without_pin(token: &TokenHandle, request: pkcs11::Request) -> Result<Reply, TokenError> {
    with_pins(token, Request::Pkcs11(request), &[]).await
}

pub(crate) const UNLOCK: (PinPurpose, &str) = (PinPurpose::Unlock(PinRef::User), PIN);

/// Logs in.
pub(crate) async fn unlock(token: &TokenHandle) {
    unlocked(token).await.unwrap();
}

/// The same where that may fail.
pub(crate) async fn unlocked(token: &TokenHandle) -> Result<(), TokenError> {
    with_pins(token, Request::Verify(PinRef::User), &[UNLOCK]).await.map(drop)
}

pub(crate) const P256: NewKey = NewKey::Ecc(Curve::NistP256);

/// Makes a key on a token that is unlocked.
pub(crate) async fn generate(token: &TokenHandle, kind: NewKey, id: u8) -> PublicKey {
    let usage =
        Usage { sign: true, decrypt: matches!(kind, NewKey::Rsa(_)), derive: matches!(kind, NewKey::Ecc(_)) };
    let name = ObjectName { id: vec![id], label: format!("key {id}") };
    match without_pin(token, pkcs11::Request::Generate { kind, name, usage }).await.unwrap() {
        Reply::PublicKey(key) => *key,
        other => panic!("{other:?}"),
    }
}

/// Its number on the token.
pub(crate) fn number(token: &TokenHandle, key: &PublicKey) -> pkcs11::KeyNumber {
    let facts = token.pkcs11().unwrap();
    facts.key_of(&key.keygrip()).unwrap_or_else(|| panic!("{:?}", facts.keys)).number
}
