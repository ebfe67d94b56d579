//! What a card is before a job: new, or prepared. Prepared ones are made once in a test run and copied.

use std::sync::OnceLock;

use super::at_rest::Memory;
use crate::world::jobs::generate;
use crate::world::{Card, Home, Reader, Scdaemon};

/// A card before a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// As it left the factory.
    New,
    /// With three Curve25519 keys, which gpg knows; Carla's.
    WithKeys,
    /// One that wants its PINs derived, each with a salt of its own; without keys.
    WithKdf,
}

/// A card to be copied, and the OpenPGP certificates for it.
struct Prepared {
    image: Vec<u8>,
    certificate: Vec<u8>,
}

impl Start {
    /// The memory of such a card.
    pub(crate) fn memory(self) -> Memory {
        match self {
            Self::New => Memory::blank(),
            Self::WithKeys => Memory::copy_of(&with_keys().image),
            Self::WithKdf => Memory::copy_of(&with_kdf().image),
        }
    }

    /// Tells gpg what it knows of the card.
    pub(crate) fn introduce(self, home: &Home) {
        if self == Self::WithKeys {
            home.gpg_reads(&["--import"], &with_keys().certificate).ok();
        }
    }
}

fn with_keys() -> &'static Prepared {
    static PREPARED: OnceLock<Prepared> = OnceLock::new();
    let make_keys = |home: &Home| generate(home, &["2", "1", "2", "1", "2", "1"]);
    PREPARED.get_or_init(|| prepare(Scdaemon::Stock, make_keys))
}

/// GnuPG's scdaemon 2.2 leaves such a card with PINs that nobody knows.
fn with_kdf() -> &'static Prepared {
    static PREPARED: OnceLock<Prepared> = OnceLock::new();
    let set_up = |home: &Home| drop(home.card_edit(&["admin", "kdf-setup", "quit"]).ok());
    PREPARED.get_or_init(|| prepare(Scdaemon::Ours, set_up))
}

fn prepare(scdaemon: Scdaemon, act: impl FnOnce(&Home)) -> Prepared {
    let reader = Reader::start();
    let memory = Memory::blank();
    let card = Card::insert(&reader.slot(), &["--state", &memory.path().display().to_string()]);
    let home = Home::new(&reader, scdaemon);
    home.wait_for_card();
    act(&home);
    let certificate = home.gpg(&["--export"]).ok().stdout;
    home.kill_agent();
    drop(card);
    Prepared { image: memory.image(), certificate }
}
