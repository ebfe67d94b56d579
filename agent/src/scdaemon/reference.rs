//! The command table as documents show it: `docs/protocol.md` is made from this.
//!
//! Texts and order are those of `HELP`; nothing is said here that the table does not say.

use super::session::Allowed;
use super::{ROWS, Row};

/// A command as a document shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandText {
    /// Its name, in upper case.
    pub name: &'static str,
    /// What `HELP` says of it; the first line is the usage. Empty if it has no help.
    pub help: &'static str,
    /// When it is carried out; `None` if the wire layer answers it.
    pub gate: Option<Gate>,
}

/// When a command is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Always.
    Always,
    /// Unless another session has the lock.
    Unlocked,
    /// As `Unlocked`, with a card that was not removed since it was selected.
    WithCard,
}

/// All commands but the built-in ones of every Assuan server, in the order of `HELP`.
pub fn commands() -> impl Iterator<Item = CommandText> {
    ROWS.iter().map(CommandText::from)
}

impl From<&Row> for CommandText {
    fn from(row: &Row) -> Self {
        let gate = row.command.map(|command| Gate::from(command.allowed));
        Self { name: row.info.name, help: row.info.help, gate }
    }
}

impl From<Allowed> for Gate {
    fn from(allowed: Allowed) -> Self {
        match allowed {
            Allowed::Always => Self::Always,
            Allowed::Unlocked => Self::Unlocked,
            Allowed::WithCard => Self::WithCard,
        }
    }
}
