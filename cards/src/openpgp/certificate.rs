//! Cardholder certificates, DO 7F21 (OpenPGP card 3.4, sections 4.4.3.10, 7.2.5, 7.2.7): one object per slot, told apart
//! by SELECT DATA, or read one after the other with GET NEXT DATA.
//!
//! What was read stays among the facts until it is written or the card is removed. A certificate is any octets: people
//! keep other things there too.

use std::sync::Arc;

use tracing::debug;

use crate::facts::CertificateState;
use crate::openpgp::commands::{self, name};
use crate::openpgp::objects::means_absent;
use crate::openpgp::pins::{Attempt, Step, Unlocked};
use crate::openpgp::session::Session;
use crate::token::{PinRef, Progress, Reply, Slot, TokenError};

const TAG: u16 = 0x7f21;

/// Where the card does not say how long a certificate may be.
const USUAL_SIZE: usize = 2048;

/// The longest that is written, whatever the card says of itself: the limit of an extended command.
const MAX_SIZE: usize = 0xffff;

/// The first version that has one for each slot.
const THREE_CERTIFICATES: u16 = 0x0300;

/// The slots in the order of their occurrences.
const OCCURRENCES: [Slot; 3] = [Slot::Authenticate, Slot::Decrypt, Slot::Sign];

impl Session<'_> {
    /// The certificate of a slot: as it was read before, else from the card; `None` if it has none.
    pub(crate) fn certificate(&mut self, slot: Slot) -> Result<Option<Vec<u8>>, TokenError> {
        match &self.card.facts.certificates[slot.index()] {
            CertificateState::Present(octets) => return Ok(Some(octets.to_vec())),
            CertificateState::Absent => return Ok(None),
            CertificateState::Unread | CertificateState::Refused(_) => {}
        }
        let _answered = self.read_certificate(slot)?;
        Ok(self.card.facts.certificate(slot).map(|octets| octets.to_vec()))
    }

    /// Reads the certificates that were not read yet. What the card refuses is not asked for again.
    pub(crate) fn certificates(&mut self) -> Result<Step, TokenError> {
        let both = self.is_unread(Slot::Decrypt) && self.is_unread(Slot::Sign);
        if !self.has_one_for_each_slot() {
            self.set_certificate(Slot::Decrypt, CertificateState::Absent);
            self.set_certificate(Slot::Sign, CertificateState::Absent);
        } else if both && self.card.in_a_row && self.try_certificate(Slot::Authenticate)? {
            self.read_next_ones()?;
        }
        for slot in OCCURRENCES {
            if self.is_unread(slot) {
                self.try_certificate(slot)?;
            }
        }
        Ok(Step::Done(Reply::Done))
    }

    /// Writes the certificate of a slot; an empty one removes it.
    pub(crate) fn put_certificate(
        &mut self,
        progress: &mut Progress,
        slot: Slot,
        octets: &[u8],
    ) -> Result<Step, TokenError> {
        let announced = usize::from(self.card.facts.capabilities.max_certificate());
        let most = if announced > 0 { announced } else { MAX_SIZE };
        if octets.len() > most {
            return Err(TokenError::BadValue("the certificate is too long for this card"));
        }
        if let Unlocked::Not(question) = self.unlock(progress, PinRef::Admin, false)? {
            return Ok(Step::Ask(question));
        }
        self.select_certificate(slot)?;
        self.set_certificate(slot, CertificateState::Unread);
        match self.privileged(progress, PinRef::Admin, &commands::put_data(TAG, octets))? {
            Attempt::Not(question) => Ok(Step::Ask(question)),
            Attempt::Answered(response) => response.done(name::PUT).map(|()| Step::Done(Reply::Done)),
        }
    }

    /// SELECT DATA where it is needed, and GET DATA. True if that was answered with 9000, be it with nothing.
    fn read_certificate(&mut self, slot: Slot) -> Result<bool, TokenError> {
        self.select_certificate(slot)?;
        let response = self.ask(&commands::get_data(name::GET, TAG, self.certificate_size()))?;
        let answered = response.is_ok();
        let octets =
            if means_absent(response.sw) { Vec::new() } else { response.into_data(name::GET)?.to_vec() };
        self.set_certificate(slot, state(&octets));
        Ok(answered)
    }

    /// The same, where a refusal is remembered instead: a status word; a fault on the way to the card is an error.
    fn try_certificate(&mut self, slot: Slot) -> Result<bool, TokenError> {
        let (operation, sw) = match self.read_certificate(slot) {
            Err(TokenError::Status { operation, sw }) => (operation, sw),
            other => return other,
        };
        debug!(?slot, sw = format_args!("{sw:04X}"), "the card does not give a certificate");
        for other in OCCURRENCES {
            // Where SELECT DATA is not known, it is not known for any.
            if other == slot || (operation == name::CERTIFICATE && self.is_unread(other)) {
                self.set_certificate(other, CertificateState::Refused(sw));
            }
        }
        Ok(false)
    }

    /// GET NEXT DATA twice, straight after GET DATA of the first. Cards that do not know it, that end early, or that
    /// answer with the same object once more, are not believed and not asked that way again.
    fn read_next_ones(&mut self) -> Result<(), TokenError> {
        let first = self.card.facts.certificate(Slot::Authenticate).map(|octets| octets.to_vec());
        let mut row = vec![first.unwrap_or_default()];
        let next = commands::get_next_data(name::GET, TAG, self.certificate_size());
        for _ in 1..OCCURRENCES.len() {
            let response = self.send(&next)?;
            self.card.occurrence = self.card.occurrence.saturating_add(1);
            let repeated =
                !response.data.is_empty() && row.last().is_some_and(|last| *last == *response.data);
            if !response.is_ok() || repeated {
                debug!(sw = format_args!("{:04X}", response.sw), "certificates are selected one by one");
                self.card.in_a_row = false;
                return Ok(());
            }
            row.push(response.data.to_vec());
        }
        for (slot, octets) in OCCURRENCES.into_iter().zip(row).skip(1) {
            self.set_certificate(slot, state(&octets));
        }
        Ok(())
    }

    pub(crate) fn set_certificate(&mut self, slot: Slot, state: CertificateState) {
        if self.card.facts.certificates[slot.index()] != state {
            self.card.facts_mut().certificates[slot.index()] = state;
        }
    }

    fn is_unread(&self, slot: Slot) -> bool {
        self.card.facts.certificates[slot.index()] == CertificateState::Unread
    }

    fn has_one_for_each_slot(&self) -> bool {
        self.card.facts.version() >= THREE_CERTIFICATES
    }

    /// The octets that may come, in one piece if the card can.
    fn certificate_size(&self) -> usize {
        match self.card.facts.capabilities.max_certificate() {
            0 => USUAL_SIZE,
            most => most.into(),
        }
    }

    /// SELECT DATA. The first occurrence is the current one after SELECT, and costs nothing then.
    fn select_certificate(&mut self, slot: Slot) -> Result<(), TokenError> {
        self.begin()?;
        let wanted = commands::occurrence(slot);
        if !self.has_one_for_each_slot() {
            return if wanted == 0 {
                Ok(())
            } else {
                Err(TokenError::NotSupported("certificates of this slot"))
            };
        }
        if wanted == 0 && self.card.occurrence == 0 {
            return Ok(());
        }
        let mut response = self.ask(&commands::select_certificate(slot))?;
        if matches!(response.sw, 0x6a80 | 0x6700) {
            response = self.ask(&commands::select_certificate_on_old_yubikey(slot))?;
        }
        response.done(name::CERTIFICATE)?;
        self.card.occurrence = wanted;
        Ok(())
    }
}

fn state(octets: &[u8]) -> CertificateState {
    if octets.is_empty() { CertificateState::Absent } else { CertificateState::Present(Arc::from(octets)) }
}
