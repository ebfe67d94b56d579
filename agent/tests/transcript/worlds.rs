//! Prepared cards: a world file lists the commands that make a card what it is. They are carried out once in a test
//! process, and every play gets a copy of the card's memory.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::card::VirtualCard;
use super::script::unhex;

/// A card's memory, ready to be copied.
#[derive(Debug, Clone)]
pub(crate) struct World {
    state: PathBuf,
    arguments: Vec<String>,
}

impl World {
    /// Makes the card that the file describes: `with: ARGUMENTS` for the virtual card's command line, then a line
    /// `COMMAND -> REPLY` for each exchange, both in hex.
    pub(crate) fn prepare(file: &Path, program: &Path, state: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let mut arguments = Vec::new();
        let mut exchanges = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            match (line.strip_prefix("with: "), line.split_once(" -> ")) {
                (Some(words), _) => arguments.extend(words.split(' ').map(str::to_owned)),
                (None, Some(exchange)) => exchanges.push(exchange),
                (None, None) => return Err(format!("{}: {line}", file.display())),
            }
        }
        let world = Self { state: state.to_owned(), arguments };
        let mut card =
            VirtualCard::start(program, &world.command_line(state)).map_err(|error| error.to_string())?;
        card.power_on().map_err(|error| error.to_string())?;
        for (command, reply) in exchanges {
            exchange(&mut card, command, reply).map_err(|what| format!("{}: {what}", file.display()))?;
        }
        Ok(world)
    }

    /// Copies it, and says with which arguments the card starts from the copy.
    pub(crate) fn copy_to(&self, directory: &Path) -> Result<Vec<OsString>, String> {
        copy(&self.state, directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        Ok(self.command_line(directory))
    }

    fn command_line(&self, state: &Path) -> Vec<OsString> {
        let mut all = vec![OsString::from("--state"), state.into()];
        all.extend(self.arguments.iter().map(OsString::from));
        all
    }
}

/// The reply may be given by its status word alone.
fn exchange(card: &mut VirtualCard, command: &str, reply: &str) -> Result<(), String> {
    let octets = unhex(command).map_err(|problem| problem.to_string())?;
    let wanted = unhex(reply).map_err(|problem| problem.to_string())?;
    let got = card.exchange(&octets).map_err(|error| format!("{command}: {error}"))?;
    if got.ends_with(&wanted) {
        Ok(())
    } else {
        Err(format!("{command} was answered {got:02X?}, not {reply}"))
    }
}

/// Copies a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
