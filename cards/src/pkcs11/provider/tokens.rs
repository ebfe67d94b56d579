//! The tokens that a provider has now, by slot: reports come in, insertions and facts go out.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tracing::{debug, warn};

use super::carrier::TokenCarrier;
use super::link::Link;
use super::lock;
use crate::deck::Register;
use crate::pkcs11::facts::Facts;
use crate::pkcs11::opensc::is_in_reader;
use crate::pkcs11::pairing::{self, Known, Pairing};
use crate::pkcs11::wire::TokenReport;
use crate::pkcs11::{LoginMode, ProviderConfig};
use crate::token::Insertion;

/// The most tokens of a provider: what its helper says beyond that is not heard.
const MAX_TOKENS: usize = 256;

/// The tokens of a provider.
pub(super) struct Tokens {
    provider: Arc<str>,
    register: Arc<Register>,
    present: Mutex<HashMap<u64, Present>>,
    /// Changed and read under the lock of `present`.
    is_closed: AtomicBool,
}

struct Present {
    insertion: Insertion,
    facts: watch::Sender<Arc<Facts>>,
    known: watch::Sender<Arc<Known>>,
}

impl Tokens {
    pub(super) fn new(provider: Arc<str>, register: Arc<Register>) -> Self {
        Self { provider, register, present: Mutex::default(), is_closed: AtomicBool::new(false) }
    }

    /// What a helper says of a token: it is there, or is not what it was.
    pub(super) async fn report(
        &self,
        report: TokenReport,
        library: String,
        config: &ProviderConfig,
        link: &Arc<Link>,
    ) {
        let slot = report.slot;
        let before = self.present().get(&slot).map(|present| Arc::clone(&present.known.borrow()));
        let pairing = Pairing::new(Arc::clone(&self.provider), library, config, before.clone());
        // A token may have thousands of certificates; nobody else is to wait while they are read.
        let Ok(paired) = spawn_blocking(move || pairing.pair(report)).await else { return };
        match paired {
            None => {
                debug!(slot, "the configuration leaves this token alone");
                self.gone(slot);
            }
            Some(known) if before.is_some_and(|before| pairing::is_same_token(&before, &known)) => {
                self.changed(slot, known);
            }
            Some(known) => {
                self.gone(slot);
                self.arrived(slot, known, config, link);
            }
        }
    }

    /// A slot is empty.
    pub(super) fn gone(&self, slot: u64) {
        let gone = self.present().remove(&slot);
        if let Some(present) = gone {
            self.register.depart(present.insertion);
        }
    }

    /// All slots are empty.
    pub(super) fn all_gone(&self) {
        let all = std::mem::take(&mut *self.present());
        self.depart(all);
    }

    /// All slots are empty for good.
    pub(super) fn close(&self) {
        let mut present = self.present();
        self.is_closed.store(true, Ordering::Relaxed);
        let all = std::mem::take(&mut *present);
        drop(present);
        self.depart(all);
    }

    fn depart(&self, all: HashMap<u64, Present>) {
        for present in all.into_values() {
            self.register.depart(present.insertion);
        }
    }

    pub(super) fn count(&self) -> usize {
        self.present().len()
    }

    /// Whether one of the tokens is in this reader.
    pub(super) fn has_slot_at(&self, reader: &str) -> bool {
        self.present().values().any(|present| is_in_reader(&present.facts.borrow().slot_description, reader))
    }

    fn changed(&self, slot: u64, known: Known) {
        if let Some(present) = self.present().get(&slot) {
            present.facts.send_replace(Arc::clone(&known.facts));
            present.known.send_replace(Arc::new(known));
        }
    }

    fn arrived(&self, slot: u64, known: Known, config: &ProviderConfig, link: &Arc<Link>) {
        let facts = watch::Sender::new(Arc::clone(&known.facts));
        let known = watch::Sender::new(Arc::new(known));
        let login: LoginMode = config.login;
        let carrier = TokenCarrier::new(Arc::clone(link), slot, known.subscribe(), login, config.limits);
        // Under the lock, so that who hears of the token finds it here, too.
        let mut present = self.present();
        if self.is_closed.load(Ordering::Relaxed) {
            return;
        }
        if present.len() >= MAX_TOKENS {
            warn!(slot, "more than {MAX_TOKENS} tokens: this one is left alone");
            return;
        }
        let insertion = self.register.arrive_token(facts.subscribe(), Arc::new(carrier));
        present.insert(slot, Present { insertion, facts, known });
    }

    fn present(&self) -> MutexGuard<'_, HashMap<u64, Present>> {
        lock(&self.present)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deck::{Deck, DeckConfig};
    use crate::pkcs11::pairing::sample;
    use crate::pkcs11::provider::link::scripted::linked;

    /// The tokens of a provider, and the deck that shows them.
    fn tokens() -> (Tokens, Deck) {
        let deck = Deck::new(DeckConfig { pcsc: false, ..DeckConfig::default() });
        (Tokens::new("test".into(), Arc::clone(deck.register())), deck)
    }

    async fn report(tokens: &Tokens, slot: u64, label: &str) {
        let report = TokenReport { slot, label: label.to_owned(), ..sample::report(Vec::new(), Vec::new()) };
        let config = ProviderConfig::new("test", "/module.so");
        let (link, _) = linked(1);
        tokens.report(report, String::new(), &config, &link).await;
    }

    fn labels(deck: &Deck) -> Vec<String> {
        deck.tokens().iter().map(|token| token.pkcs11().unwrap().id.label.clone()).collect()
    }

    #[tokio::test]
    async fn a_token_stays_the_same_until_another_is_in_its_slot() {
        let (tokens, deck) = tokens();
        report(&tokens, 1, "one").await;
        let first = deck.tokens()[0].clone();
        report(&tokens, 1, "one").await;
        assert!(first.is_present() && deck.tokens().len() == 1);
        report(&tokens, 1, "other").await;
        assert!(!first.is_present());
        assert_eq!(labels(&deck), ["other"]);
        tokens.gone(1);
        tokens.gone(1);
        assert_eq!(labels(&deck), [""; 0]);
    }

    #[tokio::test]
    async fn what_a_helper_still_says_behind_the_end_brings_no_token() {
        let (tokens, deck) = tokens();
        report(&tokens, 1, "one").await;
        let first = deck.tokens()[0].clone();
        tokens.close();
        report(&tokens, 1, "one").await;
        report(&tokens, 2, "two").await;
        assert!(!first.is_present() && deck.tokens().is_empty() && tokens.count() == 0);
    }

    #[tokio::test]
    async fn a_provider_has_not_more_than_so_many_tokens() {
        let (tokens, deck) = tokens();
        for slot in 0..=MAX_TOKENS as u64 {
            report(&tokens, slot, "many").await;
        }
        assert_eq!((tokens.count(), deck.tokens().len()), (MAX_TOKENS, MAX_TOKENS));
        tokens.gone(0);
        report(&tokens, MAX_TOKENS as u64, "late").await;
        assert_eq!(labels(&deck)[0], "late");
    }
}
