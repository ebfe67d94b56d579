//! What GnuPG's scdaemon says from 2.3 on wherever it is asked something, so that no transcript has to tell it: what it
//! gives its agent to keep, and the number of its process.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use super::play::{GREETING, Incoming, Wire};
use super::script::Side;

/// Which of the two GnuPG's the installed one is. What does not tell counts as the older one, and fails its plays.
pub(crate) fn side_of(program: &Path) -> Side {
    static SIDE: OnceLock<Side> = OnceLock::new();
    *SIDE.get_or_init(|| {
        let said = Command::new(program).arg("--version").output().map(|output| output.stdout);
        let said = said.unwrap_or_default();
        let newer = said.starts_with(b"scdaemon (GnuPG) 2.") && !said.starts_with(b"scdaemon (GnuPG) 2.2.");
        if newer { Side::Newer } else { Side::Stock }
    })
}

/// A wire to a scdaemon of GnuPG 2.3 or later, without what it says besides.
pub(crate) struct Plain<W>(pub(crate) W);

impl<W: Wire> Wire for Plain<W> {
    fn send(&mut self, octets: &[u8]) {
        self.0.send(octets);
    }

    fn line(&mut self, patience: Duration) -> Incoming {
        loop {
            match self.0.line(patience) {
                // A PIN's name, and the PIN or nothing: for the agent's cache.
                Incoming::Line(line) if line.starts_with(b"S PINCACHE_PUT ") => {}
                greeting if greeting.is_greeting() => return Incoming::Line(GREETING.into()),
                other => return other,
            }
        }
    }

    fn hang_up(&mut self) {
        self.0.hang_up();
    }
}
