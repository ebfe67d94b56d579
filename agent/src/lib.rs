//! claviger: one daemon for the private keys on OpenPGP cards, on PKCS#11 tokens and on disk.
//!
//! ```text
//!   gpg, ssh ──► gpg-agent ──stdin/stdout──► claviger-scdaemon ──► cards ──► pcscd ──► reader
//!                     └───────S.scdaemon───────────┘                  └──► reader socket (virtual cards)
//! ```
//!
//! One multi-call program: the *face* is the first argument or the name it was called by. There are GnuPG's [`scdaemon`],
//! and the commands for people, `claviger cert …` and `claviger key …`, which come to it through gpg-agent. This crate holds
//! faces, listeners, caches, policy, the configuration of PKCS#11 [`providers`] and the certificate [`store`]; the wire is `claviger-assuan`'s, cards are
//! `claviger-cards`', keys `claviger-keys`'.

#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

mod certificates;
mod cli;
mod clock;
mod hex;
mod home;
mod log;
mod nearest;
pub mod providers;
pub mod scdaemon;
pub mod store;
mod text_file;
mod verify;

/// Our own version.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The exit code of a wrong command line, as in GnuPG's programs.
const USAGE: u8 = 2;

/// Runs the face that `arguments` name: the first of them is the program's own name.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut arguments = arguments.into_iter().peekable();
    let name = arguments.next().unwrap_or_default();
    // Started by the daemon alone, for one PKCS#11 module each, whatever the program is called.
    if arguments.peek().is_some_and(|first| first == "pkcs11-helper") {
        return claviger_cards::pkcs11::helper::run();
    }
    if called_as(&name) == Some("claviger-scdaemon") {
        return scdaemon::run(arguments);
    }
    let Some(first) = arguments.next() else {
        eprint!("{}", cli::help());
        return ExitCode::from(USAGE);
    };
    if first == "scdaemon" { scdaemon::run(arguments) } else { cli::run(first, arguments) }
}

fn called_as(name: &OsStr) -> Option<&str> {
    Path::new(name).file_name()?.to_str()
}
