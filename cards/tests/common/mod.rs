//! A virtual card that a test directs, and the few things that all tests with one do.
//!
//! The program is built on its own: `cargo build --release --manifest-path cards/virtual/Cargo.toml`. A test that needs
//! it fails where it is missing.

#![allow(dead_code, reason = "each test program uses its part")]

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use claviger_cards::deck::{Deck, TokenHandle};
use claviger_cards::token::{Job, Outcome, PinPurpose, PinRef, Reply, Request, TokenError};
use claviger_keys::{SecretKey, Sexp};
use claviger_secret::Secret;
use tempfile::TempDir;

/// How long anything in a test may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running virtual card; dropping it ends it.
pub(crate) struct VirtualCard {
    child: Child,
    control: PathBuf,
    pub(crate) log: PathBuf,
    _dir: TempDir,
}

impl VirtualCard {
    /// Starts a card, to be connected as `link` says.
    pub(crate) fn start(link: &[&str], options: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (control, log) = (dir.path().join("control"), dir.path().join("apdus"));
        let child = Command::new(program())
            .args(link)
            .args(options)
            .arg("--control")
            .arg(&control)
            .arg("--apdu-log")
            .arg(&log)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let card = Self { child, control, log, _dir: dir };
        wait_until("the card's control socket", || UnixStream::connect(&card.control).is_ok());
        card
    }

    /// One line to the card; what it says after `OK`.
    pub(crate) fn tell(&self, line: &str) -> String {
        let mut stream = UnixStream::connect(&self.control).unwrap();
        writeln!(stream, "{line}").unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        answer.strip_prefix("OK").unwrap_or_else(|| panic!("{line}: {answer}")).trim().to_owned()
    }

    /// APDUs since the count was reset.
    pub(crate) fn apdus(&self) -> usize {
        let counts = self.tell("count");
        let total = counts.split(' ').find_map(|word| word.strip_prefix("total=")).unwrap();
        total.parse().unwrap()
    }

    /// What `work` cost, in APDUs.
    pub(crate) async fn cost<T>(&self, work: impl Future<Output = T>) -> (T, usize) {
        self.tell("reset-count");
        let result = work.await;
        (result, self.apdus())
    }
}

impl Drop for VirtualCard {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> PathBuf {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("virtual/target/release/claviger-virtual-card");
    let program = env::var_os("CLAVIGER_VIRTUAL_CARD").map_or(built, PathBuf::from);
    assert!(
        program.exists(),
        "no {}; build it with: cargo build --release --manifest-path cards/virtual/Cargo.toml",
        program.display()
    );
    program
}

pub(crate) fn wait_until(what: &str, mut reached: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !reached() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        sleep(Duration::from_millis(10));
    }
}

/// A key of gpg's in `testdata/private-keys`, as the agent hands it over in KEYDATA.
pub(crate) fn private_key(name: &str, created: &str) -> SecretKey {
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/private-keys/unprotected");
    let file = fs::read_to_string(keys.join(format!("{name}.key"))).unwrap();
    let (_, sexp) = file.split_once("Key:").unwrap();
    let mut canonical = Sexp::from_advanced(sexp.trim().as_bytes()).unwrap().to_canonical();
    assert_eq!(canonical.pop(), Some(b')'));
    canonical.extend(format!("(10:created-at{}:{created}))", created.len()).bytes());
    SecretKey::from_keydata(&canonical).unwrap()
}

/// Scans until there are that many tokens.
pub(crate) async fn tokens(deck: &Deck, count: usize) -> Vec<TokenHandle> {
    let end = Instant::now() + PATIENCE;
    loop {
        let scanned = deck.scan().await;
        let tokens = deck.tokens();
        if tokens.len() == count {
            return tokens;
        }
        assert!(Instant::now() < end, "{} tokens instead of {count}, {scanned:?}", tokens.len());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What the resetting code is set to.
const RESET_CODE: &str = "87654321";

/// Submits, and answers every question with the right PIN.
pub(crate) async fn submit(token: &TokenHandle, request: Request) -> Result<Reply, TokenError> {
    submit_with(token, request, "123456", "12345678").await
}

pub(crate) async fn submit_with(
    token: &TokenHandle,
    request: Request,
    user: &str,
    admin: &str,
) -> Result<Reply, TokenError> {
    let mut outcome = token.submit(Job::new(request)).await?;
    loop {
        match outcome {
            Outcome::Done(reply) => return Ok(reply),
            Outcome::NeedsPin(question) => {
                let (PinPurpose::Unlock(pin) | PinPurpose::Old(pin) | PinPurpose::New(pin)) =
                    question.purpose;
                let text = match pin {
                    PinRef::Sign | PinRef::User => user,
                    PinRef::Admin => admin,
                    PinRef::ResetCode => RESET_CODE,
                };
                outcome = token.submit(question.with_pin(Secret::copy_of(text.as_bytes()))).await?;
            }
        }
    }
}
