//! The world of the tests with PC/SC: a pcscd of our own with vpcd's readers, virtual cards in them, and neighbours.
//!
//! Each test runs itself once more inside of `testdata/world/pcscd-vpcd`, where that pcscd is the only one there is. That
//! needs root or user namespaces, and Debian's pcscd and vsmartcard-vpcd.

#![allow(dead_code, reason = "each test program uses its part of the world")]

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use claviger_cards::deck::{Change, Deck, DeckConfig, DeckEvent, TokenHandle};
use claviger_cards::token::{Cryptogram, Job, Outcome, Reply, Request, Slot};
use claviger_secret::Secret;
use pcsc::{Context, Disposition, Protocols, Scope, ShareMode};
use tokio::sync::broadcast::Receiver;
use tokio::time::timeout;

use crate::common::{PATIENCE, VirtualCard, submit, wait_until};

/// Set inside of the private world.
pub(crate) const INSIDE: &str = "CLAVIGER_TEST_INSIDE";

/// Set in the process of a neighbour.
const NEIGHBOUR: &str = "CLAVIGER_TEST_NEIGHBOUR";

/// Runs a test inside of a world of its own.
pub(crate) fn inside(name: &str, test: impl Future<Output = ()>) {
    inside_with(name, &[], test);
}

/// The same, with more in the environment.
pub(crate) fn inside_with(name: &str, more: &[(&str, &Path)], test: impl Future<Output = ()>) {
    if env::var_os(NEIGHBOUR).is_some() {
        return hold();
    }
    if env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(test);
    }
    let world = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/world/pcscd-vpcd");
    let run = Command::new(world)
        .arg("--")
        .arg(env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .envs(more.iter().copied())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{told}{}", String::from_utf8_lossy(&run.stderr));
    assert!(told.contains("1 passed"), "the test ran not once inside: {told}");
    print!("{told}");
}

pub(crate) fn port() -> String {
    format!("127.0.0.1:{}", env::var("VPCD_PORT").unwrap())
}

pub(crate) fn plug() -> VirtualCard {
    VirtualCard::start(&["--vpcd", &port()], &[])
}

pub(crate) fn deck() -> Deck {
    Deck::new(DeckConfig { deadline: PATIENCE, ..DeckConfig::default() })
}

/// Waits for an event; nobody scans meanwhile.
pub(crate) async fn event(events: &mut Receiver<DeckEvent>, change: Change) {
    let event = timeout(PATIENCE, events.recv()).await.expect("an event").unwrap();
    assert_eq!(event.change, change);
}

pub(crate) async fn with_decryption_key(token: &TokenHandle) {
    let attributes = Some(b"\x12\x2b\x06\x01\x04\x01\x97\x55\x01\x05\x01".to_vec());
    let slot = Slot::Decrypt;
    let request = Request::Generate { slot, force: false, created: 1, attributes, ecdh: None };
    submit(token, request).await.unwrap();
    submit(token, decipher()).await.unwrap();
}

pub(crate) fn decipher() -> Request {
    let mut point = vec![0; 32];
    point[0] = 9;
    Request::Decipher(Cryptogram::Ecdh(point))
}

/// A decryption that finds its PIN verification gone, and gets it again without a person.
pub(crate) async fn decipher_again(token: &TokenHandle) {
    let Outcome::NeedsPin(question) = token.submit(Job::new(decipher())).await.unwrap() else {
        panic!("the verification was not lost");
    };
    assert!(question.may_use_cache);
    let done = token.submit(question.with_pin(Secret::copy_of(b"123456"))).await.unwrap();
    assert!(matches!(done, Outcome::Done(Reply::Plaintext(_))));
}

/// A neighbour's own way to the card.
pub(crate) fn neighbour(mode: ShareMode) -> pcsc::Card {
    let context = Context::establish(Scope::System).unwrap();
    let mut buffer = [0; 2048];
    let reader = context.list_readers(&mut buffer).unwrap().next().unwrap();
    context.connect(reader, mode, Protocols::ANY).unwrap()
}

/// A neighbour who has the card for itself.
pub(crate) fn alone() -> pcsc::Card {
    let mut exclusive = None;
    wait_until("a card for the neighbour", || {
        let context = Context::establish(Scope::System).unwrap();
        let reader = context.list_readers_owned().unwrap().remove(0);
        exclusive = context.connect(&reader, ShareMode::Exclusive, Protocols::ANY).ok();
        exclusive.is_some()
    });
    exclusive.unwrap()
}

/// A neighbour in the middle of a transaction.
pub(crate) struct Holder {
    release: mpsc::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Holder {
    pub(crate) fn start() -> Self {
        let (release, released) = mpsc::channel::<()>();
        let (ready, is_ready) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut card = neighbour(ShareMode::Shared);
            let transaction = card.transaction().unwrap();
            ready.send(()).unwrap();
            released.recv().unwrap();
            drop(transaction);
            card.disconnect(Disposition::LeaveCard).map_err(|(_, error)| error).unwrap();
        });
        is_ready.recv().unwrap();
        Self { release, thread }
    }

    pub(crate) fn let_go(self) {
        self.release.send(()).unwrap();
        self.thread.join().unwrap();
    }
}

/// A neighbour in the middle of a transaction, in a process of its own; dropping it ends both.
pub(crate) struct HoldingProcess(Child);

impl HoldingProcess {
    /// `test` is the test that runs: the process is the same program, and begins in the same way.
    pub(crate) fn start(test: &str) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(NEIGHBOUR, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let told = BufReader::new(process.stdout.take().unwrap());
        assert!(told.lines().map_while(Result::ok).any(|line| line.ends_with(HOLDING)));
        Self(process)
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for HoldingProcess {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It ends by itself then.
        let _ = self.0.wait();
    }
}

/// What the process says when it holds the card.
const HOLDING: &str = "holding the card";

/// The process's work: holds the card until its stdin ends.
fn hold() {
    let holder = Holder::start();
    println!("{HOLDING}");
    io::stdin().lines().for_each(drop);
    holder.let_go();
}

/// Waits until PC/SC has seen the card.
pub(crate) fn wait_for_card() {
    wait_until("a card in the reader", || {
        let context = Context::establish(Scope::System).unwrap();
        let reader = context.list_readers_owned().unwrap().remove(0);
        let card = context.connect(&reader, ShareMode::Shared, Protocols::ANY);
        card.is_ok_and(|card| card.disconnect(Disposition::LeaveCard).is_ok())
    });
}

/// Ends pcscd with a signal, and waits until it is gone.
pub(crate) fn stop_pcscd(signal: &str) {
    let pid = fs::read_to_string("/run/pcscd/pcscd.pid").unwrap();
    let pid = pid.trim_matches(|c: char| !c.is_ascii_digit());
    assert!(Command::new("kill").args(["-s", signal, pid]).status().unwrap().success());
    wait_until("pcscd to end", || Context::establish(Scope::System).is_err());
}

/// Another pcscd with the same reader; it ends with the test.
pub(crate) struct Service {
    child: Child,
    _config: tempfile::TempDir,
}

impl Service {
    pub(crate) fn start() -> Self {
        let config = tempfile::tempdir().unwrap();
        let port: u16 = env::var("VPCD_PORT").unwrap().parse().unwrap();
        let reader = format!(
            "FRIENDLYNAME \"Virtual PCD\"\nDEVICENAME /dev/null:0x{port:X}\n\
             LIBPATH /usr/lib/pcsc/drivers/serial/libifdvpcd.so\nCHANNELID 0x{port:X}\n"
        );
        fs::write(config.path().join("vpcd"), reader).unwrap();
        let mut command = Command::new("/usr/sbin/pcscd");
        command.args(["--foreground", "--config"]).arg(config.path());
        let help = Command::new("/usr/sbin/pcscd").arg("--help").output().unwrap();
        if String::from_utf8_lossy(&[help.stdout, help.stderr].concat()).contains("disable-polkit") {
            // Debian 13's pcscd would ask polkit, which a test world does not have.
            command.arg("--disable-polkit");
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_until("pcscd to listen", || Context::establish(Scope::System).is_ok());
        Self { child, _config: config }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
