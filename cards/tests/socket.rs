//! Cards at the reader socket, from the deck's side: a real card's program, real jobs, counted APDUs.

#![allow(clippy::unwrap_used, reason = "helpers of tests may do what tests may")]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use claviger_cards::deck::{Change, Deck, DeckConfig, ScanError};
use claviger_cards::facts::CertificateState;
use claviger_cards::openpgp::kdf::Kdf;
use claviger_cards::token::{Cryptogram, DataObject, Job, Outcome, PinRef, Reply, Request, Slot, TokenError};
use claviger_secret::Secret;
use tempfile::TempDir;

use common::{PATIENCE, VirtualCard, submit, tokens, wait_until};

struct World {
    dir: TempDir,
    deck: Deck,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let deck = Deck::new(DeckConfig {
            pcsc: false,
            reader_socket: Some(dir.path().join("reader")),
            deadline: PATIENCE,
            ..DeckConfig::default()
        });
        deck.listen().unwrap();
        Self { dir, deck }
    }

    fn socket(&self) -> std::path::PathBuf {
        self.dir.path().join("reader")
    }

    fn plug(&self, options: &[&str]) -> VirtualCard {
        VirtualCard::start(&["--socket", self.socket().to_str().unwrap()], options)
    }
}

fn curve25519(slot: Slot) -> Vec<u8> {
    match slot {
        Slot::Decrypt => b"\x12\x2b\x06\x01\x04\x01\x97\x55\x01\x05\x01".to_vec(),
        Slot::Sign | Slot::Authenticate => b"\x16\x2b\x06\x01\x04\x01\xda\x47\x0f\x01".to_vec(),
    }
}

fn generate(slot: Slot) -> Request {
    let attributes = Some(curve25519(slot));
    Request::Generate { slot, force: false, created: 1_704_067_200, attributes, ecdh: None }
}

#[tokio::test]
async fn a_card_shows_itself_and_costs_no_more_than_the_table_says() {
    let world = World::new();
    let card = world.plug(&["--serial", "00000001"]);
    let token = tokens(&world.deck, 1).await.remove(0);
    for slot in Slot::ALL {
        submit(&token, generate(slot)).await.unwrap();
    }
    // A second stay begins without memory of the first.
    card.tell("remove");
    tokio::time::timeout(PATIENCE, token.removed()).await.unwrap();
    card.tell("reset-count");
    card.tell("insert");
    let token = tokens(&world.deck, 1).await.remove(0);
    assert_eq!(card.apdus(), 2, "SELECT and 6E open a card");
    assert_eq!(token.serial(), "D2760001240103040000000000010000");

    status(&token).await;
    assert!(card.apdus() <= 14, "cold: {}", card.apdus());
    let ((), warm) = card.cost(status(&token)).await;
    assert!(warm <= 2, "warm: {warm}");

    let ((), first) =
        card.cost(async { drop(submit(&token, Request::Sign(vec![7; 32])).await.unwrap()) }).await;
    assert!(first <= 3, "first signature: {first}");
    decipher(&card, &token).await;
    assert_eq!(token.card().unwrap().signature_counter, Some(1));
}

/// What `gpg --card-status` makes the agent ask for.
async fn status(token: &claviger_cards::deck::TokenHandle) {
    submit(token, Request::Refresh).await.unwrap();
    submit(token, Request::SignatureCounter).await.unwrap();
    for object in [
        DataObject::Name,
        DataObject::Language,
        DataObject::Sex,
        DataObject::Url,
        DataObject::Login,
        DataObject::Kdf,
        DataObject::Private(1),
        DataObject::Private(2),
    ] {
        submit(token, Request::Object(object)).await.unwrap();
    }
    for slot in Slot::ALL {
        submit(token, Request::PublicKey(slot)).await.unwrap();
    }
}

/// A point of Curve25519 that anybody may have chosen: the base point.
fn base_point() -> Request {
    let mut point = vec![0; 32];
    point[0] = 9;
    Request::Decipher(Cryptogram::Ecdh(point))
}

async fn decipher(card: &VirtualCard, token: &claviger_cards::deck::TokenHandle) {
    let (first, cost) = card.cost(submit(token, base_point())).await;
    assert!(matches!(first.unwrap(), Reply::Plaintext(secret) if secret.len() == 32));
    assert!(cost <= 3, "first decryption: {cost}");
    let (next, cost) = card.cost(submit(token, base_point())).await;
    assert!(next.is_ok());
    assert_eq!(cost, 1, "next decryption");
}

#[tokio::test]
async fn a_signature_with_a_forced_pin_and_without() {
    let world = World::new();
    let card = world.plug(&[]);
    let token = tokens(&world.deck, 1).await.remove(0);
    submit(&token, generate(Slot::Sign)).await.unwrap();
    assert!(token.card().unwrap().pin_status.forced(), "a fresh card forces the PIN");
    for _ in 0..2 {
        let (signed, cost) = card.cost(submit(&token, Request::Sign(vec![7; 32]))).await;
        assert!(matches!(signed.unwrap(), Reply::Signature(octets) if octets.len() == 64));
        assert!(cost <= 3, "forced: {cost}");
    }
    submit(&token, Request::Put(DataObject::PinStatus, vec![1])).await.unwrap();
    submit(&token, Request::Sign(vec![7; 32])).await.unwrap();
    let (signed, cost) = card.cost(submit(&token, Request::Sign(vec![7; 32]))).await;
    assert!(signed.is_ok());
    assert_eq!(cost, 1, "not forced, verified");
}

#[tokio::test]
async fn a_neighbour_that_takes_the_card_away_costs_no_pin() {
    let world = World::new();
    let card = world.plug(&[]);
    let token = tokens(&world.deck, 1).await.remove(0);
    submit(&token, generate(Slot::Decrypt)).await.unwrap();
    submit(&token, base_point()).await.unwrap();
    for intrusion in ["seize", "reset"] {
        card.tell(intrusion);
        let lost = token.submit(Job::new(base_point())).await.unwrap();
        let Outcome::NeedsPin(question) = lost else { panic!("{intrusion}: {lost:?}") };
        assert!(question.may_use_cache, "{intrusion}");
        let pin = Secret::copy_of(b"123456");
        let done = token.submit(question.with_pin(pin)).await.unwrap();
        assert!(matches!(done, Outcome::Done(Reply::Plaintext(_))), "{intrusion}");
        assert!(card.tell("count").contains("leaks=0"), "{intrusion}");
        assert!(token.is_present(), "{intrusion}");
    }
}

#[tokio::test]
async fn a_wrong_pin_is_counted_and_the_right_one_fills_up() {
    let world = World::new();
    let _card = world.plug(&[]);
    let token = tokens(&world.deck, 1).await.remove(0);
    let wrong = common::submit_with(&token, Request::Verify(PinRef::User), "000000", "").await;
    assert!(matches!(wrong, Err(TokenError::WrongPin { pin: PinRef::User, .. })), "{wrong:?}");
    submit(&token, Request::Refresh).await.unwrap();
    assert_eq!(token.card().unwrap().pin_status.tries(PinRef::User), 2);
    submit(&token, Request::Verify(PinRef::User)).await.unwrap();
    assert_eq!(token.card().unwrap().pin_status.tries(PinRef::User), 3);
    submit(&token, Request::Refresh).await.unwrap();
    assert_eq!(token.card().unwrap().pin_status.tries(PinRef::User), 3);
}

#[tokio::test]
async fn pins_are_changed_and_unblocked() {
    let world = World::new();
    let _card = world.plug(&[]);
    let token = tokens(&world.deck, 1).await.remove(0);
    submit(&token, Request::ChangePin(PinRef::User)).await.unwrap();
    submit(&token, Request::ChangePin(PinRef::Admin)).await.unwrap();
    submit(&token, Request::SetResetCode).await.map(drop).unwrap_or_else(|error| {
        assert!(matches!(error, TokenError::PinTooShort { .. }), "{error}");
    });
    common::submit_with(&token, Request::SetResetCode, "87654321", "12345678").await.unwrap();
    for _ in 0..3 {
        let wrong = common::submit_with(&token, Request::Verify(PinRef::User), "000000", "").await;
        assert!(wrong.is_err());
    }
    let blocked = submit(&token, Request::Verify(PinRef::User)).await;
    assert!(matches!(blocked, Err(TokenError::PinBlocked(PinRef::User))), "{blocked:?}");
    common::submit_with(&token, Request::UnblockWithResetCode, "87654321", "").await.unwrap();
    common::submit_with(&token, Request::Verify(PinRef::User), "87654321", "").await.unwrap();
    submit(&token, Request::UnblockAsAdmin).await.unwrap();
    submit(&token, Request::Verify(PinRef::User)).await.unwrap();
}

#[tokio::test]
async fn a_short_card_does_the_same_by_chaining() {
    let world = World::new();
    let card = world.plug(&["--short-apdu"]);
    let token = tokens(&world.deck, 1).await.remove(0);
    let rsa = Some(b"\x01\x08\x00\x00\x20\x00".to_vec());
    for slot in [Slot::Sign, Slot::Decrypt] {
        let request =
            Request::Generate { slot, force: true, created: 1, attributes: rsa.clone(), ecdh: None };
        let made = submit(&token, request).await.unwrap();
        assert!(matches!(made, Reply::PublicKey(key) if key.bits() == 2048));
    }
    let signed = submit(&token, Request::Sign(digest_info())).await.unwrap();
    assert!(matches!(signed, Reply::Signature(octets) if octets.len() == 256));
    let refused = submit(&token, Request::Decipher(Cryptogram::Rsa(vec![5; 256]))).await;
    assert!(matches!(refused, Err(TokenError::Status { .. })), "no padding in it: {refused:?}");
    let certificate = vec![b'x'; 700];
    submit(&token, Request::PutCertificate(Slot::Authenticate, certificate.clone())).await.unwrap();
    let read = submit(&token, Request::Certificate(Slot::Authenticate)).await.unwrap();
    assert!(matches!(read, Reply::Object(Some(octets)) if octets == certificate));
    let log = std::fs::read_to_string(&card.log).unwrap();
    assert_eq!(log.matches(" 6700 ").count(), 1, "extended length is tried once:\n{log}");
}

#[tokio::test]
async fn three_certificates_are_read_with_three_commands_and_each_is_its_slot_s() {
    let world = World::new();
    let card = world.plug(&[]);
    let token = tokens(&world.deck, 1).await.remove(0);
    for (slot, octet) in Slot::ALL.into_iter().zip(1..) {
        submit(&token, Request::PutCertificate(slot, vec![octet; 600])).await.unwrap();
    }
    let (read, cost) = card.cost(submit(&token, Request::Certificates)).await;
    read.unwrap();
    assert_eq!(cost, 3);
    for (slot, octet) in Slot::ALL.into_iter().zip(1..) {
        assert_eq!(
            token.card().unwrap().certificate(slot).map(|octets| octets.to_vec()),
            Some(vec![octet; 600])
        );
    }
    submit(&token, Request::PutCertificate(Slot::Decrypt, Vec::new())).await.unwrap();
    submit(&token, Request::Certificates).await.unwrap();
    assert_eq!(token.card().unwrap().certificates[1], CertificateState::Absent);
    assert_eq!(card.cost(submit(&token, Request::Certificates)).await.1, 0);
}

/// SHA-256 of nothing in particular, as PSO:CDS takes it with an RSA key.
fn digest_info() -> Vec<u8> {
    let prefix = b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";
    [&prefix[..], &[7; 32]].concat()
}

#[tokio::test]
async fn a_kdf_card_loses_no_try() {
    let world = World::new();
    let _card = world.plug(&[]);
    let token = tokens(&world.deck, 1).await.remove(0);
    let mut object = vec![0x81, 1, 3, 0x82, 1, 8, 0x83, 4, 0, 0, 0x20, 0];
    for (tag, salt) in [(0x84, b"01234567"), (0x85, b"89abcdef"), (0x86, b"ABCDEFGH")] {
        object.extend([tag, 8]);
        object.extend(salt);
    }
    for (tag, which, pin) in [(0x87, PinRef::User, "123456"), (0x88, PinRef::Admin, "12345678")] {
        let kdf = Kdf::parse(Some(&object)).unwrap();
        let hash = kdf.derive(which, &Secret::copy_of(pin.as_bytes())).unwrap();
        object.extend([tag, 0x20]);
        object.extend(hash.as_bytes());
    }
    submit(&token, Request::Put(DataObject::Kdf, object)).await.unwrap();
    submit(&token, Request::Verify(PinRef::User)).await.unwrap();
    submit(&token, Request::Verify(PinRef::Admin)).await.unwrap();
    submit(&token, Request::Refresh).await.unwrap();
    let status = token.card().unwrap().pin_status;
    assert_eq!((status.tries(PinRef::User), status.tries(PinRef::Admin)), (3, 3));
    submit(&token, Request::ChangePin(PinRef::User)).await.unwrap();
    submit(&token, Request::Verify(PinRef::User)).await.unwrap();
    submit(&token, Request::Put(DataObject::Kdf, vec![0x81, 1, 0])).await.unwrap();
    submit(&token, Request::Verify(PinRef::User)).await.unwrap();
    submit(&token, Request::Verify(PinRef::Admin)).await.unwrap();
}

#[tokio::test]
async fn a_card_that_vanishes_in_the_middle_is_gone_and_comes_back_as_another_stay() {
    let world = World::new();
    let card = world.plug(&[]);
    let token = tokens(&world.deck, 1).await.remove(0);
    let mut events = world.deck.subscribe();
    card.tell("vanish 1");
    let gone = submit(&token, Request::Refresh).await;
    assert!(matches!(gone, Err(TokenError::Gone)), "{gone:?}");
    assert!(!token.is_present());
    assert_eq!(events.recv().await.unwrap().change, Change::Removed);
    assert!(matches!(submit(&token, Request::Refresh).await, Err(TokenError::Gone)));
    card.tell("insert");
    let again = tokens(&world.deck, 1).await.remove(0);
    assert_ne!(again.insertion(), token.insertion());
    assert_eq!(again.serial(), token.serial());
    submit(&again, Request::Refresh).await.unwrap();
}

#[tokio::test]
async fn several_cards_are_there_with_the_newest_first() {
    let world = World::new();
    let first = world.plug(&["--serial", "00000001"]);
    tokens(&world.deck, 1).await;
    let _second = world.plug(&["--serial", "00000002"]);
    let both = tokens(&world.deck, 2).await;
    let serials: Vec<_> = both.iter().map(|token| token.serial()[20..28].to_owned()).collect();
    assert_eq!(serials, ["00000002", "00000001"]);
    assert_eq!(world.deck.readers().len(), 2);
    drop(first);
    assert_eq!(tokens(&world.deck, 1).await[0].serial(), both[0].serial());
}

#[tokio::test]
async fn a_factory_reset_by_raw_commands_ends_with_a_usable_card() {
    let world = World::new();
    let _card = world.plug(&[]);
    let token = tokens(&world.deck, 1).await.remove(0);
    submit(&token, generate(Slot::Sign)).await.unwrap();
    let raw = |command: &[u8]| Request::Apdu { command: command.to_vec(), more: false };
    for reference in [0x81, 0x83] {
        for _ in 0..4 {
            let verify = [&[0, 0x20, 0, reference, 0x20][..], &[0x40; 32]].concat();
            submit(&token, raw(&verify)).await.unwrap();
        }
    }
    for command in [[0, 0xe6, 0, 0], [0, 0x44, 0, 0]] {
        let done = submit(&token, raw(&command)).await.unwrap();
        assert!(matches!(done, Reply::Apdu(octets) if octets == [0x90, 0]));
    }
    submit(&token, Request::Reset).await.unwrap();
    assert!(!token.card().unwrap().has_fingerprint(Slot::Sign));
    assert_eq!(token.card().unwrap().pin_status.tries(PinRef::Admin), 3);
    submit(&token, Request::Verify(PinRef::Admin)).await.unwrap();
}

#[tokio::test]
async fn the_socket_is_its_owners_and_goes_with_the_deck() {
    let world = World::new();
    let mode = std::fs::metadata(world.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    world.deck.shutdown();
    assert!(!world.socket().exists());
    assert!(UnixStream::connect(world.socket()).is_err());
}

#[tokio::test]
async fn a_socket_that_nobody_listens_at_is_replaced_and_a_living_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("reader");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let config = || DeckConfig { pcsc: false, reader_socket: Some(path.clone()), ..DeckConfig::default() };
    let deck = Deck::new(config());
    deck.listen().unwrap();
    let second = Deck::new(config());
    assert!(matches!(second.listen(), Err(ScanError::ReaderSocket { .. })));
    drop(second);
    assert!(path.exists(), "the first one's socket stays");
}

#[tokio::test]
async fn nothing_is_opened_that_is_not_configured() {
    let deck = Deck::new(DeckConfig { pcsc: false, ..DeckConfig::default() });
    deck.scan().await.unwrap();
    assert!(deck.tokens().is_empty() && deck.readers().is_empty());
}

#[tokio::test]
async fn a_stranger_at_the_socket_is_turned_out_and_cards_are_served() {
    let world = World::new();
    let silent = UnixStream::connect(world.socket()).unwrap();
    let rude = UnixStream::connect(world.socket()).unwrap();
    let garbage = std::io::Write::write(&mut &rude, &[0xff; 4096]);
    assert!(garbage.is_ok());
    let _card = world.plug(&[]);
    let token = tokens(&world.deck, 1).await.remove(0);
    submit(&token, Request::Refresh).await.unwrap();
    drop((silent, rude));
}

#[tokio::test]
async fn more_cards_than_there_is_room_for_are_turned_away() {
    let world = World::new();
    let crowd: Vec<_> = (0..40).map(|_| UnixStream::connect(world.socket()).unwrap()).collect();
    world.deck.scan().await.ok();
    assert!(world.deck.readers().len() <= 16);
    drop(crowd);
    let _card = world.plug(&[]);
    let token = tokens(&world.deck, 1).await.remove(0);
    submit(&token, Request::Refresh).await.unwrap();
}

#[tokio::test]
async fn a_dropped_job_that_has_not_begun_is_not_carried_out() {
    let world = World::new();
    let card = world.plug(&["--latency", "300"]);
    let token = tokens(&world.deck, 1).await.remove(0);
    let slow = token.submit(Job::new(Request::Refresh));
    tokio::pin!(slow);
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut slow).await.is_err());
    let late = token.submit(Job::new(Request::SignatureCounter));
    assert!(tokio::time::timeout(Duration::from_millis(50), late).await.is_err());
    slow.await.unwrap();
    submit(&token, Request::Object(DataObject::PinStatus)).await.unwrap();
    assert_eq!(token.card().unwrap().signature_counter, None);
    wait_until("the card's log", || log_lines(&card.log) == 3);
}

fn log_lines(path: &Path) -> usize {
    let log = std::fs::read_to_string(path).unwrap_or_default();
    log.lines().filter(|line| !line.starts_with('#')).count()
}
