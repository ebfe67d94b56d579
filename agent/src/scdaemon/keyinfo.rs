//! KEYINFO: the keys of all cards and tokens, by keygrip.

use claviger_assuan::args::{Args, Given};
use claviger_assuan::conversation::Conversation;
use claviger_assuan::error::{Code, Error};
use claviger_cards::deck::TokenHandle;
use claviger_cards::token::Slot;
use claviger_keys::Keygrip;

use super::errors::scd;
use super::holders::{self, Holder, Place};
use super::key_reference::load_keys;
use super::session::Session;
use super::token_keys::ShownKey;
use super::{Command, parse, row, status, token_status};

/// How many lines are held before the client's side has to take them.
const LINES_AT_ONCE: usize = 64;

pub(super) static COMMANDS: &[Command] = &[row!("KEYINFO", Always, request, keyinfo, HELP)];

const HELP: &str = "\
KEYINFO [--list[=sign|encr|auth]] [--data] [<keygrip>]

Return the keys that are on cards and PKCS#11 tokens here, or the one
with KEYGRIP, as it is on the card that would serve now:

  S KEYINFO <keygrip> T <serialno> <keyid> <usage>

--list returns all, or those for one use; --data returns the same lines
as data. PKCS#11 modules that are starting are waited for.

USAGE has an s for signatures, c for certifications, e for decryption,
a for logging in. A token's key has the a if it is meant for that (see
HELP LEARN), or is the one that GETATTR $AUTHKEYID names.";

/// Which keys are wanted.
#[derive(Debug, PartialEq, Eq)]
enum Which {
    All,
    For(Use),
    Named(String),
}

/// What keys are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Sign,
    Encrypt,
    Authenticate,
}

impl Use {
    /// The place of an OpenPGP card that it is. GnuPG does not count the third one as one for signatures.
    fn slot(self) -> Slot {
        match self {
            Self::Sign => Slot::Sign,
            Self::Encrypt => Slot::Decrypt,
            Self::Authenticate => Slot::Authenticate,
        }
    }

    /// Its letter in a token's key's usage.
    fn letter(self) -> char {
        match self {
            Self::Sign => 's',
            Self::Encrypt => 'e',
            Self::Authenticate => 'a',
        }
    }
}

/// What KEYINFO is asked for.
struct Request {
    which: Which,
    data: bool,
}

fn request(arguments: Args<'_>) -> Result<Request, Error> {
    let which = match arguments.value("--list") {
        Given::Bare => Which::All,
        Given::Value(b"sign") => Which::For(Use::Sign),
        Given::Value(b"encr") => Which::For(Use::Encrypt),
        Given::Value(b"auth") => Which::For(Use::Authenticate),
        Given::Value(_) | Given::Absent => Which::Named(parse::text(arguments)?),
    };
    Ok(Request { which, data: arguments.flag("--data") })
}

async fn keyinfo(session: &mut Session, request: Request, talk: &mut dyn Conversation) -> Result<(), Error> {
    session.speaks_24 = true;
    let found = match &request.which {
        Which::All => lines(session, None).await,
        Which::For(wanted) => lines(session, Some(*wanted)).await,
        Which::Named(grip) => vec![named(session, grip).await.ok_or(scd(Code::NOT_FOUND))?],
    };
    for some in found.chunks(LINES_AT_ONCE) {
        for line in some {
            if request.data {
                talk.data(format!("{line}\n").as_bytes());
            } else {
                talk.status("KEYINFO", line.as_bytes());
            }
        }
        talk.drain().await.map_err(|_| scd(Code::EPIPE))?;
    }
    Ok(())
}

/// The lines of the keys of all cards and tokens, in their order.
async fn lines(session: &Session, wanted: Option<Use>) -> Vec<String> {
    let mut lines = Vec::new();
    for token in session.hub.all_tokens().await {
        load_keys(&token).await;
        if let Some(card) = token.card() {
            let slots = Slot::ALL.into_iter();
            let fitting = slots.filter(|slot| wanted.is_none_or(|wanted| wanted.slot() == *slot));
            lines.extend(fitting.filter_map(|slot| status::key_info(&card, slot)));
        } else if let Some(keys) = session.hub.tokens.keys_of(&token) {
            let fits = |key: &ShownKey<'_>| wanted.is_none_or(|wanted| key.usage.contains(wanted.letter()));
            let fitting = keys.all().filter(fits);
            lines.extend(fitting.filter_map(|key| token_status::key_info(keys.facts(), key)));
        }
    }
    lines
}

async fn holders_among(tokens: Vec<TokenHandle>, grip: &Keygrip) -> Vec<Holder> {
    let mut holders = Vec::new();
    for token in tokens {
        load_keys(&token).await;
        holders.extend(holders::place_of(&token, grip).map(|place| Holder { token, place }));
    }
    holders
}

/// The line of a key, as it is on the card that would serve now.
async fn named(session: &Session, grip: &str) -> Option<String> {
    let grip = grip.parse().ok()?;
    let mut holders = holders_among(session.hub.deck.tokens(), &grip).await;
    if holders.is_empty() {
        holders = holders_among(session.hub.all_tokens().await, &grip).await;
    }
    let best = holders::best(session, holders)?;
    match best.place {
        Place::Slot(slot) => status::key_info(&*best.token.card()?, slot),
        Place::Key(number) => {
            let keys = session.hub.tokens.keys_of(&best.token)?;
            token_status::key_info(keys.facts(), keys.numbered(number)?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample_token::{ALL, DERIVE, Office, SERIAL, SIGN, grip, token};
    use super::*;

    fn which(line: &str) -> Which {
        request(Args::new(line.as_bytes())).unwrap().which
    }

    #[test]
    fn a_list_is_of_all_keys_or_those_for_one_use() {
        assert_eq!(which("--list"), Which::All);
        assert_eq!(which("--list=encr"), Which::For(Use::Encrypt));
        assert_eq!(which("--data ABC"), Which::Named("ABC".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn all_tokens_are_one_list_and_each_key_is_told_for_what_it_is_for() {
        let other = token().on("other").with_key(&[7], "rsa2048", ALL);
        let first = token().with_key(&[1], "leaf", SIGN).with_key(&[2], "ed25519", SIGN).with_key(
            &[3],
            "x25519",
            DERIVE,
        );
        let office = Office::new([first, other], &[]);
        let grips = async |command: &str| {
            let said = office.says(&[command]).await;
            let grips = said.iter().filter_map(|line| line.strip_prefix("S KEYINFO ")?.get(..40));
            grips.map(str::to_owned).collect::<Vec<_>>()
        };
        let named = |names: &[&str]| names.iter().map(|name| grip(name)).collect::<Vec<_>>();
        assert_eq!(grips("KEYINFO --list").await, named(&["rsa2048", "leaf", "ed25519", "x25519"]));
        assert_eq!(grips("KEYINFO --list=sign").await, named(&["rsa2048", "leaf", "ed25519"]));
        assert_eq!(grips("KEYINFO --list=encr").await, named(&["rsa2048", "x25519"]));
        assert_eq!(grips("KEYINFO --list=auth").await, named(&["rsa2048", "ed25519"]));
        let said = office.says(&[&format!("KEYINFO {}", grip("leaf")), "KEYINFO --data nonsense"]).await;
        assert!(said[0].starts_with(&format!("S KEYINFO {} T {SERIAL} SoftHSM", grip("leaf"))));
        assert_eq!(said[1..], ["OK", "ERR 100663323 Not found <SCD>"]);
    }

    #[tokio::test(start_paused = true)]
    async fn keys_that_show_after_a_login_are_listed_from_then_on() {
        let office = Office::new([token().with_key(&[1], "leaf", SIGN)], &[]);
        assert_eq!(office.says(&["KEYINFO --list"]).await.len(), 2);
        let more = token().with_key(&[1], "leaf", SIGN).with_key(&[2], "ed25519", SIGN);
        let (_, facts) = &office.tokens[0];
        facts.send_replace(std::sync::Arc::new(more.0));
        assert_eq!(office.says(&["KEYINFO --list"]).await.len(), 3);
    }
}
