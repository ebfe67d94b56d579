//! KEYINFO: the keys of all cards, by keygrip.

use claviger_assuan::args::{Args, Given};
use claviger_assuan::conversation::Conversation;
use claviger_assuan::error::{Code, Error};
use claviger_cards::token::Slot;

use super::errors::scd;
use super::key_reference::load_keys;
use super::session::Session;
use super::{Command, parse, row, status};

pub(super) static COMMANDS: &[Command] = &[row!("KEYINFO", Always, request, keyinfo, HELP)];

const HELP: &str = "\
KEYINFO [--list[=sign|encr|auth]] [--data] [<keygrip>]

Return the keys that are on cards here, or the one with KEYGRIP:

  S KEYINFO <keygrip> T <serialno> <keyid> <usage>

--list returns all, or those for one use; --data returns the same lines
as data. It does not look for newly inserted cards: SERIALNO does.";

/// Which keys are wanted.
#[derive(Debug, PartialEq, Eq)]
enum Which {
    All,
    Slot(Slot),
    Named(String),
}

/// What KEYINFO is asked for.
struct Request {
    which: Which,
    data: bool,
}

fn request(arguments: Args<'_>) -> Result<Request, Error> {
    let which = match arguments.value("--list") {
        Given::Bare => Which::All,
        Given::Value(b"sign") => Which::Slot(Slot::Sign),
        Given::Value(b"encr") => Which::Slot(Slot::Decrypt),
        Given::Value(b"auth") => Which::Slot(Slot::Authenticate),
        Given::Value(_) | Given::Absent => Which::Named(parse::text(arguments)?),
    };
    Ok(Request { which, data: arguments.flag("--data") })
}

async fn keyinfo(session: &mut Session, request: Request, talk: &mut dyn Conversation) -> Result<(), Error> {
    session.speaks_24 = true;
    let mut found = false;
    for token in session.hub.deck.tokens() {
        load_keys(&token).await;
        let facts = token.facts();
        for slot in Slot::ALL {
            let Some(line) = status::key_info(&facts, slot).filter(|line| request.which.fits(slot, line))
            else {
                continue;
            };
            found = true;
            if request.data {
                talk.data(format!("{line}\n").as_bytes());
            } else {
                talk.status("KEYINFO", line.as_bytes());
            }
        }
    }
    match request.which {
        Which::Named(_) if !found => Err(scd(Code::NOT_FOUND)),
        _ => Ok(()),
    }
}

impl Which {
    fn fits(&self, slot: Slot, line: &str) -> bool {
        match self {
            Self::All => true,
            Self::Slot(wanted) => *wanted == slot,
            Self::Named(grip) => !grip.is_empty() && line.split(' ').next() == Some(grip),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn which(line: &str) -> Which {
        request(Args::new(line.as_bytes())).unwrap().which
    }

    #[test]
    fn a_list_is_of_all_keys_or_those_for_one_use() {
        assert_eq!(which("--list"), Which::All);
        assert_eq!(which("--list=encr"), Which::Slot(Slot::Decrypt));
        assert_eq!(which("--data ABC"), Which::Named("ABC".to_owned()));
    }
}
