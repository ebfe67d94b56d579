//! GnuPG's scdaemon, as a face: its command line, its configuration, its commands over pipe and socket.
//!
//! ```text
//!   program ── listens, greets ──► service ── finds the row ──► gate ──► a family's handler ──► perform ──► token
//!                                  (one per connection)        (session)                       (PINs)
//! ```
//!
//! A command is a row of data: its name, when it is allowed, how its arguments parse, who carries it out, its help.
//! Each family of commands is one file; here they are put together in the order in which `HELP` lists them, which is
//! GnuPG's. Which GnuPG we answer as, where versions differ, is `command_line::GNUPG_VERSION`; what each command says
//! follows GnuPG's scd, `command.c` and `app-openpgp.c`.

mod apdu;
mod attributes;
mod card_list;
mod certificates;
mod command_line;
mod control;
mod core;
mod daemon;
mod data;
mod decrypt;
mod detach;
mod devinfo;
mod errors;
mod events;
mod generate;
mod hang_up;
mod holders;
mod hub;
mod info;
mod key_reference;
mod keyinfo;
mod lapse;
mod learn;
mod learn_token;
mod listener;
mod located_key;
mod lock;
mod openpgp_certificates;
mod options;
mod parse;
mod perform;
mod pin_cache;
mod pinpad;
mod pins;
mod program;
mod prompt;
mod read;
mod readcert;
pub mod reference;
#[cfg(test)]
mod sample_token;
#[cfg(test)]
mod scripted_token;
mod select;
mod service;
mod session;
mod set;
mod settings;
mod sign;
mod status;
mod token_attributes;
mod token_certificates;
mod token_keys;
mod token_making;
mod token_pins;
mod token_places;
mod token_prompt;
mod token_reference;
mod token_slots;
mod token_status;
mod touch;
mod typed;
mod wait;
mod write;

use std::sync::LazyLock;

use claviger_assuan::args::Args;
use claviger_assuan::conversation::{BoxFuture, Conversation};
use claviger_assuan::error::Error;
use claviger_assuan::table::CommandInfo;

pub use self::core::{Asked, Scdaemon};
pub use self::program::run;
use self::session::{Allowed, Session};
pub use self::settings::OptionError;

/// One command.
pub(crate) struct Command {
    name: &'static str,
    /// What `HELP` says; the first line is the usage.
    help: &'static str,
    /// When it may be carried out; looked at after its arguments were parsed, as GnuPG does.
    allowed: Allowed,
    /// Parses the arguments and returns what is to be done with them.
    start: fn(Args<'_>) -> Result<Act, Error>,
}

/// A parsed command, ready to be carried out.
type Act = Box<
    dyn for<'a> FnOnce(&'a mut Session, &'a mut dyn Conversation) -> BoxFuture<'a, Result<(), Error>> + Send,
>;

/// A row of a command table: name, when allowed, parser, handler, help.
macro_rules! row {
    ($name:literal, $allowed:ident, $parse:path, $act:path, $help:expr) => {
        $crate::scdaemon::Command {
            name: $name,
            help: $help,
            allowed: $crate::scdaemon::session::Allowed::$allowed,
            start: |arguments| {
                let request = $parse(arguments)?;
                Ok(Box::new(move |session, talk| Box::pin($act(session, request, talk))))
            },
        }
    };
}
use row;

/// The families in the order of `HELP`. Between [`decrypt`] and [`attributes`] stand INPUT and OUTPUT, which the wire
/// layer answers.
static FAMILIES: [&[Command]; 20] = [
    select::COMMANDS,
    learn::COMMANDS,
    readcert::COMMANDS,
    read::COMMANDS,
    data::COMMANDS,
    sign::COMMANDS,
    decrypt::COMMANDS,
    attributes::COMMANDS,
    set::COMMANDS,
    write::COMMANDS,
    generate::COMMANDS,
    pins::COMMANDS,
    lock::COMMANDS,
    info::COMMANDS,
    control::COMMANDS,
    apdu::COMMANDS,
    keyinfo::COMMANDS,
    devinfo::COMMANDS,
    wait::COMMANDS,
    certificates::COMMANDS,
];

/// After which family INPUT and OUTPUT are listed.
const FAMILIES_BEFORE_INPUT: usize = 7;

/// A row of the table: what the wire layer needs, and the command unless that layer answers by itself.
struct Row {
    info: CommandInfo,
    command: Option<&'static Command>,
}

static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let (before, after) = FAMILIES.split_at(FAMILIES_BEFORE_INPUT);
    let rows = |families: &'static [&'static [Command]]| families.iter().copied().flatten().map(Row::from);
    let wire = ["INPUT", "OUTPUT"].map(|name| Row { info: CommandInfo { name, help: "" }, command: None });
    rows(before).chain(wire).chain(rows(after)).collect()
});

static TABLE: LazyLock<Vec<CommandInfo>> = LazyLock::new(|| ROWS.iter().map(|row| row.info).collect());

impl From<&'static Command> for Row {
    fn from(command: &'static Command) -> Self {
        Self { info: CommandInfo { name: command.name, help: command.help }, command: Some(command) }
    }
}

/// The command at this place of the table.
fn command(index: usize) -> Option<&'static Command> {
    ROWS.get(index)?.command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_listed_in_gnupg_s_order() {
        let names: Vec<_> = TABLE.iter().map(|row| row.name).collect();
        assert_eq!(
            names.join(" "),
            "SERIALNO SWITCHCARD SWITCHAPP LEARN READCERT READKEY SETDATA PKSIGN PKAUTH PKDECRYPT INPUT OUTPUT \
             GETATTR SETATTR WRITECERT WRITEKEY GENKEY RANDOM PASSWD CHECKPIN LOCK UNLOCK GETINFO RESTART \
             DISCONNECT APDU KILLSCD KEYINFO DEVINFO WAIT LISTCERTS DELCERT"
        );
    }

    #[test]
    fn each_command_has_a_help_text_that_begins_with_its_usage() {
        for command in FAMILIES.iter().copied().flatten() {
            assert!(command.help.starts_with(command.name), "{}", command.name);
            assert!(command.help.lines().count() > 2, "{} is not explained", command.name);
            let widest = command.help.lines().map(str::len).max().unwrap();
            assert!(widest <= 78, "{}: a line of {widest} octets", command.name);
        }
    }
}
