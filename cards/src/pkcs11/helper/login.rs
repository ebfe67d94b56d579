//! Logging in and out (PKCS#11, 5.6: `C_Login`, `C_Logout`).

use claviger_secret::Secret;
use cryptoki_sys::*;

use super::Helper;
use super::faults::of_pin;
use super::sys::module::Refusal;
use super::sys::session::Session;
use super::token::Token;
use crate::pkcs11::wire::{Fault, User};

/// Logs the user in and reads what can be seen now; without a PIN, it is typed at the token.
pub(super) fn user(helper: &Helper, token: &Token, pin: Option<&Secret>) -> Result<(), Fault> {
    let session = token.session(&helper.module)?;
    log_in(helper, token, &session, User::User, pin)?;
    token.set_user(Some(User::User));
    token.give_back(session);
    Ok(token.enumerate(helper, false)?)
}

/// Logs a user in through a session. Whoever else is logged in is logged out.
pub(super) fn log_in(
    helper: &Helper,
    token: &Token,
    session: &Session,
    user: User,
    pin: Option<&Secret>,
) -> Result<(), Fault> {
    let again = |refusal: Refusal| {
        if refusal.code() != Some(CKR_USER_ANOTHER_ALREADY_LOGGED_IN) {
            return Err(refusal);
        }
        session.logout()?;
        session.login(number(user), pin)
    };
    match session.login(number(user), pin).or_else(again) {
        Ok(()) => Ok(()),
        Err(refusal) if refusal.code() == Some(CKR_USER_ALREADY_LOGGED_IN) => Ok(()),
        Err(refusal) => Err(of_pin(refusal, user, || token.flags(helper))),
    }
}

/// Whether the module knows of a login of the user: it may have ended without us.
pub(super) fn is_known(session: &Session) -> bool {
    matches!(session.state(), Ok(CKS_RO_USER_FUNCTIONS | CKS_RW_USER_FUNCTIONS))
}

/// Logs out whoever is logged in.
pub(super) fn out(helper: &Helper, token: &Token) -> Result<(), Fault> {
    let session = token.session(&helper.module)?;
    match session.logout() {
        Ok(()) => token.give_back(session),
        Err(refusal) if refusal.code() == Some(CKR_USER_NOT_LOGGED_IN) => token.give_back(session),
        Err(refusal) => return Err(refusal.into()),
    }
    token.logged_out(helper);
    Ok(())
}

fn number(user: User) -> CK_USER_TYPE {
    match user {
        User::User => CKU_USER,
        User::SecurityOfficer => CKU_SO,
        User::ContextSpecific => CKU_CONTEXT_SPECIFIC,
    }
}
