//! Remembered PINs: bound to one insertion of one card, for a time that begins anew with each use.
//!
//! A card has two passwords here: PW1, which serves for signatures (81) and everything else (82), and PW3. Beside the
//! values, this room holds one *turn* for each: whoever wants to ask for a PIN takes it, so that many requests that need
//! the same PIN cause one question. When the rules forbid to remember (a forced signature PIN, the last try), the
//! token's answer says so and nobody comes here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use claviger_cards::token::{Insertion, PinRef};
use claviger_secret::Secret;
use tokio::sync::{Notify, OwnedMutexGuard};
use tokio::time::Instant;

/// The PINs that are remembered, and the turns to ask for them.
pub(super) struct PinCache {
    ttl: Duration,
    entries: Mutex<HashMap<(Insertion, Password), Entry>>,
    turns: Mutex<HashMap<(Insertion, Password), SharedTurn>>,
    /// Woken when a PIN was added.
    added: Notify,
}

/// Whoever holds the lock may ask.
type SharedTurn = Arc<tokio::sync::Mutex<()>>;

/// A password of the card as a value, whatever it is verified for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Password {
    Pw1,
    Pw3,
}

struct Entry {
    pin: Secret,
    expires: Instant,
}

impl Password {
    fn of(pin: PinRef) -> Option<Self> {
        match pin {
            PinRef::Sign | PinRef::User => Some(Self::Pw1),
            PinRef::Admin => Some(Self::Pw3),
            PinRef::ResetCode => None,
        }
    }
}

/// The right to ask for a PIN, and whether another question was in the way meanwhile.
pub(super) struct Turn {
    /// Held while the question is open.
    _guard: OwnedMutexGuard<()>,
    /// Whether this request had to wait for another's question: then the token may be unlocked by now.
    pub(super) waited: bool,
}

impl PinCache {
    /// A cache that forgets a PIN `ttl` after its last use; nothing is remembered if that is zero.
    pub(super) fn new(ttl: Duration) -> Self {
        Self { ttl, entries: Mutex::default(), turns: Mutex::default(), added: Notify::new() }
    }

    /// A copy of the PIN, if it is remembered; its time begins anew.
    pub(super) fn pin(&self, insertion: Insertion, pin: PinRef, now: Instant) -> Option<Secret> {
        let mut entries = lock(&self.entries);
        let entry = entries.get_mut(&(insertion, Password::of(pin)?)).filter(|entry| now < entry.expires)?;
        entry.expires = now + self.ttl;
        Some(entry.pin.duplicate())
    }

    /// Whether a PIN is remembered. Its time goes on.
    pub(super) fn has(&self, insertion: Insertion, pin: PinRef, now: Instant) -> bool {
        let Some(password) = Password::of(pin) else { return false };
        lock(&self.entries).get(&(insertion, password)).is_some_and(|entry| now < entry.expires)
    }

    /// Remembers a PIN that the card has accepted.
    pub(super) fn remember(&self, insertion: Insertion, pin: PinRef, value: Secret, now: Instant) {
        if let Some(password) = Password::of(pin).filter(|_| !self.ttl.is_zero()) {
            let entry = Entry { pin: value, expires: now + self.ttl };
            lock(&self.entries).insert((insertion, password), entry);
            self.added.notify_one();
        }
    }

    /// Forgets one PIN: the card did not take it, or it was changed.
    pub(super) fn forget_pin(&self, insertion: Insertion, pin: PinRef) {
        if let Some(password) = Password::of(pin) {
            lock(&self.entries).remove(&(insertion, password));
        }
    }

    /// Forgets all that belongs to an insertion.
    pub(super) fn forget(&self, insertion: Insertion) {
        lock(&self.entries).retain(|(of, _), _| *of != insertion);
        lock(&self.turns).retain(|(of, _), _| *of != insertion);
    }

    /// Wipes PINs when their time is over, for ever.
    pub(super) async fn wipe_in_time(&self) {
        loop {
            match self.wipe_expired(Instant::now()) {
                Some(next) => tokio::time::sleep_until(next).await,
                None => self.added.notified().await,
            }
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        lock(&self.entries).clear();
    }

    /// Wipes what has expired; returns when the next one will.
    fn wipe_expired(&self, now: Instant) -> Option<Instant> {
        let mut entries = lock(&self.entries);
        entries.retain(|_, entry| now < entry.expires);
        entries.values().map(|entry| entry.expires).min()
    }

    /// Waits for the right to ask for this PIN. There is nothing to wait for with a resetting code.
    pub(super) async fn turn(&self, insertion: Insertion, pin: PinRef) -> Option<Turn> {
        let key = (insertion, Password::of(pin)?);
        let turn = lock(&self.turns).entry(key).or_default().clone();
        let waited = turn.try_lock().is_err();
        Some(Turn { _guard: turn.lock_owned().await, waited })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: Insertion = Insertion(1);
    const SAME_CARD_AGAIN: Insertion = Insertion(2);
    const TTL: Duration = Duration::from_secs(600);

    fn cached(cache: &PinCache, insertion: Insertion, pin: PinRef, now: Instant) -> Option<Vec<u8>> {
        cache.pin(insertion, pin, now).map(|pin| pin.as_bytes().to_vec())
    }

    #[test]
    fn a_pin_serves_both_uses_of_pw1_and_only_its_own_insertion() {
        let (cache, now) = (PinCache::new(TTL), Instant::now());
        cache.remember(CARD, PinRef::User, Secret::copy_of(b"123456"), now);
        assert_eq!(cached(&cache, CARD, PinRef::Sign, now).as_deref(), Some(&b"123456"[..]));
        assert_eq!(cached(&cache, CARD, PinRef::Admin, now), None);
        assert_eq!(cached(&cache, SAME_CARD_AGAIN, PinRef::User, now), None);
        cache.forget(CARD);
        assert_eq!(cached(&cache, CARD, PinRef::User, now), None);
    }

    #[test]
    fn a_pin_is_wiped_when_its_time_since_the_last_use_is_over() {
        let (cache, start) = (PinCache::new(TTL), Instant::now());
        cache.remember(CARD, PinRef::Admin, Secret::copy_of(b"12345678"), start);
        let used = start + TTL / 2;
        assert!(cached(&cache, CARD, PinRef::Admin, used).is_some());
        assert_eq!(cache.wipe_expired(start + TTL), Some(used + TTL));
        assert_eq!(cached(&cache, CARD, PinRef::Admin, used + TTL), None);
        assert_eq!(cache.wipe_expired(used + TTL), None);
        assert!(lock(&cache.entries).is_empty());
    }

    #[test]
    fn nothing_is_remembered_for_no_time() {
        let (cache, now) = (PinCache::new(Duration::ZERO), Instant::now());
        cache.remember(CARD, PinRef::User, Secret::copy_of(b"123456"), now);
        assert!(lock(&cache.entries).is_empty());
    }

    #[tokio::test]
    async fn the_second_to_ask_waits_for_the_first() {
        let cache = Arc::new(PinCache::new(TTL));
        let first = cache.turn(CARD, PinRef::Sign).await.unwrap();
        assert!(!first.waited);
        let second = tokio::spawn({
            let cache = cache.clone();
            async move { cache.turn(CARD, PinRef::User).await.unwrap().waited }
        });
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        drop(first);
        assert!(second.await.unwrap());
    }
}
