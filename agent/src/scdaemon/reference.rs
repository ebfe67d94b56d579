//! The command table and the options as documents show them: `docs/protocol.md` and the manual page are made from this.
//!
//! Texts and order are those of `HELP` and `--help`; nothing is said here that the tables do not say.

use super::options::{Group, Opt};
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

/// An option of the command line, and of `scdaemon.conf`, as a document shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionText {
    /// Its name, without dashes.
    pub name: &'static str,
    /// Its letter.
    pub short: Option<char>,
    /// What its value is called, if it has one.
    pub value: Option<&'static str>,
    /// One line.
    pub help: &'static str,
    /// The heading under which `--help` lists it.
    pub heading: &'static str,
}

/// All commands but the built-in ones of every Assuan server, in the order of `HELP`.
pub fn commands() -> impl Iterator<Item = CommandText> {
    ROWS.iter().map(CommandText::from)
}

/// The options that `--help` shows, in its order.
pub fn options() -> impl Iterator<Item = OptionText> {
    Group::SHOWN.into_iter().flat_map(Group::listed).map(OptionText::from)
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

impl From<&'static Opt> for OptionText {
    fn from(option: &'static Opt) -> Self {
        let (value, help) = option.value_and_help();
        Self { name: option.name, short: option.short, value, help, heading: option.group.heading() }
    }
}
