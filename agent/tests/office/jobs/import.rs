//! Keys of gpg's that are moved to a card, for each algorithm that the card has.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::sync::OnceLock;

use super::USUAL;
use crate::office::contents::NEW;
use crate::office::{Job, Start};
use crate::world::jobs::{decrypts, logs_in, signs};
use crate::world::{Home, Seen};

const fn job(name: &'static str, act: fn(&Home) -> Vec<Seen>) -> Job {
    Job { name, since: "2.2", start: Start::New, answers: USUAL, act, check: works, pins: NEW, varies: &[] }
}

/// Each of the three does what it is for.
pub(super) fn works(home: &Home) {
    signs(home);
    decrypts(home);
    logs_in(home);
}

/// Three keys of a kind: to sign, to decrypt, to log in. Made once, so that both cards get the same.
pub(super) struct Keys {
    types: [&'static str; 3],
    made: OnceLock<Vec<u8>>,
}

impl Keys {
    const fn of(types: [&'static str; 3]) -> Self {
        Self { types, made: OnceLock::new() }
    }

    /// Brings them into gpg's keyring.
    pub(super) fn import(&self, home: &Home) {
        home.gpg_reads(&["--import"], self.made.get_or_init(|| make(home, self.types))).ok();
    }
}

/// In a home of their own, which has no card.
fn make(home: &Home, types: [&str; 3]) -> Vec<u8> {
    let soft = home.path("soft");
    DirBuilder::new().mode(0o700).create(&soft).expect("the folder is ours");
    let soft = soft.display().to_string();
    let gpg = |arguments: &[&str]| {
        home.gpg(
            &[&["--homedir", &soft, "--pinentry-mode", "loopback", "--passphrase", ""], arguments].concat(),
        )
        .ok()
    };
    gpg(&["--quick-gen-key", "Carla Card <carla@example.org>", types[0], "sign,cert", "0"]);
    let fingerprint = gpg(&["--with-colons", "--list-keys"]).line("fpr:::::::::").replace(':', "");
    gpg(&["--quick-add-key", &fingerprint, types[1], "encr", "0"]);
    gpg(&["--quick-add-key", &fingerprint, types[2], "auth", "0"]);
    let secret = gpg(&["--export-secret-keys"]).stdout;
    Seen::of(home.command("gpgconf").args(["--homedir", &soft, "--kill", "all"]), b"").ok();
    secret
}

pub(super) static CURVE25519: Keys = Keys::of(["ed25519", "cv25519", "ed25519"]);
static P256: Keys = Keys::of(["nistp256", "nistp256", "nistp256/ecdsa"]);
static P384: Keys = Keys::of(["nistp384", "nistp384", "nistp384/ecdsa"]);
static P521: Keys = Keys::of(["nistp521", "nistp521", "nistp521/ecdsa"]);
static RSA2048: Keys = Keys::of(["rsa2048"; 3]);
static RSA3072: Keys = Keys::of(["rsa3072"; 3]);
static RSA4096: Keys = Keys::of(["rsa4096"; 3]);

fn keytocard(home: &Home, keys: &Keys) -> Vec<Seen> {
    keys.import(home);
    vec![moved(home, &[])]
}

/// `sure` answers the question whether a key that is there may be replaced.
fn moved(home: &Home, sure: &[&str]) -> Seen {
    let words = [
        &["keytocard", "y", "1"],
        sure,
        &["key 1", "keytocard", "2"],
        sure,
        &["key 1", "key 2", "keytocard", "3"],
        sure,
        &["save"],
    ];
    home.gpg_dialogue(&["--edit-key", "carla@example.org"], &words.concat())
}

pub(crate) static JOBS: &[Job] = &[
    job("keytocard, Curve25519", |home| keytocard(home, &CURVE25519)),
    job("keytocard, NIST P-256", |home| keytocard(home, &P256)),
    job("keytocard, NIST P-384", |home| keytocard(home, &P384)),
    job("keytocard, NIST P-521", |home| keytocard(home, &P521)),
    job("keytocard, RSA 2048", |home| keytocard(home, &RSA2048)),
    job("keytocard, RSA 3072", |home| keytocard(home, &RSA3072)),
    job("keytocard, RSA 4096", |home| keytocard(home, &RSA4096)),
    Job {
        start: Start::WithKeys,
        ..job("keytocard over keys", |home| {
            let listing = home.gpg(&["--with-colons", "--list-keys"]).ok();
            let fingerprint = listing.line("fpr:::::::::").replace(':', "");
            home.gpg(&["--delete-secret-and-public-key", &fingerprint]).ok();
            P256.import(home);
            vec![moved(home, &["y"])]
        })
    },
];
