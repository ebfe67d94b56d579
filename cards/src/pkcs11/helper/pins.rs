//! Changing and setting PINs (PKCS#11, 5.5: `C_InitPIN`, `C_SetPIN`).

use claviger_secret::Secret;

use super::faults::of_pin;
use super::login::log_in;
use super::sys::session::Session;
use super::tasks::Job;
use super::token::login_needed;
use crate::pkcs11::wire::{Fault, Login, User};

/// `C_SetPIN`: old and new PIN are the next secrets.
pub(super) fn set(job: &mut Job<'_>, user: User, at_token: bool) -> Result<(), Fault> {
    if user == User::SecurityOfficer {
        return set_officers(job, at_token);
    }
    if job.login.is_some() {
        job.unlock()?;
    }
    let (old, new) = (job.pin(at_token)?, job.pin(at_token)?);
    let session = Session::open(&job.helper.module, job.token.slot, true)?;
    change(job, &session, user, old.as_ref(), new.as_ref())
}

/// The officer's PIN is changed by the officer, who logs in with the old one.
fn set_officers(job: &mut Job<'_>, at_token: bool) -> Result<(), Fault> {
    let given = match job.login {
        Some(Login { user: User::SecurityOfficer, at_token }) => Some(job.pin(at_token)?),
        _ => None,
    };
    let (old, new) = (job.pin(at_token)?, job.pin(at_token)?);
    let login = given.as_ref().unwrap_or(&old).as_ref();
    as_officer(job, login, |job, session| {
        change(job, session, User::SecurityOfficer, old.as_ref(), new.as_ref())
    })
}

fn change(
    job: &Job<'_>,
    session: &Session,
    user: User,
    old: Option<&Secret>,
    new: Option<&Secret>,
) -> Result<(), Fault> {
    let result = session.set_pin(old, new);
    // A first wrong PIN, or the end of one, shows in the flags.
    let flags = job.token.flags(job.helper);
    result.map_err(|refusal| of_pin(refusal, user, || flags))
}

/// `C_InitPIN`: the new PIN is the next secret.
pub(super) fn init(job: &mut Job<'_>, at_token: bool) -> Result<(), Fault> {
    let officer = officers_pin(job)?;
    let new = job.pin(at_token)?;
    as_officer(job, officer.as_ref(), |job, session| {
        let result = session.init_pin(new.as_ref());
        let flags = job.token.flags(job.helper);
        result.map_err(|refusal| of_pin(refusal, User::User, || flags))
    })
}

/// The officer's login alone, to check the PIN.
pub(super) fn check_officer(job: &mut Job<'_>, at_token: bool) -> Result<(), Fault> {
    let pin = job.pin(at_token)?;
    as_officer(job, pin.as_ref(), |_, _| Ok(()))
}

fn officers_pin(job: &mut Job<'_>) -> Result<Option<Secret>, Fault> {
    match job.login {
        Some(Login { user: User::SecurityOfficer, at_token }) => job.pin(at_token),
        _ => Err(login_needed(job.helper, &job.token, User::SecurityOfficer)),
    }
}

/// Does something as the security officer. The standard wants no other session then that cannot write, and no other user;
/// the user is logged out by it.
fn as_officer(
    job: &Job<'_>,
    pin: Option<&Secret>,
    act: impl FnOnce(&Job<'_>, &Session) -> Result<(), Fault>,
) -> Result<(), Fault> {
    job.token.close_sessions();
    let session = Session::open(&job.helper.module, job.token.slot, true)?;
    let result = log_in(job.helper, &job.token, &session, User::SecurityOfficer, pin)
        .and_then(|()| act(job, &session));
    // A login that failed has nothing to end.
    let _ = session.logout();
    drop(session);
    job.token.logged_out(job.helper);
    result
}
