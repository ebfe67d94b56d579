//! The world of the tests with real programs: stock gpg, gpg-agent and ssh in a private home, a card in software, and
//! a private pcscd whose reader is software too. Nothing of the person's own is seen or touched, and everything is
//! gone when the values are dropped.
//!
//! A test owns what it needs, one value each: a [`Reader`], a [`Card`] in it, a [`Home`] that reaches the reader
//! through one of the two [`Scdaemon`]s, an [`Sshd`] to log in to, a [`Wire`] to speak on. What a program printed comes back as [`Seen`];
//! [`jobs`] has the things that people do, [`bill`] what they cost, [`scripted`] cards that recite, [`fleet`] many cards
//! and clients around our scdaemon alone, [`throng`] what becomes of them, [`token`] PKCS#11 tokens, [`crowd`] all at once.
//! Needs the Debian packages that `make check` installs, and root or user namespaces: pcscd's socket is a mount of its own.
#![allow(dead_code, unused_imports, reason = "each test program uses its part of the world")]

pub(crate) mod bill;
mod card;
pub(crate) mod crowd;
pub(crate) mod fleet;
mod home;
pub(crate) mod jobs;
pub(crate) mod packets;
mod reader;
mod run;
pub(crate) mod scripted;
mod sshd;
pub(crate) mod throng;
pub(crate) mod token;
mod wire;

pub(crate) use card::Card;
pub(crate) use home::{Home, Provider, Scdaemon};
pub(crate) use reader::Reader;
pub(crate) use run::Seen;
pub(crate) use sshd::Sshd;
pub(crate) use wire::{Wire, unescape};

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Asks `probe` until it is content; fails after half a minute and tells what it said last, and what was waited for.
#[track_caller]
pub(crate) fn wait_for<T, E: std::fmt::Display>(what: &str, mut probe: impl FnMut() -> Result<T, E>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match probe() {
            Ok(answer) => return answer,
            Err(refusal) if Instant::now() > deadline => panic!("waited in vain for {what}: {refusal}"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}
