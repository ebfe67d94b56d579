//! Keys that a card makes, their algorithms, and the card's return to the factory's state.

use super::{USUAL, nothing};
use crate::office::contents::NEW;
use crate::office::{Job, Start};
use crate::world::jobs::{decrypts, generate, logs_in, signs};
use crate::world::{Home, Seen};

/// What a new key is made of. Its fingerprint and time stand for it in gpg's certificate, which [`works`] looks at.
pub(super) const GENERATED: &[&str] = &["6E/73/C5", "6E/73/CD", "key B6", "key B8", "key A4"];

const fn job(name: &'static str, act: fn(&Home) -> Vec<Seen>) -> Job {
    Job { name, since: "2.2", start: Start::New, answers: USUAL, act, check: nothing, pins: NEW, varies: &[] }
}

const fn generation(name: &'static str, act: fn(&Home) -> Vec<Seen>) -> Job {
    Job { check: works, varies: GENERATED, ..job(name, act) }
}

fn works(home: &Home) {
    home.answers(USUAL);
    is_described(home);
    signs(home);
    decrypts(home);
    logs_in(home);
}

/// Card and certificate agree about fingerprints and times.
fn is_described(home: &Home) {
    let listing = home.gpg(&["--with-colons", "--list-keys"]).ok().text();
    let card = home.gpg(&["--with-colons", "--card-status"]).ok().text();
    let fields = |text: &str, start: &str| -> Vec<String> {
        let line = text.lines().find(|line| line.starts_with(start)).unwrap_or_default();
        line.split(':').skip(1).filter(|field| !field.is_empty()).map(str::to_owned).collect()
    };
    let [fingerprints, times] = ["fpr:", "fprtime:"].map(|start| fields(&card, start));
    assert_eq!((fingerprints.len(), times.len()), (3, 3), "{card}");
    for fingerprint in fingerprints {
        assert!(listing.contains(&format!("fpr:::::::::{fingerprint}:")), "{fingerprint}: {listing}");
    }
    for time in times {
        assert!(listing.contains(&format!(":{time}:")), "{time}: {listing}");
    }
}

fn key_attr(home: &Home, types: &[&str]) -> Vec<Seen> {
    vec![home.card_edit(&[&["admin", "key-attr"], types, &["quit"]].concat())]
}

/// gpg 2.2 wants the expiry confirmed, later ones do not.
fn generate_with(home: &Home, backup: &str, before: &[&str]) -> Vec<Seen> {
    let sure = if home.gpg(&["--version"]).text().contains("GnuPG) 2.2.") { &["y"][..] } else { &[] };
    let who = ["Carla Card", "carla@example.org", "", "O", "quit"];
    vec![home.card_edit(&[&["admin", "generate", backup], before, &["0"], sure, &who].concat())]
}

pub(crate) static JOBS: &[Job] = &[
    job("key-attr, Curve25519", |home| key_attr(home, &["2", "1", "2", "1", "2", "1"])),
    job("key-attr, NIST P-384", |home| key_attr(home, &["2", "4", "2", "4", "2", "4"])),
    job("key-attr, RSA 4096", |home| key_attr(home, &["1", "4096", "1", "4096", "1", "4096"])),
    job("key-attr, brainpool, which the card has not", |home| {
        key_attr(home, &["2", "6", "2", "6", "2", "6"])
    }),
    Job {
        start: Start::WithKeys,
        ..job("key-attr of a card with keys", |home| key_attr(home, &["2", "3", "1", "2048", "2", "3"]))
    },
    generation("generate without a backup", |home| generate_with(home, "n", &[])),
    generation("generate, Curve25519", |home| {
        generate(home, &["2", "1", "2", "1", "2", "1"]);
        vec![]
    }),
    generation("generate, NIST P-256", |home| {
        generate(home, &["2", "3", "2", "3", "2", "3"]);
        vec![]
    }),
    Job {
        answers: "user 123456\nadmin 12345678\nconfirm ok\n",
        ..generation("generate with a backup", |home| generate_with(home, "y", &[]))
    },
    Job {
        start: Start::WithKeys,
        ..generation("generate over keys", |home| {
            // The keys that are there are forgotten, so that gpg uses the new ones.
            let listing = home.gpg(&["--with-colons", "--list-keys"]).ok();
            let fingerprint = listing.line("fpr:::::::::").replace(':', "");
            home.gpg(&["--delete-secret-and-public-key", &fingerprint]).ok();
            generate_with(home, "n", &["y"])
        })
    },
    job("factory-reset", |home| {
        let fill = home.card_edit(&["admin", "name", "Doe", "Jane", "login", "jane", "quit"]);
        let reset = home.card_edit(&["admin", "factory-reset", "y", "yes", "quit"]);
        vec![fill, reset, home.gpg(&["--card-status"])]
    }),
    Job {
        start: Start::WithKeys,
        ..job("factory-reset of a card with keys", |home| {
            vec![home.card_edit(&["admin", "factory-reset", "y", "yes", "quit"])]
        })
    },
    job("factory-reset, thought better of", |home| {
        vec![home.card_edit(&["admin", "factory-reset", "y", "no", "quit"])]
    }),
];
