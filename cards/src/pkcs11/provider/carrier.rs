//! Has a token carry out jobs: from the request to a task, with a login where the token wants one, and back to an outcome.
//!
//! ```text
//!   Job ──► plan ──► Errand ──► helper ──► answer ──► reply
//!                      ▲          └──► LoginNeeded, WrongPin ──► NeedsPin ──► (the person) ──► Job with the PIN ──┐
//!                      └──────────────────────────────────────────────────────────────────────────────────────────┘
//! ```

use std::pin::Pin;
use std::sync::Arc;

use claviger_secret::Secret;
use tokio::sync::watch;

use super::link::{Ended, Errand, Link, Lost};
use crate::deck::Carrier;
use crate::pkcs11::outcome::{self, Ending};
use crate::pkcs11::pairing::Known;
use crate::pkcs11::pins::{self, Asking};
use crate::pkcs11::plan::{self, Plan, Step};
use crate::pkcs11::wire::{Answer, Fault, Login, TokenFlags, User, codes};
use crate::pkcs11::{LoginMode, ProviderLimits};
use crate::token::{Job, Outcome, PinPurpose, PinRef, PinpadEnd, Reply, TokenError};

/// The way to one token in one insertion.
pub(super) struct TokenCarrier {
    link: Arc<Link>,
    slot: u64,
    known: watch::Receiver<Arc<Known>>,
    login: LoginMode,
    limits: ProviderLimits,
}

impl TokenCarrier {
    pub(super) fn new(
        link: Arc<Link>,
        slot: u64,
        known: watch::Receiver<Arc<Known>>,
        login: LoginMode,
        limits: ProviderLimits,
    ) -> Self {
        Self { link, slot, known, login, limits }
    }

    async fn carry(&self, mut job: Job) -> Result<Outcome, TokenError> {
        loop {
            let known = Arc::clone(&self.known.borrow());
            let plan = match plan::plan(&known, &mut job)? {
                Step::Done(reply) => return Ok(Outcome::Done(reply)),
                Step::Ask(asking) => return self.ask(job, asking, known.facts.flags),
                Step::Task(plan) => plan,
            };
            let login = pins::login(&mut job.progress, plan.user);
            if login.is_none() && self.asks_first(&plan, &known) {
                return self.ask(job, Asking::unlock(plan.user), known.facts.flags);
            }
            let (user, ending) = (plan.user, plan.ending);
            match self.run(plan, login).await? {
                Ok((answer, secret)) => match self.ended(&mut job, ending, answer, secret)? {
                    Some(reply) => return Ok(Outcome::Done(reply)),
                    None => continue,
                },
                Err(Fault::NotSupported { .. }) if plan::spelled_otherwise(&mut job) => continue,
                Err(fault) => return self.refused(job, user, fault),
            }
        }
    }

    /// Whether the PIN is wanted whatever the token says: for each use of some keys, or by configuration.
    fn asks_first(&self, plan: &Plan, known: &Known) -> bool {
        match plan.user {
            User::ContextSpecific => true,
            User::User => self.login == LoginMode::Always && plan.is_private() && !known.facts.logged_in,
            User::SecurityOfficer => false,
        }
    }

    /// A question, unless the configuration forbids to log in. PINs are changed all the same.
    fn ask(&self, mut job: Job, asking: Asking, flags: TokenFlags) -> Result<Outcome, TokenError> {
        let is_users = matches!(asking.purpose, PinPurpose::Unlock(pin) if pin != PinRef::Admin);
        if self.login == LoginMode::Never && is_users {
            return Err(TokenError::NotSupported("the configuration forbids to log in (login = \"never\")"));
        }
        if asking.memory_failed {
            job.progress.remembered = None;
        }
        Ok(pins::ask(job, asking, flags))
    }

    async fn run(&self, plan: Plan, login: Option<(Login, Option<Secret>)>) -> Result<Ended, TokenError> {
        let at_token = login.as_ref().is_some_and(|(login, _)| login.at_token);
        let patient = plan.patient || at_token;
        let limit = if patient { self.limits.patience } else { self.limits.operation };
        let (login, pin) = login.map_or((None, None), |(login, pin)| (Some(login), pin));
        let secrets = pin.into_iter().chain(plan.secrets).collect();
        let errand = Errand { slot: self.slot, login, task: plan.task, secrets, patient };
        self.link.run(errand, limit).await.map_err(|lost| match lost {
            Lost::Late => TokenError::Silent,
            Lost::Helper => TokenError::Gone,
            Lost::TooLarge => TokenError::BadValue("too long for a token"),
        })
    }

    /// What a task has brought; `None` if the job goes on with another.
    fn ended(
        &self,
        job: &mut Job,
        ending: Ending,
        answer: Answer,
        secret: Option<Secret>,
    ) -> Result<Option<Reply>, TokenError> {
        if plan::goes_on(job) {
            return Ok(None);
        }
        match (ending, answer) {
            (Ending::NewKey, Answer::Created(handles)) => self.new_key(&handles).map(Some),
            (ending, answer) => outcome::reply(ending, answer, secret).map(Some),
        }
    }

    fn new_key(&self, handles: &[u64]) -> Result<Reply, TokenError> {
        let known = Arc::clone(&self.known.borrow());
        let key = handles.iter().find_map(|handle| known.key_with_handle(*handle));
        let public = key.and_then(|key| key.public().cloned()).ok_or(TokenError::Malformed {
            operation: "C_GenerateKeyPair",
            message: "the new key is not to be seen on the token".to_owned(),
        })?;
        Ok(Reply::PublicKey(Box::new(public)))
    }

    /// What a fault is: a question, or an error.
    fn refused(&self, job: Job, user: User, fault: Fault) -> Result<Outcome, TokenError> {
        match fault {
            Fault::LoginNeeded { user, flags } if flags.tries(pins::pin_of(user)) == Some(0) => {
                Err(TokenError::PinBlocked(pins::pin_of(user)))
            }
            Fault::LoginNeeded { user, flags } => {
                let asking = Asking::unlock(user);
                // A PIN out of somebody's memory was there and did not help: the next one is a person's.
                let memory_failed = pins::is_remembered(&job.progress, asking.purpose);
                self.ask(job, Asking { memory_failed, ..asking }, flags)
            }
            Fault::WrongPin { user: whose, flags } => {
                let asking = Asking::unlock(whose);
                if pins::is_remembered(&job.progress, asking.purpose) {
                    return self.ask(job, Asking { memory_failed: true, ..asking }, flags);
                }
                let pin = pins::pin_of(whose);
                Err(TokenError::WrongPin { pin, tries_left: flags.tries(pin) })
            }
            fault => Err(error(fault, pins::pin_of(user))),
        }
    }
}

impl Carrier for TokenCarrier {
    fn submit(&self, job: Job) -> Pin<Box<dyn Future<Output = Result<Outcome, TokenError>> + Send + '_>> {
        Box::pin(self.carry(job))
    }
}

/// What a fault is to whoever asked.
fn error(fault: Fault, pin: PinRef) -> TokenError {
    match fault {
        Fault::PinLocked(user) => TokenError::PinBlocked(pins::pin_of(user)),
        Fault::PinRefused(_) => TokenError::PinRefused(pin),
        Fault::Cancelled => TokenError::Pinpad(PinpadEnd::Cancelled),
        Fault::Gone => TokenError::Gone,
        Fault::NoObject => TokenError::NoObject,
        Fault::NotSupported { function, code } => {
            tracing::debug!(function, code, "the token cannot do it");
            TokenError::NotSupported("the token or this key of it has no such operation")
        }
        Fault::Malformed { function } => TokenError::Module { function, name: "what cannot be".to_owned() },
        Fault::Module { function, code } => TokenError::Module { function, name: codes::name(code) },
        fault @ Fault::Loading(_) => {
            TokenError::Module { function: "C_Initialize".to_owned(), name: fault.to_string() }
        }
        Fault::LoginNeeded { .. } | Fault::WrongPin { .. } => TokenError::PinBlocked(pin),
    }
}

#[cfg(test)]
mod tests;
