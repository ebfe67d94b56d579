//! What GnuPG has from 2.3 on: gpg's command for the finger, and gpg-card, which wants a terminal for its questions.

use super::import::{CURVE25519, works};
use super::keys::GENERATED;
use super::{USUAL, nothing};
use crate::office::contents::{NEW, Pins};
use crate::office::{Job, Start};
use crate::world::jobs::logs_in;
use crate::world::{Home, Seen};

const fn job(name: &'static str, act: fn(&Home) -> Vec<Seen>) -> Job {
    Job { name, since: "2.3", start: Start::New, answers: USUAL, act, check: nothing, pins: NEW, varies: &[] }
}

/// gpg-card on a terminal where these lines are typed.
fn gpg_card(home: &Home, words: &[&str]) -> Vec<Seen> {
    let typed = words.join("\n") + "\nquit\n";
    let mut command = home.command("script");
    command.args(["-qe", "--echo", "never", "-c", "gpg-card", "/dev/null"]).env("TERM", "dumb");
    vec![Seen::of(&mut command, typed.as_bytes())]
}

/// The file with this content.
fn file(home: &Home, content: &str) -> String {
    home.write("content", content).display().to_string()
}

/// Makes an OpenPGP certificate for the keys that the card made, and uses them.
fn is_certified_and_works(home: &Home) {
    home.answers(USUAL);
    home.gpg(&["--quick-gen-key", "Carla Card <carla@example.org>", "card", "-", "0"]).ok();
    works(home);
}

/// Brings three keys into the agent, and moves them to the card by their keygrips.
fn writekey(home: &Home) -> Vec<Seen> {
    CURVE25519.import(home);
    let listing = home.gpg(&["--with-colons", "--with-keygrip", "--list-keys"]).ok().text();
    let grips = listing.lines().filter_map(|line| line.strip_prefix("grp:::::::::"));
    let words = grips.zip(1..).map(|(grip, n)| format!("writekey OPENPGP.{n} {}", grip.replace(':', "")));
    gpg_card(home, &words.collect::<Vec<_>>().iter().map(String::as_str).collect::<Vec<_>>())
}

pub(crate) static JOBS: &[Job] = &[
    job("uif", |home| {
        vec![home.card_edit(&["admin", "uif 1 on", "uif 2 on", "uif 2 off", "uif 3 permanent", "quit"])]
    }),
    Job {
        start: Start::WithKeys,
        ..job("uif of a card with keys", |home| {
            let on = home.card_edit(&["admin", "uif 1 on", "quit"]);
            crate::world::jobs::signs(home);
            vec![on]
        })
    },
    job("gpg-card about a person", |home| {
        let name = ["name", "Doe", "Jane", "lang", "de", "login", "jane", "url", "https://example.org"];
        gpg_card(home, &[&name[..], &["salutation", "f", "forcesig"]].concat())
    }),
    job("gpg-card list, verify", |home| gpg_card(home, &["list", "verify"])),
    Job {
        start: Start::WithKeys,
        ..job("gpg-card list and verify of a card with keys", |home| gpg_card(home, &["list", "verify"]))
    },
    job("gpg-card cafpr", |home| gpg_card(home, &["cafpr 1", "0123456789ABCDEF0123456789ABCDEF01234567"])),
    Job {
        answers: "user 123456\nnew 654321\nadmin 12345678\n",
        pins: Pins { user: "654321", ..NEW },
        ..job("gpg-card passwd 1", |home| gpg_card(home, &["passwd", "1"]))
    },
    Job {
        answers: "admin 12345678\nnew 11223344\n",
        pins: Pins { user: "654321", ..NEW },
        ..job("gpg-card passwd 4, then unblock", |home| {
            let set = gpg_card(home, &["passwd", "4"]);
            home.answers("reset 11223344\nnew 654321\n");
            set.into_iter().chain(gpg_card(home, &["unblock"])).collect()
        })
    },
    Job {
        varies: GENERATED,
        check: is_certified_and_works,
        ..job("gpg-card generate", |home| {
            let words = ["ed25519 OPENPGP.1", "cv25519 OPENPGP.2", "nistp256 OPENPGP.3"];
            let words = words.map(|what| format!("generate --algo={what}"));
            gpg_card(home, &[&words[0], &words[1], &words[2]])
        })
    },
    Job {
        start: Start::WithKeys,
        varies: GENERATED,
        check: logs_in,
        ..job("gpg-card generate over a key", |home| {
            gpg_card(
                home,
                &["generate --algo=nistp384 OPENPGP.3", "n", "generate --force --algo=nistp384 OPENPGP.3"],
            )
        })
    },
    job("gpg-card writecert, readcert for all three keys", |home| {
        let file = file(home, "a certificate, as far as the card can tell");
        let back = home.path("back").display().to_string();
        let words: Vec<_> = (1..=3)
            .flat_map(|n| {
                [format!("writecert OPENPGP.{n} < {file}"), format!("readcert OPENPGP.{n} > {back}{n}")]
            })
            .collect();
        let seen = gpg_card(home, &words.iter().map(String::as_str).collect::<Vec<_>>());
        for n in 1..=3 {
            let read = std::fs::read_to_string(format!("{back}{n}")).expect("gpg-card wrote it");
            assert_eq!(read, "a certificate, as far as the card can tell");
        }
        seen
    }),
    job("gpg-card privatedo", |home| {
        let file = file(home, "private");
        let words = [1, 2, 3, 4].map(|n| format!("privatedo {n} < {file}"));
        gpg_card(home, &words.each_ref().map(String::as_str))
    }),
    job("gpg-card uif", |home| gpg_card(home, &["uif 1 on", "uif 2 on", "uif 2 off", "uif 3 permanent"])),
    Job {
        varies: &["F9"],
        ..job("gpg-card kdf-setup", |home| gpg_card(home, &["kdf-setup", "login", "jane"]))
    },
    Job {
        start: Start::WithKdf,
        answers: "user 123456\nnew 654321\nadmin 12345678\n",
        pins: Pins { user: "654321", ..NEW },
        ..job("gpg-card verify and passwd of a card with KDF", |home| {
            gpg_card(home, &["verify", "passwd", "1", "login", "jane"])
        })
    },
    Job {
        start: Start::WithKdf,
        answers: "admin 12345678\nnew 11223344\n",
        pins: Pins { user: "654321", ..NEW },
        ..job("gpg-card unblock of a card with KDF", |home| {
            let set = gpg_card(home, &["passwd", "4"]);
            home.answers("reset 11223344\nnew 654321\n");
            [set, gpg_card(home, &["unblock"])].concat()
        })
    },
    Job {
        // The agent gives no time, so that the card has the moment's.
        varies: &["6E/73/C5", "6E/73/CD"],
        ..job("gpg-card writekey", writekey)
    },
    job("gpg-card apdu and checkkeys", |home| gpg_card(home, &["apdu 00CA004F00", "checkkeys"])),
    job("gpg-card reset, then list", |home| gpg_card(home, &["reset", "list"])),
    job("gpg-card factory-reset", |home| {
        let fill = gpg_card(home, &["login", "jane"]);
        fill.into_iter().chain(gpg_card(home, &["factory-reset", "y", "yes"])).collect()
    }),
];
