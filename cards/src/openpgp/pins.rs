//! When a PIN is asked for, when one is sent, and what may be done without.

use claviger_secret::Secret;

use crate::openpgp::apdu::{Command, Response};
use crate::openpgp::commands;
use crate::openpgp::pinpad::{self, Entry};
use crate::openpgp::session::Session;
use crate::token::{PinPurpose, PinRef, Progress, Reply, TokenError};

/// The shortest user PIN (OpenPGP card 3.4, section 4.3).
const MIN_USER: usize = 6;

/// The shortest admin PIN and resetting code.
const MIN_ADMIN: usize = 8;

/// The finger did not come in time.
const TOUCH_TIMEOUT: u16 = 0x6600;

/// How far a request came.
pub(crate) enum Step {
    /// To its end.
    Done(Reply),
    /// To where a PIN is needed.
    Ask(Question),
}

/// A question for the person; it becomes a [`crate::token::NeedsPin`].
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) purpose: PinPurpose,
    pub(crate) tries_left: Option<u8>,
    pub(crate) may_use_cache: bool,
    pub(crate) memory_failed: bool,
    pub(crate) on_pinpad: bool,
}

/// Whether the card will do what takes a PIN.
pub(crate) enum Unlocked {
    /// It was verified in an earlier transaction, as far as we know.
    Before,
    /// It was verified just now, by an application that was probed.
    Now,
    /// Not without asking.
    Not(Question),
}

/// What a command that takes a PIN came to.
pub(crate) enum Attempt {
    /// The card's answer.
    Answered(Response),
    /// A PIN is needed first.
    Not(Question),
}

impl Progress {
    /// A PIN that was handed in for this; each is used once in a turn.
    pub(crate) fn take(&mut self, purpose: PinPurpose) -> Option<Secret> {
        let at = self.pins.iter().position(|(of, _)| *of == purpose)?;
        let (_, pin) = self.pins.swap_remove(at);
        self.used.push((purpose, pin.duplicate()));
        Some(pin)
    }

    /// Puts back what was used in a turn that came to nothing.
    pub(crate) fn take_back(&mut self) {
        self.pins.append(&mut self.used);
    }

    /// A PIN that stays, because the transaction it is for comes later.
    pub(crate) fn peek(&self, purpose: PinPurpose) -> Option<&Secret> {
        self.pins.iter().find(|(of, _)| *of == purpose).map(|(_, pin)| pin)
    }
}

impl Session<'_> {
    /// Makes sure that `pin` is verified; `always` verifies again what is verified.
    pub(crate) fn unlock(
        &mut self,
        progress: &mut Progress,
        pin: PinRef,
        always: bool,
    ) -> Result<Unlocked, TokenError> {
        let purpose = PinPurpose::Unlock(pin);
        let always = always || self.is_forced(pin);
        let given = progress.take(purpose);
        let remembered = progress.remembered.take_if(|of| *of == purpose).is_some();
        let typed_on_pinpad = pinpad::is_answered_there(progress, purpose);
        if let Some(secret) = &given {
            check_length(purpose, secret)?;
        }
        // Somebody else's answer may have unlocked the card meanwhile.
        if !always && self.is_still_verified(pin)? {
            return Ok(Unlocked::Before);
        }
        if given.is_none() && !typed_on_pinpad {
            return self.question(pin, always).map(Unlocked::Not);
        }
        match self.verify(progress, pin, given.as_ref()) {
            Err(TokenError::WrongPin { .. }) if remembered => {
                // It was changed elsewhere. The person has not failed, so the person is asked.
                let question = self.question(pin, always)?;
                Ok(Unlocked::Not(Question { memory_failed: true, ..question }))
            }
            other => other,
        }
    }

    /// Carries out a command that takes a PIN and carries no secret. Where the PIN was verified in an earlier
    /// transaction the command goes first; if the verification turns out to be lost, the PIN is asked for.
    pub(crate) fn privileged(
        &mut self,
        progress: &mut Progress,
        pin: PinRef,
        command: &Command,
    ) -> Result<Attempt, TokenError> {
        match self.unlock(progress, pin, false)? {
            Unlocked::Not(question) => Ok(Attempt::Not(question)),
            Unlocked::Now => {
                let response = self.send_for_key(progress, pin, command)?;
                self.still_ours(command.name, response).map(Attempt::Answered)
            }
            Unlocked::Before => {
                let response = self.send_for_key(progress, pin, command)?;
                if response.looks_lost() && (self.reselected()? || response.sw == 0x6982) {
                    self.card.set_verified(pin, false);
                    return self.question(pin, false).map(Attempt::Not);
                }
                Ok(Attempt::Answered(response))
            }
        }
    }

    /// Notes that a touch may be waited for; one that did not come in time costs the verification.
    fn send_for_key(
        &mut self,
        progress: &Progress,
        pin: PinRef,
        command: &Command,
    ) -> Result<Response, TokenError> {
        let key = commands::key_used(command).filter(|slot| self.card.may_want_touch(*slot));
        let using = key.map(|slot| progress.notes.using(slot));
        let response = self.send(command)?;
        drop(using);
        if response.sw == TOUCH_TIMEOUT {
            self.card.set_verified(pin, false);
        }
        Ok(response)
    }

    /// The question for a PIN that unlocks. A blocked admin PIN is not asked for.
    pub(crate) fn question(&mut self, pin: PinRef, never_cached: bool) -> Result<Question, TokenError> {
        if pin == PinRef::Admin && self.tries(pin) == 0 {
            // It may have been unblocked by somebody since.
            self.probe()?;
            if self.tries(pin) == 0 {
                return Err(TokenError::PinBlocked(pin));
            }
        }
        let tries = self.known_tries(pin)?;
        Ok(Question {
            purpose: PinPurpose::Unlock(pin),
            tries_left: Some(tries),
            may_use_cache: !never_cached && !self.is_forced(pin) && tries > 1,
            memory_failed: false,
            on_pinpad: self.is_typed_on_pinpad(pin, Entry::Verify)?,
        })
    }

    /// The question for a PIN that is about to be changed.
    pub(crate) fn question_old(&mut self, pin: PinRef) -> Result<Question, TokenError> {
        let tries_left = Some(self.known_tries(pin)?);
        Ok(Question {
            purpose: PinPurpose::Old(pin),
            tries_left,
            may_use_cache: false,
            memory_failed: false,
            on_pinpad: self.is_typed_on_pinpad(pin, Entry::Modify)?,
        })
    }

    /// The question for a new PIN.
    pub(crate) fn question_new(pin: PinRef) -> Question {
        Question {
            purpose: PinPurpose::New(pin),
            tries_left: None,
            may_use_cache: false,
            memory_failed: false,
            on_pinpad: false,
        }
    }

    /// The tries as last known, read afresh if the card has refused a PIN since in words that nobody can count by.
    fn known_tries(&mut self, pin: PinRef) -> Result<u8, TokenError> {
        if self.card.tries_unknown {
            self.probe()?;
        }
        Ok(self.tries(pin))
    }

    pub(crate) fn tries(&self, pin: PinRef) -> u8 {
        self.card.facts.pin_status.tries(pin)
    }

    /// Whether the counter shows fewer tries than the prompt did: then no PIN is sent.
    pub(crate) fn lost_tries(&self, progress: &Progress, pin: PinRef) -> bool {
        progress.tries_shown.is_some_and(|shown| self.tries(pin) < shown)
    }

    /// Verifies with a PIN that was given, or else with the one that is typed on the reader.
    fn verify(
        &mut self,
        progress: &Progress,
        pin: PinRef,
        given: Option<&Secret>,
    ) -> Result<Unlocked, TokenError> {
        self.probe()?;
        if self.tries(pin) == 0 {
            return Err(TokenError::PinBlocked(pin));
        }
        if self.lost_tries(progress, pin) {
            return self.question(pin, false).map(Unlocked::Not);
        }
        match given {
            Some(secret) => self.probe()?.verify(pin, secret)?,
            None if self.verify_on_pinpad(pin)? => {}
            None => return self.question(pin, false).map(Unlocked::Not),
        }
        Ok(Unlocked::Now)
    }

    fn is_forced(&self, pin: PinRef) -> bool {
        pin == PinRef::Sign && self.card.facts.pin_status.forced()
    }

    /// Opening the transaction tells whether the card was reset since.
    fn is_still_verified(&mut self, pin: PinRef) -> Result<bool, TokenError> {
        if self.card.is_verified(pin) {
            self.begin()?;
        }
        Ok(self.card.is_verified(pin))
    }
}

/// Refuses a PIN that no card takes, before it costs a try.
pub(crate) fn check_length(purpose: PinPurpose, pin: &Secret) -> Result<(), TokenError> {
    let (PinPurpose::Unlock(which) | PinPurpose::Old(which) | PinPurpose::New(which)) = purpose;
    let minimum = match which {
        PinRef::Sign | PinRef::User => MIN_USER,
        PinRef::Admin | PinRef::ResetCode => MIN_ADMIN,
    };
    if pin.len() < minimum { Err(TokenError::PinTooShort { pin: purpose, minimum }) } else { Ok(()) }
}
