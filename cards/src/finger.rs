//! The finger that a card may wait for before it uses a private key (OpenPGP card 3.4, DOs D6–D8).
//!
//! A card does not say that it waits: it only does not answer. What is known is that a key wants a touch and that the card
//! was given a command which uses it; if the answer then takes longer than [`TOUCH_DELAY`], a finger is awaited. The
//! token's thread notes the first in the job, whoever submitted the job finds out about the second.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::token::Slot;

/// How long a card may take for using a key before it is taken to wait for a touch. Longer than most take for the largest
/// key, so that a touch given at once, or one that a card remembers for a while, is not asked for again.
pub const TOUCH_DELAY: Duration = Duration::from_secs(1);

/// Which key the card was told to use, and when, if that key wants a touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Use {
    slot: Slot,
    since: Instant,
}

/// The end at which a job's finger is awaited. A clone is the same finger.
#[derive(Debug, Clone)]
pub struct Finger(watch::Receiver<Option<Use>>);

impl Finger {
    /// Ends when the card waits for a touch, with the slot of the key that wants it. Never ends if it does not.
    pub async fn awaited(&mut self) -> Slot {
        loop {
            let used = *self.0.borrow_and_update();
            let changed = match used {
                Some(Use { slot, since }) => tokio::select! {
                    changed = self.0.changed() => changed,
                    () = sleep_until(since + TOUCH_DELAY) => return slot,
                },
                None => self.0.changed().await,
            };
            if changed.is_err() {
                // The job is over.
                std::future::pending::<()>().await;
            }
        }
    }
}

/// The other end, which goes with the job to the token's thread.
#[derive(Debug, Default)]
pub(crate) struct Notes(watch::Sender<Option<Use>>);

impl Notes {
    pub(crate) fn finger(&self) -> Finger {
        Finger(self.0.subscribe())
    }

    /// The card is told to use a key that wants a touch; it has answered when the value is dropped.
    pub(crate) fn using(&self, slot: Slot) -> Using<'_> {
        self.0.send_replace(Some(Use { slot, since: Instant::now() }));
        Using(self)
    }
}

/// The time in which a card uses a key.
pub(crate) struct Using<'a>(&'a Notes);

impl Drop for Using<'_> {
    fn drop(&mut self) {
        self.0.0.send_replace(None);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_card_that_does_not_answer_waits_for_a_finger() {
        let notes = Notes::default();
        let mut finger = notes.finger();
        let _using = notes.using(Slot::Decrypt);
        let start = Instant::now();
        assert_eq!(finger.awaited().await, Slot::Decrypt);
        assert!(start.elapsed() >= TOUCH_DELAY - Duration::from_millis(20));
    }

    #[tokio::test]
    async fn a_card_that_answers_soon_waits_for_none() {
        let notes = Notes::default();
        let mut finger = notes.finger();
        drop(notes.using(Slot::Sign));
        assert!(timeout(TOUCH_DELAY * 2, finger.awaited()).await.is_err());
        drop(notes);
        assert!(
            timeout(Duration::from_millis(10), finger.awaited()).await.is_err(),
            "nor does one that is gone"
        );
    }
}
