//! The key derivation for PINs, switched on and off.

use super::{USUAL, nothing};
use crate::office::contents::NEW;
use crate::office::{Job, Start};
use crate::world::jobs::{decrypt, seal, sign};
use crate::world::{Home, Seen};

const fn job(name: &'static str, act: fn(&Home) -> Vec<Seen>) -> Job {
    // The salts are the card's own.
    let varies = &["F9"];
    Job { name, since: "2.2", start: Start::New, answers: USUAL, act, check: nothing, pins: NEW, varies }
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
];
