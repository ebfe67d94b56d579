//! Carries out a request on the session's token: asks for PINs, remembers them, and hands the job back in.
//!
//! ```text
//!   submit ──► Done ────────────────────────────────► reply
//!     ▲  └───► NeedsPin ──► cache ──► (turn) ──► INQUIRE NEEDPIN ──┐
//!     └──────────────────── job with the PIN ◄─────────────────────┘
//! ```
//!
//! A person's wrong PIN is an error of the command, as in GnuPG. A remembered one that the card refuses is nobody's
//! fault: it is forgotten, and the person is asked within the same command.

use claviger_assuan::conversation::Conversation;
use claviger_assuan::error::{Code, Error};
use claviger_cards::deck::TokenHandle;
use claviger_cards::pkcs11::{self, KeyNumber};
use claviger_cards::token::{
    DataObject, Job, NeedsPin, Outcome, PinPurpose, PinRef, Reply, Request, TokenError,
};
use claviger_secret::Secret;
use tokio::time::Instant;

use super::errors::{from_pkcs11, from_token, scd};
use super::lapse;
use super::pin_cache::Turn;
use super::session::Session;
use super::{prompt, token_prompt};

/// The longest answer to NEEDPIN, padding and all, in octets (GnuPG's MAXLEN_PIN).
const MAX_PIN: usize = 100;

/// The tries at which no remembered PIN is sent: the last one is the person's.
pub(super) const LAST_TRY: u8 = 1;

/// What a job in progress has asked for.
#[derive(Default)]
struct Asked {
    /// Held from the question until the token has taken the answer, so that others who need it find it unlocked.
    turn: Option<Turn>,
    /// The answer, to be remembered once the token has taken it.
    pin: Option<(PinRef, Secret)>,
    /// Whether the person was told to use the reader's keys.
    on_pinpad: bool,
    /// The verifications that it lives on.
    used: Vec<PinRef>,
    /// The token's key that it uses.
    key: Option<KeyNumber>,
}

impl Asked {
    /// Nothing yet.
    fn nothing(request: &Request) -> Self {
        let key = match request {
            Request::Pkcs11(pkcs11::Request::Sign { key, .. } | pkcs11::Request::Decipher { key, .. }) => {
                Some(*key)
            }
            _ => None,
        };
        Self { used: lapse::used_by(request).into_iter().collect(), key, ..Self::default() }
    }
}

impl Session {
    /// Carries out `request`, asking the client for PINs as the token wants them.
    pub(super) async fn perform(
        &mut self,
        request: Request,
        talk: &mut dyn Conversation,
    ) -> Result<Reply, Error> {
        let token = self.token()?;
        let mut asked = Asked::nothing(&request);
        let mut job = Job::new(request);
        loop {
            self.hub.lapse.note(&token, &asked.used, Instant::now());
            let outcome = self.submit(&token, job, asked.on_pinpad, talk).await;
            self.hub.lapse.note(&token, &asked.used, Instant::now());
            if std::mem::take(&mut asked.on_pinpad) {
                self.dismiss_pinpad_prompt(talk).await;
            }
            match outcome? {
                Ok(Outcome::Done(reply)) => {
                    if let Some((pin, value)) = asked.pin {
                        self.hub.pins.remember(token.insertion(), pin, value, Instant::now());
                    }
                    return Ok(reply);
                }
                Ok(Outcome::NeedsPin(need)) => job = self.answer(&token, need, &mut asked, talk).await?,
                Err(error) => return Err(self.failed(&token, error)),
            }
        }
    }

    /// Carries out a request that takes no PIN.
    pub(super) async fn read(&mut self, request: Request) -> Result<Reply, Error> {
        let token = self.token()?;
        match token.submit(Job::new(request)).await {
            Ok(Outcome::Done(reply)) => Ok(reply),
            Ok(Outcome::NeedsPin(_)) => Err(scd(Code::BAD_PIN)),
            Err(error) => Err(self.failed(&token, error)),
        }
    }

    /// A data object of the card; `None` if it has none.
    pub(super) async fn object(&mut self, object: DataObject) -> Result<Option<Vec<u8>>, Error> {
        match self.read(Request::Object(object)).await? {
            Reply::Object(content) => Ok(content),
            other => Err(unexpected(&other)),
        }
    }

    /// Finds an answer to the token's question and puts it into the job.
    async fn answer(
        &mut self,
        token: &TokenHandle,
        need: NeedsPin,
        asked: &mut Asked,
        talk: &mut dyn Conversation,
    ) -> Result<Job, Error> {
        let shared = match need.purpose {
            PinPurpose::Unlock(pin) if need.may_use_cache => Some(pin),
            _ => None,
        };
        if let PinPurpose::Unlock(pin) = need.purpose {
            if need.memory_failed {
                self.hub.pins.forget_pin(token.insertion(), pin);
            }
            if !asked.used.contains(&pin) {
                asked.used.push(pin);
            }
        }
        if let Some(pin) = shared {
            if let Some(known) = self.remembered(token, &need, pin) {
                return Ok(need.with_remembered_pin(known));
            }
            if asked.turn.is_none() {
                asked.turn = self.hub.pins.turn(token.insertion(), pin).await;
                if asked.turn.as_ref().is_some_and(|turn| turn.waited) {
                    return Ok(need.retry());
                }
            }
        }
        if need.on_pinpad {
            self.show_pinpad_prompt(token, &need, asked.key, talk).await?;
            asked.on_pinpad = true;
            return Ok(need.typed_on_pinpad());
        }
        let text = self.question(token, &need, asked.key).await?;
        let answer = talk.inquire("NEEDPIN", &text, MAX_PIN).await;
        let answer = pin_of(answer.map_err(|error| scd(error.code()))?)?;
        asked.pin = shared.map(|pin| (pin, answer.duplicate()));
        Ok(need.with_pin(answer))
    }

    fn remembered(&self, token: &TokenHandle, need: &NeedsPin, pin: PinRef) -> Option<Secret> {
        let enough_tries = need.tries_left.is_none_or(|tries| tries > LAST_TRY);
        enough_tries.then(|| self.hub.pins.pin(token.insertion(), pin, Instant::now())).flatten()
    }

    /// The text of a question, with what it shows of the card or token; `key` is the token's key that the PIN is for.
    pub(super) async fn question(
        &mut self,
        token: &TokenHandle,
        need: &NeedsPin,
        key: Option<KeyNumber>,
    ) -> Result<Vec<u8>, Error> {
        match token.pkcs11() {
            Some(facts) => Ok(token_prompt::text(need, &facts, key)),
            None => self.question_of_card(token, need).await,
        }
    }

    async fn question_of_card(&mut self, token: &TokenHandle, need: &NeedsPin) -> Result<Vec<u8>, Error> {
        let names_the_card = prompt::names_the_card(need.purpose);
        let holder = if names_the_card { self.object(DataObject::Name).await? } else { None };
        let counts = need.purpose == PinPurpose::Unlock(PinRef::Sign);
        let card = token.card().ok_or(scd(Code::UNSUPPORTED_OPERATION))?;
        if counts && card.signature_counter.is_none() {
            self.read(Request::SignatureCounter).await?;
        }
        let facts = token.card().ok_or(scd(Code::UNSUPPORTED_OPERATION))?;
        let counter = facts.signature_counter.filter(|_| counts);
        Ok(prompt::text(need.purpose, need.tries_left, &facts.serial(), &holder.unwrap_or_default(), counter))
    }

    /// What a failure of the token means for the session, and for its client.
    fn failed(&mut self, token: &TokenHandle, error: TokenError) -> Error {
        tracing::info!(%error, "the token refused");
        match &error {
            TokenError::WrongPin { pin, .. } | TokenError::PinBlocked(pin) => {
                self.hub.pins.forget_pin(token.insertion(), *pin);
            }
            TokenError::Gone => self.mark_removed(),
            // The card may have been away for a moment that nobody saw; a PIN is for one stay.
            TokenError::Transport { .. } => self.hub.pins.forget(token.insertion()),
            _ => {}
        }
        if token.pkcs11().is_some() { from_pkcs11(error) } else { from_token(error) }
    }
}

/// A reply of another kind than the request brings: our own fault.
pub(super) fn unexpected(reply: &Reply) -> Error {
    tracing::error!(kind = ?std::mem::discriminant(reply), "a token gave a reply of another kind");
    scd(Code::INTERNAL)
}

/// The PIN in an answer to NEEDPIN: what stands before the first NUL; the last octet has to be one.
fn pin_of(mut answer: Secret) -> Result<Secret, Error> {
    let octets = answer.as_bytes();
    let end = octets.iter().position(|octet| *octet == 0).filter(|_| octets.last() == Some(&0));
    answer.truncate(end.ok_or(scd(Code::INV_RESPONSE))?);
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(answer: &[u8]) -> Result<Vec<u8>, u32> {
        pin_of(Secret::copy_of(answer)).map(|pin| pin.as_bytes().to_vec()).map_err(|error| error.number())
    }

    #[test]
    fn a_pin_ends_at_the_first_nul_and_the_answer_with_one() {
        assert_eq!(pin(b"123456\0\0\0"), Ok(b"123456".to_vec()));
        assert_eq!(pin(b"12\x0034\0"), Ok(b"12".to_vec()));
        assert_eq!(pin(b"\0"), Ok(vec![]));
        let invalid_response = Err(100_663_372);
        assert_eq!(pin(b"123456"), invalid_response);
        assert_eq!(pin(b"12\x003456"), invalid_response);
        assert_eq!(pin(b""), invalid_response);
    }
}
