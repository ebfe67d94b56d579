//! Switching the key derivation for PINs on or off (OpenPGP card 3.4, section 4.3.2).
//!
//! The specification lets the card set its PINs to the hashes that come with DO F9. Yubico's and the FSIJ's cards do so;
//! others leave their PINs as they are, which would then never be right again. As GnuPG does from version 2.3 on, the PINs
//! of those are set first: all in one transaction, so that nobody finds the card in between.

use claviger_secret::Secret;

use crate::openpgp::apdu::Response;
use crate::openpgp::commands::{self, name};
use crate::openpgp::pins::{Question, Step, check_length};
use crate::openpgp::session::Session;
use crate::openpgp::tlv;
use crate::token::{DataObject, PinPurpose, PinRef, Progress, Reply, TokenError};

/// F9 that switches it off.
const OFF: &[u8] = b"\x81\x01\x00";

/// F9 with three salts and the hashes of both PINs: the form that gpg's kdf-setup writes.
const WITH_ALL_SALTS: usize = 110;

/// What the PINs are when a card is new (4.3).
const DEFAULT_USER: &[u8] = b"123456";
const DEFAULT_ADMIN: &[u8] = b"12345678";

/// The PINs that a card has when F9 is in force, as the card compares them.
pub(crate) struct NewPins<'a> {
    user: &'a [u8],
    admin: &'a [u8],
}

impl Session<'_> {
    /// The PINs that must be set before `value` is written into F9; `None` if the card takes care of them, or if the value
    /// does not say what they are.
    pub(crate) fn pins_for_kdf<'a>(&self, value: &'a [u8]) -> Option<NewPins<'a>> {
        if self.card.facts.sets_pins_by_kdf() {
            return None;
        }
        if value == OFF {
            return Some(NewPins { user: DEFAULT_USER, admin: DEFAULT_ADMIN });
        }
        let hash = |tag| tlv::find(value, tag).ok().flatten().filter(|hash| !hash.is_empty());
        let (user, admin) = (hash(0x87)?, hash(0x88)?);
        (value.len() == WITH_ALL_SALTS).then_some(NewPins { user, admin })
    }

    /// Sets the PINs, removes the resetting code, writes F9. Takes the admin PIN as such, verified or not.
    pub(crate) fn set_up_kdf(
        &mut self,
        progress: &mut Progress,
        value: &[u8],
        new: &NewPins<'_>,
    ) -> Result<Step, TokenError> {
        let purpose = PinPurpose::Unlock(PinRef::Admin);
        let Some(old) = progress.take(purpose) else { return self.ask_admin() };
        check_length(purpose, &old)?;
        self.probe()?;
        if self.lost_tries(progress, PinRef::Admin) {
            return self.ask_admin();
        }
        self.card.forget_verifications();
        let admin = Secret::copy_of(new.admin);
        let mut probed = self.probe()?;
        if progress.steps_done == 0 {
            probed.change_to(PinRef::Admin, &old, &admin)?;
            progress.steps_done = 1;
        }
        probed.send(&commands::verify(PinRef::Admin, admin))?.done(name::VERIFY)?;
        let user = commands::reset_retry_counter(Secret::copy_of(new.user));
        probed.send(&user)?.done(name::UNBLOCK)?;
        probed.send(&commands::put_secret(0xd3, Secret::copy_of(&[])))?.done(name::PUT)?;
        let written = self.send(&commands::put_data(0xf9, value))?;
        self.kdf_was_written(&written);
        written.done(name::PUT).map(|()| Step::Done(Reply::Done))
    }

    fn ask_admin(&mut self) -> Result<Step, TokenError> {
        let question = self.question(PinRef::Admin, false)?;
        // Its value goes into CHANGE REFERENCE DATA, too.
        Ok(Step::Ask(Question { on_pinpad: false, ..question }))
    }

    fn kdf_was_written(&mut self, written: &Response) {
        self.card.objects.remove(&DataObject::Kdf);
        self.card.forget_verifications();
        if written.is_ok() {
            let status = &mut self.card.facts_mut().pin_status;
            // The resetting code is gone with what it was derived by.
            status.set_tries(PinRef::ResetCode, 0);
        }
    }
}
