//! What serves no key: random octets, raw commands, forgetting (OpenPGP card 3.4, sections 7.2.2, 7.2.15).

use crate::openpgp::commands::{self, name};
use crate::openpgp::pins::Step;
use crate::openpgp::session::Session;
use crate::token::{PinRef, Reply, TokenError};

/// The most random octets for one request.
const MAX_RANDOM: usize = 0x1_0000;

/// As many octets as GnuPG asks for at once.
const CHALLENGE: usize = 254;

/// The fewest octets that are taken at once, so that a card cannot make the request last.
const LEAST_CHALLENGE: usize = 8;

/// The longest raw command: header, extended length, 64 KiB, answer's length.
const MAX_COMMAND: usize = 4 + 3 + 0xffff + 2;

/// Instructions after which nothing has changed: GET DATA, GET RESPONSE, GET CHALLENGE.
const HARMLESS: [u8; 3] = [0xca, 0xc0, 0x84];

impl Session<'_> {
    /// GET CHALLENGE, as often as needed.
    pub(crate) fn random(&mut self, octets: usize) -> Result<Step, TokenError> {
        if octets > MAX_RANDOM {
            return Err(TokenError::BadValue("too many random octets at once"));
        }
        let mut random = Vec::with_capacity(octets);
        while random.len() < octets {
            let wanted = (octets - random.len()).min(CHALLENGE);
            // At most CHALLENGE.
            let command = commands::get_challenge(u8::try_from(wanted).unwrap_or(u8::MAX));
            let piece = self.ask(&command)?.into_data(name::CHALLENGE)?;
            if piece.len() < wanted.min(LEAST_CHALLENGE) {
                let message = format!("{} octets in it", piece.len());
                return Err(TokenError::Malformed { operation: name::CHALLENGE, message });
            }
            random.extend(piece.iter().take(wanted));
        }
        Ok(Step::Done(Reply::Random(random)))
    }

    /// A command as it is. Unless it is known to be harmless, nothing that was known counts any more.
    pub(crate) fn raw(&mut self, command: &[u8], more: bool) -> Result<Step, TokenError> {
        if command.len() < 4 || command.len() > MAX_COMMAND {
            return Err(TokenError::BadValue("no command APDU has that length"));
        }
        if !command.get(1).is_some_and(|instruction| HARMLESS.contains(instruction)) {
            self.card.forget_all();
        }
        let response = self.send_raw(command, more)?;
        let mut answer = response.data.to_vec();
        answer.extend(response.sw.to_be_bytes());
        Ok(Step::Done(Reply::Apdu(answer)))
    }

    /// VERIFY with P1=FF. A card of an earlier version than 3 does not have it; we forget in any case.
    pub(crate) fn forget_verifications(&mut self, pins: &[PinRef]) -> Result<Step, TokenError> {
        for pin in pins {
            self.card.set_verified(*pin, false);
        }
        for pin in pins {
            forgotten(self.ask(&commands::forget(*pin))?.sw)?;
        }
        Ok(Step::Done(Reply::Done))
    }

    /// VERIFY with P1=FF for what is verified, unless it is lost already: a neighbour's application would take the
    /// command for its own.
    pub(crate) fn lapse(&mut self, pins: &[PinRef]) -> Result<Step, TokenError> {
        let verified: Vec<_> = pins.iter().copied().filter(|pin| self.card.is_verified(*pin)).collect();
        if !verified.is_empty() && !self.is_current()? {
            self.card.forget_verifications();
        }
        for pin in verified {
            // A reset that was noticed just now has done it.
            if self.card.is_verified(pin) {
                self.card.set_verified(pin, false);
                forgotten(self.send(&commands::forget(pin))?.sw)?;
            }
        }
        Ok(Step::Done(Reply::Done))
    }
}

/// Whether the answer to VERIFY with P1=FF means that the PIN is not verified any more.
fn forgotten(sw: u16) -> Result<(), TokenError> {
    match sw {
        // It was verified, or it was not.
        0x9000 | 0x6982 => Ok(()),
        sw if sw & 0xfff0 == 0x63c0 => Ok(()),
        0x6a86 | 0x6a81 | 0x6b00 | 0x6700 | 0x6a80 => {
            Err(TokenError::NotSupported("forgetting a verification without a reset"))
        }
        sw => Err(TokenError::Status { operation: name::FORGET, sw }),
    }
}
