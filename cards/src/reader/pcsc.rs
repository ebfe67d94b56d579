//! Readers of PC/SC (the service pcscd): cards opened shared, one transaction at a time, always left un-reset.
//!
//! Rooms: [`watch`], the thread that hears who comes and goes; [`doorbell`], how it hears that a service that was away is
//! back; here, one card. Each card has a connection to the service of its own, because PC/SC's calls on one connection
//! wait for each other.

mod doorbell;
mod watch;

use std::ffi::{CStr, OsStr};
use std::mem;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use card_backend::{CardBackend, CardCaps, CardTransaction, PinType, SmartcardError};
use pcsc::{Card, Context, Disposition, Error, Protocols, Scope, ShareMode};
use zeroize::Zeroizing;

use crate::deck::Connected;
use crate::reader::{MAX_ANSWER, Reader, fault};
use crate::token::TokenError;

pub(crate) use watch::Watch;

/// Where the service listens, unless the variable says otherwise.
const SOCKET: &str = "/run/pcscd/pcscd.comm";
const SOCKET_VARIABLE: &str = "PCSCLITE_CSOCK_NAME";

/// Room for the answer to a short command.
const SHORT_ANSWER: usize = 256 + 2;

/// The service's socket.
fn service_socket() -> PathBuf {
    let named = std::env::var_os(SOCKET_VARIABLE).filter(|name| !name.is_empty());
    named.unwrap_or_else(|| OsStr::from_bytes(SOCKET.as_bytes()).to_owned()).into()
}

/// A card in a reader of PC/SC.
struct PcscReader {
    /// `None` only while it is being let go.
    card: Option<Card>,
    name: String,
}

/// Opens the card in the reader of this name, shared.
fn connect(name: &CStr, atr: &[u8]) -> Result<Connected, TokenError> {
    let text = name.to_string_lossy().into_owned();
    let opened = Context::establish(Scope::System)
        .and_then(|context| context.connect(name, ShareMode::Shared, Protocols::ANY));
    match opened {
        Ok(card) => {
            Ok(Connected { reader: Box::new(PcscReader { card: Some(card), name: text }), atr: atr.to_vec() })
        }
        Err(Error::SharingViolation) => Err(TokenError::Busy),
        Err(error) => Err(fault("opening the card", &translate(&text, error))),
    }
}

impl PcscReader {
    fn card(&mut self) -> Result<&mut Card, SmartcardError> {
        self.card.as_mut().ok_or_else(|| SmartcardError::CardNotFound(self.name.clone()))
    }

    fn reconnect(&mut self, first: Disposition) -> Result<(), SmartcardError> {
        let name = self.name.clone();
        let card = self.card()?;
        match card.reconnect(ShareMode::Shared, Protocols::ANY, first) {
            // A neighbour reset it in the same moment: it is reset all the same, and the handle is good again.
            Err(Error::ResetCard) => {
                card.reconnect(ShareMode::Shared, Protocols::ANY, Disposition::LeaveCard)
            }
            other => other,
        }
        .map_err(|error| translate(&name, error))
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
        let name = self.name.clone();
        let (transaction, was_reset) = match self.card()?.transaction2() {
            Ok(transaction) => (transaction, false),
            Err((card, Error::ResetCard)) => (after_reset(&name, card)?, true),
            Err((_, error)) => return Err(translate(&name, error)),
        };
        let mut transaction = PcscTransaction { transaction, was_reset, name };
        if let (Some(application), true) = (reselect, was_reset) {
            transaction.select(application)?;
        }
        Ok(Box::new(transaction))
    }
}

/// A neighbour reset the card: the connection is renewed without touching the card again.
fn after_reset<'card>(name: &str, card: &'card mut Card) -> Result<pcsc::Transaction<'card>, SmartcardError> {
    card.reconnect(ShareMode::Shared, Protocols::ANY, Disposition::LeaveCard)
        .map_err(|error| translate(name, error))?;
    card.transaction2().map_err(|(_, error)| translate(name, error))
}

impl Reader for PcscReader {
    fn reset(&mut self) -> Result<(), SmartcardError> {
        self.reconnect(Disposition::ResetCard)
    }

    fn power_down(&mut self) -> Result<(), SmartcardError> {
        self.reconnect(Disposition::UnpowerCard)
    }
}

impl Drop for PcscReader {
    fn drop(&mut self) {
        let Some(card) = self.card.take() else { return };
        // Dropping a `Card` would reset it under the neighbours' hands; a handle that cannot be let go is leaked.
        if let Err((card, _)) = card.disconnect(Disposition::LeaveCard) {
            mem::forget(card);
        }
    }
}

/// One transaction of PC/SC; dropping it ends it and leaves the card as it is.
struct PcscTransaction<'card> {
    transaction: pcsc::Transaction<'card>,
    was_reset: bool,
    name: String,
}

impl CardTransaction for PcscTransaction<'_> {
    fn transmit(&mut self, command: &[u8], size: usize) -> Result<Vec<u8>, SmartcardError> {
        let mut answer = Zeroizing::new(vec![0; size.clamp(SHORT_ANSWER, MAX_ANSWER)]);
        match self.transaction.transmit(command, &mut answer) {
            Ok(answer) => Ok(answer.to_vec()),
            Err(error) => Err(self.why(error)),
        }
    }

    fn feature_pinpad_verify(&self) -> bool {
        false
    }

    fn feature_pinpad_modify(&self) -> bool {
        false
    }

    fn pinpad_verify(&mut self, _: PinType, _: &Option<CardCaps>) -> Result<Vec<u8>, SmartcardError> {
        Err(SmartcardError::Error("this reader has no pinpad".to_owned()))
    }

    fn pinpad_modify(&mut self, _: PinType, _: &Option<CardCaps>) -> Result<Vec<u8>, SmartcardError> {
        Err(SmartcardError::Error("this reader has no pinpad".to_owned()))
    }

    fn was_reset(&self) -> bool {
        self.was_reset
    }
}

impl PcscTransaction<'_> {
    /// A card that is pulled out while it works shows as a failed transmission; its status then tells more.
    fn why(&self, error: Error) -> SmartcardError {
        let gone = self.transaction.status2_owned().err().is_some_and(is_gone);
        if gone { SmartcardError::CardNotFound(self.name.clone()) } else { translate(&self.name, error) }
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
        let failed = translate("reader", Error::NotTransacted);
        assert!(matches!(fault("x", &failed), TokenError::Transport { operation: "x", .. }));
    }
}
