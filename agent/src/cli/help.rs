//! Help texts, made from the [`table`](super::table).

use std::fmt::Write as _;

use super::table::{COMMANDS, COMMON, Command, Opt};
use crate::VERSION;

const INTRODUCTION: &str = "\
claviger: one daemon for the private keys on OpenPGP cards, on PKCS#11 tokens
and on disk

Usage: claviger COMMAND [arguments] [options]
       claviger --version | --help

Commands:
";

/// The other face, which reads its own options.
const SCDAEMON: &str = "GnuPG's smartcard daemon, with options of its own";

const CLOSING: &str = "
claviger COMMAND --help tells more of each.

To use it with GnuPG, run gpgconf --kill gpg-agent after this line was put into
gpg-agent.conf:
  scdaemon-program /path/to/claviger-scdaemon
";

/// The answer to `--version`.
pub(super) fn version() -> String {
    format!("claviger {VERSION}\n")
}

/// The answer to `claviger --help`.
pub(super) fn program() -> String {
    let rows: String = COMMANDS.iter().map(|command| of_command(&command.words.join(" "), command)).collect();
    format!("{INTRODUCTION}{}{rows}{CLOSING}", row("scdaemon", SCDAEMON))
}

/// The answer to `claviger cert --help`.
pub(super) fn family(family: &str) -> String {
    let mut text = format!("Usage: claviger {family} COMMAND [arguments] [options]\n\nCommands:\n");
    for command in commands(family) {
        text.push_str(&of_command(command.words[1], command));
    }
    let _ = write!(text, "\nclaviger {family} COMMAND --help tells more of each.\n");
    text
}

fn of_command(name: &str, command: &Command) -> String {
    row(&format!("{name} {}", command.arguments), command.help)
}

fn row(name: &str, help: &str) -> String {
    format!("  {name:24} {help}\n")
}

/// The answer to `claviger cert list --help`.
pub(super) fn command(command: &Command) -> String {
    let [family, name] = command.words;
    let mut text = format!("claviger {family} {name}: {}\n\n", command.help);
    let _ = write!(text, "Usage: claviger {family} {name} {} [options]\n\n", command.arguments);
    if !command.more.is_empty() {
        let _ = write!(text, "{}\n\n", command.more);
    }
    text.push_str("Options:\n");
    for option in command.options.iter().chain(COMMON) {
        let _ = writeln!(text, "  {:22} {}", shown(option), option.help);
    }
    text
}

fn shown(option: &Opt) -> String {
    match option.value {
        Some(value) => format!("--{} {value}", option.name),
        None => format!("--{}", option.name),
    }
}

/// The first words of commands.
pub(super) fn families() -> Vec<&'static str> {
    let mut families: Vec<_> = COMMANDS.iter().map(|command| command.words[0]).collect();
    families.dedup();
    families
}

/// The commands of a family.
pub(super) fn names(family: &str) -> Vec<&'static str> {
    commands(family).map(|command| command.words[1]).collect()
}

/// The options of a command.
pub(super) fn option_names(command: &str) -> Vec<String> {
    let found = COMMANDS.iter().find(|known| known.words.join(" ") == command);
    let options = found.map_or(&[][..], |command| command.options);
    options.iter().chain(COMMON).map(|option| format!("--{}", option.name)).collect()
}

fn commands(family: &str) -> impl Iterator<Item = &'static Command> {
    COMMANDS.iter().filter(move |command| command.words[0] == family)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_every_command_and_option_and_fits_a_terminal() {
        let all = program();
        for known in COMMANDS {
            assert!(all.contains(&known.words.join(" ")), "{:?}", known.words);
            assert!(family(known.words[0]).contains(known.words[1]));
            let text = command(known);
            for option in known.options.iter().chain(COMMON) {
                assert!(text.contains(&shown(option)), "{}", option.name);
            }
            assert!(text.lines().chain(all.lines()).all(|line| line.chars().count() <= 80), "{text}");
        }
        assert!(all.contains("scdaemon") && version().starts_with("claviger "));
    }
}
