//! Making keys, and what is written about them: algorithm attributes, fingerprints, times (OpenPGP card 3.4, sections
//! 4.4.3.8, 4.4.3.9, 7.2.14).

use claviger_keys::{EcdhParams, PublicKey};

use crate::openpgp::apdu::Command;
use crate::openpgp::commands::{self, name};
use crate::openpgp::pins::{Attempt, Question, Step, Unlocked};
use crate::openpgp::public_key;
use crate::openpgp::session::Session;
use crate::token::{PinRef, Progress, Reply, Slot, TokenError};

/// The longest algorithm attributes that make sense: an algorithm, an OID, an import format.
const MAX_ATTRIBUTES: usize = 32;

/// What a new key is to be.
pub(crate) struct Wanted<'a> {
    pub(crate) slot: Slot,
    pub(crate) force: bool,
    pub(crate) created: u32,
    pub(crate) attributes: Option<&'a [u8]>,
    pub(crate) ecdh: Option<EcdhParams>,
}

impl Session<'_> {
    /// Writes algorithm attributes. The card drops the key of that slot, and a verification of the admin PIN does not
    /// outlast it, as GnuPG has it.
    pub(crate) fn set_algorithm(
        &mut self,
        progress: &mut Progress,
        slot: Slot,
        attributes: &[u8],
    ) -> Result<Step, TokenError> {
        if attributes.is_empty() || attributes.len() > MAX_ATTRIBUTES {
            return Err(TokenError::BadValue("these are no algorithm attributes"));
        }
        match self.privileged(progress, PinRef::Admin, &put_attributes(slot, attributes))? {
            // What a key is lost by is confirmed by a person each time.
            Attempt::Not(question) => Ok(Step::Ask(Question { may_use_cache: false, ..question })),
            Attempt::Answered(response) => {
                let written = response.done(name::PUT);
                self.card.forget_verifications();
                self.card.forget_key(slot);
                // What the card made of it, and whether it dropped the key's fingerprint.
                self.related_data()?;
                written.map(|()| Step::Done(Reply::Done))
            }
        }
    }

    /// Makes a key, then writes its fingerprint and time.
    pub(crate) fn generate(
        &mut self,
        progress: &mut Progress,
        wanted: &Wanted<'_>,
    ) -> Result<Step, TokenError> {
        self.check_free(progress, wanted.slot, wanted.force)?;
        if let Some(question) = self.change_attributes(progress, wanted.slot, wanted.attributes)? {
            return Ok(question);
        }
        if let Unlocked::Not(question) = self.unlock(progress, PinRef::Admin, false)? {
            return Ok(Step::Ask(question));
        }
        self.probe()?;
        self.check_free(progress, wanted.slot, wanted.force)?;
        if !self.card.is_verified(PinRef::Admin) {
            return self.question(PinRef::Admin, false).map(Step::Ask);
        }
        let response = self.send(&commands::generate(wanted.slot, self.public_key_size(wanted.slot)))?;
        self.card.forget_key(wanted.slot);
        if response.sw == 0x6982 {
            self.card.set_verified(PinRef::Admin, false);
        }
        let data = response.into_data(name::GENERATE)?;
        let key = public_key::parse(&self.card.facts.algorithms[wanted.slot.index()], &data)?;
        self.describe_key(wanted.slot, &key, wanted.created, wanted.ecdh)?;
        Ok(Step::Done(Reply::PublicKey(Box::new(key))))
    }

    /// Whether the slot may take a new key. A slot that is said to be taken is looked at again before it is refused.
    pub(crate) fn check_free(
        &mut self,
        progress: &Progress,
        slot: Slot,
        force: bool,
    ) -> Result<(), TokenError> {
        if force || progress.steps_done > 0 || !self.card.facts.has_fingerprint(slot) {
            return Ok(());
        }
        self.probe()?;
        if self.card.facts.has_fingerprint(slot) { Err(TokenError::KeyExists(slot)) } else { Ok(()) }
    }

    /// Changes a slot's algorithm first, if it is another one: a step of its own, after which the admin PIN is asked for
    /// again. Done once, however often the job comes back.
    pub(crate) fn change_attributes(
        &mut self,
        progress: &mut Progress,
        slot: Slot,
        attributes: Option<&[u8]>,
    ) -> Result<Option<Step>, TokenError> {
        let Some(attributes) = attributes.filter(|_| progress.steps_done == 0) else { return Ok(None) };
        if self.card.facts.algorithms[slot.index()].starts_with(attributes) {
            return Ok(None);
        }
        if !self.card.facts.capabilities.algorithms_changeable() {
            return Err(TokenError::BadKey(
                "the card has another algorithm in this slot and cannot change it",
            ));
        }
        match self.set_algorithm(progress, slot, attributes)? {
            Step::Ask(question) => Ok(Some(Step::Ask(question))),
            Step::Done(_) => {
                progress.steps_done = 1;
                Ok(None)
            }
        }
    }

    /// Writes fingerprint and time of a new key, in the order in which GnuPG does, and remembers the key.
    pub(crate) fn describe_key(
        &mut self,
        slot: Slot,
        key: &PublicKey,
        created: u32,
        ecdh: Option<EcdhParams>,
    ) -> Result<(), TokenError> {
        let at = slot.index();
        let algorithm = key.openpgp_algorithm(slot == Slot::Decrypt);
        let fingerprint = key.fingerprint(created, algorithm, ecdh);
        if slot == Slot::Sign {
            // A new key has signed nothing (4.4.3.11).
            self.card.facts_mut().signature_counter = Some(0);
        }
        self.send(&commands::put_data(fingerprint_tag(slot), &fingerprint))?.done(name::PUT)?;
        self.card.facts_mut().fingerprints[at] = fingerprint;
        self.send(&commands::put_data(time_tag(slot), &created.to_be_bytes()))?.done(name::PUT)?;
        self.card.facts_mut().created[at] = created;
        self.key_is_known(slot, key);
        Ok(())
    }
}

fn put_attributes(slot: Slot, attributes: &[u8]) -> Command {
    let tag = match slot {
        Slot::Sign => 0xc1,
        Slot::Decrypt => 0xc2,
        Slot::Authenticate => 0xc3,
    };
    commands::put_data(tag, attributes)
}

fn fingerprint_tag(slot: Slot) -> u16 {
    match slot {
        Slot::Sign => 0xc7,
        Slot::Decrypt => 0xc8,
        Slot::Authenticate => 0xc9,
    }
}

fn time_tag(slot: Slot) -> u16 {
    match slot {
        Slot::Sign => 0xce,
        Slot::Decrypt => 0xcf,
        Slot::Authenticate => 0xd0,
    }
}
