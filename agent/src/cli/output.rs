//! Writing: to standard output, for people, and to files.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;

use claviger_keys::x509::{pem, time_text};
use serde_json::Value;

use super::command_line::Given;
use super::failure::Failure;

/// Columns of a line for people, where the terminal does not say.
const COLUMNS: usize = 80;

/// Writes text to standard output.
///
/// # Errors
/// [`Failure::Output`].
pub(super) fn text(text: &str) -> Result<(), Failure> {
    octets(text.as_bytes())
}

/// Writes JSON to standard output.
///
/// # Errors
/// [`Failure::Output`].
pub(super) fn json(value: &Value) -> Result<(), Failure> {
    text(&format!("{value:#}\n"))
}

fn octets(octets: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(octets).and_then(|()| out.flush()).map_err(Failure::Output)
}

/// Refuses what would send binary to a terminal.
///
/// # Errors
/// [`Failure::Terminal`].
pub(super) fn refuse_binary_to_terminal(given: &Given, binary: bool) -> Result<(), Failure> {
    let to_terminal = binary && !given.flag("output") && io::stdout().is_terminal();
    if to_terminal { Err(Failure::Terminal) } else { Ok(()) }
}

/// Writes what was made to the file that `--output` names, or to standard output.
///
/// # Errors
/// [`Failure::File`] and [`Failure::Output`].
pub(super) fn to_destination(given: &Given, made: &[u8]) -> Result<(), Failure> {
    match given.value("output").map(Path::new) {
        Some(path) => fs::write(path, made).map_err(|error| Failure::File { path: path.to_owned(), error }),
        None => octets(made),
    }
}

/// The same for DER, which becomes PEM unless binary is wanted.
///
/// # Errors
/// As [`to_destination`].
pub(super) fn made(given: &Given, label: &str, der: &[u8], binary: bool) -> Result<(), Failure> {
    if binary { to_destination(given, der) } else { to_destination(given, pem::write(label, der).as_bytes()) }
}

/// Text from strangers without what a terminal would obey.
pub(super) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() && letter != '\n' {
            let _ = write!(shown, "\\x{:02x}", u32::from(letter));
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// The same in one line.
pub(super) fn one_line(text: &str) -> String {
    printable(text).replace('\n', "\\x0a")
}

/// The text in one line of the terminal, behind `indent` columns; whole if standard output is none.
pub(super) fn fitted(text: &str, indent: usize) -> String {
    let text = one_line(text);
    if !io::stdout().is_terminal() {
        return text;
    }
    cut(&text, columns().saturating_sub(indent))
}

fn cut(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    text.chars().take(room.saturating_sub(1)).chain(['…']).collect()
}

fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stdout());
    size.ok().map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0).unwrap_or(COLUMNS)
}

/// The day of a time, or the seconds where no calendar has it.
pub(super) fn day(seconds: i64) -> String {
    time_text(seconds).map_or_else(|| seconds.to_string(), |text| text.chars().take(10).collect())
}

/// A time to the second.
pub(super) fn time(seconds: i64) -> String {
    time_text(seconds).unwrap_or_else(|| seconds.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_do_not_command_the_terminal() {
        assert_eq!(printable("CN=\x1b[2JZoë\u{9b}\n"), "CN=\\x1b[2JZoë\\x9b\n");
        assert_eq!(fitted("a\nb", 4), "a\\x0ab");
    }

    #[test]
    fn lines_are_cut_with_a_mark() {
        assert_eq!(cut("Zoë", 3), "Zoë");
        assert_eq!(cut("Zoës", 3), "Zo…");
        assert_eq!((day(0).as_str(), time(59).as_str()), ("1970-01-01", "1970-01-01T00:00:59Z"));
        assert_eq!(day(i64::MAX), i64::MAX.to_string());
    }
}
