//! PASSWD and CHECKPIN: changes, unblocks and checks PINs.

use claviger_assuan::args::Args;
use claviger_assuan::conversation::Conversation;
use claviger_assuan::error::{Code, Error};
use claviger_cards::token::{PinRef, Request as CardRequest, Slot};
use claviger_keys::Keygrip;

use super::errors::{parameter, scd};
use super::key_reference::{self, KeyReference, check_serial};
use super::session::Session;
use super::{Command, parse, row, token_pins};

/// The tries at which CHECKPIN asks for the Admin PIN: all of them, so that it never costs one that matters.
const ALL_TRIES: u8 = 3;

/// What stands behind a serial number where the Admin PIN is meant.
pub(super) const ADMIN: &str = "[CHV3]";

pub(super) static COMMANDS: &[Command] = &[
    row!("PASSWD", WithCard, passwd_request, passwd, HELP_PASSWD),
    row!("CHECKPIN", WithCard, parse::text, checkpin, HELP_CHECKPIN),
];

const HELP_PASSWD: &str = "\
PASSWD [--reset] [--nullpin] [--clear] <chvno> [<keygrip>]

Change a PIN of the session's card, or of the one that has the key
KEYGRIP. CHVNO is 1 for the PIN, 3 for the Admin PIN; 2 unblocks
the PIN with the Reset Code. The PINs that are needed are asked for.

--reset 1 unblocks the PIN with the Admin PIN, --reset 2 sets the Reset
Code with it. --clear makes the card forget that the PIN was verified.
--nullpin means nothing to an OpenPGP card, which always has its PINs.

On a PKCS#11 token 1 is the user's PIN and 3 the SO PIN; --reset 1 sets
the user's PIN anew with the SO PIN. A token has no Reset Code. --clear
logs the user out.";

const HELP_CHECKPIN: &str = "\
CHECKPIN <serialno>|<keyid>

Verify the PIN, without doing anything with it; operations after it need
not ask again. SERIALNO is that of the card. With [CHV3] behind it the
Admin PIN is verified, but only while none of its tries is lost. A
PKCS#11 token may be named by a key of it, too; with [CHV3] the SO PIN
is verified.

Here and elsewhere a PIN is asked for with

  INQUIRE NEEDPIN <text>

or, where it is typed on the reader's own keys, between

  INQUIRE POPUPPINPADPROMPT <text>
  INQUIRE DISMISSPINPADPROMPT

which END answers. A PIN that was right is remembered as long as
pin-cache-ttl says; a remembered one that the card refuses is forgotten
and asked for.";

/// What PASSWD is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PasswdRequest {
    pub(super) reset: bool,
    null_pin: bool,
    pub(super) clear: bool,
    pin: String,
    grip: Option<Keygrip>,
}

fn passwd_request(mut arguments: Args<'_>) -> Result<PasswdRequest, Error> {
    let (reset, null_pin, clear) =
        (arguments.flag("--reset"), arguments.flag("--nullpin"), arguments.flag("--clear"));
    let pin = String::from_utf8_lossy(arguments.word()).into_owned();
    if pin.is_empty() {
        return Err(parameter("no CHV number given"));
    }
    if clear && (reset || null_pin) {
        return Err(scd(Code::UNSUPPORTED_OPERATION).with_text("--clear used with other options"));
    }
    // Anything else is passed over, as by GnuPG.
    let grip = parse::text(arguments)?.parse().ok();
    Ok(PasswdRequest { reset, null_pin, clear, pin, grip })
}

async fn passwd(
    session: &mut Session,
    request: PasswdRequest,
    talk: &mut dyn Conversation,
) -> Result<(), Error> {
    if let Some(grip) = &request.grip {
        key_reference::use_by_grip(session, grip).await?.ok_or(scd(Code::UNSUPPORTED_OPERATION))?;
    }
    let token = session.token()?;
    let slot = key_reference::slot_or_number(&request.pin).ok_or(scd(Code::INV_ID))?;
    let (change, changed) = if token.pkcs11().is_some() {
        token_pins::change(&request, slot)?
    } else {
        session.facts()?;
        change(&request, slot)?
    };
    if request.reset {
        session.refuse_if_admin_is_denied()?;
    }
    session.perform(change, talk).await?;
    for pin in changed {
        session.hub.pins.forget_pin(token.insertion(), *pin);
    }
    Ok(())
}

/// What is to be done, and which remembered PINs are out of date then.
fn change(request: &PasswdRequest, slot: Slot) -> Result<(CardRequest, &'static [PinRef]), Error> {
    if request.clear {
        let pins = verifications(slot);
        return Ok((CardRequest::ForgetVerifications(pins), pins));
    }
    match (request.reset, slot) {
        (false, Slot::Sign) => Ok((CardRequest::ChangePin(PinRef::User), &[PinRef::User])),
        (false, Slot::Decrypt) => Ok((CardRequest::UnblockWithResetCode, &[PinRef::User])),
        (false, Slot::Authenticate) => Ok((CardRequest::ChangePin(PinRef::Admin), &[PinRef::Admin])),
        (true, Slot::Sign) => Ok((CardRequest::UnblockAsAdmin, &[PinRef::User])),
        (true, Slot::Decrypt) => Ok((CardRequest::SetResetCode, &[])),
        (true, Slot::Authenticate) => Err(scd(Code::INV_ID)),
    }
}

/// What CHV 1, 2 and 3 are verified for: PW1 for signatures includes the rest.
fn verifications(slot: Slot) -> &'static [PinRef] {
    match slot {
        Slot::Sign => &[PinRef::Sign, PinRef::User],
        Slot::Decrypt => &[PinRef::User],
        Slot::Authenticate => &[PinRef::Admin],
    }
}

async fn checkpin(session: &mut Session, id: String, talk: &mut dyn Conversation) -> Result<(), Error> {
    if let Some((token, rest)) = token_pins::token_meant_by(session, &id).await? {
        session.borrow(token);
        return token_pins::check(session, &rest, talk).await;
    }
    let rest = match KeyReference::parse(&id)? {
        KeyReference::Serial(serial, rest) => {
            check_serial(session, &serial)?;
            rest
        }
        KeyReference::Slot(_) | KeyReference::Grip(_) => return Err(scd(Code::INV_ID)),
    };
    if !rest.contains(ADMIN) {
        return check_user_pin(session, talk).await;
    }
    session.refuse_if_admin_is_denied()?;
    session.refresh().await?;
    match session.facts()?.pin_status.tries(PinRef::Admin) {
        0 => Err(scd(Code::PIN_BLOCKED)),
        tries if tries < ALL_TRIES => Err(scd(Code::GENERAL)
            .with_text("the Admin PIN is checked this way only while none of its tries is lost")),
        _ => session.perform(CardRequest::Verify(PinRef::Admin), talk).await.map(drop),
    }
}

/// PW1 as for decryption, or as for a signature on a card that has neither of the keys that 82 is for.
async fn check_user_pin(session: &mut Session, talk: &mut dyn Conversation) -> Result<(), Error> {
    key_reference::load_keys(&session.token()?).await;
    let facts = session.facts()?;
    let has_other_keys =
        [Slot::Decrypt, Slot::Authenticate].iter().any(|slot| facts.public_key(*slot).is_some());
    let pin = if has_other_keys { PinRef::User } else { PinRef::Sign };
    session.perform(CardRequest::EnsureVerified(pin), talk).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<PasswdRequest, (Code, String)> {
        passwd_request(Args::new(line.as_bytes()))
            .map_err(|error| (error.code(), error.text().unwrap_or_default().to_owned()))
    }

    #[test]
    fn options_and_two_blanks_are_understood() {
        let request = parsed(" 1").unwrap();
        assert_eq!(request.pin, "1");
        let request = parsed("--reset 2").unwrap();
        assert!(request.reset && !request.clear);
        assert_eq!(parsed("").unwrap_err(), (Code::ASS_PARAMETER, "no CHV number given".to_owned()));
        let both = parsed("--clear --reset 1").unwrap_err();
        assert_eq!(both, (Code::UNSUPPORTED_OPERATION, "--clear used with other options".to_owned()));
    }

    #[test]
    fn each_number_is_forgotten_by_itself_and_1_with_all_that_its_pin_is_for() {
        let cleared = |number, slot| {
            let request = parsed(&format!("--clear {number}")).unwrap();
            change(&request, slot).map(|(_, pins)| pins).unwrap()
        };
        assert_eq!(cleared(1, Slot::Sign), [PinRef::Sign, PinRef::User]);
        assert_eq!(cleared(2, Slot::Decrypt), [PinRef::User]);
        assert_eq!(cleared(3, Slot::Authenticate), [PinRef::Admin]);
    }

    #[test]
    fn the_admin_pin_cannot_be_reset() {
        let request = parsed("--reset 3").unwrap();
        assert_eq!(change(&request, Slot::Authenticate).unwrap_err().code(), Code::INV_ID);
    }
}
