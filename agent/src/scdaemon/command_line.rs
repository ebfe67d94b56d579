//! Reads the command line as GnuPG's scdaemon does, and prints what `--help`, `--gpgconf-list` and their like ask for.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;

use super::options::{self, Group, OPTIONS, Opt, Takes};
use super::settings::{self, OptionError, Settings};
use super::typed::Typed;
use crate::VERSION;

/// The version of GnuPG whose scdaemon we answer as: no lower than any gpg we serve, since gpg warns about older ones.
pub(super) const GNUPG_VERSION: &str = "2.4.7";

/// What the command line asks for.
#[derive(Debug)]
pub(super) struct CommandLine {
    pub(super) typed: Typed,
    /// The program that `--daemon` is to start, with its arguments.
    pub(super) program: Vec<OsString>,
}

/// Reads options on top of those in `typed`; what follows the first word that is none is a program for `--daemon`.
///
/// # Errors
/// [`OptionError`] for the first option that is wrong.
pub(super) fn parse(arguments: &[OsString], mut typed: Typed) -> Result<CommandLine, OptionError> {
    let mut program = Vec::new();
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = next(&mut parser)? {
        let (option, name) = match argument {
            lexopt::Arg::Long(name) => (options::by_name(name), format!("--{name}")),
            lexopt::Arg::Short(letter) => (options::by_letter(letter), format!("-{letter}")),
            lexopt::Arg::Value(word) => {
                program.push(word);
                program.extend(parser.raw_args().map_err(|error| problem(&error))?);
                break;
            }
        };
        let option = option.ok_or(OptionError::Unknown { place: String::new(), name })?;
        let value = value_of(option, &mut parser)?;
        settings::note(option, value.as_deref(), String::new(), &mut typed)?;
    }
    Ok(CommandLine { typed, program })
}

fn next(parser: &mut lexopt::Parser) -> Result<Option<lexopt::Arg<'_>>, OptionError> {
    parser.next().map_err(|error| problem(&error))
}

/// The value of an option that takes one: behind `=`, or the next word.
fn value_of(option: &Opt, parser: &mut lexopt::Parser) -> Result<Option<String>, OptionError> {
    match option.takes {
        Takes::Nothing => Ok(None),
        Takes::Text | Takes::Number => {
            let value = parser.value().map_err(|error| problem(&error))?;
            Ok(Some(value.to_string_lossy().into_owned()))
        }
    }
}

fn problem(error: &lexopt::Error) -> OptionError {
    OptionError::CommandLine(error.to_string())
}

/// The answer to `--version`: GnuPG's first line, which gpgconf reads, then our own.
pub(super) fn version() -> String {
    format!(
        "scdaemon (GnuPG) {GNUPG_VERSION}\n\
         claviger {VERSION}, a replacement of GnuPG's scdaemon\n\
         License LGPL-3.0-or-later <https://gnu.org/licenses/lgpl.html>\n\
         This is free software: you are free to change and redistribute it.\n\
         There is NO WARRANTY, to the extent permitted by law.\n"
    )
}

/// The answer to `--help`.
pub(super) fn help() -> String {
    let mut text = version();
    text.push_str("\nSyntax: claviger-scdaemon [options] [command [args]]\nSmartcard daemon for GnuPG\n");
    for group in Group::SHOWN {
        let _ = write!(text, "\n{}:\n", group.heading());
        text.extend(group.listed().map(help_line));
    }
    text.push_str(
        "\nTo use it with GnuPG, put into gpg-agent.conf:  scdaemon-program /path/to/claviger-scdaemon\n",
    );
    text
}

fn help_line(option: &Opt) -> String {
    let (value, help) = option.value_and_help();
    let value = value.map(|value| format!(" {value}")).unwrap_or_default();
    let short = option.short.map_or_else(|| "   ".to_owned(), |letter| format!("-{letter},"));
    format!(" {short} {:24} {help}\n", format!("--{}{value}", option.name))
}

/// The answer to `--warranty`.
pub(super) fn warranty() -> String {
    "claviger comes with no warranty, to the extent permitted by law. It is free software under the GNU Lesser\n\
     General Public License, version 3 or later, which you received with it in the file LICENSE.\n"
        .to_owned()
}

/// The answer to `--gpgconf-list`: the options that gpgconf may change, with their defaults.
pub(super) fn gpgconf_list(settings: &Settings) -> String {
    let mut text = format!("gpgconf-scdaemon.conf:16:\"{}\n", escaped_for_gpgconf(&settings.config_file));
    for option in OPTIONS {
        if let Some(default) = option.gpgconf {
            let _ = writeln!(text, "{}:{default}", option.name);
        }
    }
    text
}

/// gpgconf's fields are separated by colons and commas, which are percent-escaped within one.
fn escaped_for_gpgconf(path: &Path) -> String {
    path.to_string_lossy().replace('%', "%25").replace(':', "%3a").replace(',', "%2c")
}

/// The answer to `--dump-option-table`: `name:short:flags:description:`, flags as in GnuPG's argument parser (0 none,
/// 1 number, 2 text; 128 a command; 512 a heading).
pub(super) fn option_table() -> String {
    let mut text = String::new();
    let mut group = Group::Command;
    for (number, option) in OPTIONS.iter().enumerate() {
        if option.group != group && option.group != Group::Command {
            group = option.group;
            let _ = writeln!(text, "{:?}:1:512:{}:", group, group.heading());
        }
        let short = option.short.map_or_else(|| number.saturating_add(500), |letter| letter as usize);
        let kind = match option.takes {
            Takes::Nothing => 0,
            Takes::Number => 1,
            Takes::Text => 2,
        };
        let flags = kind + if option.group == Group::Command { 128 } else { 0 };
        let help = if option.help.is_empty() { "@" } else { option.help };
        let _ = writeln!(text, "{}:{short}:{flags}:{help}:", option.name);
    }
    text
}

/// The answer to `--dump-options`.
pub(super) fn option_names() -> String {
    OPTIONS.iter().map(|option| format!("--{}\n", option.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<CommandLine, String> {
        let words: Vec<_> = words.iter().map(OsString::from).collect();
        parse(&words, Typed::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_agent_s_own_command_lines_are_understood() {
        let line = parsed(&["--multi-server", "--homedir", "/abs/dir"]).unwrap();
        assert!(line.typed.multi_server);
        assert_eq!(line.typed.homedir.as_deref(), Some(Path::new("/abs/dir")));
        let line = parsed(&["--multi-server", "--homedir=/abs/dir"]).unwrap();
        assert_eq!(line.typed.homedir.as_deref(), Some(Path::new("/abs/dir")));
    }

    #[test]
    fn short_options_may_stand_together_and_a_program_ends_them() {
        let line = parsed(&["-vvs", "--daemon", "sh", "-c", "true"]).unwrap();
        assert_eq!(line.typed.verbose, 2);
        assert!(line.typed.sh && line.typed.daemon && !line.typed.csh);
        assert_eq!(line.program, ["sh", "-c", "true"]);
    }

    #[test]
    fn wrong_options_are_named() {
        let unknown = parsed(&["--nonsense"]).unwrap_err();
        assert_eq!(unknown, "invalid option \"--nonsense\" — run with --help for the list");
        let missing = parsed(&["--homedir"]).unwrap_err();
        assert_eq!(missing, "missing argument for option '--homedir'");
        let surplus = parsed(&["--server=1"]).unwrap_err();
        assert_eq!(surplus, "unexpected argument for option '--server': \"1\"");
    }

    #[test]
    fn help_lists_each_option_that_has_a_text() {
        let help = help();
        for option in OPTIONS.iter().filter(|option| !option.help.is_empty()) {
            assert!(help.contains(&format!("--{}", option.name)), "{}", option.name);
        }
        assert!(help.starts_with("scdaemon (GnuPG) 2.4.7\n"));
    }

    #[test]
    fn every_option_has_a_row_in_the_option_table() {
        let table = option_table();
        assert!(table.contains("\nserver:"));
        assert_eq!(table.lines().filter(|line| !line.contains(":1:512:")).count(), OPTIONS.len(), "{table}");
        assert!(table.lines().all(|line| line.ends_with(':') && line.split(':').count() >= 5));
    }

    #[test]
    fn the_configuration_file_s_name_is_escaped_for_gpgconf() {
        assert_eq!(escaped_for_gpgconf(Path::new("/a:b/100%")), "/a%3ab/100%25");
    }
}
