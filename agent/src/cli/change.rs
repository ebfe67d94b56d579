//! `cert write` and `cert delete`: WRITECERT and DELCERT for people, and what is in the local store instead of a card.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::Path;

use claviger_keys::x509::{Certificate, MAX_FILE, read_file};

use super::agent::{Agent, escaped};
use super::command_line::Given;
use super::failure::Failure;
use super::output;
use super::read::Read;
use super::waiting;
use crate::store::{Removed, Store};

/// `claviger cert write`.
pub(super) fn write(given: &Given) -> Result<(), Failure> {
    let certificate = the_only_one(given.file(1))?;
    let mut agent = Agent::of_home(&given.home())?;
    put(&mut agent, &given.operand(0), &certificate, given.flag("force"))
}

/// Puts a certificate into a slot.
///
/// # Errors
/// [`Failure`] of the card; without `force` also if it is not one of the key there.
pub(super) fn put(
    agent: &mut Agent,
    slot: &str,
    certificate: &Certificate,
    force: bool,
) -> Result<(), Failure> {
    let check = if force { "" } else { "--check " };
    let command = format!("WRITECERT {check}-- {}", escaped(slot));
    agent.order_with("writing to the card; its Admin PIN may be asked for", &command, certificate.bare())?;
    Ok(())
}

fn the_only_one(path: &Path) -> Result<Certificate, Failure> {
    let mut found = certificates(path)?;
    match found.pop() {
        Some(certificate) if found.is_empty() => Ok(certificate),
        _ => Err(Failure::Several { path: path.to_owned(), count: found.len().saturating_add(1) }),
    }
}

/// The certificates of a file; at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<Certificate>, Failure> {
    let limit = u64::try_from(MAX_FILE).unwrap_or(u64::MAX).saturating_add(1);
    let mut octets = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut octets))
        .map_err(|error| Failure::File { path: path.to_owned(), error })?;
    read_file(&octets).map_err(|error| Failure::Certificate { path: path.to_owned(), error })
}

/// `claviger cert delete`.
pub(super) fn delete(given: &Given) -> Result<(), Failure> {
    if !given.flag("yes") && !io::stdin().is_terminal() {
        return Err(Failure::NobodyToAsk);
    }
    let mut agent = Agent::of_home(&given.home())?;
    let read = Read::new(&mut agent, &given.operand(0))?;
    if !given.flag("yes") {
        ask(&read)?;
    }
    if read.is_in_store() {
        return remove(&given.home(), &read.certificate);
    }
    let command = format!("DELCERT -- {}", escaped(&read.id));
    agent.order("removing it from the card; its Admin PIN may be asked for", &command)?;
    Ok(())
}

fn remove(home: &Path, certificate: &Certificate) -> Result<(), Failure> {
    if Store::open(home).remove(&certificate.sha256())? == Removed::StillInKeybox {
        waiting::say("gpgsm's keybox has it, too, and so it is still listed");
    }
    Ok(())
}

fn ask(read: &Read) -> Result<(), Failure> {
    let question = format!("Remove {} from {}? (y/N) ", read.subject(), read.id);
    let mut answer = String::new();
    let mut error = io::stderr();
    error
        .write_all(output::printable(&question).as_bytes())
        .and_then(|()| io::stdin().read_line(&mut answer))
        .map_err(|_| Failure::NobodyToAsk)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") { Ok(()) } else { Err(Failure::Declined) }
}
