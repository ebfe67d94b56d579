//! Another process at the same reader, which takes the card away as often as it can.

use std::io::{BufRead, BufReader, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pcsc::{Card, Context, Disposition, Error, Protocols, Scope, ShareMode};

use super::jobs::{Verifier, card_with_keys, sign, tries};

const SIGNATURES: usize = 1000;

/// The test is the neighbour's program, too.
const NEIGHBOUR: &str = "CLAVIGER_TEST_NEIGHBOUR";
const NAME: &str = "neighbour::a_thousand_signatures_beside_a_hostile_neighbour_are_all_right";

/// SELECT of the card's other applet.
const SELECT: &[u8] = b"\x00\xa4\x04\x00\x06\xf0\x00\x00\x01\x01\x01";

#[test]
fn a_thousand_signatures_beside_a_hostile_neighbour_are_all_right() {
    if std::env::var_os(NEIGHBOUR).is_some() {
        return molest();
    }
    let (reader, card, _home, mut session) = card_with_keys();
    let verifier = Verifier::of(&mut session);
    card.apdus();
    let neighbour = Neighbour::start(reader.socket());
    let mut verified = 0;
    let begun = Instant::now();
    for number in 0..SIGNATURES {
        let mut digest = [0; 64];
        digest[..8].copy_from_slice(&number.to_be_bytes());
        let signature = sign(&mut session, &digest).unwrap_or_else(|error| panic!("{number}: {error}"));
        verified += usize::from(verifier.accepts(&digest, &signature.data));
    }
    let (selections, resets) = neighbour.end();
    let log = card.apdus();
    let verifications = log.iter().filter(|line| line.ends_with(" verify")).count();
    println!(
        "{verified} signatures verify, in {:?}; {selections} selections and {resets} resets by the neighbour; {} questions; {} APDUs; \
         {verifications} VERIFY",
        begun.elapsed(),
        session.questions,
        log.len(),
    );
    assert_eq!(verified, SIGNATURES);
    assert_eq!(session.questions, 1, "the PIN is asked once");
    assert_eq!(tries(&mut session), (3, 3));
    assert!(selections > 50 && resets > 25, "the neighbour was no nuisance: {selections}, {resets}");
    assert!(verifications > 50, "the neighbour was no nuisance: {verifications}");
    let heard: Vec<_> = log.iter().filter(|line| line.contains(" neighbour ")).collect();
    assert!(!heard.is_empty() && !heard.iter().any(|line| line.ends_with(" verify")), "{heard:?}");
    assert!(card.control("count").contains(" leaks=0 "));
}

/// The neighbour's process.
struct Neighbour(Child);

impl Neighbour {
    fn start(socket: &Path) -> Self {
        let child = Command::new(std::env::current_exe().expect("we run"))
            .args(["--exact", NAME, "--nocapture"])
            .env(NEIGHBOUR, "1")
            .env("PCSCLITE_CSOCK_NAME", socket)
            // What it is refused comes back at once, not after a wait of 100 ms.
            .env("PCSCLITE_NO_BLOCKING", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("we run");
        Self(child)
    }

    /// Ends it; how often it selected its applet, and how often it reset the card.
    fn end(mut self) -> (usize, usize) {
        drop(self.0.stdin.take());
        let told = BufReader::new(self.0.stdout.take().expect("a pipe"));
        let told: Vec<_> = told.lines().map_while(Result::ok).collect();
        let line = told.iter().find(|line| line.contains(REPORT)).expect("a report");
        let mut numbers = line.split(' ').filter_map(|word| word.parse().ok());
        self.0.wait().expect("the child is ours");
        (numbers.next().expect("a number"), numbers.next().expect("a number"))
    }
}

/// What the neighbour says at its end, after the numbers.
const REPORT: &str = "selections and resets";

/// The neighbour's work, until its stdin ends: what it is refused it tries again. Each way has a connection of its own.
fn molest() {
    static OVER: AtomicBool = AtomicBool::new(false);
    let selecting = [|card: &mut Card| selects(card), selects_in_its_turn]
        .map(|way| thread::spawn(move || repeat(&OVER, way)));
    let resetting = thread::spawn(|| repeat(&OVER, resets));
    std::io::stdin().read_to_end(&mut Vec::new()).expect("stdin is readable");
    OVER.store(true, Ordering::Relaxed);
    let selections: usize = selecting.into_iter().map(|thread| thread.join().expect("it goes on")).sum();
    println!("{selections} {} {REPORT}", resetting.join().expect("it goes on"));
}

/// How often it worked.
fn repeat(over: &AtomicBool, way: impl Fn(&mut Card) -> Result<(), Error>) -> usize {
    let context = Context::establish(Scope::System).expect("pcscd is there");
    let reader = context.list_readers_owned().expect("a reader").remove(0);
    let mut card = context.connect(&reader, ShareMode::Shared, Protocols::ANY).expect("a card");
    let mut worked = 0;
    while !over.load(Ordering::Relaxed) {
        match way(&mut card) {
            Ok(()) => worked += 1,
            // The others reset it, too.
            Err(_) => drop(card.reconnect(ShareMode::Shared, Protocols::ANY, Disposition::LeaveCard)),
        }
        thread::sleep(Duration::from_micros(500));
    }
    // After a failure the service is gone, too.
    drop(card.disconnect(Disposition::LeaveCard));
    worked
}

fn selects(card: &Card) -> Result<(), Error> {
    // The crate panics if pcscd told no protocol, which it does when the card is reset while it is connected to.
    let sent = catch_unwind(AssertUnwindSafe(|| card.transmit(SELECT, &mut [0; 258]).map(drop)));
    sent.unwrap_or(Err(Error::ProtoMismatch))
}

fn selects_in_its_turn(card: &mut Card) -> Result<(), Error> {
    // It is waited for in steps of 100 ms.
    thread::sleep(Duration::from_millis(20));
    selects(&*card.transaction()?)
}

fn resets(card: &mut Card) -> Result<(), Error> {
    thread::sleep(Duration::from_millis(3));
    card.reconnect(ShareMode::Shared, Protocols::ANY, Disposition::ResetCard)
}
