//! Several cards in software at the reader socket of our scdaemon, which runs here without a process; and its clients. No
//! pcscd has a part in it.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use claviger::scdaemon::Scdaemon;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, ReadHalf, WriteHalf};

use super::{Card, repository};

/// How much may be on its way between a client and the daemon, in octets.
const WIRE: usize = 1 << 20;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The daemon, and the folder that its cards' memories and sockets are in.
pub(crate) struct Fleet {
    core: Scdaemon,
    dir: TempDir,
}

impl Fleet {
    /// A daemon with these options beside the reader socket. To be called within a runtime.
    pub(crate) fn new(options: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let own = ["--server", "--homedir", &text(dir.path().join("")), "--reader-socket", "reader"];
        let arguments: Vec<_> = own.iter().chain(options).map(std::ffi::OsString::from).collect();
        let core = Scdaemon::embedded(&arguments).expect("the options are right");
        Self { core, dir }
    }

    /// Plugs in the card with this number of eight digits, with the memory that it had the last time.
    pub(crate) fn plug_in(&self, number: &str, options: &[&str]) -> Plugged {
        let program = Command::new(Card::program())
            .args(["--socket", &text(self.dir.path().join("reader")), "--manufacturer", "FFFE"])
            .args(["--serial", number, "--state", &text(self.dir.path().join(number))])
            .args(["--apdu-log", &text(self.log(number))])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("claviger-virtual-card starts; `make virtual-card` builds it");
        Plugged { program }
    }

    /// The same, once it is seen and has the keys of the transcripts' card `curve25519`.
    pub(crate) async fn plug_in_with_keys(&self, number: &str, options: &[&str]) -> Plugged {
        let card = self.plug_in(number, &[]);
        let mut client = self.client().await;
        client.demand(number).await;
        let world =
            fs::read_to_string(repository("testdata/transcripts/worlds/curve25519")).expect("it is there");
        for command in world.lines().filter_map(|line| line.split_once(" -> ")).map(|(command, _)| command) {
            let answer = client.ok(&format!("APDU {command}")).await;
            assert!(answer.ends_with("\u{90}\0"), "{command}: {answer:?}");
        }
        drop(card);
        client.is_gone(number).await;
        let card = self.plug_in(number, options);
        client.demand(number).await;
        card
    }

    /// How often the card with this number got a command whose header is this.
    pub(crate) fn count(&self, number: &str, header: &str) -> usize {
        let log = fs::read_to_string(self.log(number)).unwrap_or_default();
        log.lines().filter(|line| line.contains(header)).count()
    }

    /// Waits until the card with this number has got such a command so many times.
    pub(crate) async fn wait_for(&self, number: &str, header: &str, times: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.count(number, header) < times {
            assert!(Instant::now() < deadline, "{number} never got {header} {times} times");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn log(&self, number: &str) -> PathBuf {
        self.dir.path().join(format!("apdus-{number}"))
    }

    /// A client that was greeted.
    pub(crate) async fn client(&self) -> Client {
        let (ours, theirs) = tokio::io::duplex(WIRE);
        let (input, output) = tokio::io::split(theirs);
        tokio::spawn(self.core.serve(input, output));
        let (replies, requests) = tokio::io::split(ours);
        let mut client = Client { requests, replies: BufReader::new(replies), questions: 0 };
        let greeting = client.line().await;
        assert!(greeting.starts_with("OK "), "{greeting}");
        client
    }
}

/// A card that is in its reader until this is dropped.
pub(crate) struct Plugged {
    program: Child,
}

impl Drop for Plugged {
    fn drop(&mut self) {
        self.program.kill().expect("the child is ours");
        self.program.wait().expect("the child is ours");
    }
}

/// One client of the daemon. It knows the user PIN and counts how often it was asked.
pub(crate) struct Client {
    requests: WriteHalf<DuplexStream>,
    replies: BufReader<ReadHalf<DuplexStream>>,
    pub(crate) questions: usize,
}

impl Client {
    /// Says lines without waiting for what is answered.
    pub(crate) async fn send(&mut self, lines: &str) {
        self.requests.write_all(format!("{lines}\n").as_bytes()).await.expect("the daemon listens");
    }

    /// The reply to one command: all its lines, a character for each octet. Questions for the PIN are answered.
    pub(crate) async fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let line = self.line_after_questions().await;
            match line.split(' ').next() {
                Some("OK" | "ERR") => return reply + &line,
                _ => reply += &(line + "\n"),
            }
        }
    }

    /// The next line that is no question; those are answered as in [`Self::reply`].
    pub(crate) async fn line_after_questions(&mut self) -> String {
        loop {
            let line = self.line().await;
            if !line.starts_with("INQUIRE ") {
                return line;
            }
            self.questions += 1;
            self.send("D 123456\0\nEND").await;
        }
    }

    /// Says a line and gives the reply.
    pub(crate) async fn ask(&mut self, line: &str) -> String {
        self.send(line).await;
        self.reply().await
    }

    /// The same, without the OK that has to be at its end.
    pub(crate) async fn ok(&mut self, line: &str) -> String {
        let reply = self.ask(line).await;
        let before = reply.strip_suffix("OK").unwrap_or_else(|| panic!("{line}: {reply}"));
        before.trim_end_matches('\n').to_owned()
    }

    /// Selects the card with this number as agents of GnuPG 2.2 do, once it is there.
    pub(crate) async fn demand(&mut self, number: &str) {
        let line = format!("SERIALNO --demand={}", serial(number));
        let deadline = Instant::now() + PATIENCE;
        loop {
            let reply = self.ask(&line).await;
            if reply.ends_with("OK") {
                return;
            }
            assert!(Instant::now() < deadline, "{line}: {reply}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Signs with the card with this number.
    pub(crate) async fn sign_with(&mut self, number: &str) {
        self.demand(number).await;
        self.ok(&format!("SETDATA {}", "01".repeat(32))).await;
        self.ok("PKSIGN --hash=sha256 OPENPGP.1").await;
    }

    /// Waits until the card with this number is gone.
    pub(crate) async fn is_gone(&mut self, number: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.ask(&format!("SERIALNO --demand={}", serial(number))).await.ends_with("OK") {
            assert!(Instant::now() < deadline, "{number} is still there");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Which card the session speaks of, by its number of eight digits.
    pub(crate) async fn current(&mut self) -> String {
        let reply = self.ok("GETATTR SERIALNO").await;
        reply.rsplit(' ').next().and_then(|serial| serial.get(20..28)).expect("a serial number").to_owned()
    }

    /// The keygrip of the signature key of the session's card.
    pub(crate) async fn signing_key(&mut self) -> String {
        let reply = self.ok("READKEY --info-only OPENPGP.1").await;
        reply.split(' ').nth(2).expect("S KEYPAIRINFO GRIP …").to_owned()
    }

    async fn line(&mut self) -> String {
        let mut line = Vec::new();
        self.replies.read_until(b'\n', &mut line).await.expect("the daemon answers");
        assert_eq!(line.pop(), Some(b'\n'), "the daemon hung up");
        line.iter().map(|octet| char::from(*octet)).collect()
    }
}

/// The serial number of a card in software with this number.
pub(crate) fn serial(number: &str) -> String {
    format!("D276000124010304FFFE{number}0000")
}

fn text(path: PathBuf) -> String {
    path.display().to_string()
}
