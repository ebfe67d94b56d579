//! One turn at a card: a transaction of PC/SC.
//!
//! pcscd looks who has the card, and then acts. So it lets a reset or a command through that a neighbour had asked for
//! just before our transaction began, and two things follow from that:
//! - an answer may have been given around a reset. It is not handed out ([`SmartcardError::NotTransacted`]).
//! - a transaction in which the card was reset cannot be ended: pcscd refuses that, and keeps the card locked. Only
//!   letting go of the connection frees it; see [`Reader::settle`](crate::reader::Reader::settle).

use std::panic::{AssertUnwindSafe, catch_unwind};

use card_backend::{CardCaps, CardTransaction, PinType, SmartcardError};
use pcsc::{Disposition, Error};
use zeroize::Zeroizing;

use super::pinpad::Features;
use super::{Place, is_gone};
use crate::reader::MAX_ANSWER;

/// The shortest answer.
const STATUS_WORD: usize = 2;

/// Room for the answer to a short command.
const SHORT_ANSWER: usize = 256 + 2;

/// One transaction of PC/SC; dropping it ends it and leaves the card as it is.
pub(super) struct PcscTransaction<'card> {
    /// `None` only while it is being ended.
    pub(super) transaction: Option<pcsc::Transaction<'card>>,
    pub(super) was_reset: bool,
    pub(super) place: &'card Place,
    pub(super) doubtful: &'card mut bool,
    /// Becomes true if it could not be ended.
    pub(super) locked: &'card mut bool,
    pub(super) features: Features,
}

impl CardTransaction for PcscTransaction<'_> {
    fn transmit(&mut self, command: &[u8], size: usize) -> Result<Vec<u8>, SmartcardError> {
        let mut answer = Zeroizing::new(vec![0; size.clamp(SHORT_ANSWER, MAX_ANSWER)]);
        match self.exchange(command, &mut answer) {
            // Some drivers succeed with an empty answer when the card is pulled out.
            Ok(length) if length < STATUS_WORD => Err(self.why(Error::NotTransacted)),
            Ok(length) => {
                let answer = answer.get(..length).unwrap_or_default().to_vec();
                *self.doubtful = !is_plain(&answer) && self.is_interrupted();
                if *self.doubtful { Err(SmartcardError::NotTransacted) } else { Ok(answer) }
            }
            // The service looks before it sends anything.
            Err(Error::ResetCard | Error::ProtoMismatch) => {
                *self.doubtful = true;
                Err(SmartcardError::NotTransacted)
            }
            Err(error) => Err(self.why(error)),
        }
    }

    fn feature_pinpad_verify(&self) -> bool {
        self.features.pinpad().verifies
    }

    fn feature_pinpad_modify(&self) -> bool {
        self.features.pinpad().modifies
    }

    fn pinpad_verify(&mut self, pin: PinType, caps: &Option<CardCaps>) -> Result<Vec<u8>, SmartcardError> {
        let answer = self.open().and_then(|transaction| self.features.verify(transaction, pin, *caps));
        answer.map_err(|error| self.why(error))
    }

    fn pinpad_modify(&mut self, pin: PinType, caps: &Option<CardCaps>) -> Result<Vec<u8>, SmartcardError> {
        let answer = self.open().and_then(|transaction| self.features.modify(transaction, pin, *caps));
        answer.map_err(|error| self.why(error))
    }

    fn was_reset(&self) -> bool {
        self.was_reset
    }
}

impl PcscTransaction<'_> {
    fn open(&self) -> Result<&pcsc::Transaction<'_>, Error> {
        self.transaction.as_ref().ok_or(Error::InvalidHandle)
    }

    /// Sends a command; the answer's length.
    fn exchange(&self, command: &[u8], answer: &mut [u8]) -> Result<usize, Error> {
        let transaction = self.open()?;
        // The crate panics where the service named no protocol. So it does if a neighbour resets the card in the moment in
        // which we connect to it; nothing has been sent then.
        let sent = catch_unwind(AssertUnwindSafe(|| transaction.transmit(command, answer).map(<[u8]>::len)));
        sent.unwrap_or(Err(Error::ProtoMismatch))
    }

    fn status(&self) -> Result<(), Error> {
        self.open()?.status2_owned().map(drop)
    }

    fn is_interrupted(&self) -> bool {
        self.status() == Err(Error::ResetCard)
    }

    /// A card that is pulled out while it works shows as a failed transmission; its status then tells more.
    fn why(&mut self, error: Error) -> SmartcardError {
        *self.doubtful = true;
        let gone = self.status().err().is_some_and(is_gone) || self.place.is_left();
        self.place.translate(if gone { Error::RemovedCard } else { error })
    }
}

impl Drop for PcscTransaction<'_> {
    fn drop(&mut self) {
        let Some(transaction) = self.transaction.take() else { return };
        *self.locked = matches!(transaction.end(Disposition::LeaveCard), Err((_, Error::ResetCard)));
    }
}

/// Whether an answer's status word means that the command was carried out, or is being.
fn is_plain(answer: &[u8]) -> bool {
    matches!(answer, [.., 0x90 | 0x61 | 0x6c | 0x63, _])
}
