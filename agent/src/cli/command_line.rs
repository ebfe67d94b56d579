//! Reads the command line by the [`table`](super::table).

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use lexopt::Arg;

use super::table::{COMMANDS, COMMON, Command, Opt};
use super::{help, text};
use crate::home;
use crate::nearest::nearest;

/// What the command line asks for.
pub(super) enum Asked {
    /// A text.
    Help(String),
    /// A command, with what was given to it.
    Command(&'static Command, Given),
}

/// What is wrong with a command line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum UsageError {
    /// No family has that name.
    #[error("there is no command '{0}'{meant}; there are: scdaemon, {families}. See claviger --help",
        meant = meant(.0, &help::families()), families = help::families().join(", "))]
    Family(String),
    /// The family alone.
    #[error("{0} what? There are: {names}. See claviger {0} --help", names = help::names(.0).join(", "))]
    Bare(&'static str),
    /// The family has no such command.
    #[error("there is no command '{family} {name}'{meant}; there are: {names}. See claviger {family} --help",
        meant = meant(name, &help::names(family)), names = help::names(family).join(", "))]
    Command {
        /// The family.
        family: &'static str,
        /// What was written.
        name: String,
    },
    /// The command has no such option.
    #[error("'{command}' has no option '{name}'{meant}; it has: {options}",
        meant = meant_option(name, command), options = help::option_names(command).join(", "))]
    Option {
        /// Family and name.
        command: String,
        /// What was written.
        name: String,
    },
    /// Too few operands, or too many.
    #[error("use it so: claviger {command} {arguments}. See claviger {command} --help")]
    Operands {
        /// Family and name.
        command: String,
        /// What it takes.
        arguments: &'static str,
    },
    /// Two options that exclude each other.
    #[error("--{0} and --{1} exclude each other")]
    Both(&'static str, &'static str),
    /// A value that is none.
    #[error("'{value}' is nothing for --{option}: {wanted}")]
    Value {
        /// The option.
        option: &'static str,
        /// What was written.
        value: String,
        /// What it has to be.
        wanted: &'static str,
    },
    /// A value is missing, or one too many.
    #[error("{0}")]
    Form(String),
}

/// What may have been meant, in parentheses; nothing if nothing is near.
fn meant(written: &str, names: &[&str]) -> String {
    nearest(written, names).map(|name| format!(" (did you mean '{name}'?)")).unwrap_or_default()
}

fn meant_option(written: &str, command: &str) -> String {
    let names = help::option_names(command);
    meant(written, &names.iter().map(String::as_str).collect::<Vec<_>>())
}

impl From<lexopt::Error> for UsageError {
    fn from(error: lexopt::Error) -> Self {
        Self::Form(error.to_string())
    }
}

/// The options and operands of a command.
#[derive(Debug, Default)]
pub(super) struct Given {
    options: Vec<(&'static str, OsString)>,
    operands: Vec<OsString>,
}

impl Given {
    /// Whether the option is there.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// The last value of the option.
    pub(super) fn value(&self, name: &str) -> Option<&OsStr> {
        self.options.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| value.as_os_str())
    }

    /// Which of two options is there.
    ///
    /// # Errors
    /// [`UsageError::Both`].
    pub(super) fn either(&self, one: &'static str, other: &'static str) -> Result<Option<bool>, UsageError> {
        match (self.flag(one), self.flag(other)) {
            (true, true) => Err(UsageError::Both(one, other)),
            (false, false) => Ok(None),
            (is_one, _) => Ok(Some(is_one)),
        }
    }

    /// An operand as text; empty if it is not there.
    pub(super) fn operand(&self, number: usize) -> String {
        self.operands.get(number).map(|word| text(word)).unwrap_or_default()
    }

    /// An operand as the name of a file.
    pub(super) fn file(&self, number: usize) -> &Path {
        self.operands.get(number).map_or(Path::new(""), Path::new)
    }

    /// All operands as names of files.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        self.operands.iter().map(Path::new)
    }

    /// Whether there is no operand.
    pub(super) fn is_bare(&self) -> bool {
        self.operands.is_empty()
    }

    /// GnuPG's home.
    pub(super) fn home(&self) -> PathBuf {
        home::directory(self.value("homedir").map(Path::new))
    }
}

/// Reads the words behind the program's name.
///
/// # Errors
/// [`UsageError`] for the first that is wrong.
pub(super) fn parse(words: &[OsString]) -> Result<Asked, UsageError> {
    let mut words = words.iter();
    let first = words.next().map(|word| text(word)).unwrap_or_default();
    match first.as_str() {
        "--help" | "-h" | "help" => return Ok(Asked::Help(help::program())),
        "--version" | "-V" | "version" => return Ok(Asked::Help(help::version())),
        _ => {}
    }
    let family = help::families().into_iter().find(|family| *family == first);
    let family = family.ok_or(UsageError::Family(first))?;
    let name = words.next().map(|word| text(word)).ok_or(UsageError::Bare(family))?;
    if matches!(name.as_str(), "--help" | "-h" | "help") {
        return Ok(Asked::Help(help::family(family)));
    }
    let command = COMMANDS.iter().find(|command| command.words == [family, &name]);
    of_command(command.ok_or(UsageError::Command { family, name })?, words.cloned())
}

fn of_command(command: &'static Command, words: impl Iterator<Item = OsString>) -> Result<Asked, UsageError> {
    let mut given = Given::default();
    let mut parser = lexopt::Parser::from_args(words);
    while let Some(argument) = parser.next()? {
        let name = match argument {
            Arg::Value(word) => {
                given.operands.push(word);
                continue;
            }
            Arg::Short('h') => "--help".to_owned(),
            Arg::Short(letter) => format!("-{letter}"),
            Arg::Long(name) => format!("--{name}"),
        };
        let option = option(command, &name)?;
        let value = if option.value.is_some() { parser.value()? } else { OsString::new() };
        given.options.push((option.name, value));
    }
    if given.flag("help") {
        return Ok(Asked::Help(help::command(command)));
    }
    if !command.operands.contains(&given.operands.len()) {
        return Err(UsageError::Operands { command: command.words.join(" "), arguments: command.arguments });
    }
    Ok(Asked::Command(command, given))
}

fn option(command: &'static Command, name: &str) -> Result<&'static Opt, UsageError> {
    let mut all = command.options.iter().chain(COMMON);
    let found = all.find(|option| name.strip_prefix("--") == Some(option.name));
    let unknown = || UsageError::Option { command: command.words.join(" "), name: name.to_owned() };
    found.copied().ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Asked, String> {
        let words: Vec<_> = line.split(' ').map(OsString::from).collect();
        parse(&words).map_err(|error| error.to_string())
    }

    fn error(line: &str) -> String {
        parsed(line).err().unwrap_or_else(|| panic!("{line} is taken"))
    }

    #[test]
    fn options_and_operands_may_be_mixed() {
        let Ok(Asked::Command(command, given)) =
            parsed("cert export --homedir=/h OPENPGP.3 --der --output f")
        else {
            panic!("refused")
        };
        assert_eq!(command.words, ["cert", "export"]);
        assert_eq!((given.operand(0).as_str(), given.home().as_path()), ("OPENPGP.3", Path::new("/h")));
        assert_eq!(given.value("output"), Some(OsStr::new("f")));
        assert_eq!(given.either("der", "pem"), Ok(Some(true)));
        assert!(!given.flag("chain"));
    }

    #[test]
    fn errors_say_what_there_is() {
        assert!(error("crt").contains("no command 'crt' (did you mean 'cert'?); there are: scdaemon, cert"));
        assert!(
            error("cert lst")
                .contains("no command 'cert lst' (did you mean 'list'?); there are: list, show, ")
        );
        assert!(error("cert nonsense").contains("no command 'cert nonsense'; there are: list, show, "));
        assert!(error("cert").starts_with("cert what? There are: list, show, "));
        let option = error("cert show --jsn x");
        let meant =
            "'cert show' has no option '--jsn' (did you mean '--json'?); it has: --json, --homedir, --help";
        assert_eq!(option, meant);
        assert!(error("cert list --home /h").contains("(did you mean '--homedir'?)"));
        assert!(error("cert show -j x").contains("no option '-j'"));
        assert!(error("cert show").starts_with("use it so: claviger cert show REF. "));
        assert!(error("cert write OPENPGP.3").contains("claviger cert write REF FILE"));
        assert!(error("cert list --token").contains("--token"));
        assert!(error("cert list --json=1").contains("--json"));
    }

    #[test]
    fn help_is_had_at_every_step() {
        for line in ["--help", "cert --help", "cert show --help", "cert show -h", "--version"] {
            assert!(matches!(parsed(line), Ok(Asked::Help(_))), "{line}");
        }
    }
}
