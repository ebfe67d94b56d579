//! The deck over PC/SC: a pcscd of our own with vpcd's readers, the virtual card in them, and a neighbour.
//!
//! Each test runs itself once more inside of `testdata/world/pcscd-vpcd`, where that pcscd is the only one there is. That
//! needs root, and Debian's pcscd and vsmartcard-vpcd.

#![allow(clippy::unwrap_used, reason = "helpers of tests may do what tests may")]

mod common;

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use claviger_cards::deck::{Change, Deck, DeckConfig, DeckEvent, ScanError, TokenHandle};
use claviger_cards::token::{Cryptogram, Job, Outcome, Reply, Request, Slot, TokenError};
use claviger_secret::Secret;
use pcsc::{Context, Disposition, Protocols, Scope, ShareMode};
use tokio::sync::broadcast::Receiver;
use tokio::time::timeout;

use common::{PATIENCE, VirtualCard, submit, tokens, wait_until};

/// Set inside of the private world.
const INSIDE: &str = "CLAVIGER_TEST_INSIDE";

/// Runs a test inside of a world of its own.
fn inside(name: &str, test: impl Future<Output = ()>) {
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
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{told}{}", String::from_utf8_lossy(&run.stderr));
    assert!(told.contains("1 passed"), "the test ran not once inside: {told}");
}

fn port() -> String {
    format!("127.0.0.1:{}", env::var("VPCD_PORT").unwrap())
}

fn plug() -> VirtualCard {
    VirtualCard::start(&["--vpcd", &port()], &[])
}

fn deck() -> Deck {
    Deck::new(DeckConfig { deadline: PATIENCE, ..DeckConfig::default() })
}

/// Waits for an event; nobody scans meanwhile.
async fn event(events: &mut Receiver<DeckEvent>, change: Change) {
    let event = timeout(PATIENCE, events.recv()).await.expect("an event").unwrap();
    assert_eq!(event.change, change);
}

async fn with_decryption_key(token: &TokenHandle) {
    let attributes = Some(b"\x12\x2b\x06\x01\x04\x01\x97\x55\x01\x05\x01".to_vec());
    let slot = Slot::Decrypt;
    let request = Request::Generate { slot, force: false, created: 1, attributes, ecdh: None };
    submit(token, request).await.unwrap();
    submit(token, decipher()).await.unwrap();
}

fn decipher() -> Request {
    let mut point = vec![0; 32];
    point[0] = 9;
    Request::Decipher(Cryptogram::Ecdh(point))
}

/// A decryption that finds its PIN verification gone, and gets it again without a person.
async fn decipher_again(token: &TokenHandle) {
    let Outcome::NeedsPin(question) = token.submit(Job::new(decipher())).await.unwrap() else {
        panic!("the verification was not lost");
    };
    assert!(question.may_use_cache);
    let done = token.submit(question.with_pin(Secret::copy_of(b"123456"))).await.unwrap();
    assert!(matches!(done, Outcome::Done(Reply::Plaintext(_))));
}

/// A neighbour's own way to the card.
fn neighbour(mode: ShareMode) -> pcsc::Card {
    let context = Context::establish(Scope::System).unwrap();
    let mut buffer = [0; 2048];
    let reader = context.list_readers(&mut buffer).unwrap().next().unwrap();
    context.connect(reader, mode, Protocols::ANY).unwrap()
}

/// A neighbour who has the card for itself.
fn alone() -> pcsc::Card {
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
struct Holder {
    release: mpsc::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Holder {
    fn start() -> Self {
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

    fn let_go(self) {
        self.release.send(()).unwrap();
        self.thread.join().unwrap();
    }
}

/// Waits until PC/SC has seen the card.
fn wait_for_card() {
    wait_until("a card in the reader", || {
        let context = Context::establish(Scope::System).unwrap();
        let reader = context.list_readers_owned().unwrap().remove(0);
        let card = context.connect(&reader, ShareMode::Shared, Protocols::ANY);
        card.is_ok_and(|card| card.disconnect(Disposition::LeaveCard).is_ok())
    });
}

#[test]
fn cards_come_and_go_by_events() {
    inside("cards_come_and_go_by_events", async {
        let deck = deck();
        deck.scan().await.unwrap();
        assert!(deck.tokens().is_empty());
        assert_eq!(deck.readers().len(), 2);
        let mut events = deck.subscribe();
        let card = plug();
        event(&mut events, Change::Inserted).await;
        let token = deck.tokens().remove(0);
        assert!(token.reader().starts_with("Virtual PCD"));
        card.tell("remove");
        event(&mut events, Change::Removed).await;
        assert!(!token.is_present());
        assert!(matches!(submit(&token, Request::Refresh).await, Err(TokenError::Gone)));
        card.tell("insert");
        event(&mut events, Change::Inserted).await;
        submit(&deck.tokens()[0], Request::Refresh).await.unwrap();
        assert_ne!(deck.tokens()[0].insertion(), token.insertion());
    });
}

#[test]
fn a_card_over_pcsc_costs_no_more_than_the_table_says() {
    inside("a_card_over_pcsc_costs_no_more_than_the_table_says", async {
        let deck = deck();
        let card = plug();
        let token = tokens(&deck, 1).await.remove(0);
        assert_eq!(card.apdus(), 2, "SELECT and 6E open a card");
        with_decryption_key(&token).await;
        let (done, cost) = card.cost(submit(&token, decipher())).await;
        assert!(done.is_ok());
        assert_eq!(cost, 1);
        let (refreshed, cost) = card.cost(submit(&token, Request::Refresh)).await;
        assert!(refreshed.is_ok());
        assert_eq!(cost, 1, "6E of more than 256 octets comes in one piece");
        let ((), cost) = card.cost(async { deck.scan().await.unwrap() }).await;
        assert_eq!(cost, 0, "a scan asks no card that is known");
    });
}

#[test]
fn a_neighbour_that_resets_the_card_is_no_removal() {
    inside("a_neighbour_that_resets_the_card_is_no_removal", async {
        let deck = deck();
        let card = plug();
        let token = tokens(&deck, 1).await.remove(0);
        with_decryption_key(&token).await;
        let mut events = deck.subscribe();
        neighbour(ShareMode::Shared).disconnect(Disposition::ResetCard).map_err(|(_, error)| error).unwrap();
        decipher_again(&token).await;
        event(&mut events, Change::Reset).await;
        assert!(token.is_present());
        assert_eq!(token.facts().resets, 1);
        assert!(card.tell("count").contains("leaks=0"));
    });
}

#[test]
fn a_neighbour_that_selects_its_applet_gets_no_pin() {
    inside("a_neighbour_that_selects_its_applet_gets_no_pin", async {
        let deck = deck();
        let card = plug();
        let token = tokens(&deck, 1).await.remove(0);
        with_decryption_key(&token).await;
        let other = neighbour(ShareMode::Shared);
        let mut answer = [0; 258];
        let selected = other.transmit(b"\x00\xa4\x04\x00\x06\xf0\x00\x00\x01\x01\x01", &mut answer);
        assert_eq!(selected.unwrap(), [0x90, 0x00]);
        other.disconnect(Disposition::LeaveCard).map_err(|(_, error)| error).unwrap();
        decipher_again(&token).await;
        assert!(card.tell("count").contains("leaks=0"));
    });
}

#[test]
fn a_neighbour_that_holds_the_card_too_long_makes_us_busy() {
    inside("a_neighbour_that_holds_the_card_too_long_makes_us_busy", async {
        let deadline = Duration::from_millis(300);
        let deck = Deck::new(DeckConfig { deadline, ..DeckConfig::default() });
        let _card = plug();
        let token = tokens(&deck, 1).await.remove(0);
        let holder = Holder::start();
        let busy = submit(&token, Request::SignatureCounter).await;
        assert!(matches!(busy, Err(TokenError::Busy)), "{busy:?}");
        holder.let_go();
        let served = timeout(PATIENCE, async { while submit(&token, Request::Refresh).await.is_err() {} });
        served.await.unwrap();
        assert_eq!(token.facts().signature_counter, None, "what was given up is not carried out");
    });
}

#[test]
fn a_card_that_is_held_when_it_is_to_be_opened_is_told_and_opened_later() {
    inside("a_card_that_is_held_when_it_is_to_be_opened_is_told_and_opened_later", async {
        let _card = plug();
        wait_for_card();
        let holder = Holder::start();
        let deadline = Duration::from_millis(300);
        let deck = Deck::new(DeckConfig { deadline, ..DeckConfig::default() });
        let refused = deck.scan().await;
        assert!(matches!(refused, Err(ScanError::CardUnusable { .. })), "{refused:?}");
        holder.let_go();
        tokens(&deck, 1).await;
    });
}

#[test]
fn a_card_that_a_neighbour_has_for_itself_is_there_when_it_is_free() {
    inside("a_card_that_a_neighbour_has_for_itself_is_there_when_it_is_free", async {
        let _card = plug();
        let exclusive = alone();
        let deck = deck();
        let refused = deck.scan().await;
        assert!(matches!(refused, Err(ScanError::CardUnusable { .. })), "{refused:?}");
        drop(exclusive);
        deck.scan().await.unwrap();
        assert_eq!(deck.tokens().len(), 1);
    });
}

#[test]
fn who_waits_hears_of_a_card_that_could_not_be_opened_at_first() {
    inside("who_waits_hears_of_a_card_that_could_not_be_opened_at_first", async {
        let _card = plug();
        let exclusive = alone();
        let deck = deck();
        assert!(matches!(deck.scan().await, Err(ScanError::CardUnusable { .. })));
        let mut events = deck.subscribe();
        drop(exclusive);
        tokio::select! {
            never = deck.attend() => match never {},
            () = event(&mut events, Change::Inserted) => {}
        }
    });
}

#[test]
fn cards_are_left_as_they_are() {
    inside("cards_are_left_as_they_are", async {
        let deck = deck();
        let card = plug();
        wait_for_card();
        // It keeps the card powered, so that a reset could only be ours.
        let _neighbour = neighbour(ShareMode::Shared);
        let token = tokens(&deck, 1).await.remove(0);
        submit(&token, Request::Refresh).await.unwrap();
        let events = |log: &str| log.lines().filter(|line| line.starts_with('#')).count();
        let before = events(&fs::read_to_string(&card.log).unwrap());
        deck.shutdown();
        assert!(deck.tokens().is_empty());
        thread::sleep(Duration::from_millis(300));
        let log = fs::read_to_string(&card.log).unwrap();
        assert_eq!(events(&log), before, "{log}");
    });
}

#[test]
fn without_the_service_the_cure_is_told_and_with_it_all_is_well_again() {
    inside("without_the_service_the_cure_is_told_and_with_it_all_is_well_again", async {
        let deck = deck();
        let _card = plug();
        let token = tokens(&deck, 1).await.remove(0);
        let mut events = deck.subscribe();
        stop_pcscd();
        event(&mut events, Change::Removed).await;
        assert!(!token.is_present());
        let error = deck.scan().await.unwrap_err();
        assert!(matches!(error, ScanError::NoService { .. }), "{error}");
        assert!(error.to_string().contains("pcscd"), "{error}");
        let _service = Service::start();
        let token = tokens(&deck, 1).await.remove(0);
        submit(&token, Request::Refresh).await.unwrap();
    });
}

fn stop_pcscd() {
    let pid = fs::read_to_string("/run/pcscd/pcscd.pid").unwrap();
    let killed = Command::new("kill").arg(pid.trim_matches(|c: char| !c.is_ascii_digit())).status().unwrap();
    assert!(killed.success());
    wait_until("pcscd to end", || !Path::new("/run/pcscd/pcscd.comm").exists());
}

/// Another pcscd with the same reader; it ends with the test.
struct Service {
    child: Child,
    _config: tempfile::TempDir,
}

impl Service {
    fn start() -> Self {
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
        wait_until("pcscd to listen", || Path::new("/run/pcscd/pcscd.comm").exists());
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
