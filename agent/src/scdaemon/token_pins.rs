//! PASSWD and CHECKPIN for PKCS#11 tokens: the user's PIN and the security officer's, and nothing else.

use claviger_assuan::conversation::Conversation;
use claviger_assuan::error::{Code, Error};
use claviger_cards::deck::TokenHandle;
use claviger_cards::token::{PinRef, Request, Slot};

use super::errors::scd;
use super::holders::{self, Place};
use super::key_reference::KeyReference;
use super::pins::{ADMIN, PasswdRequest};
use super::session::Session;
use super::token_reference;

/// What PASSWD means, and which remembered PINs are out of date then.
///
/// # Errors
/// NOT_SUPPORTED for the Reset Code, which tokens have not.
pub(super) fn change(request: &PasswdRequest, slot: Slot) -> Result<(Request, &'static [PinRef]), Error> {
    match (request.clear, request.reset, slot) {
        (true, _, Slot::Authenticate) => Ok((Request::ForgetVerifications(&[PinRef::Admin]), &[])),
        (true, _, _) => Ok((Request::ForgetVerifications(&[PinRef::User]), &[PinRef::User])),
        (_, false, Slot::Sign) => Ok((Request::ChangePin(PinRef::User), &[PinRef::User])),
        (_, true, Slot::Sign) => Ok((Request::UnblockAsAdmin, &[PinRef::User])),
        (_, false, Slot::Authenticate) => Ok((Request::ChangePin(PinRef::Admin), &[PinRef::Admin])),
        (_, true, Slot::Authenticate) => Err(scd(Code::INV_ID)),
        (_, _, Slot::Decrypt) => Err(scd(Code::NOT_SUPPORTED)
            .with_text("a token has no Reset Code; PASSWD --reset 1 sets the PIN anew with the SO PIN")),
    }
}

/// The token that is meant by its serial number or by a key of it, with what follows the number; `None` if an OpenPGP card
/// is meant, or nothing that is known.
pub(super) async fn token_meant_by(
    session: &Session,
    id: &str,
) -> Result<Option<(TokenHandle, String)>, Error> {
    let holder = match KeyReference::parse(id) {
        Ok(KeyReference::Serial(serial, rest)) => {
            return Ok(token_reference::with_serial(session, &serial).map(|token| (token, rest)));
        }
        Ok(KeyReference::Grip(grip)) => holders::of(session, &grip).await.into_iter().next(),
        Ok(KeyReference::Slot(_)) => None,
        Err(error) if error.code() == Code::INV_ID => {
            Some(token_reference::find(session, id).await?.ok_or(scd(Code::NO_SECKEY))?)
        }
        Err(error) => return Err(error),
    };
    let holder = holder.filter(|holder| matches!(holder.place, Place::Key(_)));
    Ok(holder.map(|holder| (holder.token, String::new())))
}

/// Verifies the user's PIN at the session's token, or the security officer's if `rest` says so.
///
/// # Errors
/// GENERAL where a try of the security officer's PIN is lost: it is not for trying.
pub(super) async fn check(
    session: &mut Session,
    rest: &str,
    talk: &mut dyn Conversation,
) -> Result<(), Error> {
    if !rest.contains(ADMIN) {
        return session.perform(Request::EnsureVerified(PinRef::User), talk).await.map(drop);
    }
    session.refuse_if_admin_is_denied()?;
    let flags = session.token()?.pkcs11().ok_or(scd(Code::CARD_REMOVED))?.flags;
    match flags.tries(PinRef::Admin) {
        Some(0) => Err(scd(Code::PIN_BLOCKED)),
        None if !flags.few_tries(PinRef::Admin) => {
            session.perform(Request::Verify(PinRef::Admin), talk).await.map(drop)
        }
        _ => Err(scd(Code::GENERAL)
            .with_text("the SO PIN is checked this way only while none of its tries is lost")),
    }
}
