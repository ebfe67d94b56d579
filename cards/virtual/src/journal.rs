//! What is written down of a card's life: one line per APDU, and counts by kind of command.
//!
//! A line of the log, all cards in one file:
//!
//! ```text
//! 12 11223344 openpgp 00CA006E 0 65536 -> 258 9000 1350us get-data
//! │  │        │       │        │ │        │   │    │      └ what it is
//! │  │        │       │        │ │        │   │    └ how long the card took, latency included
//! │  │        │       │        │ │        │   └ status word
//! │  │        │       │        │ │        └ octets of answer
//! │  │        │       │        │ └ Le, `-` if none was sent
//! │  │        │       │        └ Lc, `-` where the command does not parse
//! │  │        │       └ CLA INS P1 P2
//! │  │        └ applet that heard it, `-` if none was selected
//! │  └ serial number of the card
//! └ number of the APDU
//! ```
//!
//! Power, insertion and removal stand between them as `# 11223344 power-on`. Data are never written, secret or not.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    apdu::{Command, Status},
    instruction, neighbour,
    reader::Answer,
};

/// One APDU and what came of it.
#[derive(Debug)]
pub struct Exchange<'a> {
    /// What the reader sent.
    pub apdu: &'a [u8],
    /// What the card answered.
    pub answer: &'a Answer,
    /// How long that took.
    pub took: Duration,
}

/// The log file, or none. All cards write to one.
#[derive(Debug, Default)]
pub struct Log(Option<Mutex<Lines>>);

#[derive(Debug)]
struct Lines {
    file: File,
    number: u64,
}

impl Log {
    /// Appends to `path`.
    ///
    /// # Errors
    /// If the file cannot be opened for that.
    pub fn append(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self(Some(Mutex::new(Lines { file, number: 0 }))))
    }

    /// Writes one APDU down.
    pub fn exchange(&self, card: &str, exchange: &Exchange<'_>) {
        if let Some(mut lines) = self.lines() {
            lines.number = lines.number.saturating_add(1);
            let line = format!("{} {card} {exchange}\n", lines.number);
            lines.write(&line);
        }
    }

    /// Writes down what happened to a card between two APDUs.
    pub fn event(&self, card: &str, event: &str) {
        if let Some(mut lines) = self.lines() {
            lines.write(&format!("# {card} {event}\n"));
        }
    }

    fn lines(&self) -> Option<MutexGuard<'_, Lines>> {
        self.0.as_ref().map(|lines| lines.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Lines {
    /// A full disk does not stop the card; the missing line shows in the numbers.
    fn write(&mut self, line: &str) {
        let _ = self.file.write_all(line.as_bytes());
    }
}

impl fmt::Display for Exchange<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.answer.applet)?;
        match Command::parse(self.apdu) {
            Ok(Command { header, data, expected: Some(le), .. }) => write!(f, "{header} {} {le}", data.len()),
            Ok(Command { header, data, .. }) => write!(f, "{header} {} -", data.len()),
            Err(_) => {
                self.apdu.iter().take(4).try_for_each(|octet| write!(f, "{octet:02X}"))?;
                f.write_str(" - -")
            }
        }?;
        match self.answer.octets.split_last_chunk::<2>() {
            Some((data, status)) => write!(f, " -> {} {}", data.len(), Status(u16::from_be_bytes(*status)))?,
            None => write!(f, " -> {} -", self.answer.octets.len())?,
        }
        write!(f, " {}us {}", self.took.as_micros(), kind(self.apdu))
    }
}

fn kind(apdu: &[u8]) -> &'static str {
    Command::parse(apdu).map_or("malformed", |command| instruction::name(command.header))
}

/// How many APDUs of which kind a card was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    by_kind: BTreeMap<&'static str, u64>,
    total: u64,
    leaks: u64,
}

impl Counts {
    /// Adds one APDU.
    pub fn add(&mut self, apdu: &[u8], answer: &Answer) {
        self.total = self.total.saturating_add(1);
        let count = self.by_kind.entry(kind(apdu)).or_default();
        *count = count.saturating_add(1);
        let secret = Command::parse(apdu).is_ok_and(|command| instruction::carries_secret(&command));
        if secret && answer.applet == neighbour::NAME {
            self.leaks = self.leaks.saturating_add(1);
        }
    }

    /// All APDUs.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// PINs and private keys that were sent while the neighbour had the card.
    #[must_use]
    pub fn leaks(&self) -> u64 {
        self.leaks
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "total={} leaks={}", self.total, self.leaks)?;
        self.by_kind.iter().try_for_each(|(kind, count)| write!(f, " {kind}={count}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(apdu: &[u8], octets: &[u8], applet: &'static str) -> String {
        let answer = Answer { octets: octets.to_vec(), applet };
        Exchange { apdu, answer: &answer, took: Duration::from_micros(7) }.to_string()
    }

    #[test]
    fn a_line_tells_the_header_the_lengths_and_the_status_but_no_data() {
        let verify = [0, 0x20, 0, 0x81, 6, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36];
        assert_eq!(line(&verify, &[0x63, 0xC2], "openpgp"), "openpgp 00200081 6 - -> 0 63C2 7us verify");
        let get = [0, 0xCA, 0, 0x6E, 0, 0, 0];
        assert_eq!(
            line(&get, &[1, 2, 0x90, 0], "openpgp"),
            "openpgp 00CA006E 0 65536 -> 2 9000 7us get-data"
        );
        assert_eq!(line(&[0, 0x20], &[0x67, 0], "-"), "- 0020 - - -> 0 6700 7us malformed");
    }

    #[test]
    fn counts_tell_kinds_and_what_leaked_to_a_neighbour() {
        let mut counts = Counts::default();
        let verify = [0, 0x20, 0, 0x82, 1, 0x31];
        for applet in ["openpgp", neighbour::NAME] {
            counts.add(&verify, &Answer { octets: vec![0x90, 0], applet });
        }
        counts.add(&[0, 0xCA, 0, 0x6E, 0], &Answer { octets: vec![0x6D, 0], applet: neighbour::NAME });
        assert_eq!(counts.to_string(), "total=3 leaks=1 get-data=1 verify=2");
    }
}
