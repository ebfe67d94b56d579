//! What a card is before a job: new, or with keys. Cards with keys are prepared once in a test run and copied.

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
}

/// A card to be copied, and the OpenPGP certificate for it.
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
    PREPARED.get_or_init(|| {
        let reader = Reader::start();
        let memory = Memory::blank();
        let card = Card::insert(&reader.slot(), &["--state", &memory.path().display().to_string()]);
        let home = Home::new(&reader, Scdaemon::Stock);
        home.wait_for_card();
        generate(&home, &["2", "1", "2", "1", "2", "1"]);
        let certificate = home.gpg(&["--export"]).ok().stdout;
        home.kill_agent();
        drop(card);
        Prepared { image: memory.image(), certificate }
    })
}
