//! WAIT: until a card is there. GnuPG has nothing like it; its clients ask again and again.

use std::time::Duration;

use claviger_assuan::args::{Args, Given};
use claviger_assuan::conversation::Conversation;
use claviger_assuan::error::{Code, Error};
use claviger_cards::deck::TokenHandle;
use claviger_cards::token::Insertion;
use claviger_keys::Keygrip;
use tokio::time::{Instant, sleep_until};

use super::errors::{parameter, scd};
use super::holders;
use super::hub::Hub;
use super::key_reference::load_keys;
use super::select::{self, has_serial};
use super::session::Session;
use super::{Command, parse, row};

/// How long is waited without `--timeout`. Through an agent nobody else ends it: the agent does not tell when its client
/// has gone.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// The digits of a keygrip.
const KEYGRIP_DIGITS: usize = 40;

pub(super) static COMMANDS: &[Command] = &[row!("WAIT", Unlocked, request, wait, HELP)];

const HELP: &str = "\
WAIT [--timeout=<seconds>] [<keygrip>|--serialno=<serialno>|--any]

Wait until a card or PKCS#11 token is there: the one that holds the key
KEYGRIP, the one with that SERIALNO (the digits of the application's
version in an OpenPGP card's are not compared), or any, which is also
what is meant if nothing is said.
A card that is there already ends the wait at once. The card becomes
this session's, as with SERIALNO, and is returned in the line

  S SERIALNO <serialno>

After SECONDS (60 if not given; 0 only looks) the error is \"Timeout\".
If the client closes its connection the wait ends, too; an agent in
between does not pass that on.";

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    Any,
    Serial(String),
    Key(Keygrip),
}

/// What WAIT is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    wanted: Wanted,
    timeout: Duration,
}

fn request(arguments: Args<'_>) -> Result<Request, Error> {
    let timeout = match arguments.value("--timeout") {
        Given::Absent => DEFAULT_TIMEOUT,
        Given::Bare => return Err(parameter("missing value for option")),
        Given::Value(seconds) => self::seconds(seconds).ok_or(parameter("--timeout takes seconds"))?,
    };
    let serial = match arguments.value("--serialno") {
        Given::Absent => None,
        Given::Bare => return Err(parameter("missing value for option")),
        Given::Value(serial) => Some(String::from_utf8_lossy(serial).into_owned()),
    };
    let name = parse::text(arguments)?;
    let wanted = match (serial, name.as_str(), arguments.flag("--any")) {
        (None, "", _) => Wanted::Any,
        (Some(serial), "", false) => Wanted::Serial(serial),
        (None, name, false) => Wanted::Key(keygrip(name)?),
        _ => return Err(parameter("one of <keygrip>, --serialno and --any")),
    };
    Ok(Request { wanted, timeout })
}

/// So many seconds, as far as 32 bits go.
fn seconds(digits: &[u8]) -> Option<Duration> {
    let digits = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?;
    digits.parse::<u32>().ok().map(|seconds| Duration::from_secs(seconds.into()))
}

fn keygrip(name: &str) -> Result<Keygrip, Error> {
    let digits = Some(name).filter(|name| name.len() == KEYGRIP_DIGITS);
    digits.and_then(|digits| digits.parse().ok()).ok_or(scd(Code::INV_ID))
}

async fn wait(session: &mut Session, request: Request, talk: &mut dyn Conversation) -> Result<(), Error> {
    let Request { wanted, timeout } = request;
    let own = session.selected().map(|selected| selected.token.insertion());
    let token = tokio::select! {
        biased;
        token = arrival(&session.hub, &wanted, own, timeout) => token.ok_or(scd(Code::TIMEOUT))?,
        () = talk.closed() => return Err(scd(Code::EOF)),
        () = session.hub.ending() => return Err(scd(Code::CANCELED)),
    };
    let serial = match wanted {
        Wanted::Serial(serial) => serial,
        Wanted::Any | Wanted::Key(_) => token.serial(),
    };
    session.select(token, false);
    talk.status("SERIALNO", serial.as_bytes());
    Ok(())
}

/// The token, as soon as it is there: the session's own before others, then the newest. At least one look is taken, however
/// short the time is.
async fn arrival(
    hub: &Hub,
    wanted: &Wanted,
    own: Option<Insertion>,
    timeout: Duration,
) -> Option<TokenHandle> {
    let end = Instant::now() + timeout;
    let deck = &hub.deck;
    let mut events = deck.subscribe();
    loop {
        if let Err(error) = deck.scan().await {
            tracing::info!(%error, "no card yet");
        }
        let mut tokens = deck.tokens();
        tokens.retain(|token| !select::is_disabled(&hub.settings, token));
        tokens.sort_by_key(|token| Some(token.insertion()) != own);
        for token in tokens {
            if is_it(&token, wanted).await {
                return Some(token);
            }
        }
        tokio::select! {
            // What was missed is found by the next look.
            _ = events.recv() => {}
            never = deck.attend() => match never {},
            () = sleep_until(end) => return None,
        }
    }
}

async fn is_it(token: &TokenHandle, wanted: &Wanted) -> bool {
    match wanted {
        Wanted::Any => !token.card().is_some_and(|card| card.terminated),
        Wanted::Serial(serial) => has_serial(token, serial),
        Wanted::Key(grip) => {
            load_keys(token).await;
            holders::place_of(token, grip).is_some()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample_token::{Office, SERIAL, SIGN, grip, token};
    use super::*;

    const GRIP: &str = "925BEAC2BFC3FC060AC364F8D01A7D00054F784E";

    fn wanted(line: &str) -> Wanted {
        request(Args::new(line.as_bytes())).unwrap().wanted
    }

    fn refused(line: &str) -> Code {
        request(Args::new(line.as_bytes())).unwrap_err().code()
    }

    #[test]
    fn a_key_a_serial_number_or_any_card_is_waited_for() {
        assert_eq!(wanted(""), Wanted::Any);
        assert_eq!(wanted("--any"), Wanted::Any);
        assert_eq!(wanted("--timeout=3 --serialno=D276"), Wanted::Serial("D276".to_owned()));
        assert_eq!(wanted(GRIP), Wanted::Key(GRIP.parse().unwrap()));
    }

    #[test]
    fn only_one_thing_is_waited_for() {
        assert_eq!(refused(&format!("--any {GRIP}")), Code::ASS_PARAMETER);
        assert_eq!(refused("--any --serialno=D276"), Code::ASS_PARAMETER);
        assert_eq!(refused(&format!("--serialno=D276 {GRIP}")), Code::ASS_PARAMETER);
        assert_eq!(refused("OPENPGP.1"), Code::INV_ID);
        assert_eq!(refused(&GRIP[1..]), Code::INV_ID);
        assert_eq!(refused(&format!("{GRIP} ")), Code::INV_ID);
    }

    #[test]
    fn a_timeout_is_in_seconds() {
        let timeout = |line: &str| request(Args::new(line.as_bytes())).map(|request| request.timeout);
        assert_eq!(timeout(""), Ok(DEFAULT_TIMEOUT));
        assert_eq!(timeout("--timeout=0 --any"), Ok(Duration::ZERO));
        assert_eq!(timeout("--timeout=4294967295"), Ok(Duration::from_secs(u32::MAX.into())));
        for wrong in [
            "--timeout",
            "--timeout=",
            "--timeout=-1",
            "--timeout=+1",
            "--timeout=soon",
            "--timeout=4294967296",
        ] {
            assert_eq!(refused(wrong), Code::ASS_PARAMETER, "{wrong}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_ends_the_wait_for_any_for_its_number_and_for_its_key() {
        let office = Office::new([token().with_key(&[1], "leaf", SIGN)], &[]);
        let here = format!("S SERIALNO {SERIAL}");
        for wanted in ["--any", &format!("--serialno={SERIAL}"), &grip("leaf")] {
            assert_eq!(
                office.says(&[&format!("WAIT --timeout=0 {wanted}")]).await,
                [&here, "OK"],
                "{wanted}"
            );
        }
        let said = office.says(&[&format!("WAIT --timeout=0 {}", grip("ed25519"))]).await;
        assert_eq!(said, ["ERR 100663358 Timeout <SCD>"]);
    }
}
