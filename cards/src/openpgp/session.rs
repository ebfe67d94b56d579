//! One job's turn at the card: one transaction, opened when the first command goes out, and the probing rule.
//!
//! A command without a secret may go first, unprobed. Where its answer looks as if somebody else's applet gave it, or as
//! if a verification was lost, [`Session::probe`] finds out with a GET DATA of 6E, selects our application again if need
//! be, and gives a [`Probed`]: the only value that can send a PIN or a key. Nobody gets between a probe and what follows
//! it, because both are in one transaction.

use card_backend::CardTransaction;
use tracing::debug;

use claviger_secret::Secret;

use crate::openpgp::apdu::{Channel, Command, Response, SecretCommand, is_unknown};
use crate::openpgp::card::Card;
use crate::openpgp::commands::{self, name};
use crate::openpgp::kdf::Kdf;
use crate::openpgp::pins::Step;
use crate::openpgp::related::Related;
use crate::reader::{Reader, fault};
use crate::token::{DataObject, PinRef, Reply, TokenError};

/// The application was terminated; ISO 7816-4 has it as a warning.
const TERMINATED: u16 = 0x6285;

/// A turn at the card.
pub(crate) struct Session<'r> {
    pub(crate) card: &'r mut Card,
    line: Line<'r>,
    probed: bool,
}

/// The transaction, before and after it is opened.
enum Line<'r> {
    Closed(&'r mut dyn Reader),
    Open(Box<dyn CardTransaction + Send + Sync + 'r>),
    /// It could not be opened.
    Broken,
}

/// A turn in which our application was seen to be the one that answers.
pub(crate) struct Probed<'s, 'r> {
    session: &'s mut Session<'r>,
}

impl<'r> Session<'r> {
    pub(crate) fn new(reader: &'r mut dyn Reader, card: &'r mut Card) -> Self {
        Self { card, line: Line::Closed(reader), probed: false }
    }

    /// Opens the transaction, unless it is open. Afterwards it is known whether the card was reset meanwhile.
    pub(crate) fn begin(&mut self) -> Result<(), TokenError> {
        let reader = match std::mem::replace(&mut self.line, Line::Broken) {
            Line::Closed(reader) => reader,
            open_or_broken => {
                self.line = open_or_broken;
                return Ok(());
            }
        };
        let transaction = reader.transaction(None).map_err(|error| fault("waiting for the card", &error))?;
        if transaction.was_reset() {
            debug!("a neighbour reset the card");
            self.card.was_reset();
        }
        self.line = Line::Open(transaction);
        Ok(())
    }

    /// Sends a command, to our application as far as we know.
    pub(crate) fn send(&mut self, command: &Command) -> Result<Response, TokenError> {
        self.begin()?;
        if self.card.stale {
            self.probe()?;
        } else if !self.card.selected {
            self.select()?;
        }
        self.channel()?.send(command)
    }

    /// Sends a command that needs no PIN. If it looks lost, the application is probed, and if it had to be selected
    /// again, the command is repeated, once.
    pub(crate) fn ask(&mut self, command: &Command) -> Result<Response, TokenError> {
        let response = self.send(command)?;
        if !response.looks_lost() {
            return Ok(response);
        }
        if self.probed {
            return self.still_ours(command.name, response);
        }
        if self.reselected()? { self.send(command) } else { Ok(response) }
    }

    /// Somebody else's command, as it is, to whatever application is there.
    pub(crate) fn send_raw(&mut self, command: &[u8], more: bool) -> Result<Response, TokenError> {
        self.begin()?;
        self.channel()?.send_raw(name::RAW, command, more)
    }

    /// Probes, and tells whether our application had to be selected again.
    pub(crate) fn reselected(&mut self) -> Result<bool, TokenError> {
        let before = self.card.selections;
        self.probe()?;
        Ok(self.card.selections != before)
    }

    /// Makes sure that our application answers: 6E, and if that is not ours, SELECT and 6E.
    pub(crate) fn probe(&mut self) -> Result<Probed<'_, 'r>, TokenError> {
        self.begin()?;
        if !self.probed {
            let answered = self.card.selected && self.try_related_data()?;
            if answered {
                self.probed = true;
                self.card.stale = false;
            } else {
                self.reopen()?;
            }
        }
        Ok(Probed { session: self })
    }

    /// An answer in a turn in which our application was probed, if it is our application's. A service may let through what
    /// a neighbour had asked for just before our transaction began.
    ///
    /// # Errors
    /// [`TokenError::Interrupted`].
    pub(crate) fn still_ours(
        &mut self,
        operation: &'static str,
        response: Response,
    ) -> Result<Response, TokenError> {
        if response.is_unknown_there() {
            self.probed = false;
            if self.reselected()? {
                return Err(TokenError::Interrupted { operation });
            }
        }
        Ok(response)
    }

    /// Whether our application is still the one that answers; if not, nothing is done about it.
    pub(crate) fn is_current(&mut self) -> Result<bool, TokenError> {
        self.begin()?;
        if !self.probed {
            self.probed = self.card.selected && self.try_related_data()?;
            self.card.selected &= self.probed;
        }
        Ok(self.probed)
    }

    /// SELECT and 6E, whatever was known before.
    pub(crate) fn reopen(&mut self) -> Result<(), TokenError> {
        self.select()?;
        match self.related_data() {
            // As if it had not been selected: a neighbour's reset came between.
            Err(TokenError::Status { sw, .. }) if is_unknown(sw) => {
                self.select()?;
                self.related_data()?;
            }
            other => other?,
        }
        self.probed = true;
        self.card.stale = false;
        Ok(())
    }

    /// A reset, warm or cold, before anything else. After a raw command the card may be another than before, so it is
    /// looked at at once.
    pub(crate) fn reset(&mut self, power_down: bool) -> Result<Step, TokenError> {
        if let Line::Closed(reader) = &mut self.line {
            let done = if power_down { reader.power_down() } else { reader.reset() };
            done.map_err(|error| fault(name::RESET, &error))?;
            self.card.was_reset();
        }
        if self.card.stale || self.card.facts.terminated {
            match self.reopen() {
                Err(TokenError::Status { sw: TERMINATED, .. }) => {}
                other => other?,
            }
        }
        Ok(Step::Done(Reply::Done))
    }

    /// SELECT.
    pub(crate) fn select(&mut self) -> Result<(), TokenError> {
        self.begin()?;
        let response = self.channel()?.send(&commands::select())?;
        if response.sw == TERMINATED {
            self.card.forget_verifications();
            self.card.facts_mut().terminated = true;
        }
        response.done(name::SELECT)?;
        self.card.application_was_selected();
        Ok(())
    }

    /// 6E, which must be ours.
    pub(crate) fn related_data(&mut self) -> Result<(), TokenError> {
        self.begin()?;
        let response = self.channel()?.send(&commands::related_data())?;
        let data = response.into_data(name::RELATED)?;
        let related = Related::parse(&data)?;
        if !self.is_ours(&related) {
            return Err(TokenError::Gone);
        }
        self.take_over(&related);
        Ok(())
    }

    /// What F9 says, read once.
    pub(crate) fn kdf(&mut self) -> Result<Kdf, TokenError> {
        if !self.card.facts.capabilities.kdf() {
            return Ok(Kdf::Plain);
        }
        let object = self.object(DataObject::Kdf)?;
        Kdf::parse(object.as_deref().map(Vec::as_slice))
    }

    /// 6E as a question: false if another applet answers, or none.
    fn try_related_data(&mut self) -> Result<bool, TokenError> {
        let response = self.channel()?.send(&commands::related_data())?;
        if !response.is_ok() {
            debug!(sw = format_args!("{:04X}", response.sw), "another application is selected");
            return Ok(false);
        }
        match Related::parse(&response.data) {
            Ok(related) if self.is_ours(&related) => {
                self.take_over(&related);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn is_ours(&self, related: &Related) -> bool {
        self.card.facts.aid == [0; 16] || self.card.facts.aid == related.aid
    }

    fn take_over(&mut self, related: &Related) {
        related.apply(&mut self.card.facts);
        self.card.tries_were_read();
        self.card.lengths.learn(&self.card.facts, related.length_information.as_deref());
    }

    fn channel(&mut self) -> Result<Channel<'_, 'r>, TokenError> {
        match &mut self.line {
            Line::Open(transaction) => {
                Ok(Channel { transaction: transaction.as_mut(), lengths: &mut self.card.lengths })
            }
            Line::Closed(_) | Line::Broken => Err(TokenError::Gone),
        }
    }
}

impl Probed<'_, '_> {
    /// VERIFY, after the card's key derivation.
    pub(crate) fn verify(&mut self, which: PinRef, pin: &Secret) -> Result<(), TokenError> {
        let derived = self.derive(which, pin)?;
        let response = self.send(&commands::verify(which, derived))?;
        self.judge(which, &response)
    }

    /// CHANGE REFERENCE DATA.
    pub(crate) fn change(&mut self, which: PinRef, old: &Secret, new: &Secret) -> Result<(), TokenError> {
        let new = self.derive(which, new)?;
        self.change_to(which, old, &new)
    }

    /// CHANGE REFERENCE DATA to what the card is to compare from now on.
    pub(crate) fn change_to(&mut self, which: PinRef, old: &Secret, new: &Secret) -> Result<(), TokenError> {
        let both = joined(&self.derive(which, old)?, new);
        let response = self.send(&commands::change_reference_data(which, both))?;
        self.judge(which, &response)
    }

    /// RESET RETRY COUNTER with the resetting code.
    pub(crate) fn unblock_with_code(&mut self, code: &Secret, new: &Secret) -> Result<(), TokenError> {
        let both = joined(&self.derive(PinRef::ResetCode, code)?, &self.derive(PinRef::User, new)?);
        let response = self.send(&commands::reset_retry_counter_with_code(both))?;
        self.judge(PinRef::ResetCode, &response)
    }

    /// RESET RETRY COUNTER after PW3.
    pub(crate) fn unblock(&mut self, new: &Secret) -> Result<Response, TokenError> {
        let derived = self.derive(PinRef::User, new)?;
        self.send(&commands::reset_retry_counter(derived))
    }

    /// PUT DATA D3; an empty code removes it.
    pub(crate) fn set_reset_code(&mut self, code: &Secret) -> Result<Response, TokenError> {
        let derived = if code.is_empty() { code.duplicate() } else { self.derive(PinRef::ResetCode, code)? };
        self.send(&commands::put_secret(0xd3, derived))
    }

    /// For a PIN that the reader takes and sends by itself.
    pub(crate) fn transaction(&mut self) -> Result<&mut (dyn CardTransaction + Send + Sync), TokenError> {
        match &mut self.session.line {
            Line::Open(transaction) => Ok(transaction.as_mut()),
            Line::Closed(_) | Line::Broken => Err(TokenError::Gone),
        }
    }

    /// A command with a key in it.
    pub(crate) fn send(&mut self, command: &SecretCommand) -> Result<Response, TokenError> {
        let response = self.session.channel()?.send_secret(command)?;
        self.session.still_ours(command.name, response)
    }

    fn derive(&mut self, which: PinRef, pin: &Secret) -> Result<Secret, TokenError> {
        self.session.kdf()?.derive(which, pin)
    }

    /// What the status word says of a PIN that was sent (7.2.2).
    pub(crate) fn judge(&mut self, which: PinRef, response: &Response) -> Result<(), TokenError> {
        let card = &mut *self.session.card;
        match response.sw {
            Response::OK => {
                card.pin_was_right(which);
                Ok(())
            }
            0x6983 => {
                card.pin_was_wrong(which, Some(0));
                Err(TokenError::PinBlocked(which))
            }
            0x6982 => {
                card.pin_was_wrong(which, None);
                Err(TokenError::WrongPin { pin: which, tries_left: None })
            }
            sw if sw & 0xfff0 == 0x63c0 => {
                let left = sw.to_be_bytes()[1] & 0x0f;
                card.pin_was_wrong(which, Some(left));
                Err(TokenError::WrongPin { pin: which, tries_left: Some(left) })
            }
            // The card does not say how many are left.
            0x6300 => {
                card.pin_was_wrong(which, None);
                card.tries_unknown = true;
                Err(TokenError::WrongPin { pin: which, tries_left: None })
            }
            sw => {
                // Whether it cost a try, only the card knows.
                card.tries_unknown = true;
                Err(TokenError::Status { operation: name::VERIFY, sw })
            }
        }
    }
}

fn joined(first: &Secret, second: &Secret) -> Secret {
    let mut both = Secret::with_capacity(first.len() + second.len());
    // It was made to hold both.
    let _ = both.extend(first.as_bytes()).and_then(|()| both.extend(second.as_bytes()));
    both
}
