//! What the keys are for: signing, authenticating, deciphering (OpenPGP card 3.4, sections 7.2.10, 7.2.11, 7.2.13).

use openpgp_card::ocard::algorithm::AlgorithmAttributes;

use claviger_secret::Secret;

use crate::openpgp::commands::{self, name};
use crate::openpgp::pins::{Attempt, Step};
use crate::openpgp::session::Session;
use crate::openpgp::tlv;
use crate::token::{Cryptogram, PinRef, Progress, Reply, Slot, TokenError};

/// Room for what keys on curves give: 132 octets at most.
const SHORT: usize = 256;

/// Indicators in front of a cryptogram: RSA, AES (7.2.11).
const INDICATE_RSA: u8 = 0x00;
const INDICATE_AES: u8 = 0x02;

/// DO 93, three octets, in 7A (4.4.3.11).
const COUNTER: u32 = 0x93;

impl Session<'_> {
    /// PSO:CDS.
    pub(crate) fn sign(&mut self, progress: &mut Progress, input: &[u8]) -> Result<Step, TokenError> {
        let command = commands::compute_signature(input, self.operation_size(Slot::Sign));
        match self.privileged(progress, PinRef::Sign, &command)? {
            Attempt::Not(question) => Ok(Step::Ask(question)),
            Attempt::Answered(response) => {
                let signature = response.into_data(name::SIGN)?;
                self.signature_was_made();
                Ok(Step::Done(Reply::Signature(signature.to_vec())))
            }
        }
    }

    /// INTERNAL AUTHENTICATE.
    pub(crate) fn authenticate(&mut self, progress: &mut Progress, input: &[u8]) -> Result<Step, TokenError> {
        let command = commands::internal_authenticate(input, self.operation_size(Slot::Authenticate));
        match self.privileged(progress, PinRef::User, &command)? {
            Attempt::Not(question) => Ok(Step::Ask(question)),
            Attempt::Answered(response) => {
                let signature = response.into_data(name::AUTHENTICATE)?;
                Ok(Step::Done(Reply::Signature(signature.to_vec())))
            }
        }
    }

    /// PSO:DECIPHER.
    pub(crate) fn decipher(
        &mut self,
        progress: &mut Progress,
        cryptogram: &Cryptogram,
    ) -> Result<Step, TokenError> {
        let command = commands::decipher(dressed(cryptogram), self.operation_size(Slot::Decrypt));
        match self.privileged(progress, PinRef::User, &command)? {
            Attempt::Not(question) => Ok(Step::Ask(question)),
            Attempt::Answered(response) => {
                let mut plaintext = response.into_data(name::DECIPHER)?;
                let plaintext = Secret::take(std::mem::take(&mut *plaintext));
                Ok(Step::Done(Reply::Plaintext(plaintext)))
            }
        }
    }

    /// Reads DO 93 afresh.
    pub(crate) fn signature_counter(&mut self) -> Result<Step, TokenError> {
        let response = self.ask(&commands::get_data(name::COUNTER, 0x7a, SHORT))?;
        let data = response.into_data(name::COUNTER)?;
        let counter = counter(&data)?;
        self.card.facts_mut().signature_counter = Some(counter);
        Ok(Step::Done(Reply::Done))
    }

    /// The counter counts on by itself, and a PIN that serves one signature has served it.
    fn signature_was_made(&mut self) {
        let facts = self.card.facts_mut();
        facts.signature_counter = facts.signature_counter.map(|counter| counter.saturating_add(1));
        if facts.pin_status.forced() {
            self.card.set_verified(PinRef::Sign, false);
        }
    }

    /// The most octets of a result: those of an RSA modulus.
    fn operation_size(&self, slot: Slot) -> usize {
        match self.card.facts.algorithm(slot) {
            Some(AlgorithmAttributes::Rsa(rsa)) => usize::from(rsa.len_n()).div_ceil(8).max(SHORT),
            _ => SHORT,
        }
    }
}

/// The three digits of DO 93.
///
/// # Errors
/// [`TokenError::Malformed`].
pub fn counter(octets: &[u8]) -> Result<u32, TokenError> {
    let malformed = |message: String| TokenError::Malformed { operation: name::COUNTER, message };
    let found = tlv::find(octets, COUNTER).map_err(|cut| malformed(cut.to_string()))?;
    match found {
        Some(&[high, middle, low]) => Ok(u32::from_be_bytes([0, high, middle, low])),
        _ => Err(malformed("no counter of three octets in it".to_owned())),
    }
}

/// A cryptogram as the card wants it: an indicator in front, or a cipher DO around (7.2.11).
fn dressed(cryptogram: &Cryptogram) -> Vec<u8> {
    match cryptogram {
        Cryptogram::Rsa(octets) => [&[INDICATE_RSA], octets.as_slice()].concat(),
        Cryptogram::Aes(octets) => [&[INDICATE_AES], octets.as_slice()].concat(),
        Cryptogram::Ecdh(point) => {
            let key = tlv::write(&[0x7f, 0x49], &tlv::write(&[0x86], point));
            tlv::write(&[0xa6], &key)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cryptogram_is_dressed_as_the_card_wants_it() {
        assert_eq!(dressed(&Cryptogram::Rsa(vec![1, 2])), [0, 1, 2]);
        assert_eq!(dressed(&Cryptogram::Aes(vec![1, 2])), [2, 1, 2]);
        assert_eq!(dressed(&Cryptogram::Ecdh(vec![9; 3])), b"\xa6\x08\x7f\x49\x05\x86\x03\x09\x09\x09");
        let long = dressed(&Cryptogram::Ecdh(vec![4; 133]));
        assert_eq!(long[..10], *b"\xa6\x81\x8c\x7f\x49\x81\x88\x86\x81\x85");
    }

    #[test]
    fn a_counter_cut_at_any_byte_is_malformed() {
        let whole = b"\x7a\x05\x93\x03\x00\x01\x02";
        assert_eq!(counter(whole).unwrap(), 0x102);
        for cut in 0..whole.len() {
            assert!(matches!(counter(&whole[..cut]), Err(TokenError::Malformed { .. })), "{cut}");
        }
    }
}
