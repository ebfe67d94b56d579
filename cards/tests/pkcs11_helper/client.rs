//! The daemon's side of a helper process, one step at a time.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use claviger_cards::pkcs11::wire::frame::{Reader, encode};
use claviger_cards::pkcs11::wire::{
    Answer, Fault, FromHelper, Login, Opening, Task, ToHelper, TokenReport, User,
};
use claviger_secret::Secret;

/// How long anything in a test may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Tells this program that it is the helper.
const MARK: &str = "CLAVIGER_TEST_IS_HELPER";

/// A helper process and what it has reported.
pub(crate) struct Client {
    pub(crate) child: Child,
    socket: UnixStream,
    reader: Reader<FromHelper>,
    number: u64,
    pub(crate) threads: usize,
    pub(crate) tokens: BTreeMap<u64, TokenReport>,
}

/// The process ended, or was silent for too long.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    Closed,
    Silent,
}

/// What a task brought.
pub(crate) type Outcome = Result<(Answer, Vec<Secret>), Fault>;

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// If this program was started as a helper, it is one until its end.
pub(crate) fn be_helper_if_asked() {
    if std::env::var_os(MARK).is_some() {
        let _ = claviger_cards::pkcs11::helper::run();
        std::process::exit(1);
    }
}

/// This program as the helper: the test `this_program_is_the_helper_too` does not return there.
pub(crate) fn command(environment: &[(&str, OsString)]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "this_program_is_the_helper_too", "--nocapture", "--test-threads=1"]);
    command.env(MARK, "yes").stdout(Stdio::null());
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command
}

/// A module with everything as it comes.
pub(crate) fn opening(module: impl AsRef<Path>) -> Opening {
    Opening {
        module: module.as_ref().as_os_str().as_bytes().to_vec(),
        init_reserved: None,
        slots: Vec::new(),
        without_readers: Vec::new(),
        threads: 4,
        poll: 100,
        memory: 1 << 30,
    }
}

impl Client {
    /// Starts a helper, which has then looked for tokens once.
    pub(crate) fn start(opening: Opening, environment: &[(&str, OsString)]) -> Self {
        let mut client = Self::spawn(&mut command(environment));
        client.say(&ToHelper::Open(opening), &[]);
        match client.hear(PATIENCE) {
            Ok((FromHelper::Ready { threads, .. }, _)) => client.threads = threads,
            other => panic!("{other:?}"),
        }
        client.until(|message| matches!(message, FromHelper::Looked { number: 0 }), PATIENCE).unwrap();
        client
    }

    /// Starts a process, which has not heard anything yet.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let (socket, theirs) = UnixStream::pair().unwrap();
        let child = command.stdin(OwnedFd::from(theirs)).spawn().unwrap();
        // The command keeps its end of the socket otherwise.
        command.stdin(Stdio::null());
        let (reader, tokens) = (Reader::new(), BTreeMap::new());
        Self { child, socket, reader, number: 0, threads: 0, tokens }
    }

    pub(crate) fn say(&mut self, message: &ToHelper, secrets: &[Secret]) {
        let encoded = encode(message, secrets).unwrap();
        // A helper that is gone is noticed when it is listened to.
        let _ = self.socket.write_all(&encoded.head);
        let _ = self.socket.write_all(encoded.secrets.as_bytes());
    }

    /// The next message; what it says of tokens is noted.
    pub(crate) fn hear(&mut self, patience: Duration) -> Result<(FromHelper, Vec<Secret>), Lost> {
        self.socket.set_read_timeout(Some(patience)).unwrap();
        loop {
            if let Some((message, secrets)) = self.reader.next().unwrap() {
                match &message {
                    FromHelper::Token(report) => drop(self.tokens.insert(report.slot, report.clone())),
                    FromHelper::Gone { slot } => drop(self.tokens.remove(slot)),
                    _ => {}
                }
                return Ok((message, secrets));
            }
            match self.socket.read(self.reader.room()) {
                Ok(0) => return Err(Lost::Closed),
                Ok(octets) => self.reader.filled(octets),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Err(Lost::Silent),
                Err(_) => return Err(Lost::Closed),
            }
        }
    }

    pub(crate) fn until(
        &mut self,
        is_it: impl Fn(&FromHelper) -> bool,
        patience: Duration,
    ) -> Result<(FromHelper, Vec<Secret>), Lost> {
        let end = Instant::now() + patience;
        loop {
            let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            let heard = self.hear(left)?;
            if is_it(&heard.0) {
                return Ok(heard);
            }
            if Instant::now() > end {
                return Err(Lost::Silent);
            }
        }
    }

    /// Sends a task; its number.
    pub(crate) fn send(&mut self, slot: u64, login: Option<Login>, task: Task, secrets: &[&[u8]]) -> u64 {
        self.number += 1;
        let secrets: Vec<_> = secrets.iter().map(|secret| Secret::copy_of(secret)).collect();
        self.say(&ToHelper::Do { number: self.number, slot, login, task }, &secrets);
        self.number
    }

    /// Carries out a task.
    pub(crate) fn try_task(
        &mut self,
        slot: u64,
        login: Option<User>,
        task: Task,
        secrets: &[&[u8]],
    ) -> Result<Outcome, Lost> {
        let login = login.map(|user| Login { user, at_token: false });
        let sent = self.send(slot, login, task, secrets);
        let is_it =
            |message: &FromHelper| matches!(message, FromHelper::Done { number, .. } if *number == sent);
        match self.until(is_it, PATIENCE)? {
            (FromHelper::Done { result, .. }, secrets) => Ok(result.map(|answer| (answer, secrets))),
            _ => unreachable!("that was asked for"),
        }
    }

    /// Carries out a task without a login.
    pub(crate) fn task(&mut self, slot: u64, task: Task) -> Outcome {
        self.try_task(slot, None, task, &[]).unwrap()
    }

    /// Carries out a task with the user's login.
    pub(crate) fn unlocked(&mut self, slot: u64, task: Task) -> Outcome {
        self.try_task(slot, Some(User::User), task, &[super::softhsm::PIN]).unwrap()
    }

    pub(crate) fn look(&mut self) {
        self.number += 1;
        let sent = self.number;
        self.say(&ToHelper::Look { number: sent }, &[]);
        self.until(|message| matches!(message, FromHelper::Looked { number } if *number == sent), PATIENCE)
            .unwrap();
    }

    /// Listens until the tokens are as they should be.
    pub(crate) fn wait_until(&mut self, what: &str, is_so: impl Fn(&BTreeMap<u64, TokenReport>) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !is_so(&self.tokens) {
            assert!(Instant::now() < end, "{what}");
            let heard = self.hear(Duration::from_millis(100));
            assert!(!matches!(heard, Err(Lost::Closed)), "{what}: the helper ended");
        }
    }

    /// The slot of the token with this label.
    pub(crate) fn slot(&self, label: &str) -> u64 {
        self.token(label).slot
    }

    pub(crate) fn token(&self, label: &str) -> &TokenReport {
        let found = self.tokens.values().find(|token| token.label == label);
        found.unwrap_or_else(|| panic!("no token {label}: {:?}", self.tokens))
    }

    /// Closes the socket and waits for the process's end.
    pub(crate) fn hang_up(&mut self) -> ExitStatus {
        self.socket.shutdown(std::net::Shutdown::Both).unwrap();
        self.ended()
    }

    pub(crate) fn ended(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("the helper does not end");
    }
}

/// An environment variable for the helper.
pub(crate) fn variable(name: &str, value: impl AsRef<OsStr>) -> (&str, OsString) {
    (name, value.as_ref().to_owned())
}
