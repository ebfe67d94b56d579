//! LOCK and UNLOCK: exclusive use of the cards for one session.

use std::time::Duration;

use claviger_assuan::args::Args;
use claviger_assuan::conversation::Conversation;
use claviger_assuan::error::{Code, Error};

use super::errors::scd;
use super::session::Session;
use super::{Command, parse, row};

/// How often a waiting client hears from us; GnuPG's clients notice a lost connection by it.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

pub(super) static COMMANDS: &[Command] = &[
    row!("LOCK", Always, lock_request, lock, HELP_LOCK),
    row!("UNLOCK", Always, parse::nothing, unlock, HELP_UNLOCK),
];

const HELP_LOCK: &str = "\
LOCK [--wait]

Reserve all cards for this session; others get the error \"Locked\" until
UNLOCK, RESET, RESTART or the end of the session. With --wait, wait
until another session's lock is released; meanwhile a status line

  S PROGRESS scd_locked . 0 0

is sent each second.";

const HELP_UNLOCK: &str = "\
UNLOCK

Give back what LOCK has reserved.";

fn lock_request(arguments: Args<'_>) -> Result<bool, Error> {
    Ok(arguments.flag("--wait"))
}

async fn lock(session: &mut Session, wait: bool, talk: &mut dyn Conversation) -> Result<(), Error> {
    while !session.hub.take_lock(session.id) {
        if !wait {
            return Err(scd(Code::LOCKED));
        }
        tokio::time::sleep(PROGRESS_INTERVAL).await;
        talk.status("PROGRESS", b"scd_locked . 0 0");
        talk.flush().await.map_err(|_| scd(Code::EPIPE))?;
    }
    Ok(())
}

async fn unlock(session: &mut Session, (): (), _talk: &mut dyn Conversation) -> Result<(), Error> {
    match session.hub.lock_owner() {
        None => Err(scd(Code::NOT_LOCKED)),
        Some(owner) if owner != session.id => Err(scd(Code::LOCKED)),
        Some(_) => {
            session.hub.release_lock(session.id);
            Ok(())
        }
    }
}
