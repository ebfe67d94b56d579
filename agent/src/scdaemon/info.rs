//! GETINFO: what there is to know about the daemon itself.

use claviger_assuan::args::Args;
use claviger_assuan::conversation::Conversation;
use claviger_assuan::error::{Code, Error};
use claviger_cards::deck::TokenHandle;

use super::card_list::{APPLICATIONS, with_applications};
use super::command_line::GNUPG_VERSION;
use super::errors::{parameter, scd};
use super::hub::Hub;
use super::session::{Allowed, Session};
use super::{Command, parse, row, status};

pub(super) static COMMANDS: &[Command] = &[row!("GETINFO", Always, request, getinfo, HELP)];

const HELP: &str = "\
GETINFO <what>

Return information about this process.

  version         the version of GnuPG whose scdaemon is answered as
  pid             the process id
  socket_name     the socket that more sessions can use
  connections     how many sessions there are
  status          u if this session can use a card, else r
  reader_list     the names of all readers, a line each, and behind them
                  those of the slots of PKCS#11 tokens
  deny_admin      OK if commands for the Admin PIN are refused
  app_list        the applications that have a name, a line each
  card_list       S SERIALNO <serialno> for each card and token
  active_apps     S SERIALNO <serialno> <apptype> for this session's card
  all_active_apps the same for all cards
  cmd_has_option <command> <option>
                  OK if the command has that option, or with NAME=VALUE
                  that value of it
  manufacturer <number>
                  the name of a maker of OpenPGP cards
  apdu_strerror <status word>
                  what a card's status word means
  dump_state      write the daemon's state to its log";

/// What can be asked for.
#[derive(Debug, PartialEq, Eq)]
enum What {
    Version,
    Pid,
    SocketName,
    Connections,
    Status,
    ReaderList,
    DenyAdmin,
    AppList,
    CardList,
    ActiveApps,
    AllActiveApps,
    CmdHasOption(String),
    Manufacturer(String),
    ApduStrerror(String),
    DumpState,
}

fn request(arguments: Args<'_>) -> Result<What, Error> {
    let text = parse::text(arguments)?;
    let (word, value) = text.split_once([' ', '\t']).unwrap_or((&text, ""));
    let value = value.trim_start().to_owned();
    Ok(match (word, text.as_str()) {
        (_, "version") => What::Version,
        (_, "pid") => What::Pid,
        (_, "socket_name") => What::SocketName,
        (_, "connections") => What::Connections,
        (_, "status") => What::Status,
        (_, "reader_list") => What::ReaderList,
        (_, "deny_admin") => What::DenyAdmin,
        (_, "app_list") => What::AppList,
        (_, "card_list") => What::CardList,
        (_, "active_apps") => What::ActiveApps,
        (_, "all_active_apps") => What::AllActiveApps,
        (_, "dump_state") => What::DumpState,
        ("cmd_has_option", _) => What::CmdHasOption(value),
        ("manufacturer", _) => What::Manufacturer(value),
        ("apdu_strerror", _) => What::ApduStrerror(value),
        _ => return Err(parameter("unknown value for WHAT")),
    })
}

async fn getinfo(session: &mut Session, what: What, talk: &mut dyn Conversation) -> Result<(), Error> {
    match what {
        What::Version => talk.data(GNUPG_VERSION.as_bytes()),
        What::Pid => talk.data(std::process::id().to_string().as_bytes()),
        What::SocketName => socket_name(session, talk)?,
        What::Connections => talk.data(session.hub.connections().to_string().as_bytes()),
        What::Status => talk.data(state(session).await),
        What::ReaderList => readers(session, talk).await?,
        What::DenyAdmin => refuse_unless(session.hub.settings.deny_admin, Code::GENERAL)?,
        What::AppList => talk.data(APPLICATIONS.map(|name| format!("{name}:\n")).concat().as_bytes()),
        What::CardList => cards(session, talk, |token| token.serial())?,
        What::ActiveApps => active(session, talk),
        What::AllActiveApps => cards(session, talk, with_applications)?,
        What::CmdHasOption(value) => has_option(&value)?,
        What::Manufacturer(number) => talk.data(manufacturer(&number).as_bytes()),
        What::ApduStrerror(word) => talk.data(describe_status_word(&word).as_bytes()),
        What::DumpState => dump(&session.hub),
    }
    Ok(())
}

fn refuse_unless(condition: bool, code: Code) -> Result<(), Error> {
    if condition { Ok(()) } else { Err(scd(code)) }
}

fn socket_name(session: &Session, talk: &mut dyn Conversation) -> Result<(), Error> {
    use std::os::unix::ffi::OsStrExt as _;
    let path = session.hub.socket_name.as_ref().ok_or(scd(Code::NO_DATA))?;
    talk.data(path.as_os_str().as_bytes());
    Ok(())
}

/// Whether the session could use a card now; selects one if it has none.
async fn state(session: &mut Session) -> &'static [u8] {
    if session.pass(Allowed::WithCard).await.is_ok() { b"u" } else { b"r" }
}

async fn readers(session: &Session, talk: &mut dyn Conversation) -> Result<(), Error> {
    if let Err(error) = session.hub.deck.scan().await {
        tracing::info!(%error, "no readers to list");
    }
    let tokens = session.hub.deck.tokens().into_iter().filter(|token| token.pkcs11().is_some());
    let slots = tokens.map(|token| token.reader());
    for reader in session.hub.deck.readers().into_iter().chain(slots) {
        talk.data(format!("{reader}\n").as_bytes());
        // A data line for each, for people who read along.
        talk.flush().await.map_err(|_| scd(Code::EPIPE))?;
    }
    Ok(())
}

/// One line for each card, in the order of their readers, and each token; without cards GnuPG 2.4's error.
fn cards(
    session: &Session,
    talk: &mut dyn Conversation,
    line: impl Fn(&TokenHandle) -> String,
) -> Result<(), Error> {
    let mut tokens = session.hub.deck.tokens();
    refuse_unless(!tokens.is_empty(), Code::CARD_NOT_PRESENT)?;
    let readers = session.hub.deck.readers();
    let place = |token: &TokenHandle| readers.iter().position(|reader| *reader == token.reader());
    // PKCS#11 tokens sit in no reader, and come behind.
    tokens.sort_by_key(|token| (token.pkcs11().is_some(), place(token)));
    for token in &tokens {
        talk.status("SERIALNO", line(token).as_bytes());
    }
    Ok(())
}

fn active(session: &mut Session, talk: &mut dyn Conversation) {
    if let Some(selected) = session.selected() {
        let line = with_applications(&selected.token);
        talk.status("SERIALNO", line.as_bytes());
    }
}

/// Whether the help text of a command names an option; the option comes without its dashes.
fn has_option(value: &str) -> Result<(), Error> {
    let mut words = value.split_ascii_whitespace();
    let (Some(command), Some(option)) = (words.next(), words.next()) else {
        return Err(scd(Code::MISSING_VALUE));
    };
    let row = super::TABLE.iter().find(|row| row.name.eq_ignore_ascii_case(command));
    let usage = row.and_then(|row| row.help.split("\n\n").next()).unwrap_or_default();
    refuse_unless(names(usage, option), Code::FALSE)
}

fn names(usage: &str, option: &str) -> bool {
    let words = usage.split(|c: char| c.is_ascii_whitespace() || "[]".contains(c));
    match option.split_once('=') {
        Some((name, value)) => words
            .filter_map(|word| word.strip_prefix("--")?.strip_prefix(name)?.strip_prefix('='))
            .any(|values| values.split('|').any(|known| known == value)),
        None => {
            let mut options = usage.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
            options.any(|word| word.strip_prefix("--") == Some(option))
        }
    }
}

fn manufacturer(number: &str) -> &'static str {
    u16::try_from(number_of(number)).map_or("unknown", status::manufacturer_name)
}

fn number_of(text: &str) -> u32 {
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).unwrap_or(u32::MAX),
        None => text.parse().unwrap_or(u32::MAX),
    }
}

/// A status word in GnuPG's words (scd, `apdu.c`).
fn describe_status_word(word: &str) -> &'static str {
    match number_of(word) {
        0x6285 => "selected file has been deleted or terminated",
        0x6581 => "EEPROM failure",
        0x6700 => "wrong length",
        0x6882 => "secure messaging not supported",
        0x6884 => "command chaining not supported",
        0x6982 => "CHV failed",
        0x6983 => "CHV blocked",
        0x6985 => "use conditions not satisfied",
        0x6A80 => "bad parameters",
        0x6A81 => "not supported",
        0x6A82 => "file not found",
        0x6A83 => "record not found",
        0x6A86 | 0x6B00 => "bad P0 or P1",
        0x6A88 => "reference not found",
        0x6D00 => "instruction not supported",
        0x6E00 => "class not supported",
        0x9000 => "success",
        0x6C00..=0x6CFF => "exact length",
        0x63C0..=0x63CF => "CHV failed",
        _ => "unknown status error",
    }
}

/// Writes the daemon's state to its log: sessions, readers, cards and tokens and what is verified on them.
pub(super) fn dump(hub: &Hub) {
    tracing::info!(sessions = hub.connections(), readers = ?hub.deck.readers(), "state");
    for token in hub.deck.tokens() {
        let (serial, reader, insertion) = (token.serial(), token.reader(), token.insertion().0);
        if let Some(facts) = token.card() {
            tracing::info!(serial, reader, insertion, verified = ?facts.verified, "card");
        }
        if let Some(facts) = token.pkcs11() {
            let (provider, label) = (&*facts.provider, &facts.id.label);
            let (keys, logged_in) = (facts.keys.len(), facts.logged_in);
            tracing::info!(serial, provider, slot = facts.slot, label, insertion, keys, logged_in, "token");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample_token::{Office, SERIAL, token};
    use super::*;

    #[test]
    fn items_are_exact_and_blanks_count() {
        assert_eq!(request(Args::new(b"version")).unwrap(), What::Version);
        assert_eq!(request(Args::new(b"version ")).unwrap_err().code(), Code::ASS_PARAMETER);
        assert_eq!(request(Args::new(b"")).unwrap_err().code(), Code::ASS_PARAMETER);
        assert_eq!(
            request(Args::new(b"cmd_has_option  SERIALNO all")).unwrap(),
            What::CmdHasOption("SERIALNO all".to_owned())
        );
    }

    #[test]
    fn options_are_found_in_the_usage_of_a_command() {
        let answer = |value: &str| has_option(value).map_err(|error| error.code());
        assert_eq!(answer("SERIALNO all"), Ok(()));
        assert_eq!(answer("readkey info-only"), Ok(()));
        assert_eq!(answer("LEARN multi"), Ok(()), "in the second line of its usage");
        assert_eq!(answer("PKSIGN hash=none"), Ok(()));
        assert_eq!(answer("PKSIGN hash=sha3"), Err(Code::FALSE));
        assert_eq!(answer("READKEY info=none"), Err(Code::FALSE));
        for option in
            ["READCERT chain", "READCERT pem", "READCERT openpgp", "LISTCERTS ca", "WRITECERT check"]
        {
            assert_eq!(answer(option), Ok(()), "{option}");
        }
        assert_eq!(answer("READKEY inf"), Err(Code::FALSE));
        assert_eq!(answer("NONSENSE all"), Err(Code::FALSE));
        assert_eq!(answer("SERIALNO"), Err(Code::MISSING_VALUE));
    }

    #[test]
    fn numbers_are_decimal_or_hexadecimal() {
        assert_eq!(manufacturer("5"), "ZeitControl");
        assert_eq!(manufacturer("0xFFFE"), "unmanaged S/N range");
        assert_eq!(manufacturer("nonsense"), "unknown");
        assert_eq!(describe_status_word("0x6a88"), "reference not found");
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_are_in_all_lists() {
        let office = Office::new([token()], &[]);
        let said =
            office.says(&["GETINFO card_list", "GETINFO all_active_apps", "GETINFO active_apps"]).await;
        let (card, apps) = (format!("S SERIALNO {SERIAL}"), format!("S SERIALNO {SERIAL} pkcs11"));
        assert_eq!(said, [&card, "OK", &apps, "OK", "OK"], "none is selected");
        let said = office.says(&["GETINFO status", "GETINFO active_apps", "GETINFO reader_list"]).await;
        assert_eq!(said, ["D u", "OK", &apps, "OK", "D SoftHSM slot ID 0x7%0A", "OK"]);
    }
}
