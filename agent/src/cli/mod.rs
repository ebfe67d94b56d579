//! The person's face: `claviger cert …` and `claviger key …`.
//!
//! ```text
//!   claviger cert ──► gpg-agent's socket ──SCD …──► claviger-scdaemon ──► card
//!                         └──► pinentry, where the person sits
//! ```
//!
//! What is asked of a card goes through GnuPG's agent, because the agent owns the PIN prompt; only what goes into the
//! local store or out of it is done here. Each command is a row of [`table`], from which the command line is read and
//! help is written; a command's work is in the file of its family.
//! Exit codes: 0 done, 1 refused or failed, 2 a wrong command line.

mod agent;
mod change;
mod command_line;
mod environment;
mod failure;
mod help;
mod holder;
mod import;
mod key;
mod list;
mod make;
mod output;
mod read;
mod table;
mod waiting;

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

use self::command_line::Asked;
use self::failure::Failure;
use crate::USAGE;

/// Runs what the words ask for: the first of them is that behind the program's name.
pub(crate) fn run(first: OsString, rest: impl IntoIterator<Item = OsString>) -> ExitCode {
    let words: Vec<_> = std::iter::once(first).chain(rest).collect();
    let result = match command_line::parse(&words) {
        Ok(Asked::Help(text)) => output::text(&text),
        Ok(Asked::Command(command, given)) => (command.run)(&given),
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("claviger: {}", output::printable(&error.to_string()));
            if matches!(error, Failure::Usage(_)) { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
        }
    }
}

/// The whole help: for the program without a word.
pub(crate) fn help() -> String {
    help::program()
}

/// A word of the command line as text, whatever octets it has.
fn text(word: &OsStr) -> String {
    word.to_string_lossy().into_owned()
}
