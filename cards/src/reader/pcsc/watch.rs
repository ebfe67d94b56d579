//! The thread that hears from PC/SC who comes and goes.
//!
//! It waits in SCardGetStatusChange, with the pseudo reader that announces readers among those waited for, and never
//! polls. SCardCancel wakes it when a scan wants to be sure that everything was seen, and to stop it. When the service
//! goes away, so do its cards; it is tried again when it rings at the [`Doorbell`], and by each scan.
//!
//! Any call of PC/SC may hang as long as the service does, SCardCancel too. So those are made by a second thread, and
//! those who ask for a look never wait for one.

use std::ffi::{CStr, CString};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use pcsc::{Context, Error, ReaderState, Scope, State};
use tokio::sync::oneshot;
use tracing::{debug, info, warn};

use crate::deck::{Arrival, Register, Source};
use crate::reader::pcsc::connect;
use crate::reader::pcsc::doorbell::{Doorbell, Waker};
use crate::token::Insertion;

/// The most readers that are watched; pcscd itself knows 16.
const MAX_READERS: usize = 64;

/// A cancel that comes before the wait begins is lost, so it is repeated until it was seen, at most this often.
const CANCELS: usize = 100;
const CANCEL_AGAIN: Duration = Duration::from_millis(2);

/// How long the end waits for the thread to stop.
const STOPPING: Duration = Duration::from_millis(300);

/// What a look found: the service's own error if it is not there for us.
pub(crate) type Seen = Result<(), Error>;

/// The thread's other end. Dropping it stops the thread.
pub(crate) struct Watch {
    asks: Sender<Ask>,
    pokes: Sender<Poke>,
    hearing: Arc<AtomicBool>,
}

/// The context in which the thread waits, so that the wait can be cancelled.
type SharedContext = Arc<Mutex<Option<Context>>>;

struct Ask {
    what: Want,
    /// Dropped when the thread has taken the question.
    _taken: Sender<()>,
}

/// Asks for the wait to be cancelled until a question is taken.
struct Poke {
    is_taken: Receiver<()>,
    /// Dropped when that is done.
    _done: Sender<()>,
}

enum Want {
    Look(oneshot::Sender<Seen>),
    Stop,
}

impl Watch {
    /// Starts the threads. Without them nobody answers: every look fails.
    pub(crate) fn start(register: Arc<Register>, prefix: Option<String>) -> Self {
        let (asks, questions) = mpsc::channel();
        let (pokes, poked) = mpsc::channel();
        let hearing = Arc::<AtomicBool>::default();
        let started = Doorbell::new().and_then(|(bell, waker)| {
            let context = SharedContext::default();
            let watcher = Watcher {
                asks: questions,
                context: Arc::clone(&context),
                hearing: Arc::clone(&hearing),
                waiting: Vec::new(),
                bell,
            };
            thread("pcsc-events", move || watcher.run(&register, prefix.as_deref()))?;
            thread("pcsc-cancel", move || cancel(&poked, &context, &waker))
        });
        if let Err(error) = started {
            warn!(%error, "the readers cannot be watched");
        }
        Self { asks, pokes, hearing }
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

    /// What it gives fails when the question was taken, or will never be.
    fn ask(&self, what: Want) -> Receiver<()> {
        let (taken, is_taken) = mpsc::channel();
        let (done, is_done) = mpsc::channel();
        // Where one of the threads is gone, so are its channel's ends, and with them what is waited for.
        let _ = self.asks.send(Ask { what, _taken: taken });
        let _ = self.pokes.send(Poke { is_taken, _done: done });
        is_done
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // A thread that hangs in PC/SC is left to itself.
        let _ = self.ask(Want::Stop).recv_timeout(STOPPING);
    }
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

/// The second thread: wakes the first, wherever it waits, until it has taken the question.
fn cancel(pokes: &Receiver<Poke>, context: &SharedContext, waker: &Waker) {
    while let Ok(poke) = pokes.recv() {
        waker.wake();
        for _ in 0..CANCELS {
            if let Some(context) = &*context.lock().unwrap_or_else(PoisonError::into_inner) {
                // If it cannot be cancelled, the wait has an end of its own: the service is gone.
                let _ = context.cancel();
            }
            if !matches!(poke.is_taken.recv_timeout(CANCEL_AGAIN), Err(RecvTimeoutError::Timeout)) {
                break;
            }
        }
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
    bell: Doorbell,
}

impl Watcher {
    fn run(mut self, register: &Arc<Register>, prefix: Option<&str>) {
        while self.take_all() {
            self.bell.listen();
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
                Err(error) if self.waiting.is_empty() => debug!(%error, "not yet the PC/SC service"),
                Err(error) => {
                    info!(%error, "no PC/SC service; start pcscd");
                    self.answer(&Err(error));
                }
            }
            if self.waiting.is_empty() && !self.bell.wait() {
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
        loop {
            match self.asks.try_recv().map(|ask| ask.what) {
                Ok(Want::Look(reply)) => self.waiting.push(reply),
                Err(TryRecvError::Empty) => return true,
                Ok(Want::Stop) | Err(TryRecvError::Disconnected) => return false,
            }
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
        let seen = context.get_status_change(patience, &mut self.states);
        if seen.is_ok() {
            (0..self.states.len()).for_each(|at| self.look_at(at));
        }
        if patience.is_some() {
            self.open_again();
        }
        seen
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

    /// A worker that lost its own connection to the service took its card for removed. If nothing was heard of that, the
    /// card is still there.
    fn open_again(&mut self) {
        for at in 0..self.cards.len() {
            let count = self.cards[at].as_ref().map(|card| (card.count, card.insertion));
            if let Some((count, insertion)) = count
                && !self.register.knows(insertion)
            {
                self.sit_down(at, count);
            }
        }
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
