//! The office where a card is administered twice: the same job, with the same gpg, on equal cards, once through GnuPG's
//! scdaemon and once through ours; and what came of it, to be compared.
//!
//! ```text
//!   a card's memory ──copy──► card in slot 0 ◄── stock scdaemon ◄── gpg-agent ◄── gpg ──┐
//!                   └──copy──► card in slot 1 ◄──  our scdaemon ◄── gpg-agent ◄── gpg ──┴── the job
//! ```
//!
//! A *job* is what a person types and answers. Afterwards both cards are read [at rest](at_rest), object by object, and
//! what pinentry was told, what gpg said and how many commands went to the cards are laid side by side.
#![allow(dead_code, reason = "each program uses its part of the office")]

pub(crate) mod at_rest;
pub(crate) mod contents;
pub(crate) mod dialogue;
pub(crate) mod jobs;
pub(crate) mod letters;
pub(crate) mod performance;
pub(crate) mod start;

pub(crate) use performance::Pair;
pub(crate) use start::Start;

use std::process::Command;
use std::sync::OnceLock;

use contents::Pins;

use crate::world::{Home, Seen};

/// A piece of administration.
pub(crate) struct Job {
    /// Its name, and that of its transcript in `testdata/administration/`.
    pub(crate) name: &'static str,
    /// The first release of GnuPG that can do it.
    pub(crate) since: &'static str,
    /// The card before it.
    pub(crate) start: Start,
    /// What pinentry answers: the file of answers that testdata/world/pinentry explains.
    pub(crate) answers: &'static str,
    /// Does it.
    pub(crate) act: fn(&Home) -> Vec<Seen>,
    /// Looks whether what cannot be compared is right, by using it.
    pub(crate) check: fn(&Home),
    /// The PINs that open the card afterwards.
    pub(crate) pins: Pins,
    /// Objects that nature or the clock makes different on each card; `check` looks at what they are good for.
    pub(crate) varies: &'static [&'static str],
}

/// The release of the GnuPG that is here: `2.2`, `2.4`.
pub(crate) fn gnupg_release() -> &'static str {
    static RELEASE: OnceLock<String> = OnceLock::new();
    RELEASE.get_or_init(|| {
        let version = Seen::of(Command::new("gpg").arg("--version"), b"").ok().line("gpg (GnuPG) ");
        version.split('.').take(2).collect::<Vec<_>>().join(".")
    })
}
