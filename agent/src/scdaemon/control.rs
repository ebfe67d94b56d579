//! RESTART and DISCONNECT, and what RESET does: the session and its card begin anew.

use claviger_assuan::conversation::Conversation;
use claviger_assuan::error::{Code, Error};
use claviger_cards::deck::TokenHandle;
use claviger_cards::token::{PinRef, Request as CardRequest};

use super::errors::scd;
use super::session::Session;
use super::{Command, parse, row};

pub(super) static COMMANDS: &[Command] = &[
    row!("RESTART", Always, parse::nothing, restart, HELP_RESTART),
    row!("DISCONNECT", Always, parse::nothing, disconnect, HELP_DISCONNECT),
];

const HELP_RESTART: &str = "\
RESTART

Begin the session anew for another client: the selected card and the
lock are given up, options stay. The card is not told; PINs that it has
verified stay verified.";

const HELP_DISCONNECT: &str = "\
DISCONNECT

Power the session's card down. It is powered up when it is next needed;
its PINs have to be given anew then. From a PKCS#11 token the user is
logged out.";

async fn restart(session: &mut Session, (): (), _talk: &mut dyn Conversation) -> Result<(), Error> {
    // A card that is gone by now stays a removed one for the next client, as in GnuPG.
    session.notice_removal();
    session.deselect();
    session.hub.release_lock(session.id);
    Ok(())
}

async fn disconnect(session: &mut Session, (): (), _talk: &mut dyn Conversation) -> Result<(), Error> {
    let Some(token) = session.selected().map(|selected| selected.token.clone()) else {
        return Err(scd(Code::UNSUPPORTED_OPERATION));
    };
    let insertion = token.insertion();
    session.read(or_logout(&token, CardRequest::PowerDown)).await?;
    session.hub.pins.forget(insertion);
    session.hub.lapse.forget(insertion);
    Ok(())
}

/// What is done to an OpenPGP card; a PKCS#11 token has nothing like it but to log the user out.
fn or_logout(token: &TokenHandle, request: CardRequest) -> CardRequest {
    if token.pkcs11().is_some() { CardRequest::ForgetVerifications(PinRef::VERIFIED) } else { request }
}

/// RESET: resets the session's card, if it has one that no other session has locked, and gives up the lock unless told
/// to keep it.
pub(super) async fn reset(session: &mut Session, keep_lock: bool) -> Result<(), Error> {
    let selected = session.selected().map(|selected| selected.token.clone());
    if let Some(token) = selected.filter(|_| !session.hub.is_locked_for(session.id)) {
        let insertion = token.insertion();
        let result = session.read(or_logout(&token, CardRequest::Reset)).await;
        session.hub.note_reset(insertion);
        session.hub.signal_clients_of(insertion);
        session.mark_removed();
        result?;
    }
    if !keep_lock {
        session.hub.release_lock(session.id);
    }
    Ok(())
}
