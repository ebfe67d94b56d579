//! DEVINFO: the cards that are there, and with `--watch` what becomes of them (GnuPG 2.3 and later).

use claviger_assuan::args::Args;
use claviger_assuan::conversation::Conversation;
use claviger_assuan::error::{Code, Error};
use claviger_cards::deck::{Change, Deck, DeckEvent};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::errors::scd;
use super::session::Session;
use super::{Command, card_list, row, status};

pub(super) static COMMANDS: &[Command] = &[row!("DEVINFO", Always, request, devinfo, HELP)];

const HELP: &str = "\
DEVINFO [--watch]

Return the cards and PKCS#11 tokens that are there:

  S DEVINFO_START
  S DEVICE <card type> <serialno> <apptype>
  S DEVINFO_END

With --watch, look for cards first, and return another such list each
time one was inserted or removed, behind one of the lines

  S DEVINFO_STATUS new
  S DEVINFO_STATUS removal

until the client sends its next line or closes the connection. This
takes a connection of its own: on the one that the agent hands from
client to client it is refused.";

fn request(arguments: Args<'_>) -> Result<bool, Error> {
    Ok(arguments.flag("--watch"))
}

async fn devinfo(session: &mut Session, watch: bool, talk: &mut dyn Conversation) -> Result<(), Error> {
    let found = list(&session.hub.deck, talk);
    if !watch {
        return found;
    }
    let mut events = session.hub.deck.subscribe();
    if let Err(error) = session.hub.deck.scan().await {
        tracing::info!(%error, "no card yet");
    }
    // As in GnuPG, who watches has no card, and hears of no removal.
    session.begin_anew();
    if session.client.is_handed_on() {
        return Err(scd(Code::INV_HANDLE));
    }
    loop {
        let found = list(&session.hub.deck, talk);
        talk.flush().await.map_err(|_| scd(Code::EPIPE))?;
        let change = tokio::select! {
            biased;
            () = talk.interrupted() => return found,
            () = session.hub.ending() => return found,
            change = next_change(&mut events) => change,
            never = session.hub.deck.attend() => match never {},
        };
        talk.status("DEVINFO_STATUS", change);
    }
}

/// One list of all cards.
fn list(deck: &Deck, talk: &mut dyn Conversation) -> Result<(), Error> {
    let tokens = deck.tokens();
    talk.status("DEVINFO_START", b"");
    for token in &tokens {
        let kind = token.card().map_or(status::GENERIC, |facts| status::card_type(&facts));
        let line = format!("{kind} {}", card_list::with_applications(token));
        talk.status("DEVICE", line.as_bytes());
    }
    talk.status("DEVINFO_END", b"");
    if tokens.is_empty() { Err(scd(Code::NOT_FOUND)) } else { Ok(()) }
}

/// What GnuPG calls the next insertion or removal.
async fn next_change(events: &mut Receiver<DeckEvent>) -> &'static [u8] {
    loop {
        match events.recv().await {
            Ok(DeckEvent { change: Change::Inserted, .. }) => return b"new",
            Ok(DeckEvent { change: Change::Removed, .. }) => return b"removal",
            Ok(DeckEvent { change: Change::Reset, .. }) => {}
            // The list that follows makes up for it.
            Err(RecvError::Lagged(_)) => return b"new",
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample_token::{Office, SERIAL, token};

    #[tokio::test(start_paused = true)]
    async fn a_token_is_listed_with_its_application() {
        let said = Office::new([token()], &[]).says(&["DEVINFO"]).await;
        let device = format!("S DEVICE generic {SERIAL} pkcs11");
        assert_eq!(said, ["S DEVINFO_START", &device, "S DEVINFO_END", "OK"]);
    }
}
