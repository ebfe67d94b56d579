//! APDU: raw commands to the card; and KILLSCD, which ends the process.

use claviger_assuan::args::Args;
use claviger_assuan::conversation::Conversation;
use claviger_assuan::error::{Code, Error};
use claviger_cards::atr;
use claviger_cards::token::{Reply, Request as CardRequest};

use super::errors::{not_for_tokens, scd};
use super::perform::unexpected;
use super::session::Session;
use super::{Command, parse, row};
use crate::hex;

pub(super) static COMMANDS: &[Command] = &[
    row!("APDU", WithCard, request, apdu, HELP_APDU),
    row!("KILLSCD", Always, parse::nothing, killscd, HELP_KILLSCD),
];

const HELP_APDU: &str = "\
APDU [--atr|--dump-atr|--data-atr] [--more] [--exlen[=N]] [hexstring]

Send a raw command to the card, as it is, and return the answer with its
status word. Without HEXSTRING it is only looked whether there is a
card. --more follows 61xx with GET RESPONSE and joins the answers.
--exlen is accepted for GnuPG's sake: the answer may always be as long
as the command asks.

  --atr       return the answer to reset as S CARD-ATR <hex>
  --dump-atr  return it in words
  --data-atr  return it as data";

const HELP_KILLSCD: &str = "\
KILLSCD

End this process, with all its sessions.";

/// How the answer to reset is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Atr {
    No,
    Status,
    Words,
    Data,
}

/// What APDU is asked for.
struct Request {
    atr: Atr,
    more: bool,
    command: Vec<u8>,
}

fn request(arguments: Args<'_>) -> Result<Request, Error> {
    let atr = if arguments.flag("--dump-atr") {
        Atr::Words
    } else if arguments.flag("--data-atr") {
        Atr::Data
    } else if arguments.flag("--atr") {
        Atr::Status
    } else {
        Atr::No
    };
    Ok(Request { atr, more: arguments.flag("--more"), command: command(arguments.rest()) })
}

/// Instructions that make a PIN another: CHANGE REFERENCE DATA, RESET RETRY COUNTER, TERMINATE DF, ACTIVATE FILE. A PIN
/// that is remembered would only cost a try behind them.
const CHANGE_PINS: [u8; 4] = [0x24, 0x2c, 0xe6, 0x44];

/// Pairs of digits, with blanks and colons between them; ends at the first other octet.
fn command(text: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = text;
    loop {
        match rest {
            [b' ' | b'\t' | b':', behind @ ..] => rest = behind,
            [high, low, behind @ ..] => match hex::read(&[*high, *low]) {
                Some(octet) => {
                    octets.extend(octet);
                    rest = behind;
                }
                None => return octets,
            },
            _ => return octets,
        }
    }
}

async fn apdu(session: &mut Session, request: Request, talk: &mut dyn Conversation) -> Result<(), Error> {
    let octets = session.token()?.card().ok_or_else(not_for_tokens)?.atr.clone();
    match request.atr {
        Atr::No => {}
        Atr::Status => talk.status("CARD-ATR", hex::write(&octets).as_bytes()),
        Atr::Words => tell(&atr::in_words(&octets), talk).await?,
        Atr::Data => talk.data(&octets),
    }
    if request.command.is_empty() {
        return Ok(());
    }
    if request.command.get(1).is_some_and(|instruction| CHANGE_PINS.contains(instruction)) {
        session.hub.pins.forget(session.token()?.insertion());
    }
    match session.read(CardRequest::Apdu { command: request.command, more: request.more }).await? {
        Reply::Apdu(answer) => {
            talk.data(&answer);
            Ok(())
        }
        other => Err(unexpected(&other)),
    }
}

/// Each line of a text goes into a D line of its own.
async fn tell(text: &str, talk: &mut dyn Conversation) -> Result<(), Error> {
    for line in text.split_inclusive('\n') {
        talk.data(line.as_bytes());
        talk.flush().await.map_err(|_| scd(Code::EPIPE))?;
    }
    Ok(())
}

async fn killscd(session: &mut Session, (): (), _talk: &mut dyn Conversation) -> Result<(), Error> {
    tracing::info!("ending on a client's request");
    session.kill = true;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_and_colons_may_stand_between_octets() {
        assert_eq!(command(b"00A4:04 00 06"), [0, 0xA4, 4, 0, 6]);
        assert_eq!(command(b"00A4 x 04"), [0, 0xA4]);
        assert!(command(b"0").is_empty());
        assert!(command(b"").is_empty());
    }
}
