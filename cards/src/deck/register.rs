//! What the reader layers and the workers tell the deck, under one lock that is never held across a card operation.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::timeout;
use tracing::{debug, info, info_span, warn};

use crate::deck::handle::{CardWay, Limits};
use crate::deck::{Carrier, Change, DeckEvent, Pinpads, ScanError, TokenHandle};
use crate::facts::Facts;
use crate::openpgp::{Lengths, OpenPgp};
use crate::pkcs11;
use crate::reader::{Reader, pcsc};
use crate::token::{Insertion, Token, TokenError};
use crate::worker::{self, Gate, News, QUEUE};

/// Events that a slow listener may lag behind before it misses some.
const EVENTS: usize = 64;

/// Pairs of reader and card whose way with long commands is remembered.
const REMEMBERED: usize = 64;

/// How long a shutdown waits for workers to let their cards go un-reset.
const FAREWELL: Duration = Duration::from_millis(300);

/// How a reader layer reaches a card, as often as it is asked to.
pub(crate) type Connect = dyn Fn() -> Result<Connected, TokenError> + Send + Sync;

/// A card that was seen in a reader.
pub(crate) struct Arrival {
    pub(crate) reader: String,
    pub(crate) connect: Arc<Connect>,
}

/// A card that can be talked to.
pub(crate) struct Connected {
    pub(crate) reader: Box<dyn Reader>,
    pub(crate) atr: Vec<u8>,
}

pub(crate) struct Register {
    limits: Limits,
    pinpads: Pinpads,
    state: Mutex<State>,
    events: broadcast::Sender<DeckEvent>,
    /// Counts what changed in `state`; those who wait for cards watch it.
    version: watch::Sender<u64>,
    /// How many worker threads there are.
    workers: Mutex<usize>,
    worker_ended: Condvar,
}

#[derive(Default)]
struct State {
    last: u64,
    /// The newest last.
    cards: Vec<Card>,
    /// PKCS#11 tokens, the newest last.
    guests: Vec<Guest>,
    readers: Vec<(Source, String)>,
    doubt: bool,
    lengths: Vec<(String, Vec<u8>, Lengths)>,
}

/// Which reader layer names a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Pcsc,
    Socket,
}

struct Card {
    insertion: Insertion,
    arrival: Arc<Arrival>,
    removed: watch::Sender<bool>,
    stage: Stage,
}

/// A PKCS#11 token.
struct Guest {
    token: TokenHandle,
    removed: watch::Sender<bool>,
}

enum Stage {
    /// Its worker is opening it.
    Opening,
    /// It is a token.
    Token(TokenHandle),
    /// It has no applet that we know.
    NotOurs,
    /// It could not be opened; the next scan tries again.
    Unusable(String),
}

impl Register {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            pinpads: Pinpads::AsReadersSay,
            state: Mutex::default(),
            events: broadcast::Sender::new(EVENTS),
            version: watch::Sender::new(0),
            workers: Mutex::new(0),
            worker_ended: Condvar::new(),
        }
    }

    /// The same, where readers' own keys are used so.
    pub(crate) fn with_pinpads(self, pinpads: Pinpads) -> Self {
        Self { pinpads, ..self }
    }

    /// A card is there: a worker of its own opens it.
    pub(crate) fn arrive(self: &Arc<Self>, arrival: Arrival) -> Insertion {
        let arrival = Arc::new(arrival);
        let insertion = {
            let mut state = self.state();
            state.last += 1;
            let insertion = Insertion(state.last);
            let removed = watch::Sender::new(false);
            let card = Card { insertion, arrival: Arc::clone(&arrival), removed, stage: Stage::Opening };
            state.cards.push(card);
            insertion
        };
        info!(reader = arrival.reader, insertion = insertion.0, "card arrived");
        self.spawn(insertion, arrival);
        insertion
    }

    /// A PKCS#11 token is there, until it is said to [depart](Self::depart).
    pub(crate) fn arrive_token(
        &self,
        facts: watch::Receiver<Arc<pkcs11::Facts>>,
        carrier: Arc<dyn Carrier>,
    ) -> Insertion {
        let mut state = self.state();
        state.last += 1;
        let insertion = Insertion(state.last);
        let removed = watch::Sender::new(false);
        let token = TokenHandle::token_at(insertion, removed.subscribe(), facts, carrier);
        info!(serial = token.serial(), insertion = insertion.0, "token arrived");
        self.tell(Change::Inserted, insertion, token.serial());
        state.guests.push(Guest { token, removed });
        drop(state);
        self.changed();
        insertion
    }

    /// A card or token is gone. Asking twice does no harm.
    pub(crate) fn depart(&self, insertion: Insertion) {
        self.depart_token(insertion);
        let mut state = self.state();
        let Some(at) = state.cards.iter().position(|card| card.insertion == insertion) else { return };
        let card = state.cards.remove(at);
        info!(reader = card.arrival.reader, insertion = insertion.0, "card departed");
        card.removed.send_replace(true);
        if let Stage::Token(token) = &card.stage {
            token.stop();
            self.tell(Change::Removed, insertion, token.serial());
        }
        drop(state);
        self.changed();
    }

    fn depart_token(&self, insertion: Insertion) {
        let mut state = self.state();
        let Some(at) = state.guests.iter().position(|guest| guest.token.insertion() == insertion) else {
            return;
        };
        let guest = state.guests.remove(at);
        info!(serial = guest.token.serial(), insertion = insertion.0, "token departed");
        guest.removed.send_replace(true);
        self.tell(Change::Removed, insertion, guest.token.serial());
        drop(state);
        self.changed();
    }

    /// The readers that a source has now.
    pub(crate) fn set_readers(&self, source: Source, names: &[String]) {
        let mut state = self.state();
        state.readers.retain(|(of, _)| *of != source);
        state.readers.extend(names.iter().map(|name| (source, name.clone())));
    }

    pub(crate) fn clear(&self) {
        let cards: Vec<_> = self.state().cards.iter().map(|card| card.insertion).collect();
        let guests: Vec<_> = self.state().guests.iter().map(|guest| guest.token.insertion()).collect();
        for insertion in cards.into_iter().chain(guests) {
            self.depart(insertion);
        }
        self.state().readers.clear();
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = self.worker_ended.wait_timeout_while(workers, FAREWELL, |workers| *workers > 0);
        drop(ended);
    }

    pub(crate) fn readers(&self) -> Vec<String> {
        self.state().readers.iter().map(|(_, name)| name.clone()).collect()
    }

    /// OpenPGP cards before other tokens, the newest first.
    pub(crate) fn tokens(&self) -> Vec<TokenHandle> {
        let state = self.state();
        let cards = state.cards.iter().rev().filter_map(|card| match &card.stage {
            Stage::Token(token) => Some(token.clone()),
            Stage::Opening | Stage::NotOurs | Stage::Unusable(_) => None,
        });
        cards.chain(state.guests.iter().rev().map(|guest| guest.token.clone())).collect()
    }

    /// Whether this stay goes on, for all that is known here.
    pub(crate) fn knows(&self, insertion: Insertion) -> bool {
        self.state().cards.iter().any(|card| card.insertion == insertion)
    }

    /// Whether a worker found its card gone since this was asked last: the reader layer knows better.
    pub(crate) fn take_doubt(&self) -> bool {
        std::mem::take(&mut self.state().doubt)
    }

    fn found_gone(&self, insertion: Insertion) {
        self.state().doubt = true;
        self.depart(insertion);
    }

    /// The readers of cards that can be used.
    pub(crate) fn card_readers(&self) -> Vec<String> {
        let state = self.state();
        let used = state.cards.iter().filter(|card| matches!(card.stage, Stage::Token(_)));
        used.map(|card| card.arrival.reader.clone()).collect()
    }

    /// Ends when something is so.
    pub(crate) async fn until(&self, reached: impl Fn(&Self) -> bool) {
        // An error means that the register is gone.
        let _ = self.version.subscribe().wait_for(|_| reached(self)).await;
    }

    /// Whether there is a card or a token that can be used.
    pub(crate) fn has_tokens(&self) -> bool {
        self.has_cards() || !self.state().guests.is_empty()
    }

    /// Whether there is a card that can be used.
    pub(crate) fn has_cards(&self) -> bool {
        self.state().cards.iter().any(|card| matches!(card.stage, Stage::Token(_)))
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<DeckEvent> {
        self.events.subscribe()
    }

    /// Why the newest card that cannot be used cannot be. To be asked after [`Self::all_opened`]: a card that is still
    /// being opened then does not get its turn.
    pub(crate) fn first_unusable(&self) -> Option<ScanError> {
        self.state().cards.iter().rev().find_map(|card| {
            let cause = match &card.stage {
                Stage::Unusable(cause) => cause.clone(),
                Stage::Opening => TokenError::Busy { neighbours: pcsc::neighbours() }.to_string(),
                Stage::Token(_) | Stage::NotOurs => return None,
            };
            Some(ScanError::CardUnusable { reader: card.arrival.reader.clone(), cause })
        })
    }

    /// Opens again what could not be opened before.
    pub(crate) fn retry_unusable(self: &Arc<Self>) {
        let mut again = Vec::new();
        for card in &mut self.state().cards {
            if matches!(card.stage, Stage::Unusable(_)) {
                card.stage = Stage::Opening;
                again.push((card.insertion, Arc::clone(&card.arrival)));
            }
        }
        for (insertion, arrival) in again {
            self.spawn(insertion, arrival);
        }
    }

    /// Waits until no card is being opened any more, at most as long as `limit`.
    pub(crate) async fn all_opened(&self, limit: Duration) {
        let opening = |state: &State| state.cards.iter().any(|card| matches!(card.stage, Stage::Opening));
        self.wait_until(limit, |state| !opening(state)).await;
    }

    /// Waits until there is a card at all, at most as long as `limit`.
    pub(crate) async fn first_card(&self, limit: Duration) {
        self.wait_until(limit, |state| !state.cards.is_empty()).await;
    }

    /// Ends when there is a card that could not be opened.
    pub(crate) async fn some_unusable(&self) {
        let unusable =
            |state: &State| state.cards.iter().any(|card| matches!(card.stage, Stage::Unusable(_)));
        // An error means that the register is gone.
        let _ = self.version.subscribe().wait_for(|_| unusable(&self.state())).await;
    }

    async fn wait_until(&self, limit: Duration, reached: impl Fn(&State) -> bool) {
        let mut version = self.version.subscribe();
        let wait = version.wait_for(|_| reached(&self.state()));
        // Whether it was reached or took too long: the caller looks at what there is.
        let _ = timeout(limit, wait).await;
    }

    fn spawn(self: &Arc<Self>, insertion: Insertion, arrival: Arc<Arrival>) {
        let worker = Worker::new(Arc::clone(self), insertion);
        let work = move || {
            let _span = info_span!("card", insertion = insertion.0, reader = arrival.reader).entered();
            worker.register.serve(insertion, &arrival);
        };
        let started = thread::Builder::new().name(format!("card-{}", insertion.0)).spawn(work);
        if let Err(error) = started {
            self.set_stage(insertion, Stage::Unusable(format!("no thread for it: {error}")));
        }
        self.changed();
    }

    /// The life of a worker thread.
    fn serve(self: &Arc<Self>, insertion: Insertion, arrival: &Arrival) {
        let gate = Gate::new();
        let opened = (arrival.connect)().and_then(|card| {
            let lengths = self.lengths(&arrival.reader, &card.atr);
            OpenPgp::open(gate.guard(card.reader), arrival.reader.clone(), card.atr, lengths)
        });
        match opened {
            Ok(Some(token)) => self.serve_token(insertion, token, &gate),
            Ok(None) => {
                debug!("no OpenPGP application on this card");
                self.set_stage(insertion, Stage::NotOurs);
            }
            Err(TokenError::Gone) => self.found_gone(insertion),
            Err(error) => {
                warn!(%error, "the card cannot be opened");
                self.set_stage(insertion, Stage::Unusable(error.to_string()));
            }
        }
    }

    fn serve_token(self: &Arc<Self>, insertion: Insertion, mut token: OpenPgp, gate: &Gate) {
        self.remember(&token.facts(), token.lengths());
        if self.pinpads != Pinpads::Unused {
            token.use_pinpad(self.pinpads == Pinpads::OfAnyLength);
        }
        let (orders, mut queue) = mpsc::channel(QUEUE);
        let facts = watch::Sender::new(token.facts());
        let Some(removed) = self.removed(insertion) else { return };
        let way = CardWay { orders, facts: facts.subscribe(), phase: gate.phase(), limits: self.limits };
        let handle = TokenHandle::card_at(insertion, removed, way);
        self.set_stage(insertion, Stage::Token(handle));
        worker::run(&mut token, gate, &mut queue, &facts, |news| match news {
            News::Reset => self.tell(Change::Reset, insertion, facts.borrow().serial()),
            News::Gone => self.found_gone(insertion),
        });
    }

    fn removed(&self, insertion: Insertion) -> Option<watch::Receiver<bool>> {
        let state = self.state();
        state.cards.iter().find(|card| card.insertion == insertion).map(|card| card.removed.subscribe())
    }

    /// Nothing comes of it when the card has departed meanwhile. Who hears of a token also finds it.
    fn set_stage(&self, insertion: Insertion, stage: Stage) {
        let mut state = self.state();
        if let Some(card) = state.cards.iter_mut().find(|card| card.insertion == insertion) {
            if let Stage::Token(token) = &stage {
                self.tell(Change::Inserted, insertion, token.serial());
            }
            card.stage = stage;
        }
        drop(state);
        self.changed();
    }

    fn lengths(&self, reader: &str, atr: &[u8]) -> Lengths {
        let state = self.state();
        let known = state.lengths.iter().find(|(of, with, _)| of == reader && with == atr);
        known.map_or_else(Lengths::default, |(_, _, lengths)| lengths.clone())
    }

    fn remember(&self, facts: &Facts, lengths: Lengths) {
        let mut state = self.state();
        state.lengths.retain(|(reader, atr, _)| *reader != facts.reader || *atr != facts.atr);
        if state.lengths.len() >= REMEMBERED {
            state.lengths.remove(0);
        }
        state.lengths.push((facts.reader.clone(), facts.atr.clone(), lengths));
    }

    fn tell(&self, change: Change, insertion: Insertion, serial: String) {
        // No listener is no error.
        let _ = self.events.send(DeckEvent { change, insertion, serial });
    }

    fn changed(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A worker thread, counted as long as it lives. One that dies of a fault of ours takes its card out of the deck, so
/// that nobody waits for it.
struct Worker {
    register: Arc<Register>,
    insertion: Insertion,
}

impl Worker {
    fn new(register: Arc<Register>, insertion: Insertion) -> Self {
        *register.workers.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Self { register, insertion }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if thread::panicking() {
            self.register.depart(self.insertion);
        }
        *self.register.workers.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.register.worker_ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn limits() -> Limits {
        Limits { turn: Duration::from_secs(5), job: Duration::from_secs(5) }
    }

    #[tokio::test]
    async fn a_worker_that_dies_leaves_no_token_behind() {
        let register = Arc::new(Register::new(limits()));
        let connect = Arc::new(|| -> Result<Connected, TokenError> { panic!("a fault for the test") });
        register.arrive(Arrival { reader: "reader".to_owned(), connect });
        register.all_opened(Duration::from_secs(5)).await;
        assert!(register.state().cards.is_empty());
        register.clear();
        assert_eq!(*register.workers.lock().unwrap(), 0);
    }

    #[tokio::test]
    async fn a_card_that_cannot_be_opened_is_tried_again_when_asked() {
        let register = Arc::new(Register::new(limits()));
        let attempts = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&attempts);
        let connect = Arc::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            Err(TokenError::Silent)
        });
        register.arrive(Arrival { reader: "reader".to_owned(), connect });
        for attempt in 1..=2 {
            register.all_opened(Duration::from_secs(5)).await;
            let refused = register.first_unusable();
            assert!(matches!(refused, Some(ScanError::CardUnusable { reader, .. }) if reader == "reader"));
            assert_eq!(attempts.load(Ordering::Relaxed), attempt);
            register.retry_unusable();
        }
    }
}
