//! What gnupg-pkcs11-scd says wherever it is asked something, in GnuPG's words: it greets in its own, and its errors have
//! another source.

use std::time::Duration;

use super::play::{GREETING, Incoming, Wire};

const ITS_GREETING: &[u8] = b"OK PKCS#11 smart-card server for GnuPG ready";
/// GnuPG's number for errors of a scdaemon, where an error's source stands.
const SCD: u32 = 6 << 24;
/// No source, and its library's default one.
const SOURCES: [&str; 2] = [" <Unspecified source>", " <User defined source 1>"];
/// A number without its source.
const CODE: u32 = 0xFFFF;

/// Whether gnupg-pkcs11-scd greets.
pub(crate) fn is_greeting(incoming: &Incoming) -> bool {
    matches!(incoming, Incoming::Line(line) if line.starts_with(ITS_GREETING))
}

/// A wire to gnupg-pkcs11-scd.
pub(crate) struct Translated<W>(pub(crate) W);

impl<W: Wire> Wire for Translated<W> {
    fn send(&mut self, octets: &[u8]) {
        self.0.send(octets);
    }

    fn line(&mut self, patience: Duration) -> Incoming {
        let incoming = self.0.line(patience);
        if is_greeting(&incoming) {
            return Incoming::Line(GREETING.into());
        }
        match incoming {
            Incoming::Line(line) => Incoming::Line(with_source(&line).unwrap_or(line)),
            other => other,
        }
    }

    fn hang_up(&mut self) {
        self.0.hang_up();
    }
}

/// The line of an error, as a scdaemon says it.
fn with_source(line: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(line).ok()?.strip_prefix("ERR ")?;
    let text = SOURCES.iter().find_map(|source| text.strip_suffix(source))?;
    let (number, words) = text.split_once(' ')?;
    let code = number.parse::<u32>().ok()? & CODE;
    Some(format!("ERR {} {words} <SCD>", code | SCD).into_bytes())
}
