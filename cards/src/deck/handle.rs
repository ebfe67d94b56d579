//! A token as the rest of the house sees it: facts to read, and a queue to put jobs into.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};

use crate::facts::Facts;
use crate::pkcs11;
use crate::reader::pcsc;
use crate::token::{Insertion, Job, Outcome, TokenError};
use crate::worker::{Order, Phase};

/// One token in one of its stays. A clone is the same token.
#[derive(Clone)]
pub struct TokenHandle {
    insertion: Insertion,
    removed: watch::Receiver<bool>,
    /// Jobs that somebody waits for.
    pending: Arc<AtomicUsize>,
    way: Way,
}

/// How jobs reach the token.
#[derive(Clone)]
enum Way {
    /// An OpenPGP card, by the queue of its worker.
    Card(CardWay),
    /// A PKCS#11 token, by its module's helper.
    Pkcs11 { facts: watch::Receiver<Arc<pkcs11::Facts>>, carrier: Arc<dyn Carrier> },
}

/// The way to an OpenPGP card.
#[derive(Clone)]
pub(crate) struct CardWay {
    pub(crate) orders: mpsc::Sender<Order>,
    pub(crate) facts: watch::Receiver<Arc<Facts>>,
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) limits: Limits,
}

/// Has a PKCS#11 token carry out jobs. Dropping the future gives a job up; one that has begun is carried out all the same.
pub trait Carrier: Send + Sync {
    /// Carries out one job, within limits of its own.
    fn submit(&self, job: Job) -> Pin<Box<dyn Future<Output = Result<Outcome, TokenError>> + Send + '_>>;
}

/// How long a worker may be at one thing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Waiting for its turn at the card.
    pub(crate) turn: Duration,
    /// Talking with the card for one job.
    pub(crate) job: Duration,
}

impl TokenHandle {
    /// An OpenPGP card.
    pub(crate) fn card_at(insertion: Insertion, removed: watch::Receiver<bool>, way: CardWay) -> Self {
        Self { insertion, removed, pending: Arc::default(), way: Way::Card(way) }
    }

    /// A PKCS#11 token.
    pub(crate) fn token_at(
        insertion: Insertion,
        removed: watch::Receiver<bool>,
        facts: watch::Receiver<Arc<pkcs11::Facts>>,
        carrier: Arc<dyn Carrier>,
    ) -> Self {
        Self { insertion, removed, pending: Arc::default(), way: Way::Pkcs11 { facts, carrier } }
    }

    /// Which stay this is.
    #[must_use]
    pub fn insertion(&self) -> Insertion {
        self.insertion
    }

    /// The serial number: an OpenPGP card's as it is on the card, a PKCS#11 token's as GnuPG knows it.
    #[must_use]
    pub fn serial(&self) -> String {
        match &self.way {
            Way::Card(card) => card.facts.borrow().serial(),
            Way::Pkcs11 { facts, .. } => facts.borrow().serial.clone(),
        }
    }

    /// The reader's name, or the name of the slot.
    #[must_use]
    pub fn reader(&self) -> String {
        match &self.way {
            Way::Card(card) => card.facts.borrow().reader.clone(),
            Way::Pkcs11 { facts, .. } => facts.borrow().slot_description.clone(),
        }
    }

    /// What is known of an OpenPGP card without asking it; `None` for another token.
    #[must_use]
    pub fn card(&self) -> Option<Arc<Facts>> {
        match &self.way {
            Way::Card(card) => Some(Arc::clone(&card.facts.borrow())),
            Way::Pkcs11 { .. } => None,
        }
    }

    /// What is known of a PKCS#11 token without asking it; `None` for a card.
    #[must_use]
    pub fn pkcs11(&self) -> Option<Arc<pkcs11::Facts>> {
        match &self.way {
            Way::Card(_) => None,
            Way::Pkcs11 { facts, .. } => Some(Arc::clone(&facts.borrow())),
        }
    }

    /// Whether the stay goes on.
    #[must_use]
    pub fn is_present(&self) -> bool {
        !*self.removed.borrow()
    }

    /// How many jobs are in its queue or at work: what a new one has to wait for. One at work counts though nobody waits for
    /// it any more.
    #[must_use]
    pub fn pending(&self) -> usize {
        let busy = match &self.way {
            Way::Card(card) => *card.phase.borrow() != Phase::Idle,
            Way::Pkcs11 { .. } => false,
        };
        self.pending.load(Ordering::Relaxed).max(usize::from(busy))
    }

    /// Ends when the stay ends.
    pub async fn removed(&self) {
        let mut removed = self.removed.clone();
        // An error means that the register is gone, and the token with it.
        let _ = removed.wait_for(|gone| *gone).await;
    }

    /// Tells whoever drives the token that it is gone.
    pub(crate) fn stop(&self) {
        if let Way::Card(card) = &self.way {
            card.stop();
        }
    }

    /// Puts a job into the queue, behind those that are there, and waits for its outcome. Dropping the future takes a
    /// job back that has not begun; one that has begun is carried out and its outcome forgotten.
    ///
    /// # Errors
    /// See [`TokenError`]; [`TokenError::Busy`] when a neighbour holds the card longer than the deck's deadline,
    /// [`TokenError::Silent`] when the card or its reader does not answer for longer than the deck's patience.
    pub async fn submit(&self, job: Job) -> Result<Outcome, TokenError> {
        let _pending = Pending::count(&self.pending);
        let answer = async {
            match &self.way {
                Way::Card(card) => card.submit(job).await,
                Way::Pkcs11 { carrier, .. } => carrier.submit(job).await,
            }
        };
        tokio::select! {
            biased;
            answer = answer => answer,
            () = self.removed() => Err(TokenError::Gone),
        }
    }
}

impl CardWay {
    /// Tells the worker that the card was taken away. With a full queue it sees that by itself.
    fn stop(&self) {
        let _ = self.orders.try_send(Order::Stop);
    }

    async fn submit(&self, job: Job) -> Result<Outcome, TokenError> {
        let abandoned = Abandon(Arc::new(AtomicBool::new(false)));
        let (reply, outcome) = oneshot::channel();
        let order = Order::Job { job, reply, abandoned: Arc::clone(&abandoned.0) };
        let answer = async {
            self.orders.send(order).await.map_err(|_| TokenError::Gone)?;
            outcome.await.unwrap_or(Err(TokenError::Gone))
        };
        tokio::select! {
            biased;
            answer = answer => answer,
            late = self.late() => Err(why(late).await),
        }
    }

    /// Ends when the worker has been at one thing for too long: that.
    async fn late(&self) -> Phase {
        let mut phase = self.phase.clone();
        loop {
            let now = *phase.borrow_and_update();
            let end = match now {
                Phase::Waiting(since) => Some(Instant::from_std(since) + self.limits.turn),
                Phase::Working(since) => Some(Instant::from_std(since) + self.limits.job),
                Phase::Idle => None,
            };
            let changed = match end {
                Some(end) => tokio::select! {
                    changed = phase.changed() => changed,
                    () = sleep_until(end) => return now,
                },
                None => phase.changed().await,
            };
            if changed.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// What it means to be in this phase for too long.
async fn why(phase: Phase) -> TokenError {
    if matches!(phase, Phase::Working(_)) {
        return TokenError::Silent;
    }
    // It looks into every process: not here, where others wait.
    let neighbours = spawn_blocking(pcsc::neighbours).await.unwrap_or_default();
    TokenError::Busy { neighbours }
}

impl fmt::Debug for TokenHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenHandle({:?}, {})", self.insertion, self.serial())
    }
}

/// One more job in the queue, as long as it lives.
struct Pending<'p>(&'p AtomicUsize);

impl<'p> Pending<'p> {
    fn count(jobs: &'p AtomicUsize) -> Self {
        jobs.fetch_add(1, Ordering::Relaxed);
        Self(jobs)
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Tells the worker that nobody waits for the job any more.
struct Abandon(Arc<AtomicBool>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
