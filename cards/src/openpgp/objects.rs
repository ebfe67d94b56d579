//! Data objects (OpenPGP card 3.4, section 4.4.1): what each is called on the card, who may write it, and the memory
//! of what was read.

use zeroize::{Zeroize, Zeroizing};

use claviger_secret::Secret;

use crate::openpgp::apdu::Response;
use crate::openpgp::commands::{self, name};
use crate::openpgp::pins::{Attempt, Step, Unlocked};
use crate::openpgp::session::Session;
use crate::openpgp::tlv;
use crate::token::{DataObject, PinRef, Progress, Reply, Slot, TokenError};

/// The most that an object of modest size has.
const MODEST: usize = 256;

/// What is known of a data object.
struct Row {
    tag: u16,
    /// The PIN that writing takes; `None` for what is never written.
    write: Option<PinRef>,
    /// The PIN that reading takes.
    read: Reading,
    /// Whether it is a key.
    secret: bool,
}

/// How an object is read.
enum Reading {
    /// By its tag.
    Freely,
    /// By its tag, after a PIN.
    After(PinRef),
    /// It is in DO 65.
    InCardholder,
    /// It is in 6E, and so among the facts; by its tag where a card has it not there.
    InFacts,
    /// Never.
    Never,
}

const fn row(tag: u16, write: Option<PinRef>, read: Reading) -> Row {
    Row { tag, write, read, secret: false }
}

const fn key(tag: u16, read: Reading) -> Row {
    Row { tag, write: Some(PinRef::Admin), read, secret: true }
}

fn row_of(object: DataObject) -> Result<Row, TokenError> {
    use DataObject as D;
    use Reading::{After, Freely, InCardholder, InFacts, Never};
    const ADMIN: Option<PinRef> = Some(PinRef::Admin);
    const USER: Option<PinRef> = Some(PinRef::User);
    Ok(match object {
        D::Cardholder => row(0x65, None, Freely),
        D::Name => row(0x5b, ADMIN, InCardholder),
        D::Language => row(0x5f2d, ADMIN, InCardholder),
        D::Sex => row(0x5f35, ADMIN, InCardholder),
        D::Login => row(0x5e, ADMIN, Freely),
        D::Url => row(0x5f50, ADMIN, Freely),
        D::Private(1) => row(0x0101, USER, Freely),
        D::Private(2) => row(0x0102, ADMIN, Freely),
        D::Private(3) => row(0x0103, USER, After(PinRef::User)),
        D::Private(4) => row(0x0104, ADMIN, After(PinRef::Admin)),
        D::PinStatus => row(0xc4, ADMIN, InFacts),
        D::CaFingerprint(n @ 1..=3) => row(0xc9 + u16::from(n), ADMIN, InFacts),
        D::Kdf => row(0xf9, ADMIN, Freely),
        D::AlgorithmInformation => row(0xfa, None, Freely),
        D::KeyInformation => row(0xde, None, InFacts),
        D::UserInteraction(Slot::Sign) => row(0xd6, ADMIN, InFacts),
        D::UserInteraction(Slot::Decrypt) => row(0xd7, ADMIN, InFacts),
        D::UserInteraction(Slot::Authenticate) => row(0xd8, ADMIN, InFacts),
        D::SmKeyEnc => key(0xd1, Never),
        D::SmKeyMac => key(0xd2, Never),
        D::AesKey => key(0xd5, Freely),
        D::Private(_) | D::CaFingerprint(_) => return Err(TokenError::BadValue("no such data object")),
    })
}

/// Whether a status word says that there is no such object. Cards are of different minds about which.
pub(crate) fn means_absent(sw: u16) -> bool {
    sw & 0xfff0 == 0x6a80 || sw == 0x6b00
}

impl Session<'_> {
    /// A data object: as it was read before, else from the card. `None` where the card has none.
    pub(crate) fn object(&mut self, object: DataObject) -> Result<Option<Zeroizing<Vec<u8>>>, TokenError> {
        let row = row_of(object)?;
        match row.read {
            Reading::Freely => self.remembered(object, row.tag),
            Reading::After(pin) if self.card.is_verified(pin) => self.remembered(object, row.tag),
            Reading::After(_) => Err(TokenError::Status { operation: name::GET, sw: 0x6982 }),
            Reading::InCardholder => {
                let whole = self.object(DataObject::Cardholder)?.unwrap_or_default();
                let part = tlv::find(&whole, row.tag.into()).map_err(cut)?;
                Ok(part.map(|value| Zeroizing::new(value.to_vec())))
            }
            Reading::InFacts => match self.fact(object) {
                Some(value) => Ok(Some(Zeroizing::new(value))),
                None => self.remembered(object, row.tag),
            },
            Reading::Never => Err(TokenError::NotSupported("this object is never read")),
        }
    }

    /// Writes a data object with the PIN that it takes. What was read of it is forgotten first, because a card may
    /// shorten what it is given.
    pub(crate) fn put(
        &mut self,
        progress: &mut Progress,
        object: DataObject,
        value: &mut Vec<u8>,
    ) -> Result<Step, TokenError> {
        if object == DataObject::Kdf
            && let Some(pins) = self.pins_for_kdf(value)
        {
            return self.set_up_kdf(progress, value, &pins);
        }
        let row = row_of(object)?;
        let pin = row.write.ok_or(TokenError::NotSupported("this object is never written"))?;
        let response = if row.secret {
            self.put_secret(progress, pin, row.tag, value)?
        } else {
            let command = commands::put_data(row.tag, value);
            self.privileged(progress, pin, &command)?
        };
        match response {
            Attempt::Not(question) => Ok(Step::Ask(question)),
            Attempt::Answered(response) => {
                self.forget_object(object);
                if row.secret {
                    value.zeroize();
                }
                response.done(name::PUT)?;
                self.object_was_written(object, value);
                Ok(Step::Done(Reply::Done))
            }
        }
    }

    fn remembered(&mut self, object: DataObject, tag: u16) -> Result<Option<Zeroizing<Vec<u8>>>, TokenError> {
        if let Some(known) = self.card.objects.get(&object) {
            return Ok(known.clone());
        }
        let size = usize::from(self.card.facts.capabilities.max_special()).max(MODEST);
        let size = if matches!(object, DataObject::Cardholder | DataObject::Kdf) { MODEST } else { size };
        let response = self.ask(&commands::get_data(name::GET, tag, size))?;
        let value = match response {
            Response { data, sw: Response::OK } => Some(data),
            Response { sw, .. } if means_absent(sw) => None,
            Response { sw, .. } => return Err(TokenError::Status { operation: name::GET, sw }),
        };
        self.card.objects.insert(object, value.clone());
        Ok(value)
    }

    /// A key goes only to an application that was probed in this transaction.
    fn put_secret(
        &mut self,
        progress: &mut Progress,
        pin: PinRef,
        tag: u16,
        value: &[u8],
    ) -> Result<Attempt, TokenError> {
        if let Unlocked::Not(question) = self.unlock(progress, pin, false)? {
            return Ok(Attempt::Not(question));
        }
        self.probe()?;
        if !self.card.is_verified(pin) {
            return self.question(pin, false).map(Attempt::Not);
        }
        let command = commands::put_secret(tag, Secret::copy_of(value));
        self.probe()?.send(&command).map(Attempt::Answered)
    }

    fn forget_object(&mut self, object: DataObject) {
        self.card.objects.remove(&object);
        if matches!(object, DataObject::Name | DataObject::Language | DataObject::Sex) {
            self.card.objects.remove(&DataObject::Cardholder);
        }
    }

    /// What follows from what was written, where no reading is needed to know it.
    fn object_was_written(&mut self, object: DataObject, value: &[u8]) {
        match object {
            DataObject::PinStatus => {
                if let Some(first) = value.first() {
                    self.card.facts_mut().pin_status.0[0] = *first;
                }
            }
            DataObject::CaFingerprint(n) => {
                let at = usize::from(n).wrapping_sub(1);
                if let (Ok(value), Some(known)) =
                    (value.try_into(), self.card.facts_mut().ca_fingerprints.get_mut(at))
                {
                    *known = value;
                }
            }
            DataObject::Kdf => self.card.forget_verifications(),
            DataObject::UserInteraction(slot) => {
                self.card.facts_mut().user_interaction[slot.index()] = None;
            }
            _ => {}
        }
    }

    fn fact(&self, object: DataObject) -> Option<Vec<u8>> {
        let facts = &self.card.facts;
        match object {
            DataObject::PinStatus => Some(facts.pin_status.0.to_vec()),
            DataObject::CaFingerprint(n) => {
                facts.ca_fingerprints.get(usize::from(n).wrapping_sub(1)).map(|print| print.to_vec())
            }
            DataObject::UserInteraction(slot) => facts.user_interaction[slot.index()].clone(),
            DataObject::KeyInformation => facts.key_information.clone(),
            _ => None,
        }
    }
}

fn cut(cut: tlv::Cut) -> TokenError {
    TokenError::Malformed { operation: name::GET, message: cut.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_object_that_is_a_key_takes_the_admin_pin() {
        for object in [DataObject::SmKeyEnc, DataObject::SmKeyMac, DataObject::AesKey] {
            let row = row_of(object).unwrap();
            assert!(row.secret && row.write == Some(PinRef::Admin));
        }
    }

    #[test]
    fn objects_that_are_not_there_have_no_row() {
        for object in [DataObject::Private(0), DataObject::Private(5), DataObject::CaFingerprint(4)] {
            assert!(matches!(row_of(object), Err(TokenError::BadValue(_))));
        }
        assert_eq!(row_of(DataObject::CaFingerprint(3)).unwrap().tag, 0xcc);
    }
}
