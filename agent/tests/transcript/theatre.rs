//! What all plays of a test process share: the private readers, the prepared cards; and what the stages with a card have
//! in common.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::card::{Reader, Slot, VirtualCard};
use super::embedded::Embedded;
use super::newer::side_of;
use super::play::Stage;
use super::programs::{Programs, STOCK};
use super::reader::Readers;
use super::script::{Card, Play, Scene, Side, TokenEvent};
use super::worlds::World;

/// Where `make` leaves the virtual card.
const VIRTUAL_CARD: &str = "cards/virtual/target/release/claviger-virtual-card";

/// Whose scdaemon is played, and how it is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Height {
    /// GnuPG's scdaemon, session 1 over the pipe.
    Stock,
    /// Our program, session 1 over the pipe.
    Pipe,
    /// Our program, all sessions over the socket.
    Socket,
    /// Ours without a process, over streams in memory, the card at its reader socket.
    Core,
}

impl Height {
    /// Whose it is.
    pub(crate) fn side(self) -> Side {
        if self == Self::Stock { side_of(Path::new(STOCK)) } else { Side::Ours }
    }

    /// Whether a transcript makes sense there.
    pub(crate) fn can_play(self, scene: &Scene) -> bool {
        match self {
            Self::Stock => scene.concerns(self.side()),
            Self::Pipe => true,
            Self::Socket => matches!(scene.play, Play::Everywhere | Play::Program),
            Self::Core => {
                scene.play == Play::Everywhere && !matches!(scene.card, Card::NoReader | Card::NoService)
            }
        }
    }
}

/// What all plays of one test process share.
pub(crate) struct Theatre {
    /// Slots for cards.
    pub(crate) readers: Readers,
    worlds: Mutex<HashMap<String, World>>,
    states: tempfile::TempDir,
}

impl Theatre {
    /// The one of this process.
    pub(crate) fn open() -> Result<&'static Self, &'static str> {
        static THEATRE: OnceLock<Result<Theatre, String>> = OnceLock::new();
        THEATRE.get_or_init(Self::build).as_ref().map_err(String::as_str)
    }

    /// A stage for one play.
    pub(crate) fn stage(&'static self, scene: &Scene, height: Height) -> Result<Box<dyn Stage>, String> {
        match height {
            Height::Core => Ok(Box::new(Embedded::start(self, scene)?)),
            Height::Stock | Height::Pipe | Height::Socket => {
                Ok(Box::new(Programs::start(self, scene, height)?))
            }
        }
    }

    fn build() -> Result<Self, String> {
        for program in [Path::new(STOCK), &repository().join(VIRTUAL_CARD)] {
            if !program.exists() {
                let cure = "`make build`, and `apt-get install scdaemon pcscd vsmartcard-vpcd`";
                return Err(format!("{} is not there; {cure}", program.display()));
            }
        }
        let slots = if Height::Stock.side() == Side::Newer { 1 } else { 2 };
        let readers = Readers::start(&repository().join("testdata/world/pcscd-vpcd"), slots)?;
        let states = tempfile::tempdir().map_err(|error| error.to_string())?;
        Ok(Self { readers, worlds: Mutex::default(), states })
    }

    fn card(&self, card: &Card, home: &Path) -> Result<Option<VirtualCard>, String> {
        let arguments: Vec<OsString> = match card {
            Card::World(name) => self.world(name)?.copy_to(&home.join(format!("card-{name}")))?,
            Card::Scripted(name) => vec![
                "--script".into(),
                repository().join("testdata/cards").join(name).join("card.script").into(),
            ],
            Card::Absent | Card::NoReader | Card::NoService => return Ok(None),
        };
        VirtualCard::start(&repository().join(VIRTUAL_CARD), &arguments)
            .map(Some)
            .map_err(|error| error.to_string())
    }

    /// The world, made when it is first asked for.
    fn world(&self, name: &str) -> Result<World, String> {
        let mut worlds = self.worlds.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(world) = worlds.get(name) {
            return Ok(world.clone());
        }
        let file = transcripts().join("worlds").join(name);
        let program = repository().join(VIRTUAL_CARD);
        let world = World::prepare(&file, &program, &self.states.path().join(name))?;
        worlds.insert(name.to_owned(), world.clone());
        Ok(world)
    }
}

/// A home and a reader with its card, for one play.
pub(crate) struct Scenery {
    theatre: &'static Theatre,
    /// The home directory, short enough for a socket's path.
    pub(crate) home: tempfile::TempDir,
    /// The reader.
    pub(crate) slot: Slot,
    removal_seen: Duration,
}

impl Scenery {
    /// The scene's card beside a reader. The server knows that a card was pulled after `removal_seen`.
    pub(crate) fn set(
        theatre: &'static Theatre,
        scene: &Scene,
        reader: impl FnOnce(&Path) -> Reader,
        removal_seen: Duration,
    ) -> Result<Self, String> {
        let home = tempfile::Builder::new().prefix("scd").tempdir().map_err(|error| error.to_string())?;
        let slot = Slot::new(reader(home.path()), theatre.card(&scene.card, home.path())?);
        Ok(Self { theatre, home, slot, removal_seen })
    }

    /// Puts the scene's card in, if it has one.
    pub(crate) fn begin(&mut self, scene: &Scene) -> Result<(), String> {
        match scene.card {
            Card::World(_) | Card::Scripted(_) => self.happens(&TokenEvent::Inserted(None)),
            Card::Absent | Card::NoReader | Card::NoService => Ok(()),
        }
    }

    /// Lets something happen to the card, and waits until the server may know it.
    pub(crate) fn happens(&mut self, event: &TokenEvent) -> Result<(), String> {
        match event {
            TokenEvent::Removed => {
                self.slot.remove();
                std::thread::sleep(self.removal_seen);
            }
            TokenEvent::Inserted(world) => {
                if let Some(world) = world {
                    let card = self.theatre.card(&Card::World(world.clone()), self.home.path())?;
                    self.slot.exchange_card(card.ok_or("no card")?);
                }
                self.slot.insert()?;
            }
            TokenEvent::Answers { header, data, reply } => {
                self.slot.order(*header, data.clone(), reply.clone())
            }
            TokenEvent::AsBefore => return self.slot.as_before().map_or(Ok(()), Err),
        }
        Ok(())
    }

    /// The card's last exchanges.
    pub(crate) fn notes(&self) -> String {
        self.slot.exchanges().iter().map(|line| format!("    card: {line}\n")).collect()
    }
}

/// Where the transcripts are.
pub(crate) fn transcripts() -> PathBuf {
    repository().join("testdata/transcripts")
}

fn repository() -> PathBuf {
    let agent = Path::new(env!("CARGO_MANIFEST_DIR"));
    agent.parent().unwrap_or(agent).to_owned()
}
