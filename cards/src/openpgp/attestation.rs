//! What YubiKeys can do besides: vouch for a key that was made on the card (Yubico's documentation of their OpenPGP
//! application, *Attestation*; GnuPG's scd, `app-openpgp.c`, `GEN-ATTST`).

use crate::facts::CertificateState;
use crate::openpgp::commands::{self, name};
use crate::openpgp::pins::{Attempt, Step};
use crate::openpgp::session::Session;
use crate::token::{PinRef, Progress, Reply, Slot, TokenError};

impl Session<'_> {
    /// Has the card write its attestation of a key in the place of that slot's certificate.
    pub(crate) fn attest(&mut self, progress: &mut Progress, slot: Slot) -> Result<Step, TokenError> {
        // Whatever comes of it, nobody knows any more what is there.
        self.set_certificate(slot, CertificateState::Unread);
        match self.privileged(progress, PinRef::Admin, &commands::attest(slot))? {
            Attempt::Not(question) => Ok(Step::Ask(question)),
            Attempt::Answered(response) => response.done(name::ATTEST).map(|()| Step::Done(Reply::Done)),
        }
    }
}
