//! A token as the rest of the house sees it: facts to read, and a queue to put jobs into.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};

use crate::facts::Facts;
use crate::reader::pcsc;
use crate::token::{Insertion, Job, Outcome, TokenError};
use crate::worker::{Order, Phase};

/// One token in one of its stays. A clone is the same token.
#[derive(Clone)]
pub struct TokenHandle {
    pub(crate) insertion: Insertion,
    pub(crate) orders: mpsc::Sender<Order>,
    pub(crate) facts: watch::Receiver<Arc<Facts>>,
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) removed: watch::Receiver<bool>,
    /// Jobs that somebody waits for.
    pub(crate) pending: Arc<AtomicUsize>,
    pub(crate) limits: Limits,
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
    /// Which stay this is.
    #[must_use]
    pub fn insertion(&self) -> Insertion {
        self.insertion
    }

    /// The serial number as it is on the card.
    #[must_use]
    pub fn serial(&self) -> String {
        self.facts.borrow().serial()
    }

    /// The reader's name.
    #[must_use]
    pub fn reader(&self) -> String {
        self.facts.borrow().reader.clone()
    }

    /// What is known without asking the card.
    #[must_use]
    pub fn facts(&self) -> Arc<Facts> {
        Arc::clone(&self.facts.borrow())
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
        let busy = *self.phase.borrow() != Phase::Idle;
        self.pending.load(Ordering::Relaxed).max(usize::from(busy))
    }

    /// Ends when the stay ends.
    pub async fn removed(&self) {
        let mut removed = self.removed.clone();
        // An error means that the register is gone, and the token with it.
        let _ = removed.wait_for(|gone| *gone).await;
    }

    /// Puts a job into the queue, behind those that are there, and waits for its outcome. Dropping the future takes a
    /// job back that has not begun; one that has begun is carried out and its outcome forgotten.
    ///
    /// # Errors
    /// See [`TokenError`]; [`TokenError::Busy`] when a neighbour holds the card longer than the deck's deadline,
    /// [`TokenError::Silent`] when the card or its reader does not answer for longer than the deck's patience.
    pub async fn submit(&self, job: Job) -> Result<Outcome, TokenError> {
        let abandoned = Abandon(Arc::new(AtomicBool::new(false)));
        let _pending = Pending::count(&self.pending);
        let (reply, outcome) = oneshot::channel();
        let order = Order::Job { job, reply, abandoned: Arc::clone(&abandoned.0) };
        let answer = async {
            self.orders.send(order).await.map_err(|_| TokenError::Gone)?;
            outcome.await.unwrap_or(Err(TokenError::Gone))
        };
        tokio::select! {
            biased;
            answer = answer => answer,
            () = self.removed() => Err(TokenError::Gone),
            late = self.late() => Err(why(late).await),
        }
    }

    /// Ends when the worker has been at one thing for too long: that.
    fn late(&self) -> impl Future<Output = Phase> + use<> {
        let mut phase = self.phase.clone();
        let limits = self.limits;
        async move {
            loop {
                let now = *phase.borrow_and_update();
                let end = match now {
                    Phase::Waiting(since) => Some(Instant::from_std(since) + limits.turn),
                    Phase::Working(since) => Some(Instant::from_std(since) + limits.job),
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
