//! What all sessions of the daemon share: the deck of tokens, the lock, remembered PINs, and who is connected.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use claviger_cards::deck::{Deck, TokenHandle};
use claviger_cards::token::Insertion;
use claviger_openpgp::Stores;
use rustix::process::{Pid, Signal};
use tokio::sync::watch;

use super::events::Events;
use super::lapse::{self, Lapse};
use super::openpgp_certificates;
use super::pin_cache::PinCache;
use super::settings::Settings;
use super::token_keys::KnownTokens;
use crate::certificates::Shelf;
use crate::store::Store;

/// Names one session in the life of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SessionId(u64);

impl SessionId {
    /// As a number, for the log.
    pub(super) fn number(self) -> u64 {
        self.0
    }
}

/// The shared state.
pub(super) struct Hub {
    pub(super) settings: Settings,
    pub(super) deck: Deck,
    pub(super) pins: PinCache,
    /// What is shown of PKCS#11 tokens.
    pub(super) tokens: KnownTokens,
    /// Status files and the person's script.
    pub(super) events: Events,
    /// The end of what cards have verified.
    pub(super) lapse: Lapse,
    /// Certificates that are on no card.
    pub(super) shelf: Arc<dyn Shelf>,
    /// OpenPGP certificates.
    pub(super) openpgp: Arc<Stores>,
    /// Where `GETINFO socket_name` says that we listen; `None` for a pipe server.
    pub(super) socket_name: Option<PathBuf>,
    /// Whether the process is to end as soon as its sessions do.
    ending: watch::Sender<bool>,
    register: Mutex<Register>,
}

#[derive(Default)]
struct Register {
    last: u64,
    sessions: BTreeMap<SessionId, Arc<Client>>,
    /// Who has exclusive use (LOCK).
    lock: Option<SessionId>,
    /// How often a client reset the card of an insertion.
    resets: HashMap<Insertion, u64>,
}

/// What others need to know of a session: whom to signal when cards change.
#[derive(Debug, Default)]
pub(super) struct Client {
    /// The client's process.
    pid: Option<Pid>,
    /// The connection outlives the client: an agent hands it from one to the next.
    handed_on: bool,
    /// `OPTION event-signal`; 0 for none.
    event_signal: AtomicI32,
    /// The insertion that the session has selected.
    insertion: Mutex<Option<Insertion>>,
}

impl Client {
    /// A client that is this process, if its id is known.
    pub(super) fn new(pid: Option<Pid>) -> Self {
        Self { pid, ..Self::default() }
    }

    /// A client on the connection that its agent hands from client to client.
    pub(super) fn handed_on(pid: Option<Pid>) -> Self {
        Self { handed_on: true, ..Self::new(pid) }
    }

    /// Whether the connection is one that outlives its clients, so that none of them can be waited for on it.
    pub(super) fn is_handed_on(&self) -> bool {
        self.handed_on
    }

    pub(super) fn set_event_signal(&self, signal: i32) {
        self.event_signal.store(signal, Ordering::Relaxed);
    }

    pub(super) fn set_insertion(&self, insertion: Option<Insertion>) {
        *lock(&self.insertion) = insertion;
    }

    /// The process to be signalled and the signal's number, if one is wanted.
    fn wanted_signal(&self) -> Option<(Pid, i32)> {
        let number = self.event_signal.load(Ordering::Relaxed);
        self.pid.filter(|_| number > 0).map(|pid| (pid, number))
    }
}

impl Hub {
    /// The shared state of a daemon that has not touched a reader yet.
    pub(super) fn new(settings: Settings, deck: Deck, socket_name: Option<PathBuf>) -> Self {
        let pins = PinCache::new(settings.pin_cache_ttl);
        let events = Events::new(settings.homedir.clone());
        let lapse = Lapse::new(settings.card_verified_ttl);
        let tokens = KnownTokens::new(settings.providers.openpgp_keys);
        let shelf = Arc::new(Store::open(&settings.homedir));
        let openpgp = openpgp_certificates::stores(&settings.homedir, &settings.openpgp_certificates);
        Self {
            settings,
            deck,
            pins,
            tokens,
            lapse,
            events,
            shelf,
            openpgp: Arc::new(openpgp),
            socket_name,
            ending: watch::Sender::new(false),
            register: Mutex::default(),
        }
    }

    /// The process is to end: nobody is to wait for a person or for a card any more.
    pub(super) fn call_off_waits(&self) {
        self.ending.send_replace(true);
    }

    /// Ends when the process is to end.
    pub(super) async fn ending(&self) {
        // The sender lives as long as this does.
        let _ = self.ending.subscribe().wait_for(|ending| *ending).await;
    }

    /// All cards and tokens that are here; PKCS#11 modules that are starting are waited for. For those who want all: SERIALNO
    /// does not wait where a card is there.
    pub(super) async fn all_tokens(&self) -> Vec<TokenHandle> {
        if let Err(error) = self.deck.scan().await {
            tracing::debug!(%error, "no card");
        }
        self.deck.settled().await;
        self.deck.tokens()
    }

    /// Enters a new session.
    pub(super) fn enter(&self, client: Arc<Client>) -> SessionId {
        let mut register = self.register();
        register.last = register.last.saturating_add(1);
        let id = SessionId(register.last);
        register.sessions.insert(id, client);
        id
    }

    /// Takes a session out and gives its lock back.
    pub(super) fn leave(&self, id: SessionId) {
        self.release_lock(id);
        self.register().sessions.remove(&id);
    }

    /// How many sessions are open.
    pub(super) fn connections(&self) -> usize {
        self.register().sessions.len()
    }

    /// Gives the lock to `id` if it is free or its own already.
    pub(super) fn take_lock(&self, id: SessionId) -> bool {
        *self.register().lock.get_or_insert(id) == id
    }

    /// Who has the lock.
    pub(super) fn lock_owner(&self) -> Option<SessionId> {
        self.register().lock
    }

    /// Whether another session than `id` has the lock.
    pub(super) fn is_locked_for(&self, id: SessionId) -> bool {
        self.lock_owner().is_some_and(|owner| owner != id)
    }

    /// Gives the lock back if `id` has it.
    pub(super) fn release_lock(&self, id: SessionId) {
        let mut register = self.register();
        if register.lock == Some(id) {
            register.lock = None;
        }
    }

    /// How often clients have reset the card of this insertion.
    pub(super) fn resets(&self, insertion: Insertion) -> u64 {
        self.register().resets.get(&insertion).copied().unwrap_or(0)
    }

    /// Notes that a client has reset the card: sessions that had selected it must select it anew.
    pub(super) fn note_reset(&self, insertion: Insertion) {
        self.pins.forget(insertion);
        self.lapse.forget(insertion);
        let mut register = self.register();
        let count = register.resets.entry(insertion).or_default();
        *count = count.saturating_add(1);
    }

    /// A card came. All who want it are signalled, not only those who had a card, as by GnuPG: an agent remembers the keys of
    /// all cards.
    pub(super) async fn note_insertion(&self, insertion: Insertion) {
        self.signal_clients(|_| true);
        self.events.inserted(insertion).await;
    }

    /// A card was removed: its PINs are forgotten.
    pub(super) async fn note_removal(&self, insertion: Insertion) {
        self.pins.forget(insertion);
        self.tokens.forget(insertion);
        self.lapse.forget(insertion);
        self.register().resets.remove(&insertion);
        self.signal_clients(|_| true);
        self.events.removed(insertion).await;
    }

    /// Cards came or went, unheard.
    pub(super) async fn make_up_for_missed_events(&self) {
        self.signal_clients(|_| true);
        let present: Vec<_> = self.deck.tokens().iter().map(TokenHandle::insertion).collect();
        self.events.make_up(&present).await;
    }

    /// Forgets all PINs and has all cards forget that they were verified: everybody is asked again. Ends once the cards
    /// have done so.
    pub(super) fn lock_all(&self) -> impl Future<Output = ()> + Send + use<> {
        self.pins.clear();
        let cards: Vec<_> =
            self.deck.tokens().into_iter().map(lapse::give_up_all).map(tokio::spawn).collect();
        async move {
            for card in cards {
                // One that fails has said so in the log.
                let _ = card.await;
            }
        }
    }

    /// Sends the event signal to the clients that have selected this insertion.
    pub(super) fn signal_clients_of(&self, insertion: Insertion) {
        self.signal_clients(|client| *lock(&client.insertion) == Some(insertion));
    }

    /// Sends each process that `meant` clients belong to the signals that they want, once.
    fn signal_clients(&self, meant: impl Fn(&Client) -> bool) {
        let clients: Vec<_> = self.register().sessions.values().cloned().collect();
        let meant = clients.iter().map(Arc::as_ref).filter(|client| meant(client));
        for (pid, number) in wanted_signals(meant) {
            let Some(signal) = Signal::from_named_raw(number) else { continue };
            tracing::info!(number, pid = pid.as_raw_nonzero().get(), "sending the event signal to a client");
            if let Err(error) = rustix::process::kill_process(pid, signal) {
                tracing::debug!(%error, "the client is gone");
            }
        }
    }

    fn register(&self) -> MutexGuard<'_, Register> {
        lock(&self.register)
    }
}

/// The signals that clients want, one of each for a process.
fn wanted_signals<'a>(clients: impl Iterator<Item = &'a Client>) -> HashSet<(Pid, i32)> {
    clients.filter_map(Client::wanted_signal).collect()
}

/// Locks a mutex whose data is whole at every moment, so that a panic elsewhere does not spread.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_several_sessions_is_signalled_once() {
        let pid = rustix::process::getpid();
        let clients = [12, 12, 10, 0].map(|signal| {
            let client = Client::new(Some(pid));
            client.set_event_signal(signal);
            client
        });
        assert_eq!(wanted_signals(clients.iter()), HashSet::from([(pid, 12), (pid, 10)]));
        assert!(wanted_signals([Client::new(None)].iter()).is_empty());
    }
}
