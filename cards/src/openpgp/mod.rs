//! OpenPGP cards (functional specification 3.4): jobs in, APDUs out.
//!
//! ```text
//!   Job ─► OpenPgp::perform ─► Session (one transaction) ── Command ──────────────► apdu ─► reader
//!             │ one file per        │ probe: 6E, SELECT                               ▲
//!             │ family of requests  └─► Probed ── SecretCommand (PIN, private key) ───┘
//!             └─► Done | NeedsPin
//! ```
//!
//! openpgp-card (the crate) gives us algorithm attributes and the parsers of small objects. The APDUs are our own, because
//! its flows cost more of them than GnuPG's and copy PINs; all of them are in `commands`.
//!
//! Words: a card is *ours* while the application that answers has the AID that we opened; a verification is *lost* when
//! a neighbour selected another application or reset the card.

mod apdu;
mod attestation;
mod card;
mod certificate;
mod commands;
mod generation;
mod import;
pub mod kdf;
mod kdf_setup;
mod lengths;
mod objects;
pub mod operations;
mod passwords;
pub mod pinpad;
mod pins;
pub mod public_key;
mod raw;
pub mod related;
#[cfg(test)]
mod sample;
mod session;
#[cfg(test)]
mod tests;
pub mod tlv;

use std::sync::Arc;

use tracing::{debug, debug_span};

use crate::facts::Facts;
use crate::openpgp::card::Card;
use crate::openpgp::generation::Wanted;
use crate::openpgp::passwords::AdminSets;
use crate::openpgp::pins::{Step, Unlocked};
use crate::openpgp::session::Session;
use crate::reader::{Pinpad, Reader};
use crate::token::{DataObject, Job, NeedsPin, Outcome, PinRef, Progress, Reply, Request, Token, TokenError};

pub use lengths::Lengths;

/// An OpenPGP card in a reader.
pub struct OpenPgp {
    reader: Box<dyn Reader>,
    card: Card,
}

impl OpenPgp {
    /// Selects the application and reads 6E; `None` for a card that has no OpenPGP application.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn open(
        reader: Box<dyn Reader>,
        name: String,
        atr: Vec<u8>,
        lengths: Lengths,
    ) -> Result<Option<Self>, TokenError> {
        let mut token = Self { reader, card: Card::new(Facts::unknown(name, atr), lengths) };
        match token.in_turns(|session| session.reopen()) {
            Err(TokenError::Status { operation: commands::name::SELECT, .. }) => {
                Ok(token.card.facts.terminated.then_some(token))
            }
            Err(error) => Err(error),
            Ok(()) => Ok(Some(token)),
        }
    }

    /// Lets PINs be typed on the reader as far as it can take them; `any_length` without being asked whether it does.
    pub fn use_pinpad(&mut self, any_length: bool) {
        let pinpad = self.reader.pinpad();
        self.card.pinpad = Pinpad { any_length: pinpad.any_length || any_length, ..pinpad };
    }

    /// What is known of the card's way with long commands.
    pub(crate) fn lengths(&self) -> Lengths {
        self.card.lengths.clone()
    }

    /// Takes a turn at the card, and another one if it was interrupted: what the card has done by then is noted.
    fn in_turns<T>(
        &mut self,
        mut act: impl FnMut(&mut Session<'_>) -> Result<T, TokenError>,
    ) -> Result<T, TokenError> {
        let mut turns = 1;
        loop {
            let outcome = act(&mut Session::new(&mut *self.reader, &mut self.card));
            self.reader.settle();
            match outcome {
                Err(error @ TokenError::Interrupted { .. }) if turns < MAX_TURNS => {
                    debug!(%error, "once more")
                }
                other => return other,
            }
            turns += 1;
        }
    }
}

/// How often a turn at the card is taken for one job, while others reset the card in the middle of it.
const MAX_TURNS: usize = 4;

/// Which room carries a request out.
fn carry_out(
    session: &mut Session<'_>,
    request: &mut Request,
    progress: &mut Progress,
) -> Result<Step, TokenError> {
    let as_it_is =
        matches!(request, Request::Apdu { .. } | Request::Reset | Request::PowerDown | Request::Lapse(_));
    if session.card.facts.terminated && !as_it_is {
        // Somebody may have activated it since.
        session.reopen()?;
    }
    match request {
        Request::Refresh => session.probe().map(|_| Step::Done(Reply::Done)),
        Request::SignatureCounter => session.signature_counter(),
        Request::Object(object) => read_object(session, *object),
        Request::PublicKey(slot) => session.public_key(*slot).map(Step::Done),
        Request::Certificate(slot) => {
            session.certificate(*slot).map(|octets| Step::Done(Reply::Object(octets)))
        }
        Request::Certificates => session.certificates(),
        Request::Sign(input) => session.sign(progress, input),
        Request::Authenticate(input) => session.authenticate(progress, input),
        Request::Decipher(cryptogram) => session.decipher(progress, cryptogram),
        Request::Put(object, value) => session.put(progress, *object, value),
        Request::PutCertificate(slot, octets) => session.put_certificate(progress, *slot, octets),
        Request::Attest(slot) => session.attest(progress, *slot),
        Request::SetAlgorithm(slot, attributes) => session.set_algorithm(progress, *slot, attributes),
        Request::Generate { slot, force, created, attributes, ecdh } => {
            let attributes = attributes.as_deref();
            let wanted = Wanted { slot: *slot, force: *force, created: *created, attributes, ecdh: *ecdh };
            session.generate(progress, &wanted)
        }
        Request::Import { slot, force, created, key } => {
            session.import(progress, *slot, *force, *created, key)
        }
        Request::Verify(pin) => verified(session, progress, *pin, true),
        Request::EnsureVerified(pin) => verified(session, progress, *pin, false),
        Request::ChangePin(pin) => session.change_pin(progress, *pin),
        Request::UnblockWithResetCode => session.unblock_with_reset_code(progress),
        Request::UnblockAsAdmin => session.set_as_admin(progress, AdminSets::UserPin),
        Request::SetResetCode => session.set_as_admin(progress, AdminSets::ResetCode),
        Request::ForgetVerifications(pins) => session.forget_verifications(pins),
        Request::Lapse(pins) => session.lapse(pins),
        Request::Random(octets) => session.random(*octets),
        Request::Apdu { command, more } => session.raw(command, *more),
        Request::Reset => session.reset(false),
        Request::PowerDown => session.reset(true),
        Request::Pkcs11(_) => Err(TokenError::NotSupported("this is an OpenPGP card")),
    }
}

fn verified(
    session: &mut Session<'_>,
    progress: &mut Progress,
    pin: PinRef,
    always: bool,
) -> Result<Step, TokenError> {
    if pin == PinRef::ResetCode {
        return Err(TokenError::BadValue("the reset code is never verified by itself"));
    }
    Ok(match session.unlock(progress, pin, always)? {
        Unlocked::Not(question) => Step::Ask(question),
        Unlocked::Before | Unlocked::Now => Step::Done(Reply::Done),
    })
}

fn read_object(session: &mut Session<'_>, object: DataObject) -> Result<Step, TokenError> {
    let value = session.object(object)?;
    Ok(Step::Done(Reply::Object(value.map(|octets| octets.to_vec()))))
}

impl Token for OpenPgp {
    fn facts(&self) -> Arc<Facts> {
        Arc::clone(&self.card.facts)
    }

    fn perform(&mut self, mut job: Job) -> Result<Outcome, TokenError> {
        let _span = debug_span!("job", request = job.request.name()).entered();
        let Job { request, progress } = &mut job;
        let step = self.in_turns(|session| {
            progress.take_back();
            carry_out(session, request, progress)
        });
        progress.used.clear();
        match step? {
            Step::Done(reply) => Ok(Outcome::Done(reply)),
            Step::Ask(question) => {
                debug!(purpose = ?question.purpose, tries_left = question.tries_left, "a PIN is needed");
                Ok(Outcome::NeedsPin(NeedsPin {
                    purpose: question.purpose,
                    tries_left: question.tries_left,
                    may_use_cache: question.may_use_cache,
                    memory_failed: question.memory_failed,
                    on_pinpad: question.on_pinpad,
                    job,
                }))
            }
        }
    }
}
