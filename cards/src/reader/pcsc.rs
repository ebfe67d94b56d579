//! Readers of PC/SC (the service pcscd): cards opened shared, one transaction at a time, always left un-reset.
//!
//! Rooms: [`transaction`], one turn at a card; [`watch`], the thread that hears who comes and goes; [`doorbell`], how it
//! hears that a service that was away is back; [`neighbours`], who else uses the service; [`pinpad`], readers with keys of
//! their own, and [`makes`], what some of them need; here, one card. Each card
//! has a connection to the service of its own, because PC/SC's calls on one connection wait for each other.

mod doorbell;
mod makes;
mod neighbours;
mod pinpad;
mod transaction;
mod watch;

use std::ffi::{CStr, CString, OsStr};
use std::mem;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use card_backend::{CardBackend, CardCaps, CardTransaction, SmartcardError};
use pcsc::{Card, Context, Disposition, Error, Protocols, ReaderState, Scope, ShareMode, State};
use tracing::debug;

use crate::deck::Connected;
use crate::reader::{Pinpad, Reader, fault};
use crate::token::TokenError;

use pinpad::Features;
use transaction::PcscTransaction;

pub(crate) use neighbours::neighbours;
pub(crate) use watch::Watch;

/// Where the service listens, unless the variable says otherwise.
const SOCKET: &str = "/run/pcscd/pcscd.comm";
const SOCKET_VARIABLE: &str = "PCSCLITE_CSOCK_NAME";

/// How long a connection is renewed for one transaction, while neighbours reset the card again and again.
const RENEWING: Duration = Duration::from_secs(10);

/// How long a card may be without a protocol because it is being reset, and how often that is looked at.
const RESETTING: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(1);

/// The service looks every 400 ms for cards in readers that do not tell by themselves.
const REMOVAL_SEEN: Duration = Duration::from_millis(600);

/// The service's socket.
fn service_socket() -> PathBuf {
    let named = std::env::var_os(SOCKET_VARIABLE).filter(|name| !name.is_empty());
    named.unwrap_or_else(|| OsStr::from_bytes(SOCKET.as_bytes()).to_owned()).into()
}

/// A card in a reader of PC/SC.
struct PcscReader {
    /// `None` only while it is being let go.
    card: Option<Card>,
    place: Place,
    /// The stay of the card that the connection is for.
    stay: u32,
    /// The last command failed on its way: nobody knows what state the card is in, or whether it has power.
    doubtful: bool,
    /// The last transaction could not be ended.
    locked: bool,
    /// Asked for in the first transaction, since a neighbour's would be in the way before.
    features: Option<Features>,
}

/// Where a card is.
struct Place {
    context: Context,
    reader: CString,
}

/// Opens the card in the reader of this name, shared.
fn connect(name: &CStr, atr: &[u8]) -> Result<Connected, TokenError> {
    let opened = Context::establish(Scope::System).and_then(|context| {
        let place = Place { context, reader: name.to_owned() };
        let card = Some(place.connect()?);
        let stay = place.stay()?;
        Ok(PcscReader { card, place, stay, doubtful: false, locked: false, features: None })
    });
    match opened {
        Ok(reader) => Ok(Connected { reader: Box::new(reader), atr: atr.to_vec() }),
        Err(Error::SharingViolation) => Err(TokenError::Busy { neighbours: neighbours() }),
        Err(error) => Err(fault("opening the card", &translate(&name.to_string_lossy(), error))),
    }
}

impl Place {
    /// Waits, within the service, until no neighbour is in a transaction; then the card has power.
    fn connect(&self) -> Result<Card, Error> {
        let end = Instant::now() + RESETTING;
        loop {
            match self.context.connect(&self.reader, ShareMode::Shared, Protocols::ANY) {
                // The card has no protocol while it is being reset.
                Err(Error::ProtoMismatch) if Instant::now() < end => thread::sleep(PAUSE),
                other => return other,
            }
        }
    }

    /// A number that another card, or the same one once more, does not have.
    fn stay(&self) -> Result<u32, Error> {
        let mut reader = [ReaderState::new(self.reader.clone(), State::UNAWARE)];
        self.context.get_status_change(Duration::ZERO, &mut reader)?;
        Ok(reader[0].event_count())
    }

    /// Renews a connection whose card was reset, by a neighbour or on our behalf as `first` says. Only the connection that
    /// there was can tell that the card is still the same stay, and it can be renewed only while no neighbour holds the
    /// card. A second connection waits for that, and brings back power that was lost.
    fn renew(&self, card: &mut Card, mut first: Disposition) -> Result<(), Error> {
        let end = Instant::now() + RENEWING;
        while Instant::now() < end {
            let second = match self.connect() {
                Ok(second) => Some(second),
                Err(Error::UnresponsiveCard | Error::UnpoweredCard) => {
                    // Nobody can use it as it is.
                    first = Disposition::UnpowerCard;
                    None
                }
                Err(error) => return Err(error),
            };
            let renewed = card.reconnect(ShareMode::Shared, Protocols::ANY, first);
            second.into_iter().for_each(let_go);
            match renewed {
                Err(Error::SharingViolation) => {}
                Err(Error::ProtoMismatch) => thread::sleep(PAUSE),
                // A neighbour reset it in the same moment: it is reset all the same.
                Err(Error::ResetCard) => first = Disposition::LeaveCard,
                other => return other,
            }
        }
        Err(Error::SharingViolation)
    }

    /// A transaction with a card that was reset meanwhile, as often as it takes.
    fn renewed<'card>(&self, mut card: &'card mut Card) -> Result<pcsc::Transaction<'card>, Error> {
        let end = Instant::now() + RENEWING;
        while Instant::now() < end {
            self.renew(card, Disposition::LeaveCard)?;
            card = match card.transaction2() {
                Ok(transaction) => return Ok(transaction),
                Err((card, Error::ResetCard)) => card,
                Err((_, error)) => return Err(error),
            };
        }
        Err(Error::SharingViolation)
    }

    /// Whether no card is in the reader, now or when the service has looked next.
    fn is_left(&self) -> bool {
        let mut reader = [ReaderState::new(self.reader.clone(), State::UNAWARE)];
        for patience in [Duration::ZERO, REMOVAL_SEEN] {
            match self.context.get_status_change(patience, &mut reader) {
                Err(error) => return is_gone(error),
                Ok(()) if !reader[0].event_state().contains(State::PRESENT) => return true,
                Ok(()) => reader[0].sync_current_state(),
            }
        }
        false
    }

    fn translate(&self, error: Error) -> SmartcardError {
        translate(&self.reader.to_string_lossy(), error)
    }
}

/// Dropping a [`Card`] would reset it under the neighbours' hands.
fn let_go(card: Card) {
    match card.disconnect(Disposition::LeaveCard) {
        // Without the service there is nothing to reset, and the connection is freed.
        Err((card, error)) if is_gone(error) => drop(card),
        // One that cannot be let go is leaked.
        Err((card, _)) => mem::forget(card),
        Ok(()) => {}
    }
}

impl PcscReader {
    fn reset_with(&mut self, first: Disposition) -> Result<(), SmartcardError> {
        let Self { card, place, doubtful, .. } = self;
        let card = card.as_mut().ok_or_else(|| place.translate(Error::InvalidHandle))?;
        *doubtful = false;
        place.renew(card, first).map_err(|error| place.translate(error))
    }

    /// Another connection for the same stay of the card.
    fn reconnect(&mut self) -> Result<(), Error> {
        self.card.take().into_iter().for_each(let_go);
        let card = self.place.connect()?;
        if self.place.stay()? != self.stay {
            let_go(card);
            return Err(Error::RemovedCard);
        }
        self.card = Some(card);
        Ok(())
    }
}

impl CardBackend for PcscReader {
    fn limit_card_caps(&self, caps: CardCaps) -> CardCaps {
        caps
    }

    fn transaction(
        &mut self,
        reselect: Option<&[u8]>,
    ) -> Result<Box<dyn CardTransaction + Send + Sync + '_>, SmartcardError> {
        let Self { card, place, doubtful, locked, features, .. } = self;
        let card = card.as_mut().ok_or_else(|| place.translate(Error::InvalidHandle))?;
        let opened = if mem::take(doubtful) {
            place.renewed(card).map(|transaction| (transaction, true))
        } else {
            match card.transaction2() {
                Ok(transaction) => Ok((transaction, false)),
                Err((card, Error::ResetCard | Error::UnpoweredCard | Error::UnresponsiveCard)) => {
                    place.renewed(card).map(|transaction| (transaction, true))
                }
                Err((_, error)) => Err(error),
            }
        };
        let (transaction, was_reset) = opened.map_err(|error| place.translate(error))?;
        let features =
            *features.get_or_insert_with(|| Features::of(&*transaction, &place.reader.to_string_lossy()));
        let mut transaction =
            PcscTransaction { transaction: Some(transaction), was_reset, place, doubtful, locked, features };
        if let (Some(application), true) = (reselect, was_reset) {
            transaction.select(application)?;
        }
        Ok(Box::new(transaction))
    }
}

impl Reader for PcscReader {
    fn reset(&mut self) -> Result<(), SmartcardError> {
        self.reset_with(Disposition::ResetCard)
    }

    fn power_down(&mut self) -> Result<(), SmartcardError> {
        self.reset_with(Disposition::UnpowerCard)
    }

    fn settle(&mut self) {
        if mem::take(&mut self.locked) {
            // Only letting go of the connection gives the card free.
            self.doubtful = true;
            if let Err(error) = self.reconnect() {
                debug!(%error, "the card is lost");
            }
        }
    }

    fn pinpad(&self) -> Pinpad {
        self.features.unwrap_or_default().pinpad()
    }
}

impl Drop for PcscReader {
    fn drop(&mut self) {
        self.card.take().into_iter().for_each(let_go);
    }
}

/// Whether the error means that this stay of the card is over.
fn is_gone(error: Error) -> bool {
    matches!(
        error,
        Error::RemovedCard
            | Error::NoSmartcard
            | Error::UnknownReader
            | Error::ReaderUnavailable
            | Error::NoReadersAvailable
            | Error::InvalidHandle
            | Error::NoService
            | Error::ServiceStopped
    )
}

fn translate(reader: &str, error: Error) -> SmartcardError {
    match error {
        error if is_gone(error) => SmartcardError::CardNotFound(reader.to_owned()),
        Error::ResetCard => SmartcardError::NotTransacted,
        Error::SharingViolation => SmartcardError::Error("another program is using the card".to_owned()),
        error => SmartcardError::Error(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removal_is_told_from_a_failure() {
        let gone = translate("reader", Error::RemovedCard);
        assert!(matches!(fault("x", &gone), TokenError::Gone));
        let interrupted = translate("reader", Error::ResetCard);
        assert!(matches!(fault("x", &interrupted), TokenError::Interrupted { operation: "x" }));
        let failed = translate("reader", Error::NotTransacted);
        assert!(matches!(fault("x", &failed), TokenError::Transport { operation: "x", .. }));
    }
}
