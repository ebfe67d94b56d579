//! Cardholder certificates, DO 7F21 (OpenPGP card 3.4, sections 4.4.3.10, 7.2.5): one object per slot, told apart by
//! SELECT DATA.

use crate::openpgp::commands::{self, name};
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

impl Session<'_> {
    /// The certificate of a slot: as it was read before, else from the card; `None` if it has none.
    pub(crate) fn certificate(&mut self, slot: Slot) -> Result<Option<Vec<u8>>, TokenError> {
        if let Some(known) = &self.card.certificates[slot.index()] {
            return Ok(Some(known.clone()).filter(|octets| !octets.is_empty()));
        }
        self.select_certificate(slot)?;
        let response = self.ask(&commands::get_data(name::GET, TAG, self.certificate_size()))?;
        let octets = match response.sw {
            sw if sw & 0xfff0 == 0x6a80 || sw == 0x6b00 => Vec::new(),
            _ => response.into_data(name::GET)?.to_vec(),
        };
        self.card.certificates[slot.index()] = Some(octets.clone());
        Ok(Some(octets).filter(|octets| !octets.is_empty()))
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
        self.card.certificates[slot.index()] = None;
        match self.privileged(progress, PinRef::Admin, &commands::put_data(TAG, octets))? {
            Attempt::Not(question) => Ok(Step::Ask(question)),
            Attempt::Answered(response) => response.done(name::PUT).map(|()| Step::Done(Reply::Done)),
        }
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
        if self.card.facts.version() < THREE_CERTIFICATES {
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
