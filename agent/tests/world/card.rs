//! A card in software, in a reader as long as the value lives.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use super::repository;

/// The program of cards/virtual, plugged in; dropping it pulls the card and loses what was on it.
pub(crate) struct Card {
    program: Child,
    dir: TempDir,
    lines_seen: AtomicUsize,
}

impl Card {
    /// Plugs a new card into a reader's slot; `options` as `claviger-virtual-card --help` lists them.
    pub(crate) fn insert(slot: &str, options: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = |name: &str| dir.path().join(name);
        let program = Command::new(Self::program())
            .args(["--vpcd", slot])
            .arg("--apdu-log")
            .arg(path("apdus"))
            .arg("--control")
            .arg(path("control"))
            .args(options)
            .stdin(Stdio::null())
            .stderr(File::create(path("messages")).expect("the folder is ours"))
            .spawn()
            .expect("claviger-virtual-card starts; `make virtual-card` builds it");
        Self { program, dir, lines_seen: AtomicUsize::new(0) }
    }

    /// The commands that the card got since the last call, as lines of its log.
    pub(crate) fn apdus(&self) -> Vec<String> {
        let log = self.log();
        let lines: Vec<_> = log.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
        lines[self.lines_seen.swap(lines.len(), Ordering::Relaxed)..].to_vec()
    }

    /// Says a line to the card's control socket, and gives what it answered.
    #[track_caller]
    pub(crate) fn control(&self, line: &str) -> String {
        let mut stream = UnixStream::connect(self.dir.path().join("control")).expect("the card listens");
        stream.write_all(format!("{line}\n").as_bytes()).expect("the card listens");
        let mut reply = String::new();
        BufReader::new(stream).read_line(&mut reply).expect("the card answers");
        reply.strip_prefix("OK").unwrap_or_else(|| panic!("{line}: {reply}")).to_owned()
    }

    /// Puts the card back into the reader.
    pub(crate) fn put_back(&self) {
        // pcscd looks at this reader every 0.4 s. It has to see first that the card is away and then that it is back, and
        // tells its clients only.
        let a_look = Duration::from_secs(1);
        std::thread::sleep(a_look);
        self.control("insert");
        std::thread::sleep(a_look);
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("apdus")).unwrap_or_default()
    }

    /// The program of cards/virtual, or the one that `CLAVIGER_VIRTUAL_CARD` names.
    pub(crate) fn program() -> PathBuf {
        std::env::var_os("CLAVIGER_VIRTUAL_CARD")
            .map_or_else(|| repository("cards/virtual/target/release/claviger-virtual-card"), PathBuf::from)
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        self.program.kill().expect("the child is ours");
        self.program.wait().expect("the child is ours");
    }
}
