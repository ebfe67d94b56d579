//! The thread that owns a token: takes one job after the other from the token's queue, publishes the facts after each.
//!
//! It may hang in the wait for its turn at a shared card, and in a card's or a reader layer's answer, because PC/SC's
//! own calls cannot be called off. What it does is announced as a [`Phase`], so that those who submitted can give up; a
//! job that was given up while it waited for its turn is not carried out when that comes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use card_backend::{CardBackend, CardCaps, CardTransaction, SmartcardError};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::debug;

use crate::facts::Facts;
use crate::reader::{Pinpad, Reader};
use crate::token::{Job, Outcome, Token, TokenError};

/// How many jobs may wait for one token; more wait outside, in order.
pub(crate) const QUEUE: usize = 32;

/// What a worker is told.
pub(crate) enum Order {
    /// A job with its way back.
    Job { job: Job, reply: oneshot::Sender<Result<Outcome, TokenError>>, abandoned: Arc<AtomicBool> },
    /// The card was taken away, or the deck shuts down.
    Stop,
}

/// What the worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing.
    Idle,
    /// Waits for its turn at the card, since then.
    Waiting(Instant),
    /// Talks with the card, since then.
    Working(Instant),
}

/// What a worker has to tell beside the outcomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    /// The token lost its state.
    Reset,
    /// The token is gone.
    Gone,
}

/// Carries out orders until it is told to stop, the token is gone or nobody is left to give any. News are told, and
/// facts published, before the outcome.
pub(crate) fn run(
    token: &mut dyn Token,
    gate: &Gate,
    orders: &mut mpsc::Receiver<Order>,
    facts: &watch::Sender<Arc<Facts>>,
    tell: impl Fn(News),
) {
    while let Some(Order::Job { job, reply, abandoned }) = orders.blocking_recv() {
        if abandoned.load(Ordering::Acquire) {
            continue;
        }
        let resets = token.facts().resets;
        gate.enter(abandoned);
        let outcome = token.perform(job);
        gate.leave();
        facts.send_replace(token.facts());
        if token.facts().resets != resets {
            tell(News::Reset);
        }
        let gone = matches!(outcome, Err(TokenError::Gone));
        if gone {
            tell(News::Gone);
        }
        if let Err(error) = &outcome {
            debug!(%error, "job failed");
        }
        // Whoever asked may have left; the outcome is then nobody's.
        let _ = reply.send(outcome);
        if gone {
            break;
        }
    }
}

/// Announces the worker's phases, and knows whether the present job is still wanted.
#[derive(Clone)]
pub(crate) struct Gate {
    phase: watch::Sender<Phase>,
    abandoned: Arc<Mutex<Arc<AtomicBool>>>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self { phase: watch::Sender::new(Phase::Idle), abandoned: Arc::default() }
    }

    pub(crate) fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Lets every transaction of `reader` announce itself.
    pub(crate) fn guard(&self, reader: Box<dyn Reader>) -> Box<dyn Reader> {
        Box::new(Guarded { gate: self.clone(), reader })
    }

    fn enter(&self, abandoned: Arc<AtomicBool>) {
        *self.abandoned.lock().unwrap_or_else(PoisonError::into_inner) = abandoned;
        self.phase.send_replace(Phase::Working(Instant::now()));
    }

    /// The wait for a turn at the card begins.
    fn wait(&self) {
        self.phase.send_replace(Phase::Waiting(Instant::now()));
    }

    /// The turn has come, unless nobody wants it any more.
    fn work(&self) -> Result<(), SmartcardError> {
        self.phase.send_replace(Phase::Working(Instant::now()));
        if self.is_abandoned() {
            return Err(SmartcardError::Error("given up while another program held the card".to_owned()));
        }
        Ok(())
    }

    fn leave(&self) {
        self.phase.send_replace(Phase::Idle);
    }

    fn is_abandoned(&self) -> bool {
        self.abandoned.lock().unwrap_or_else(PoisonError::into_inner).load(Ordering::Acquire)
    }
}

struct Guarded {
    gate: Gate,
    reader: Box<dyn Reader>,
}

impl CardBackend for Guarded {
    fn limit_card_caps(&self, caps: CardCaps) -> CardCaps {
        self.reader.limit_card_caps(caps)
    }

    fn transaction(
        &mut self,
        reselect: Option<&[u8]>,
    ) -> Result<Box<dyn CardTransaction + Send + Sync + '_>, SmartcardError> {
        self.gate.wait();
        let transaction = self.reader.transaction(reselect);
        self.gate.work()?;
        transaction
    }
}

impl Reader for Guarded {
    fn reset(&mut self) -> Result<(), SmartcardError> {
        self.gate.wait();
        self.reader.reset()?;
        self.gate.work()
    }

    fn power_down(&mut self) -> Result<(), SmartcardError> {
        self.gate.wait();
        self.reader.power_down()?;
        self.gate.work()
    }

    fn settle(&mut self) {
        self.reader.settle();
    }

    fn pinpad(&self) -> Pinpad {
        self.reader.pinpad()
    }
}
