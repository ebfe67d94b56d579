//! The stage with real programs: GnuPG's scdaemon or ours, over the pipe or over the socket, with a private pcscd.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::card::Reader;
use super::incumbent::{Translated, is_greeting};
use super::newer::Plain;
use super::play::{Incoming, Stage, Wire};
use super::quiet;
use super::reader::{Lane, Lease};
use super::script::{Card, Play, Scene, Seat, Side, TokenEvent};
use super::theatre::{Height, Scenery, Theatre, repository};
use super::wire::Stream;
use crate::token::MODULE;

/// GnuPG's own scdaemon, as Debian installs it.
pub(crate) const STOCK: &str = "/usr/lib/gnupg/scdaemon";
/// gnupg-pkcs11-scd, as Debian installs it.
const INCUMBENT: &str = "/usr/bin/gnupg-pkcs11-scd";

/// How long the answer to the start may take.
const START: Duration = Duration::from_secs(10);
/// How long a program may take to end.
const END: Duration = Duration::from_secs(10);
/// After this, both programs know that a card was pulled: pcscd looks every 400 ms, GnuPG's scdaemon every 500 ms.
const REMOVAL_SEEN: Duration = Duration::from_millis(1500);

/// A play's program, which ends with it.
pub(crate) struct Programs {
    height: Height,
    // In the order in which they go: the program, the card, the place where it was.
    program: Program,
    scenery: Scenery,
    _lane: Lease,
}

struct Program {
    process: Child,
    pipe: Option<Stream>,
    socket: Option<PathBuf>,
}

impl Programs {
    /// Sets the scene and starts the program.
    pub(crate) fn start(theatre: &'static Theatre, scene: &Scene, height: Height) -> Result<Self, String> {
        let lane = theatre.readers.take(scene.readers());
        let mut scenery =
            Scenery::set(theatre, scene, |_, seat| lane.port(seat).map(Reader::Vpcd), REMOVAL_SEEN)?;
        scenery.begin(scene)?;
        // With a card in it: PC/SC calls no empty reader held.
        if height == Height::Stock {
            quiet::wait(&lane)?;
        }
        let home = scenery.home.path();
        fs::set_permissions(home, fs::Permissions::from_mode(0o700)).map_err(|error| error.to_string())?;
        fs::write(home.join("scdaemon.conf"), configuration(scene, &lane))
            .map_err(|error| error.to_string())?;
        fs::write(home.join("gnupg-pkcs11-scd.conf"), providers(scene)).map_err(|error| error.to_string())?;
        let program = Program::start(scene, height, &scenery, &lane)?;
        Ok(Self { height, program, scenery, _lane: lane })
    }

    fn connect(&self) -> Result<UnixStream, String> {
        let socket = self.program.socket.as_ref().ok_or("the program has no socket")?;
        UnixStream::connect(socket).map_err(|error| format!("{}: {error}", socket.display()))
    }

    fn plain(&self, stream: Stream) -> Box<dyn Wire> {
        match self.height {
            Height::Incumbent => Box::new(Translated(stream)),
            _ if self.side() == Side::Newer => Box::new(Plain(stream)),
            _ => Box::new(stream),
        }
    }
}

fn configuration(scene: &Scene, lane: &Lane) -> String {
    let reader = if scene.card == Card::NoReader { "No such reader" } else { &lane.name };
    let mut lines = format!("disable-ccid\nreader-port {reader}\n");
    for option in &scene.options {
        lines.push_str(option);
        lines.push('\n');
    }
    lines
}

/// The configuration of gnupg-pkcs11-scd, which ours takes, too.
fn providers(scene: &Scene) -> String {
    match scene.token {
        Some(_) => format!("providers softhsm\nprovider-softhsm-library {MODULE}\n"),
        None => String::new(),
    }
}

impl Program {
    fn start(scene: &Scene, height: Height, scenery: &Scenery, lane: &Lane) -> Result<Self, String> {
        let home = scenery.home.path();
        let (program, face): (PathBuf, &[&str]) = match height {
            Height::Stock => (STOCK.into(), &[]),
            Height::Incumbent => (INCUMBENT.into(), &[]),
            Height::Pipe | Height::Socket | Height::Core => {
                (env!("CARGO_BIN_EXE_claviger").into(), &["scdaemon"])
            }
        };
        let mode = if scene.play == Play::Server { "--server" } else { "--multi-server" };
        let log = fs::File::create(home.join("log")).map_err(|error| error.to_string())?;
        let mut command = lane.command(&program);
        command.args(face).arg(mode).arg("--homedir").arg(home).current_dir("/");
        // PKCS#11 modules of this machine are none of a play's business.
        command.env("CLAVIGER_SYSTEM_CONFIG", repository().join("testdata/world/claviger.toml"));
        command.env("CLAVIGER_GNUPG_PKCS11_SCD_CONFIG", "/nonexistent");
        if scene.card == Card::NoService {
            command.env("PCSCLITE_CSOCK_NAME", home.join("no-service"));
        }
        if scene.token.is_some() {
            command.env("SOFTHSM2_CONF", scenery.tokens().join("softhsm2.conf"));
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut process = command.spawn().map_err(|error| format!("{}: {error}", program.display()))?;
        let stdin = process.stdin.take().ok_or("no input")?;
        let stdout = process.stdout.take().ok_or("no output")?;
        let mut program = Self { process, pipe: None, socket: None };
        let mut pipe = Stream::pipe(stdin, stdout);
        if scene.play != Play::Server {
            program.socket = socket_name(&mut pipe)?;
        }
        program.pipe = Some(pipe);
        Ok(program)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What gpg-agent asks first. The greeting is put back, for the play to read.
fn socket_name(pipe: &mut Stream) -> Result<Option<PathBuf>, String> {
    let greeting = pipe.line(START);
    if !greeting.is_greeting() && !is_greeting(&greeting) {
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
            let pipe = self.program.pipe.take();
            return Ok(self.plain(pipe.ok_or("the pipe is open already")?));
        }
        Ok(self.plain(Stream::socket(self.connect()?).map_err(|error| error.to_string())?))
    }

    fn token(&mut self, seat: Seat, event: &TokenEvent) -> Result<(), String> {
        self.scenery.happens(seat, event)
    }

    fn crowd(&mut self, count: usize) -> Result<(), String> {
        for _ in 0..count {
            drop(self.connect()?);
        }
        Ok(())
    }

    fn exit_code(&mut self) -> Result<i32, String> {
        let deadline = Instant::now() + END;
        while Instant::now() < deadline {
            if let Some(status) = self.program.process.try_wait().map_err(|error| error.to_string())? {
                return status.code().ok_or_else(|| format!("ended by {status}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err("the program is still running".to_owned())
    }

    fn offence(&mut self) -> Option<String> {
        self.scenery.offence()
    }

    fn notes(&mut self) -> String {
        let log = fs::read_to_string(self.scenery.home.path().join("log")).unwrap_or_default();
        log.lines().map(|line| format!("    log: {line}\n")).collect::<String>() + &self.scenery.notes()
    }
}
