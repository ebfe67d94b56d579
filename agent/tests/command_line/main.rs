//! The commands for people, as a person calls them: through stock gpg-agent and our scdaemon to a card in software. What
//! they make is judged by openssl and GnuTLS.

#[path = "../world/mod.rs"]
mod world;

mod certificates;
mod making;
mod providers;

use std::path::Path;

use world::jobs::{generate, import_rsa};
use world::{Card, Home, Reader, Scdaemon, Seen};

/// A person's place: a home, and a card whose keys were made with gpg.
pub(crate) struct Desk {
    home: Home,
    _card: Card,
    _reader: Reader,
}

impl Desk {
    /// `types` are typed at gpg's `key-attr`.
    pub(crate) fn with_keys(types: &[&str]) -> Self {
        Self::with_card(&[], types)
    }

    /// The same with a card that has these options.
    pub(crate) fn with_card(options: &[&str], types: &[&str]) -> Self {
        let desk = Self::with_bare_card(options);
        generate(&desk.home, types);
        desk
    }

    /// With RSA keys that gpg made itself, and put on the card.
    pub(crate) fn with_rsa(bits: u32) -> Self {
        let desk = Self::with_bare_card(&[]);
        import_rsa(&desk.home, bits);
        desk
    }

    fn with_bare_card(options: &[&str]) -> Self {
        let reader = Reader::start();
        let card = Card::insert(&reader.slot(), options);
        let home = Home::new(&reader, Scdaemon::Ours);
        home.wait_for_card();
        Self { home, _card: card, _reader: reader }
    }
}

/// Our program with these words.
pub(crate) fn claviger(home: &Home, words: &[&str]) -> Seen {
    Seen::of(home.command(env!("CARGO_BIN_EXE_claviger")).args(words), b"")
}

/// Another program, which lives in the home, with these words.
pub(crate) fn run(home: &Home, program: &str, words: &[&str]) -> Seen {
    Seen::of(home.command(program).args(words), b"")
}

/// A path as a word of a command line.
pub(crate) fn word(path: &Path) -> String {
    path.display().to_string()
}
