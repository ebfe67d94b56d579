//! The thread that hears from PC/SC who comes and goes.
//!
//! It waits in SCardGetStatusChange, with the pseudo reader that announces readers among those waited for, and never
//! polls. SCardCancel wakes it when a scan wants to be sure that everything was seen, and to stop it. When the service
//! goes away, so do its cards; the next scan tries to reach it again.

use std::ffi::{CStr, CString};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use pcsc::{Context, Error, ReaderState, Scope, State};
use tokio::sync::oneshot;
use tracing::{debug, info, warn};

use crate::deck::{Arrival, Register, Source};
use crate::reader::pcsc::connect;
use crate::token::Insertion;

/// The most readers that are watched; pcscd itself knows 16.
const MAX_READERS: usize = 64;

/// A cancel that comes before the wait begins is lost, so it is repeated until it was seen, at most this often.
const CANCELS: usize = 100;
const CANCEL_AGAIN: Duration = Duration::from_millis(2);

/// What a look found: the service's own error if it is not there for us.
pub(crate) type Seen = Result<(), Error>;

/// The thread's other end. Dropping it stops the thread.
pub(crate) struct Watch {
    asks: Sender<Ask>,
    context: SharedContext,
    hearing: Arc<AtomicBool>,
}

/// The context in which the thread waits, so that the wait can be cancelled.
type SharedContext = Arc<Mutex<Option<Context>>>;

struct Ask {
    what: Want,
    /// Dropped when the thread has taken the question.
    _taken: Sender<()>,
}

enum Want {
    Look(oneshot::Sender<Seen>),
    Stop,
}

impl Watch {
    pub(crate) fn start(register: Arc<Register>, prefix: Option<String>) -> Self {
        let (asks, questions) = mpsc::channel();
        let (context, hearing) = (SharedContext::default(), Arc::<AtomicBool>::default());
        let watcher = Watcher {
            asks: questions,
            context: Arc::clone(&context),
            hearing: Arc::clone(&hearing),
            waiting: Vec::new(),
        };
        let work = move || watcher.run(&register, prefix.as_deref());
        if let Err(error) = thread::Builder::new().name("pcsc-events".to_owned()).spawn(work) {
            warn!(%error, "no thread to watch the readers");
        }
        Self { asks, context, hearing }
    }

    /// Whether all readers were seen once, and what happens in them is heard.
    pub(crate) fn is_hearing(&self) -> bool {
        self.hearing.load(Ordering::Acquire)
    }

    /// Brings what is known up to now. The receiver fails when there is no thread any more.
    pub(crate) fn look(&self) -> oneshot::Receiver<Seen> {
        let (reply, answer) = oneshot::channel();
        self.ask(Want::Look(reply));
        answer
    }

    fn ask(&self, what: Want) {
        let (taken, is_taken) = mpsc::channel();
        if self.asks.send(Ask { what, _taken: taken }).is_err() {
            return;
        }
        for _ in 0..CANCELS {
            if let Some(context) = &*self.context.lock().unwrap_or_else(PoisonError::into_inner) {
                // If it cannot be cancelled, the wait has an end of its own: the service is gone.
                let _ = context.cancel();
            }
            if !matches!(is_taken.recv_timeout(CANCEL_AGAIN), Err(RecvTimeoutError::Timeout)) {
                return;
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.ask(Want::Stop);
    }
}

/// Why a watch ended.
enum End {
    Stopped,
    /// It went well for a while.
    Lost(Error),
    /// It did not even begin.
    Deaf(Error),
}

struct Watcher {
    asks: Receiver<Ask>,
    context: SharedContext,
    hearing: Arc<AtomicBool>,
    /// Those who wait for a look.
    waiting: Vec<oneshot::Sender<Seen>>,
}

impl Watcher {
    fn run(mut self, register: &Arc<Register>, prefix: Option<&str>) {
        loop {
            match Context::establish(Scope::System) {
                Ok(context) => match self.watch(&context, register, prefix) {
                    End::Stopped => return,
                    // Those who ask meanwhile are told by another try.
                    End::Lost(error) => warn!(%error, "PC/SC went away, and its cards with it"),
                    End::Deaf(error) => {
                        warn!(%error, "PC/SC is there but tells nothing");
                        self.answer(&Err(error));
                    }
                },
                Err(error) => {
                    info!(%error, "no PC/SC service; start pcscd");
                    self.answer(&Err(error));
                }
            }
            if self.waiting.is_empty() && !self.take(self.asks.recv().ok()) {
                return;
            }
        }
    }

    fn watch(&mut self, context: &Context, register: &Arc<Register>, prefix: Option<&str>) -> End {
        self.share(Some(context.clone()));
        let mut seats = Seats::new(register, prefix);
        let end = loop {
            if !self.take_all() {
                break End::Stopped;
            }
            // Those who ask from here on are served by the next round.
            let mut asked = std::mem::take(&mut self.waiting);
            let patience = if asked.is_empty() { None } else { Some(Duration::ZERO) };
            let seen = seats.wait(context, patience);
            self.waiting.append(&mut asked);
            match seen {
                Ok(()) | Err(Error::Timeout) => {
                    self.hearing.store(true, Ordering::Release);
                    self.answer(&Ok(()));
                }
                // Nothing was looked at; the next round does.
                Err(Error::Cancelled) => {}
                Err(error) if self.hearing.load(Ordering::Acquire) => break End::Lost(error),
                Err(error) => break End::Deaf(error),
            }
        };
        self.hearing.store(false, Ordering::Release);
        self.share(None);
        seats.clear();
        end
    }

    fn share(&self, context: Option<Context>) {
        *self.context.lock().unwrap_or_else(PoisonError::into_inner) = context;
    }

    fn answer(&mut self, seen: &Seen) {
        for waiting in self.waiting.drain(..) {
            // Who asked may have given up.
            let _ = waiting.send(*seen);
        }
    }

    /// Takes what was asked so far. Says whether to go on.
    fn take_all(&mut self) -> bool {
        while let Ok(ask) = self.asks.try_recv() {
            if !self.take(Some(ask)) {
                return false;
            }
        }
        true
    }

    fn take(&mut self, ask: Option<Ask>) -> bool {
        match ask.map(|ask| ask.what) {
            Some(Want::Look(reply)) => {
                self.waiting.push(reply);
                true
            }
            Some(Want::Stop) | None => false,
        }
    }
}

/// The readers and who sits in them. The first state is that of the pseudo reader.
struct Seats<'a> {
    register: &'a Arc<Register>,
    prefix: Option<&'a str>,
    states: Vec<ReaderState>,
    cards: Vec<Option<Sitting>>,
}

struct Sitting {
    insertion: Insertion,
    /// The reader's count of insertions and removals when the card was seen.
    count: u32,
}

impl<'a> Seats<'a> {
    fn new(register: &'a Arc<Register>, prefix: Option<&'a str>) -> Self {
        let announcer = ReaderState::new(pcsc::PNP_NOTIFICATION(), State::UNAWARE);
        Self { register, prefix, states: vec![announcer], cards: vec![None] }
    }

    /// One round: which readers are there, then what happens in them.
    fn wait(&mut self, context: &Context, patience: Option<Duration>) -> Result<(), Error> {
        self.list(context)?;
        context.get_status_change(patience, &mut self.states)?;
        for at in 0..self.states.len() {
            self.look_at(at);
        }
        Ok(())
    }

    fn list(&mut self, context: &Context) -> Result<(), Error> {
        let mut names = match context.list_readers_owned() {
            Ok(names) => names,
            Err(Error::NoReadersAvailable) => Vec::new(),
            Err(error) => return Err(error),
        };
        names.truncate(MAX_READERS);
        let texts: Vec<_> = names.iter().map(|name| text(name)).collect();
        self.register.set_readers(Source::Pcsc, &texts);
        self.forget_readers_but(&names);
        for name in names {
            let known = self.states.iter().any(|state| state.name() == name.as_c_str());
            if !known && self.prefix.is_none_or(|prefix| text(&name).starts_with(prefix)) {
                self.states.push(ReaderState::new(name, State::UNAWARE));
                self.cards.push(None);
            }
        }
        Ok(())
    }

    fn forget_readers_but(&mut self, names: &[CString]) {
        for at in (1..self.states.len()).rev() {
            if names.iter().all(|name| name.as_c_str() != self.states[at].name()) {
                debug!(reader = text(self.states[at].name()), "reader is gone");
                self.states.remove(at);
                self.leave(at);
                self.cards.remove(at);
            }
        }
    }

    fn look_at(&mut self, at: usize) {
        let state = &mut self.states[at];
        let (event, count) = (state.event_state(), state.event_count());
        state.sync_current_state();
        if at == 0 {
            return;
        }
        let present = event.contains(State::PRESENT) && !event.contains(State::MUTE);
        let same = self.cards[at].as_ref().is_some_and(|card| card.count == count);
        if !(present && same) {
            self.leave(at);
        }
        if present && !same {
            self.sit_down(at, count);
        }
    }

    fn sit_down(&mut self, at: usize, count: u32) {
        let state = &self.states[at];
        let name = state.name().to_owned();
        let atr = state.atr().to_vec();
        let arrival = Arrival { reader: text(&name), connect: Arc::new(move || connect(&name, &atr)) };
        self.cards[at] = Some(Sitting { insertion: self.register.arrive(arrival), count });
    }

    fn leave(&mut self, at: usize) {
        if let Some(card) = self.cards[at].take() {
            self.register.depart(card.insertion);
        }
    }

    fn clear(&mut self) {
        for at in 0..self.cards.len() {
            self.leave(at);
        }
        self.register.set_readers(Source::Pcsc, &[]);
    }
}

fn text(name: &CStr) -> String {
    name.to_string_lossy().into_owned()
}
