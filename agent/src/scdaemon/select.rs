//! SERIALNO, SWITCHCARD, SWITCHAPP: which card the session speaks of.

use claviger_assuan::args::{Args, Given};
use claviger_assuan::conversation::Conversation;
use claviger_assuan::error::{Code, Error};
use claviger_cards::deck::TokenHandle;

use super::card_list::{self, Application, UNDEFINED};
use super::errors::{from_scan, parameter, scd};
use super::row;
use super::session::{Selected, Session};
use super::settings::Settings;
use super::{Command, parse};

/// What GnuPG gives for a card without a serial number.
const NO_SERIAL: &str = "FF7F00";

/// Where the digits of the application's version stand in a serial number; `--demand` does not compare them.
const VERSION_DIGITS: std::ops::Range<usize> = 12..16;

pub(super) static COMMANDS: &[Command] = &[
    row!("SERIALNO", Unlocked, serialno_request, serialno, HELP_SERIALNO),
    row!("SWITCHCARD", WithCard, parse::text, switchcard, HELP_SWITCHCARD),
    row!("SWITCHAPP", WithCard, parse::text, switchapp, HELP_SWITCHAPP),
];

const HELP_SERIALNO: &str = "\
SERIALNO [--demand=<serialno>] [--all] [<apptype>]

Look for cards and PKCS#11 tokens, select one for this session, and
return its serial number in a status line. This is the command that
makes a session usable again after its card was removed or reset.

Without --demand the session keeps its card while it is there; else the
card that was inserted last is selected, a token only if there is no
OpenPGP card. With --demand the card with that serial number is
selected, wherever it is; the digits of the application's version in an
OpenPGP card's number are not compared, and the status line repeats the
number as it was given. A key that several cards have is then used on
that one; else on one whose PIN is verified already.

APPTYPE may be \"openpgp\" for an OpenPGP card, \"pkcs11\" for a token, or
\"undefined\" for raw commands (APDU) to a card on which no application
was selected yet. --all is accepted for GnuPG's sake: all cards are
always looked at.";

const HELP_SWITCHCARD: &str = "\
SWITCHCARD [<serialno>]

Make the card with SERIALNO the current one of this session. Without
SERIALNO only the current card's number is returned, as

  S SERIALNO <serialno>

It does not look for newly inserted cards: SERIALNO does.";

const HELP_SWITCHAPP: &str = "\
SWITCHAPP [<apptype>]

Make APPTYPE the current application of the session's card. The one
application of an OpenPGP card is \"openpgp\" here, that of a token
\"pkcs11\"; the reply lists those of the card:

  S SERIALNO <serialno> <apptype>";

/// What SERIALNO is asked for.
#[derive(Debug, PartialEq, Eq)]
struct SerialnoRequest {
    demand: Option<String>,
    all: bool,
    application: Option<String>,
}

fn serialno_request(mut arguments: Args<'_>) -> Result<SerialnoRequest, Error> {
    let all = arguments.flag("--all");
    let demand = match arguments.take_value_anywhere("--demand") {
        Given::Absent => None,
        Given::Bare => return Err(parameter("missing value for option")),
        Given::Value(serial) => Some(String::from_utf8_lossy(serial).into_owned()),
    };
    let application = Some(parse::text(arguments)?).filter(|name| !name.is_empty());
    Ok(SerialnoRequest { demand, all, application })
}

async fn serialno(
    session: &mut Session,
    request: SerialnoRequest,
    talk: &mut dyn Conversation,
) -> Result<(), Error> {
    session.speaks_24 |= request.all;
    match find(session, &request).await {
        Ok(serial) => {
            talk.status("SERIALNO", serial.as_bytes());
            Ok(())
        }
        Err(error) => {
            session.require_selection();
            // What was selected before stays the measure for the next application that is named.
            if error.code() != Code::CONFLICT {
                session.deselect();
            }
            Err(error)
        }
    }
}

/// Selects the card; returns the serial number to report.
async fn find(session: &mut Session, request: &SerialnoRequest) -> Result<String, Error> {
    if let Some(application) = &request.application
        && let Some(selected) = session.selected().cloned()
    {
        return keep(session, selected, application);
    }
    let application = request.application.as_deref().map(Application::called);
    let token = match (&request.demand, application) {
        (Some(serial), _) => {
            let token = demanded(session, serial).await?;
            session.select_demanded(token.clone(), false);
            token
        }
        (None, None) => session.select_default().await?,
        (None, Some(application)) => first_with(session, application).await?,
    };
    let raw = application == Some(Application::Undefined);
    let is_refused = !raw && is_disabled(&session.hub.settings, &token);
    if is_refused || application.is_some_and(|application| !application.is_on(&token)) {
        return Err(scd(Code::NOT_SUPPORTED));
    }
    if raw {
        session.select(token.clone(), true);
    } else if token.card().is_some_and(|card| card.terminated) {
        return Err(scd(Code::OBJ_TERM_STATE));
    }
    Ok(request.demand.clone().unwrap_or_else(|| serial_of(&token, raw)))
}

/// The session's card again, if it has the application; else the first that has, where an OpenPGP card and a token stand
/// beside each other: they are no two applications of one card.
fn keep(session: &mut Session, selected: Selected, application: &str) -> Result<String, Error> {
    let own = if selected.raw { UNDEFINED } else { card_list::application(&selected.token) };
    if application.eq_ignore_ascii_case(own) {
        let serial = serial_of(&selected.token, selected.raw);
        session.select(selected.token, selected.raw);
        return Ok(serial);
    }
    let wanted = Application::called(application);
    let is_other_kind = matches!(wanted, Application::OpenPgp | Application::Pkcs11) && !selected.raw;
    let settings = &session.hub.settings;
    let fits = |token: &TokenHandle| is_other_kind && wanted.is_on(token) && !is_disabled(settings, token);
    let other = session.hub.deck.tokens().into_iter().find(fits);
    let other = other.ok_or(scd(Code::CONFLICT))?;
    session.select(other.clone(), false);
    Ok(other.serial())
}

/// The first card that has an application; if none has, the one that a plain SERIALNO means.
async fn first_with(session: &mut Session, application: Application) -> Result<TokenHandle, Error> {
    let first = session.select_default().await?;
    if application.is_on(&first) {
        return Ok(first);
    }
    let other = session.hub.deck.tokens().into_iter().find(|token| application.is_on(token));
    if let Some(other) = &other {
        session.select(other.clone(), false);
    }
    Ok(other.unwrap_or(first))
}

/// Whether the configuration keeps a card's application from being used.
pub(super) fn is_disabled(settings: &Settings, token: &TokenHandle) -> bool {
    settings.openpgp_disabled && token.card().is_some()
}

fn serial_of(token: &TokenHandle, raw: bool) -> String {
    if raw { NO_SERIAL.to_owned() } else { token.serial() }
}

/// Looks for the card with that serial number.
async fn demanded(session: &mut Session, serial: &str) -> Result<TokenHandle, Error> {
    session.hub.deck.scan().await.map_err(|error| from_scan(&error))?;
    if let Some(token) = find_serial(session, serial) {
        return Ok(token);
    }
    session.hub.deck.settled().await;
    if let Some(token) = find_serial(session, serial) {
        return Ok(token);
    }
    session.hub.deck.scan_anew().await.map_err(|error| from_scan(&error))?;
    find_serial(session, serial).ok_or(scd(Code::ENODEV))
}

fn find_serial(session: &Session, serial: &str) -> Option<TokenHandle> {
    session.hub.deck.tokens().into_iter().find(|token| has_serial(token, serial))
}

/// Whether the card has that serial number, the digits of its version apart. A token's number has no version in it, though it
/// looks as if, but may be another one in old stubs.
pub(super) fn has_serial(token: &TokenHandle, serial: &str) -> bool {
    if let Some(facts) = token.pkcs11() {
        return facts.serial.eq_ignore_ascii_case(serial) || facts.id.answers_to(serial);
    }
    without_version(&token.serial()) == without_version(serial)
}

fn without_version(serial: &str) -> String {
    serial
        .char_indices()
        .map(|(at, digit)| if VERSION_DIGITS.contains(&at) { '0' } else { digit.to_ascii_uppercase() })
        .collect()
}

async fn switchcard(session: &mut Session, serial: String, talk: &mut dyn Conversation) -> Result<(), Error> {
    if !serial.is_empty() {
        return switch_to(session, &serial, talk);
    }
    talk.status("SERIALNO", session.token()?.serial().as_bytes());
    Ok(())
}

/// Makes a card that was found before the session's, and tells its number.
pub(super) fn switch_to(
    session: &mut Session,
    serial: &str,
    talk: &mut dyn Conversation,
) -> Result<(), Error> {
    let token = find_serial(session, serial).ok_or(scd(Code::NOT_FOUND))?;
    talk.status("SERIALNO", token.serial().as_bytes());
    session.select_demanded(token, false);
    Ok(())
}

async fn switchapp(session: &mut Session, name: String, talk: &mut dyn Conversation) -> Result<(), Error> {
    session.speaks_24 = true;
    let known =
        name.is_empty() || card_list::APPLICATIONS.iter().any(|known| known.eq_ignore_ascii_case(&name));
    let token = session.token()?;
    let is_of_another_kind = match Application::called(&name) {
        wanted @ (Application::OpenPgp | Application::Pkcs11) => !wanted.is_on(&token),
        Application::Undefined | Application::Other => false,
    };
    if !known || is_of_another_kind {
        return Err(scd(Code::NOT_FOUND));
    }
    talk.status("SERIALNO", card_list::with_applications(&token).as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::sample_token::{Office, SERIAL, SIGN, token};
    use super::*;

    fn request(line: &str) -> SerialnoRequest {
        serialno_request(Args::new(line.as_bytes())).unwrap()
    }

    #[test]
    fn a_demanded_serial_number_may_stand_anywhere() {
        let demanded = Some("D276".to_owned());
        let (all, application) = (false, None);
        assert_eq!(request("--demand=D276"), SerialnoRequest { demand: demanded.clone(), all, application });
        let (all, application) = (true, Some("openpgp".to_owned()));
        assert_eq!(
            request("--all --demand=D276 openpgp"),
            SerialnoRequest { demand: demanded, all, application }
        );
        assert_eq!(request("--all"), SerialnoRequest { demand: None, all: true, application: None });
    }

    #[test]
    fn the_version_in_a_demanded_number_does_not_matter() {
        let stub_of_23 = "D2760001240100000006123456780000";
        let on_the_card = "D2760001240103040006123456780000";
        assert_eq!(without_version(stub_of_23), without_version(&on_the_card.to_lowercase()));
        assert_ne!(without_version(stub_of_23), without_version("D2760001240103040006123456790000"));
    }

    /// The number of a token with another label.
    const OTHER: &str = "D276000124011150313191FE1CE11111";

    fn office() -> Office {
        let tokens =
            [token().with_key(&[1], "ed25519", SIGN), token().on("other").with_key(&[1], "leaf", SIGN)];
        Office::new(tokens, &[])
    }

    #[tokio::test(start_paused = true)]
    async fn a_plain_serialno_means_the_newest_token_and_then_the_session_s() {
        let own = format!("S SERIALNO {OTHER}");
        assert_eq!(office().says(&["SERIALNO", "SERIALNO --all"]).await, [&own, "OK", &own, "OK"]);
        let demand = format!("SERIALNO --demand={SERIAL}");
        let own = format!("S SERIALNO {SERIAL}");
        assert_eq!(office().says(&[&demand, "SERIALNO"]).await, [&own, "OK", &own, "OK"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_demanded_number_of_a_token_is_compared_whole_and_in_any_case() {
        let office = office();
        let lower = SERIAL.to_lowercase();
        let said = office.says(&[&format!("SERIALNO --demand={lower}"), "GETATTR SERIALNO"]).await;
        assert_eq!(
            said,
            [format!("S SERIALNO {lower}"), "OK".into(), format!("S SERIALNO {SERIAL}"), "OK".into()]
        );
        let version = SERIAL.replace("1150", "0304");
        let said = office.says(&[&format!("SERIALNO --demand={version}")]).await;
        assert_eq!(said, ["ERR 100696144 No such device <SCD>"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_has_one_application() {
        let office = office();
        let own = format!("S SERIALNO {OTHER}");
        assert_eq!(office.says(&["SERIALNO pkcs11", "SERIALNO PKCS11"]).await, [&own, "OK", &own, "OK"]);
        for other in ["openpgp", "undefined", "piv"] {
            let said = office.says(&[&format!("SERIALNO {other}")]).await;
            assert_eq!(said, ["ERR 100663356 Not supported <SCD>"], "{other}");
            let said = office.says(&["SERIALNO", &format!("SERIALNO {other}")]).await;
            assert_eq!(said[2..], ["ERR 100663366 Conflicting use <SCD>"], "{other}");
        }
        let said =
            office.says(&["SWITCHAPP pkcs11", "SWITCHAPP", "SWITCHAPP openpgp", "SWITCHAPP nonsense"]).await;
        let switched = format!("{own} pkcs11");
        let none = "ERR 100663323 Not found <SCD>";
        assert_eq!(said, [&switched, "OK", &switched, "OK", none, none]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_is_pulled_out_is_missed_until_the_next_serialno() {
        let mut office = office();
        let gone = office.says(&["SERIALNO"]).await;
        assert_eq!(gone[0], format!("S SERIALNO {OTHER}"));
        office.pull_out();
        let said =
            office.says(&[&format!("SERIALNO --demand={OTHER}"), "GETATTR SERIALNO", "SERIALNO"]).await;
        let removed = "ERR 100663406 Card removed <SCD>";
        assert_eq!(
            said,
            ["ERR 100696144 No such device <SCD>", removed, &format!("S SERIALNO {SERIAL}"), "OK"]
        );
    }
}
