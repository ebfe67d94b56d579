//! What the sessions do with the card, and the card that they do it with.

use openssl::pkey::{Id, PKey};

use super::session::{Reply, Session};
use crate::world::scripted::hex;
use crate::world::{Card, Home, Reader, Scdaemon, wait_for};

/// A job: what it is called, and how it is done.
pub(crate) struct Job {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&mut Session) -> Result<Reply, String>,
}

/// The jobs that a card may be pulled from.
pub(crate) const SIGN: Job = Job { name: "sign", run: |session| sign(session, &DIGEST) };
pub(crate) const DECRYPT: Job = Job { name: "decrypt", run: decrypt };
pub(crate) const GENERATE: Job =
    Job { name: "generate", run: |session| session.ask("GENKEY --force --timestamp=20240101T000000 3", b"") };
pub(crate) const WRITE_KEY: Job = Job { name: "keytocard", run: write_key };
/// The new PIN is the old one: whichever the card has afterwards, it is known.
pub(crate) const PASSWD: Job = Job { name: "passwd", run: |session| session.ask("PASSWD 1", b"") };

/// Something to be signed.
const DIGEST: [u8; 64] = [7; 64];

/// Signs 64 octets with the first key.
pub(crate) fn sign(session: &mut Session, digest: &[u8; 64]) -> Result<Reply, String> {
    session.ask(&format!("SETDATA {}", hex(digest)), b"")?;
    session.ask("PKSIGN --hash=sha512 OPENPGP.1", b"")
}

fn decrypt(session: &mut Session) -> Result<Reply, String> {
    // The base point, which anybody may have chosen.
    let mut point = [0; 33];
    (point[0], point[1]) = (0x40, 9);
    session.ask(&format!("SETDATA {}", hex(&point)), b"")?;
    session.ask("PKDECRYPT OPENPGP.2", b"")
}

fn write_key(session: &mut Session) -> Result<Reply, String> {
    let key = PKey::generate_ed25519().expect("OpenSSL has the curve");
    let (public, secret) = (key.raw_public_key().expect("it has one"), key.raw_private_key().expect("a key"));
    let curve = b"(11:private-key(3:ecc(5:curve7:Ed25519)(5:flags5:eddsa)(1:q33:@";
    let data = [&curve[..], &public, b")(1:d32:", &secret, b"))(10:created-at10:1700000001))"].concat();
    session.ask("WRITEKEY --force OPENPGP.1", &data)
}

/// Whether `signature` is that of the first key.
pub(crate) struct Verifier(PKey<openssl::pkey::Public>);

impl Verifier {
    /// The key as the card tells it: the last 32 octets before the S-expression's closing brackets.
    pub(crate) fn of(session: &mut Session) -> Self {
        let key = session.ask("READKEY OPENPGP.1", b"").expect("there is a key").data;
        let point = key.strip_suffix(b")))").and_then(|key| key.last_chunk::<32>()).expect("an S-expression");
        Self(PKey::public_key_from_raw_bytes(point, Id::ED25519).expect("a point"))
    }

    pub(crate) fn accepts(&self, digest: &[u8], signature: &[u8]) -> bool {
        let verifier = openssl::sign::Verifier::new_without_digest(&self.0);
        verifier.and_then(|mut verifier| verifier.verify_oneshot(signature, digest)).unwrap_or(false)
    }
}

/// A card with three keys whose signature PIN serves for several signatures, in a reader of its own, and a home whose
/// scdaemon has it.
pub(crate) fn card_with_keys() -> (Reader, Card, Home, Session) {
    let reader = Reader::start();
    let card = Card::insert(&reader.slot(), &[]);
    let home = Home::new(&reader, Scdaemon::Ours);
    let mut session = Session::with(&home);
    finds_the_card(&mut session);
    for setup in [
        "SETATTR KEY-ATTR --force+1+22+ed25519",
        "SETATTR KEY-ATTR --force+2+18+cv25519",
        "SETATTR KEY-ATTR --force+3+22+ed25519",
        "GENKEY --timestamp=20240101T000000 1",
        "GENKEY --timestamp=20240101T000000 2",
        "GENKEY --timestamp=20240101T000000 3",
        "SETATTR CHV-STATUS-1 %01",
    ] {
        session.ask(setup, b"").unwrap_or_else(|error| panic!("{setup}: {error}"));
    }
    session.questions = 0;
    (reader, card, home, session)
}

/// Asks until the card is there.
pub(crate) fn finds_the_card(session: &mut Session) {
    wait_for("the card", || session.ask("SERIALNO", b""));
}

/// The tries of user and admin PIN, as the card tells them.
pub(crate) fn tries(session: &mut Session) -> (u8, u8) {
    let reply = session.ask("GETATTR CHV-STATUS", b"").expect("the card is there");
    let status = reply.status.first().expect("a status line");
    let numbers: Vec<u8> =
        status.split('+').skip(1).map(|number| number.parse().expect("a number")).collect();
    (numbers[4], numbers[6])
}
