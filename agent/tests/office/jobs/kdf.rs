//! The key derivation for PINs: switched on and off, and all that is done with PINs while it is on.

use super::pins::{CHANGED, OTHER_USER, block, passwd};
use super::{USUAL, nothing};
use crate::office::contents::{NEW, Pins};
use crate::office::{Job, Start};
use crate::world::jobs::{decrypt, seal, sign};
use crate::world::{Home, Seen};

const fn job(name: &'static str, act: fn(&Home) -> Vec<Seen>) -> Job {
    // The salts are the card's own.
    let varies = &["F9"];
    Job { name, since: "2.2", start: Start::New, answers: USUAL, act, check: nothing, pins: NEW, varies }
}

/// With a card where it is on already.
const fn derived(name: &'static str, answers: &'static str, pins: Pins, act: fn(&Home) -> Vec<Seen>) -> Job {
    Job { start: Start::WithKdf, answers, pins, varies: &[], ..job(name, act) }
}

/// Into the agent, as gpg would send it: the derivation off.
fn switch_off(home: &Home) -> Seen {
    home.agent(&["SCD SERIALNO", "SCD SETATTR KDF %81%01%00"])
}

pub(crate) static JOBS: &[Job] = &[
    job("kdf-setup", |home| vec![home.card_edit(&["admin", "kdf-setup", "quit"])]),
    job("kdf-setup with one salt", |home| vec![home.card_edit(&["admin", "kdf-setup single", "quit"])]),
    job("kdf-setup, then a name", |home| {
        vec![home.card_edit(&["admin", "kdf-setup", "login", "jane", "quit"])]
    }),
    Job {
        start: Start::WithKeys,
        ..job("kdf-setup of a card with keys", |home| {
            seal(home);
            let set_up = home.card_edit(&["admin", "kdf-setup", "quit"]);
            vec![set_up, sign(home), decrypt(home)]
        })
    },
    job("kdf-setup, then off", |home| {
        vec![home.card_edit(&["admin", "kdf-setup", "quit"]), switch_off(home)]
    }),
    Job {
        answers: "user 123456\nadmin 00000000\n",
        ..job("kdf-setup with a wrong Admin PIN", |home| {
            vec![home.card_edit(&["admin", "kdf-setup", "quit"])]
        })
    },
    derived("name and verify of a card with KDF", USUAL, NEW, |home| {
        vec![home.card_edit(&["verify", "admin", "name", "Doe", "Jane", "privatedo 4", "four", "quit"])]
    }),
    derived(
        "passwd 1 and 3 of a card with KDF",
        CHANGED,
        Pins { user: OTHER_USER.user, admin: "87654321" },
        |home| [passwd(home, "1"), passwd(home, "3")].concat(),
    ),
    derived("passwd 1 of a card with KDF with a wrong PIN", "user 000000\nnew 654321\n", NEW, |home| {
        passwd(home, "1")
    }),
    derived("unblock as admin of a card with KDF", CHANGED, OTHER_USER, |home| {
        let blocked = block(home);
        home.answers(CHANGED);
        [blocked, passwd(home, "2")].concat()
    }),
    derived(
        "unblock with the Reset Code of a card with KDF",
        "admin 12345678\nnew 11223344\n",
        OTHER_USER,
        |home| {
            let set = passwd(home, "4");
            let blocked = block(home);
            home.answers("reset 11223344\nnew 654321\n");
            [set, blocked, vec![home.card_edit(&["unblock", "quit"])]].concat()
        },
    ),
    Job {
        start: Start::WithKdf,
        ..job("kdf-setup of a card with KDF", |home| vec![home.card_edit(&["admin", "kdf-setup", "quit"])])
    },
];
