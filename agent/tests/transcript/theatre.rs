//! The stage with real programs: a private pcscd, the virtual card with its prepared worlds, and GnuPG's scdaemon or
//! ours, over the pipe or over the socket.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::card::{Slot, VirtualCard};
use super::play::{GREETING, Incoming, Stage, Wire};
use super::reader::{Lane, Readers};
use super::script::{Card, Play, Scene, Side, TokenEvent};
use super::wire::Stream;
use super::worlds::World;

/// GnuPG's own scdaemon, as Debian installs it.
const STOCK: &str = "/usr/lib/gnupg/scdaemon";
/// Where `make` leaves the virtual card.
const VIRTUAL_CARD: &str = "cards/virtual/target/release/claviger-virtual-card";

/// How long the answer to the start may take.
const START: Duration = Duration::from_secs(10);
/// How long a program may take to end.
const END: Duration = Duration::from_secs(10);
/// After this, both programs know that a card was pulled: pcscd looks every 400 ms, GnuPG's scdaemon every 500 ms.
const REMOVAL_SEEN: Duration = Duration::from_millis(1500);
/// After pcscd has noticed a card, it still has to say so.
const INSERTION_SEEN: Duration = Duration::from_millis(100);

/// Whose program is played, and how it is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Height {
    /// GnuPG's scdaemon, session 1 over the pipe.
    Stock,
    /// Ours, session 1 over the pipe.
    Pipe,
    /// Ours, all sessions over the socket.
    Socket,
}

impl Height {
    /// Whose program it is.
    pub(crate) fn side(self) -> Side {
        if self == Self::Stock { Side::Stock } else { Side::Ours }
    }

    /// Whether a transcript makes sense there.
    pub(crate) fn can_play(self, scene: &Scene) -> bool {
        self != Self::Socket || scene.play == Play::Everywhere
    }
}

/// What all plays of one test process share.
pub(crate) struct Theatre {
    readers: Readers,
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
    pub(crate) fn stage(&'static self, scene: &Scene, height: Height) -> Result<Programs, String> {
        let home = tempfile::Builder::new().prefix("scd").tempdir().map_err(|error| error.to_string())?;
        let lane = self.readers.take();
        let mut slot = Slot::new(lane.port, self.card(&scene.card, home.path())?);
        if matches!(scene.card, Card::World(_) | Card::Scripted(_)) {
            slot.insert()?;
            std::thread::sleep(INSERTION_SEEN);
        }
        let mut programs = Programs { theatre: self, height, home, slot, lane: Some(lane), program: None };
        programs.start(scene)?;
        Ok(programs)
    }

    fn build() -> Result<Self, String> {
        for program in [Path::new(STOCK), &repository().join(VIRTUAL_CARD)] {
            if !program.exists() {
                let cure = "`make build`, and `apt-get install scdaemon pcscd vsmartcard-vpcd`";
                return Err(format!("{} is not there; {cure}", program.display()));
            }
        }
        let readers = Readers::start(&repository().join("testdata/world/pcscd-vpcd"))?;
        let states = tempfile::tempdir().map_err(|error| error.to_string())?;
        Ok(Self { readers, worlds: Mutex::default(), states })
    }

    fn card(&self, card: &Card, home: &Path) -> Result<Option<VirtualCard>, String> {
        let arguments = match card {
            Card::World(name) => self.world(name)?.copy_to(&home.join(format!("card-{name}")))?,
            Card::Scripted(name) => vec!["--script".into(), transcripts().join("cards").join(name).into()],
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

/// A play's programs, which end with it.
pub(crate) struct Programs {
    theatre: &'static Theatre,
    height: Height,
    home: tempfile::TempDir,
    slot: Slot,
    lane: Option<Lane>,
    program: Option<Program>,
}

struct Program {
    process: Child,
    pipe: Option<Stream>,
    socket: Option<PathBuf>,
}

impl Programs {
    fn start(&mut self, scene: &Scene) -> Result<(), String> {
        let home = self.home.path();
        fs::set_permissions(home, fs::Permissions::from_mode(0o700)).map_err(|error| error.to_string())?;
        fs::write(home.join("scdaemon.conf"), self.configuration(scene))
            .map_err(|error| error.to_string())?;
        let log = fs::File::create(home.join("log")).map_err(|error| error.to_string())?;
        let mode = if scene.play == Play::Server { "--server" } else { "--multi-server" };
        let (program, face): (PathBuf, &[&str]) = match self.height {
            Height::Stock => (STOCK.into(), &[]),
            Height::Pipe | Height::Socket => (env!("CARGO_BIN_EXE_claviger").into(), &["scdaemon"]),
        };
        let lane = self.lane.as_ref().ok_or("no slot")?;
        let mut command = lane.command(&program);
        command.args(face).arg(mode).arg("--homedir").arg(home).current_dir("/");
        if scene.card == Card::NoService {
            command.env("PCSCLITE_CSOCK_NAME", home.join("no-service"));
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut process = command.spawn().map_err(|error| format!("{}: {error}", program.display()))?;
        let stdin = process.stdin.take().ok_or("no input")?;
        let stdout = process.stdout.take().ok_or("no output")?;
        let mut pipe = Stream::pipe(stdin, stdout);
        let socket = match scene.play {
            Play::Server => None,
            Play::Pipe | Play::Everywhere => socket_name(&mut pipe)?,
        };
        self.program = Some(Program { process, pipe: Some(pipe), socket });
        Ok(())
    }

    fn configuration(&self, scene: &Scene) -> String {
        let reader = match (&scene.card, &self.lane) {
            (Card::NoReader, _) | (_, None) => "No such reader",
            (_, Some(lane)) => &lane.name,
        };
        let mut lines = format!("disable-ccid\nreader-port {reader}\n");
        for option in &scene.options {
            lines.push_str(option);
            lines.push('\n');
        }
        lines
    }

    fn connect(&self) -> Result<UnixStream, String> {
        let socket = self.program.as_ref().and_then(|program| program.socket.as_ref());
        let socket = socket.ok_or("the program has no socket")?;
        UnixStream::connect(socket).map_err(|error| format!("{}: {error}", socket.display()))
    }
}

/// What gpg-agent asks first. The greeting is put back, for the play to read.
fn socket_name(pipe: &mut Stream) -> Result<Option<PathBuf>, String> {
    let greeting = pipe.line(START);
    if greeting != Incoming::Line(GREETING.as_bytes().to_vec()) {
        pipe.put_back(greeting);
        return Ok(None);
    }
    pipe.send(b"GETINFO socket_name\n");
    let answer = pipe.line(START);
    let path = match &answer {
        Incoming::Line(line) => {
            line.strip_prefix(b"D ").map(|path| String::from_utf8_lossy(path).into_owned())
        }
        Incoming::Closed(_) | Incoming::Silence => None,
    };
    let Some(path) = path else { return Err(format!("GETINFO socket_name: {answer:?}")) };
    let end = pipe.line(START);
    if end != Incoming::Line(b"OK".to_vec()) {
        return Err(format!("GETINFO socket_name: {end:?}"));
    }
    pipe.put_back(greeting);
    Ok(Some(path.into()))
}

impl Stage for Programs {
    fn side(&self) -> Side {
        self.height.side()
    }

    fn open(&mut self, session: u8) -> Result<Box<dyn Wire>, String> {
        if session == 1 && self.height != Height::Socket {
            let pipe = self.program.as_mut().and_then(|program| program.pipe.take());
            return Ok(Box::new(pipe.ok_or("the pipe is open already")?));
        }
        let stream = Stream::socket(self.connect()?).map_err(|error| error.to_string())?;
        Ok(Box::new(stream))
    }

    fn token(&mut self, event: &TokenEvent) -> Result<(), String> {
        match event {
            TokenEvent::Removed => {
                self.slot.remove();
                std::thread::sleep(REMOVAL_SEEN);
            }
            TokenEvent::Inserted(world) => {
                if let Some(world) = world {
                    let card = self.theatre.card(&Card::World(world.clone()), self.home.path())?;
                    self.slot.exchange_card(card.ok_or("no card")?);
                }
                self.slot.insert()?;
                std::thread::sleep(INSERTION_SEEN);
            }
            TokenEvent::Answers { header, data, reply } => {
                self.slot.order(*header, data.clone(), reply.clone())
            }
            TokenEvent::AsBefore => return self.slot.as_before().map_or(Ok(()), Err),
        }
        Ok(())
    }

    fn crowd(&mut self, count: usize) -> Result<(), String> {
        for _ in 0..count {
            drop(self.connect()?);
        }
        Ok(())
    }

    fn exit_code(&mut self) -> Result<i32, String> {
        let program = self.program.as_mut().ok_or("no program runs")?;
        let deadline = Instant::now() + END;
        while Instant::now() < deadline {
            if let Some(status) = program.process.try_wait().map_err(|error| error.to_string())? {
                return status.code().ok_or_else(|| format!("ended by {status}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err("the program is still running".to_owned())
    }

    fn offence(&mut self) -> Option<String> {
        self.slot.as_before()
    }

    fn notes(&mut self) -> String {
        let log = fs::read_to_string(self.home.path().join("log")).unwrap_or_default();
        let exchanges: String =
            self.slot.exchanges().iter().map(|line| format!("    card: {line}\n")).collect();
        log.lines().map(|line| format!("    log: {line}\n")).collect::<String>() + &exchanges
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        if let Some(program) = &mut self.program {
            let _ = program.process.kill();
            let _ = program.process.wait();
        }
        self.slot.remove();
        if let Some(lane) = self.lane.take() {
            self.theatre.readers.give_back(lane);
        }
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
