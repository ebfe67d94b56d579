//! KEYINFO: the keys of all cards, by keygrip.

use claviger_assuan::args::{Args, Given};
use claviger_assuan::conversation::Conversation;
use claviger_assuan::error::{Code, Error};
use claviger_cards::token::Slot;

use super::errors::scd;
use super::holders::{self, Holder, Place};
use super::key_reference::load_keys;
use super::session::Session;
use super::{Command, parse, row, status};

pub(super) static COMMANDS: &[Command] = &[row!("KEYINFO", Always, request, keyinfo, HELP)];

const HELP: &str = "\
KEYINFO [--list[=sign|encr|auth]] [--data] [<keygrip>]

Return the keys that are on cards here, or the one with KEYGRIP, as it
is on the card that would serve now:

  S KEYINFO <keygrip> T <serialno> <keyid> <usage>

--list returns all, or those for one use; --data returns the same lines
as data. It does not look for newly inserted cards: SERIALNO does.";

/// Which keys are wanted.
#[derive(Debug, PartialEq, Eq)]
enum Which {
    Keys(&'static [Slot]),
    Named(String),
}

/// What KEYINFO is asked for.
struct Request {
    which: Which,
    data: bool,
}

fn request(arguments: Args<'_>) -> Result<Request, Error> {
    let which = match arguments.value("--list") {
        Given::Bare => Which::Keys(&Slot::ALL),
        Given::Value(b"sign") => Which::Keys(&[Slot::Sign]),
        Given::Value(b"encr") => Which::Keys(&[Slot::Decrypt]),
        Given::Value(b"auth") => Which::Keys(&[Slot::Authenticate]),
        Given::Value(_) | Given::Absent => Which::Named(parse::text(arguments)?),
    };
    Ok(Request { which, data: arguments.flag("--data") })
}

async fn keyinfo(session: &mut Session, request: Request, talk: &mut dyn Conversation) -> Result<(), Error> {
    session.speaks_24 = true;
    let keys = keys(session).await;
    let found = match &request.which {
        Which::Keys(slots) => keys
            .into_iter()
            .filter(|key| key.place.slot().is_some_and(|slot| slots.contains(&slot)))
            .collect(),
        Which::Named(grip) => {
            let named = keys.into_iter().filter(|key| is_named(key, grip)).collect();
            vec![holders::best(session, named).ok_or(scd(Code::NOT_FOUND))?]
        }
    };
    for line in found.iter().filter_map(line) {
        if request.data {
            talk.data(format!("{line}\n").as_bytes());
        } else {
            talk.status("KEYINFO", line.as_bytes());
        }
    }
    Ok(())
}

/// The keys of all cards, the newest card's first.
async fn keys(session: &Session) -> Vec<Holder> {
    let mut keys = Vec::new();
    for token in session.hub.deck.tokens() {
        load_keys(&token).await;
        keys.extend(Slot::ALL.map(|slot| Holder { token: token.clone(), place: Place::Slot(slot) }));
    }
    keys
}

fn is_named(key: &Holder, grip: &str) -> bool {
    grip.parse().is_ok_and(|grip| holders::place_of(&key.token, &grip) == Some(key.place))
}

fn line(key: &Holder) -> Option<String> {
    status::key_info(&*key.token.card()?, key.place.slot()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn which(line: &str) -> Which {
        request(Args::new(line.as_bytes())).unwrap().which
    }

    #[test]
    fn a_list_is_of_all_keys_or_those_for_one_use() {
        assert_eq!(which("--list"), Which::Keys(&Slot::ALL));
        assert_eq!(which("--list=encr"), Which::Keys(&[Slot::Decrypt]));
        assert_eq!(which("--data ABC"), Which::Named("ABC".to_owned()));
    }
}
