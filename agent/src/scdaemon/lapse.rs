//! How long a card stays unlocked by itself: its own verified state, which GnuPG leaves as it is until the card is
//! pulled out.
//!
//! With `card-verified-ttl` a verification is given up (VERIFY with P1=FF) when it was not used for so long. This is
//! another clock than that of remembered PINs: while one of those is within its time, the card is verified again with it,
//! and nobody is asked.
//!
//! A use is noted before a job with it is handed to the card, and once more behind it, so that no job that was given up
//! in between leaves a card unlocked for ever. Where nothing was verified after all, giving up costs nothing.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use claviger_cards::deck::TokenHandle;
use claviger_cards::token::{DataObject, Insertion, Job, PinRef, Request, TokenError};
use tokio::sync::Notify;
use tokio::time::Instant;

/// After this long it is tried again where a neighbour held the card.
const AGAIN: Duration = Duration::from_secs(5);

/// The verifications whose time runs.
pub(super) struct Lapse {
    /// `None` for as long as the card is there.
    ttl: Option<Duration>,
    uses: Mutex<HashMap<(Insertion, PinRef), Use>>,
    /// Woken when a use was noted.
    noted: Notify,
}

/// A verification in use.
struct Use {
    token: TokenHandle,
    ends: Instant,
}

impl Lapse {
    /// Verifications last for `ttl` after their last use.
    pub(super) fn new(ttl: Option<Duration>) -> Self {
        Self { ttl, uses: Mutex::default(), noted: Notify::new() }
    }

    /// These PINs are used for a job of this card now.
    pub(super) fn note(&self, token: &TokenHandle, pins: &[PinRef], now: Instant) {
        let Some(ttl) = self.ttl.filter(|_| !pins.is_empty()) else { return };
        let mut uses = self.uses();
        for pin in pins {
            uses.insert((token.insertion(), *pin), Use { token: token.clone(), ends: now + ttl });
        }
        self.noted.notify_one();
    }

    /// A card is gone, or was reset.
    pub(super) fn forget(&self, insertion: Insertion) {
        self.uses().retain(|(of, _), _| *of != insertion);
    }

    /// Gives up verifications when their time is over, for ever.
    pub(super) async fn lapse_in_time(&self) {
        loop {
            let (due, next) = self.due(Instant::now());
            for (token, pin) in due {
                tokio::spawn(give_up(token, vec![pin]));
            }
            let noted = self.noted.notified();
            match next {
                Some(next) => tokio::select! {
                    () = tokio::time::sleep_until(next) => {}
                    () = noted => {}
                },
                None => noted.await,
            }
        }
    }

    /// Takes out those whose time is over, and says when the next one's will be.
    fn due(&self, now: Instant) -> (Vec<(TokenHandle, PinRef)>, Option<Instant>) {
        let mut uses = self.uses();
        let over = |_: &(Insertion, PinRef), used: &mut Use| used.ends <= now;
        let due = uses.extract_if(over).map(|((_, pin), used)| (used.token, pin)).collect();
        (due, uses.values().map(|used| used.ends).min())
    }

    fn uses(&self) -> MutexGuard<'_, HashMap<(Insertion, PinRef), Use>> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has the card give up all verifications that it has.
pub(super) async fn give_up_all(token: TokenHandle) {
    give_up(token, PinRef::VERIFIED.to_vec()).await;
}

async fn give_up(token: TokenHandle, pins: Vec<PinRef>) {
    loop {
        match token.submit(Job::new(Request::Lapse(pins.clone()))).await {
            Ok(_) | Err(TokenError::Gone) => return,
            Err(TokenError::Busy { .. }) => tokio::time::sleep(AGAIN).await,
            Err(error) => {
                tracing::warn!(%error, serial = token.serial(), ?pins, "the card stays unlocked for others, not for us");
                return;
            }
        }
    }
}

/// The verification that a request lives on, if it takes one.
pub(super) fn used_by(request: &Request) -> Option<PinRef> {
    match request {
        Request::Sign(_) => Some(PinRef::Sign),
        Request::Authenticate(_) | Request::Decipher(_) => Some(PinRef::User),
        Request::Verify(pin) | Request::EnsureVerified(pin) => Some(*pin),
        Request::Put(DataObject::Private(1 | 3), _) => Some(PinRef::User),
        Request::Put(..)
        | Request::PutCertificate(..)
        | Request::Attest(_)
        | Request::SetAlgorithm(..)
        | Request::Generate { .. }
        | Request::Import { .. }
        | Request::UnblockAsAdmin
        | Request::SetResetCode => Some(PinRef::Admin),
        // A token knows one login, whatever it is for.
        Request::Pkcs11(_) => Some(PinRef::User),
        _ => None,
    }
}
