//! Changing and unblocking PINs (OpenPGP card 3.4, sections 7.2.3, 7.2.4; 7.2.8 for the resetting code).
//!
//! All PINs are collected before the one transaction in which the card gets them, except that an admin PIN is verified
//! before the new value is asked for: a person who does not know it should not have to think one up.

use crate::openpgp::commands::name;
use crate::openpgp::pinpad;
use crate::openpgp::pins::{Step, Unlocked, check_length};
use crate::openpgp::session::Session;
use crate::token::{PinPurpose, PinRef, Progress, Reply, TokenError};

/// What the admin PIN allows to set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AdminSets {
    /// PW1, with a fresh retry counter.
    UserPin,
    /// The resetting code.
    ResetCode,
}

impl Session<'_> {
    /// CHANGE REFERENCE DATA of PW1 or PW3.
    pub(crate) fn change_pin(&mut self, progress: &mut Progress, which: PinRef) -> Result<Step, TokenError> {
        let which = match which {
            PinRef::Sign | PinRef::User => PinRef::User,
            PinRef::Admin => PinRef::Admin,
            PinRef::ResetCode => return Err(TokenError::BadValue("the reset code is set, not changed")),
        };
        if which == PinRef::Admin && progress.pins.is_empty() {
            // Says so if it is blocked.
            self.question(which, true)?;
        }
        if pinpad::is_answered_there(progress, PinPurpose::Old(which)) {
            return self.change_on_pinpad(progress, which);
        }
        if let Some(question) = self.old_and_new(progress, which, which)? {
            return Ok(question);
        }
        self.probe()?;
        if self.lost_tries(progress, which) {
            return self.ask_again(progress, which);
        }
        let (Some(old), Some(new)) =
            (progress.take(PinPurpose::Old(which)), progress.take(PinPurpose::New(which)))
        else {
            return self.question_old(which).map(Step::Ask);
        };
        let changed = self.probe()?.change(which, &old, &new);
        self.forget_pin(which);
        changed.map(|()| Step::Done(Reply::Done))
    }

    /// RESET RETRY COUNTER with the resetting code, which the card must have.
    pub(crate) fn unblock_with_reset_code(&mut self, progress: &mut Progress) -> Result<Step, TokenError> {
        let code = PinRef::ResetCode;
        if progress.pins.is_empty() {
            self.probe()?;
            if self.tries(code) == 0 {
                return Err(TokenError::NoResetCode);
            }
        }
        if let Some(question) = self.old_and_new(progress, code, PinRef::User)? {
            return Ok(question);
        }
        self.probe()?;
        if self.lost_tries(progress, code) {
            return self.ask_again(progress, code);
        }
        let (Some(old), Some(new)) =
            (progress.take(PinPurpose::Old(code)), progress.take(PinPurpose::New(PinRef::User)))
        else {
            return self.question_old(code).map(Step::Ask);
        };
        let unblocked = self.probe()?.unblock_with_code(&old, &new);
        self.forget_pin(PinRef::User);
        unblocked?;
        self.card.tries_are_full(PinRef::User);
        Ok(Step::Done(Reply::Done))
    }

    /// Sets what the admin PIN, always asked for, allows to set.
    pub(crate) fn set_as_admin(
        &mut self,
        progress: &mut Progress,
        what: AdminSets,
    ) -> Result<Step, TokenError> {
        let new = match what {
            AdminSets::UserPin => PinRef::User,
            AdminSets::ResetCode => PinRef::ResetCode,
        };
        if progress.steps_done == 0 {
            if let Unlocked::Not(question) = self.unlock(progress, PinRef::Admin, true)? {
                return Ok(Step::Ask(question));
            }
            progress.steps_done = 1;
        }
        let purpose = PinPurpose::New(new);
        let Some(value) = progress.take(purpose) else { return Ok(Step::Ask(Self::question_new(new))) };
        if !(value.is_empty() && what == AdminSets::ResetCode) {
            check_length(purpose, &value)?;
        }
        self.probe()?;
        if !self.card.is_verified(PinRef::Admin) {
            // A neighbour came between: the admin PIN is needed once more, what is to be set is not.
            progress.steps_done = 0;
            progress.pins.push((purpose, value));
            return self.question(PinRef::Admin, true).map(Step::Ask);
        }
        let mut probed = self.probe()?;
        let response = match what {
            AdminSets::UserPin => probed.unblock(&value),
            AdminSets::ResetCode => probed.set_reset_code(&value),
        }?;
        if what == AdminSets::UserPin {
            self.forget_pin(PinRef::User);
        }
        response.done(name::UNBLOCK)?;
        if value.is_empty() {
            self.card.facts_mut().pin_status.set_tries(new, 0);
        } else {
            self.card.tries_are_full(new);
        }
        Ok(Step::Done(Reply::Done))
    }

    /// Asks for the old and then for the new one, until both are there and long enough.
    fn old_and_new(
        &mut self,
        progress: &Progress,
        old: PinRef,
        new: PinRef,
    ) -> Result<Option<Step>, TokenError> {
        let (old_purpose, new_purpose) = (PinPurpose::Old(old), PinPurpose::New(new));
        match progress.peek(old_purpose) {
            None => return self.question_old(old).map(|question| Some(Step::Ask(question))),
            Some(pin) => check_length(old_purpose, pin)?,
        }
        match progress.peek(new_purpose) {
            None => Ok(Some(Step::Ask(Self::question_new(new)))),
            Some(pin) => check_length(new_purpose, pin).map(|()| None),
        }
    }

    /// The old one is asked for again, because there are fewer tries than the prompt said; the new one stays.
    fn ask_again(&mut self, progress: &mut Progress, old: PinRef) -> Result<Step, TokenError> {
        drop(progress.take(PinPurpose::Old(old)));
        self.question_old(old).map(Step::Ask)
    }

    pub(crate) fn forget_pin(&mut self, which: PinRef) {
        if which == PinRef::Admin {
            self.card.set_verified(PinRef::Admin, false);
        } else {
            self.card.set_verified(PinRef::Sign, false);
            self.card.set_verified(PinRef::User, false);
        }
    }
}
