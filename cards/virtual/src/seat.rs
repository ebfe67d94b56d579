//! A card's place before the reader: whether it is in, what will happen to it, and what it has been through.
//!
//! The seat is shared: the card's own thread lives by it ([`reader`](crate::reader)), the control socket and the signal
//! handler change it. No lock is held while an APDU runs or a connection is made.

use std::{
    fmt, io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    apdu::Status,
    journal::Counts,
    link::Plug,
    reader::Answer,
    touch::{Finger, Touch},
};

/// The seat of one card.
#[derive(Debug)]
pub struct Seat {
    /// The serial number, by which people name the card.
    pub card: String,
    /// The finger on its button.
    pub finger: Arc<Finger>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    place: Place,
    /// The connection, while there is one.
    plug: Option<Plug>,
    latency: Duration,
    mishap: Option<Mishap>,
    intrusion: Option<Intrusion>,
    counts: Counts,
    /// Why a scripted card was left unsatisfied.
    complaint: Option<String>,
}

/// Where the card is meant to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    In,
    Out {
        back_at: Option<Instant>,
    },
    /// The program ends.
    Over,
}

/// Something that happens at a certain APDU, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mishap {
    /// The APDU, counted from 1.
    pub at: u64,
    /// What happens.
    pub kind: MishapKind,
}

/// What can happen at an APDU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MishapKind {
    /// The card is pulled instead of answering.
    Vanish {
        /// When it is back; if never, an `insert` brings it.
        return_after: Option<Duration>,
    },
    /// The command is carried out, but only so many octets of the answer arrive.
    Cut(usize),
    /// The command is not carried out; this is the answer.
    Fail(Status),
}

/// What another program does to the card behind the reader's back, before the next APDU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intrusion {
    /// It selects the neighbour applet.
    Select,
    /// It resets the card.
    Reset,
}

/// What the card's thread does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Plug in.
    Insert,
    /// End.
    Leave,
}

impl Seat {
    /// A seat for the card named `card`, in the reader or beside it.
    #[must_use]
    pub fn new(card: String, touch: Touch, latency: Duration, mishap: Option<Mishap>, absent: bool) -> Self {
        let place = if absent { Place::Out { back_at: None } } else { Place::In };
        let counts = Counts::default();
        let state = State { place, plug: None, latency, mishap, intrusion: None, counts, complaint: None };
        let finger = Arc::new(Finger::new(touch));
        Self { card, finger, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Puts the card in and waits up to `patience` until it is connected. Says whether it is.
    #[must_use]
    pub fn insert(&self, patience: Duration) -> bool {
        self.change(|state| {
            if state.place != Place::Over {
                state.place = Place::In;
            }
        });
        let waited = self.changed.wait_timeout_while(self.lock(), patience, |state| {
            state.plug.is_none() && state.place != Place::Over
        });
        waited.unwrap_or_else(PoisonError::into_inner).0.plug.is_some()
    }

    /// Pulls the card out. It is out when this returns.
    pub fn remove(&self) {
        self.pull(Place::Out { back_at: None });
    }

    /// The program ends: pulls the card and lets its thread go.
    pub fn end(&self) {
        self.pull(Place::Over);
    }

    /// Sets the pause before each answer.
    pub fn set_latency(&self, latency: Duration) {
        self.change(|state| state.latency = latency);
    }

    /// Arms or disarms a mishap; counting begins now.
    pub fn set_mishap(&self, mishap: Option<Mishap>) {
        self.change(|state| state.mishap = mishap);
    }

    /// Lets another program interfere before the next APDU.
    pub fn intrude(&self, intrusion: Intrusion) {
        self.change(|state| state.intrusion = Some(intrusion));
    }

    /// What the card was sent so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.lock().counts.clone()
    }

    /// Begins to count anew.
    pub fn reset_counts(&self) {
        self.change(|state| state.counts = Counts::default());
    }

    /// What a scripted card has to complain of, if anything.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        self.lock().complaint.clone()
    }

    pub(crate) fn complain(&self, complaint: Option<String>) {
        self.change(|state| state.complaint = complaint);
    }

    /// Waits until the card belongs into the reader or the program ends.
    pub(crate) fn next_turn(&self) -> Turn {
        let mut state = self.lock();
        loop {
            state = match state.place {
                Place::In => return Turn::Insert,
                Place::Over => return Turn::Leave,
                Place::Out { back_at: None } => {
                    self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
                }
                Place::Out { back_at: Some(back_at) } => {
                    let left = back_at.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        state.place = Place::In;
                        continue;
                    }
                    self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Whether the card does not belong into the reader now.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.lock().place != Place::In
    }

    /// Waits for `pause`, or less if something changes.
    pub(crate) fn pause(&self, pause: Duration) {
        drop(self.changed.wait_timeout(self.lock(), pause));
    }

    /// The card's thread is connected; `false` if the card was pulled in the meantime.
    pub(crate) fn plugged(&self, plug: &Plug) -> io::Result<bool> {
        let plug = plug.hold()?;
        let mut state = self.lock();
        if state.place == Place::In {
            state.plug = Some(plug);
            self.finger.set_pulled(false);
        }
        let inside = state.plug.is_some();
        drop(state);
        self.changed.notify_all();
        Ok(inside)
    }

    /// The connection is gone, whoever ended it.
    pub(crate) fn unplugged(&self) {
        self.change(|state| state.plug = None);
    }

    /// The card is gone by its own decision.
    pub(crate) fn vanished(&self, return_after: Option<Duration>) {
        let back_at = return_after.and_then(|after| Instant::now().checked_add(after));
        self.pull(Place::Out { back_at });
    }

    /// An APDU has come: what happens to it.
    pub(crate) fn next_mishap(&self) -> Option<MishapKind> {
        let mut state = self.lock();
        let mishap = state.mishap.as_mut()?;
        mishap.at = mishap.at.saturating_sub(1);
        if mishap.at > 0 {
            return None;
        }
        state.mishap.take().map(|mishap| mishap.kind)
    }

    pub(crate) fn latency(&self) -> Duration {
        self.lock().latency
    }

    /// What another program did since the last APDU.
    pub(crate) fn take_intrusion(&self) -> Option<Intrusion> {
        self.lock().intrusion.take()
    }

    pub(crate) fn count(&self, apdu: &[u8], answer: &Answer) {
        self.lock().counts.add(apdu, answer);
    }

    fn pull(&self, place: Place) {
        self.finger.set_pulled(true);
        self.change(|state| {
            state.place = place;
            if let Some(plug) = state.plug.take() {
                plug.pull();
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One line: where the card is, what it waits for, what it is set to.
impl fmt::Display for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        let place = match (&state.plug, state.place) {
            (Some(_), _) => "inserted",
            (None, Place::In) => "waiting-for-reader",
            (None, _) => "removed",
        };
        let touch = if self.finger.awaited_within(Duration::ZERO) { " waiting-for-touch" } else { "" };
        write!(f, "{} {place}{touch} latency={}", self.card, state.latency.as_millis())?;
        match state.mishap {
            Some(Mishap { at, kind }) => write!(f, " {kind}-at={at}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for MishapKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vanish { .. } => "vanish",
            Self::Cut(_) => "cut",
            Self::Fail(_) => "fail",
        })
    }
}
