//! What all plays of a test process share: the private readers, the prepared cards; and what the stages with a card have
//! in common.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::card::{Reader, Slot, VirtualCard};
use super::embedded::Embedded;
use super::newer::side_of;
use super::play::Stage;
use super::programs::{Programs, STOCK};
use super::reader::Readers;
use super::script::{Card, Play, Scene, Seat, Side, TokenEvent};
use super::worlds::{World, copy};
use crate::token;

/// Where `make` leaves the virtual card.
const VIRTUAL_CARD: &str = "cards/virtual/target/release/claviger-virtual-card";

/// Whose scdaemon is played, and how it is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Height {
    /// GnuPG's scdaemon, session 1 over the pipe.
    Stock,
    /// gnupg-pkcs11-scd, which is the original where tokens are, session 1 over the pipe.
    Incumbent,
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
        match self {
            Self::Stock => side_of(Path::new(STOCK)),
            Self::Incumbent => Side::Stock,
            Self::Pipe | Self::Socket | Self::Core => Side::Ours,
        }
    }

    /// Whether a transcript makes sense there.
    pub(crate) fn can_play(self, scene: &Scene) -> bool {
        match self {
            Self::Stock => scene.token.is_none() && scene.concerns(self.side()),
            Self::Incumbent => scene.token.is_some() && scene.not_incumbent.is_none(),
            Self::Pipe => true,
            Self::Socket => matches!(scene.play, Play::Everywhere | Play::Program),
            Self::Core => {
                scene.play == Play::Everywhere
                    && scene.token.is_none()
                    && !matches!(scene.card, Card::NoReader | Card::NoService)
            }
        }
    }
}

/// What all plays of one test process share.
pub(crate) struct Theatre {
    /// Slots for cards.
    pub(crate) readers: Readers,
    worlds: Mutex<HashMap<String, World>>,
    tokens: Mutex<HashMap<String, PathBuf>>,
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
            Height::Stock | Height::Incumbent | Height::Pipe | Height::Socket => {
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
        Ok(Self { readers, worlds: Mutex::default(), tokens: Mutex::default(), states })
    }

    fn card(&self, card: &Card, home: &Path) -> Result<Option<VirtualCard>, String> {
        let arguments: Vec<OsString> = match card {
            Card::World(named) => {
                let (name, number) = named.split_once(" numbered ").unwrap_or((named, ""));
                let mut arguments = self.world(name)?.copy_to(&home.join(format!("card-{name}")))?;
                if !number.is_empty() {
                    arguments.extend(["--serial".into(), number.into()]);
                }
                arguments
            }
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

    /// Gives a directory tokens of its own; they are made when they are first asked for.
    fn put_tokens(&self, name: &str, directory: &Path) -> Result<(), String> {
        let mut made = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let model = self.states.path().join("tokens").join(name);
        if !made.contains_key(name) {
            let file = transcripts().join("worlds").join(format!("{name}.token"));
            let recipe = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
            token::prepare(&model);
            token::maker::make(&model, &recipe);
            made.insert(name.to_owned(), model.clone());
        }
        drop(made);
        token::prepare(directory);
        copy(&model.join("tokens"), &directory.join("tokens")).map_err(|error| error.to_string())
    }
}

/// A home and a reader with its card, for one play.
pub(crate) struct Scenery {
    theatre: &'static Theatre,
    /// The home directory, short enough for a socket's path.
    pub(crate) home: tempfile::TempDir,
    /// The reader.
    pub(crate) slot: Slot,
    /// The other one, where there are two cards.
    second: Option<Slot>,
    /// Where the tokens are that are pulled and put back in the card's stead, if the scene has such.
    tokens: Option<PathBuf>,
    removal_seen: Duration,
}

impl Scenery {
    /// The scene's card beside a reader. The server knows that a card was pulled after `removal_seen`.
    pub(crate) fn set(
        theatre: &'static Theatre,
        scene: &Scene,
        reader: impl Fn(&Path, Seat) -> Option<Reader>,
        removal_seen: Duration,
    ) -> Result<Self, String> {
        let home = tempfile::Builder::new().prefix("scd").tempdir().map_err(|error| error.to_string())?;
        let slot = |seat, card: &Card, memory: &str| {
            let reader = reader(home.path(), seat).ok_or("no reader for the card")?;
            Ok::<_, String>(Slot::new(reader, theatre.card(card, &home.path().join(memory))?))
        };
        let first = slot(Seat::First, &scene.card, "first")?;
        let second =
            (scene.readers() == 2).then(|| slot(Seat::Second, &scene.second, "second")).transpose()?;
        let mut scenery = Self { theatre, slot: first, second, home, tokens: None, removal_seen };
        if let Some(name) = &scene.token {
            let directory = scenery.tokens();
            theatre.put_tokens(name, &directory)?;
            scenery.tokens = (scene.card == Card::Absent).then_some(directory);
        }
        Ok(scenery)
    }

    /// SoftHSM's directory.
    pub(crate) fn tokens(&self) -> PathBuf {
        self.home.path().join("softhsm")
    }

    /// Puts the scene's cards in, if it has any, the second one last.
    pub(crate) fn begin(&mut self, scene: &Scene) -> Result<(), String> {
        for (seat, card) in [(Seat::First, &scene.card), (Seat::Second, &scene.second)] {
            if matches!(card, Card::World(_) | Card::Scripted(_)) {
                self.happens(seat, &TokenEvent::Inserted(None))?;
            }
        }
        Ok(())
    }

    /// Lets something happen to a card, and waits until the server may know it.
    pub(crate) fn happens(&mut self, seat: Seat, event: &TokenEvent) -> Result<(), String> {
        if let Some(tokens) = &self.tokens {
            pull_or_put_back(tokens, event).map_err(|error| error.to_string())?;
            std::thread::sleep(self.removal_seen);
            return Ok(());
        }
        let (slot, memory) = match seat {
            Seat::First => (&mut self.slot, "first"),
            Seat::Second => (self.second.as_mut().ok_or("there is no second card")?, "second"),
        };
        match event {
            TokenEvent::Removed => {
                slot.remove();
                std::thread::sleep(self.removal_seen);
            }
            TokenEvent::Inserted(world) => {
                if let Some(world) = world {
                    let memory = self.home.path().join(memory);
                    let card = self.theatre.card(&Card::World(world.clone()), &memory)?;
                    slot.exchange_card(card.ok_or("no card")?);
                }
                slot.insert()?;
            }
            TokenEvent::Answers { header, data, reply } => slot.order(*header, data.clone(), reply.clone()),
            TokenEvent::AsBefore => return slot.as_before().map_or(Ok(()), Err),
        }
        Ok(())
    }

    /// What a card was asked that it should not have been, or was not asked that it should have been.
    pub(crate) fn offence(&mut self) -> Option<String> {
        self.slot.as_before().or_else(|| self.second.as_ref()?.as_before())
    }

    /// The cards' last exchanges.
    pub(crate) fn notes(&self) -> String {
        let slots =
            std::iter::once(("card", &self.slot)).chain(self.second.iter().map(|slot| ("card 2", slot)));
        let line = |name, line: String| format!("    {name}: {line}\n");
        slots.flat_map(|(name, slot)| slot.exchanges().into_iter().map(move |it| line(name, it))).collect()
    }
}

fn pull_or_put_back(tokens: &Path, event: &TokenEvent) -> std::io::Result<()> {
    let (here, away) = (tokens.join("tokens"), tokens.join("away"));
    match event {
        TokenEvent::Removed => fs::rename(here, away),
        _ => fs::rename(away, here),
    }
}

/// Where the transcripts are.
pub(crate) fn transcripts() -> PathBuf {
    repository().join("testdata/transcripts")
}

pub(super) fn repository() -> PathBuf {
    let agent = Path::new(env!("CARGO_MANIFEST_DIR"));
    agent.parent().unwrap_or(agent).to_owned()
}
