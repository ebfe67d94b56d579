//! Where cards come from. A reader layer tells the register who arrives and departs, and gives each card a [`Reader`].
//!
//! Readers speak the traits of the crate card-backend, so that openpgp-card's own flows can run over them too:
//! - one `CardTransaction` is one transaction of PC/SC: no other program gets between its commands; dropping it ends it
//!   and leaves the card as it is.
//! - `was_reset` tells that the card was reset since the last transaction. That is not a removal.
//! - [`SmartcardError::CardNotFound`] means that this stay of the card is over.
//! - [`SmartcardError::NotTransacted`] means that the card was reset within the transaction, and did not carry the command
//!   out. The next transaction finds it as after any reset.

pub(crate) mod pcsc;
pub(crate) mod socket;

use card_backend::{CardBackend, SmartcardError};

use crate::token::TokenError;

/// One card in one reader, as long as it stays there.
pub trait Reader: CardBackend + Send + Sync {
    /// Resets the card (warm).
    ///
    /// # Errors
    /// What the reader layer says.
    fn reset(&mut self) -> Result<(), SmartcardError>;

    /// Takes the power away. The next transaction finds the card fresh.
    ///
    /// # Errors
    /// What the reader layer says.
    fn power_down(&mut self) -> Result<(), SmartcardError>;

    /// Called after each transaction, for what its end has left to do: so that the neighbours get the card.
    fn settle(&mut self) {}

    /// What its own keys are good for; known after the first transaction. A length in the capabilities that a
    /// transaction is told with a PIN's entry is the length that the PIN has, 0 for any.
    fn pinpad(&self) -> Pinpad {
        Pinpad::default()
    }
}

/// What a reader's own keys are good for (PC/SC part 10).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pinpad {
    /// A PIN (FEATURE_VERIFY_PIN_DIRECT).
    pub verifies: bool,
    /// A PIN and a new one (FEATURE_MODIFY_PIN_DIRECT).
    pub modifies: bool,
    /// PINs of any length within the limits; else it has to be told how long they are.
    pub any_length: bool,
    /// The shortest PIN that can be typed.
    pub shortest: u8,
    /// The longest.
    pub longest: u8,
}

/// The longest answer that a card can give in one piece: extended length and a status word.
pub(crate) const MAX_ANSWER: usize = 0x1_0000 + 2;

/// The reader layer's error, while doing `operation`.
pub(crate) fn fault(operation: &'static str, error: &SmartcardError) -> TokenError {
    match error {
        SmartcardError::CardNotFound(_) => TokenError::Gone,
        SmartcardError::NotTransacted => TokenError::Interrupted { operation },
        SmartcardError::Error(message) => TokenError::Transport { operation, message: message.clone() },
        other => TokenError::Transport { operation, message: other.to_string() },
    }
}
