//! A task from its first look at the token to its result.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use claviger_secret::Secret;

use super::faults::DOUBTFUL;
use super::sys::session::Session;
use super::token::{Token, is_lost, login_needed};
use super::{Helper, keys, login, pins, writing};
use crate::pkcs11::wire::{Answer, Fault, Login, Task, User};

/// The most random octets of one task.
const MAX_RANDOM: usize = 64 << 10;

/// A task that is being carried out.
pub(super) struct Job<'a> {
    pub(super) helper: &'a Helper,
    pub(super) token: Arc<Token>,
    pub(super) login: Option<Login>,
    secrets: VecDeque<Secret>,
}

/// What a task brings, and the secret that belongs to it.
pub(super) type Outcome = Result<(Answer, Option<Secret>), Fault>;

/// Carries out a task.
pub(super) fn carry_out(
    helper: &Helper,
    slot: u64,
    login: Option<Login>,
    task: Task,
    secrets: Vec<Secret>,
) -> (Result<Answer, Fault>, Vec<Secret>) {
    let _module = Share::of(&helper.gate, helper.serial);
    let Some(token) = helper.token(slot) else { return (Err(Fault::Gone), Vec::new()) };
    let _token = Share::of(&token.exclusive, is_exclusive(login, &task));
    let mut job = Job { helper, token: Arc::clone(&token), login, secrets: secrets.into() };
    match job.run(task) {
        Ok((answer, secret)) => (Ok(answer), secret.into_iter().collect()),
        Err(fault) => (Err(after_fault(helper, &token, fault)), Vec::new()),
    }
}

/// A token that was taken away under the module's feet is gone, whatever the module says.
fn after_fault(helper: &Helper, token: &Token, fault: Fault) -> Fault {
    if is_doubtful(&fault) && !token.is_alive(&helper.module) {
        helper.lose(token.slot);
        return Fault::Gone;
    }
    fault
}

/// A lock that is held together with others, or alone.
#[expect(dead_code, reason = "guards are held, not looked at")]
enum Share<'a> {
    Some(RwLockReadGuard<'a, ()>),
    All(RwLockWriteGuard<'a, ()>),
}

impl<'a> Share<'a> {
    fn of(lock: &'a RwLock<()>, alone: bool) -> Self {
        if alone {
            Self::All(lock.write().unwrap_or_else(PoisonError::into_inner))
        } else {
            Self::Some(lock.read().unwrap_or_else(PoisonError::into_inner))
        }
    }
}

/// Whether it ends sessions, or the login of others.
fn is_exclusive(login: Option<Login>, task: &Task) -> bool {
    login.is_some_and(|login| login.user == User::SecurityOfficer)
        || matches!(
            task,
            Task::Logout | Task::InitPin { .. } | Task::SetPin { user: User::SecurityOfficer, .. }
        )
}

/// Whether the token may be gone without the module saying so.
fn is_doubtful(fault: &Fault) -> bool {
    match fault {
        Fault::Gone | Fault::NoObject => true,
        Fault::Module { code, .. } => DOUBTFUL.contains(code),
        _ => false,
    }
}

impl Job<'_> {
    fn run(&mut self, task: Task) -> Outcome {
        match task {
            Task::Login => self.log_in(),
            Task::Logout => login::out(self.helper, &self.token).map(done),
            Task::Enumerate => Ok(self.token.enumerate(self.helper, true).map(done)?),
            Task::Sign { key, mechanism, data } => keys::sign(self, &key, mechanism, &data),
            Task::Decrypt { key, mechanism, data } => keys::decrypt(self, &key, mechanism, &data),
            Task::Derive { key, point, length } => keys::derive(self, &key, &point, length),
            Task::Random { length } => self.random(length),
            Task::SetPin { user, at_token } => pins::set(self, user, at_token).map(done),
            Task::InitPin { at_token } => pins::init(self, at_token).map(done),
            Task::Generate { mechanism, public, private } => {
                writing::generate(self, mechanism, &public, &private)
            }
            Task::Create(attributes) => writing::create(self, &attributes),
            Task::Destroy { handle } => writing::destroy(self, handle).map(done),
        }
    }

    /// The login alone: the module is asked even if the user is logged in.
    fn log_in(&mut self) -> Outcome {
        match self.login {
            Some(Login { user: User::User, at_token }) => {
                let pin = self.pin(at_token)?;
                login::user(self.helper, &self.token, pin.as_ref()).map(done)
            }
            Some(Login { user: User::SecurityOfficer, at_token }) => {
                pins::check_officer(self, at_token).map(done)
            }
            _ => Err(login_needed(self.helper, &self.token, User::User)),
        }
    }

    /// Sees to it that the user is logged in where that is needed for anything private.
    pub(super) fn unlock(&mut self) -> Result<(), Fault> {
        if let Some(Login { user: User::User, at_token }) = self.login {
            let pin = self.pin(at_token)?;
            if !self.token.is_logged_in(User::User) {
                return login::user(self.helper, &self.token, pin.as_ref());
            }
        } else if self.token.needs_login() {
            if let Some(Login { user: User::ContextSpecific, at_token }) = self.login {
                // A person has typed it for this use of the key just now; it is the user's own, and wanted once more.
                let pin = if at_token { None } else { self.secrets.front().map(Secret::duplicate) };
                return login::user(self.helper, &self.token, pin.as_ref());
            }
            return Err(login_needed(self.helper, &self.token, User::User));
        }
        Ok(())
    }

    /// The next secret as a PIN, unless it is typed at the token.
    pub(super) fn pin(&mut self, at_token: bool) -> Result<Option<Secret>, Fault> {
        if at_token { Ok(None) } else { self.secret().map(Some) }
    }

    /// The next secret that came with the task.
    pub(super) fn secret(&mut self) -> Result<Secret, Fault> {
        self.secrets
            .pop_front()
            .ok_or_else(|| Fault::Malformed { function: "a secret is missing".to_owned() })
    }

    fn random(&self, length: usize) -> Outcome {
        let (module, length) = (&self.helper.module, length.min(MAX_RANDOM));
        let session = self.token.session(module)?;
        let (session, octets) = match session.random(length) {
            Err(refusal) if is_lost(&refusal) => {
                let session = Session::open(module, self.token.slot, false)?;
                let octets = session.random(length)?;
                (session, octets)
            }
            octets => (session, octets?),
        };
        self.token.give_back(session);
        Ok((Answer::Random(octets), None))
    }
}

/// Nothing but that it is done.
fn done((): ()) -> (Answer, Option<Secret>) {
    (Answer::Done, None)
}
