//! Readers of the tests' own: several private pcscd, each with the two slots that vpcd has (its driver keeps its slots
//! in statics, so that a second vpcd reader in one pcscd takes them from the first). They are what
//! `testdata/world/pcscd-vpcd` starts, and end with the test process.

use std::io::{BufRead, BufReader};
use std::ops::Deref;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::script::Seat;

/// How many pcscd there are; each takes two plays at a time.
const WORLDS: usize = 10;
/// How many there are besides for plays with two cards, one play at a time.
const PAIRS: usize = 2;
/// How long a slot stays empty between two cards, so that pcscd, which looks every 400 ms, has seen that it was.
const COOLING: Duration = Duration::from_millis(900);

/// The private pcscds.
pub(crate) struct Readers {
    free: Mutex<Vec<Lane>>,
    freed: Condvar,
    _running: Vec<Running>,
}

/// One pcscd. The end of its input is its end.
struct Running {
    _stdin: ChildStdin,
    _world: Child,
}

/// One slot, or both of a pcscd, for one transcript at a time.
#[derive(Debug, Clone)]
pub(crate) struct Lane {
    /// Its name in PC/SC, or what the names of both begin with.
    pub(crate) name: String,
    /// Where cards connect to.
    ports: Vec<u16>,
    namespace: u32,
    left: Option<Instant>,
}

impl Readers {
    /// Starts them. `slots` of each are used by plays with one card: one, where a program takes all readers of its pcscd for itself.
    pub(crate) fn start(script: &Path, slots: usize) -> Result<Self, String> {
        let starting: Result<Vec<_>, _> = (0..WORLDS + PAIRS).map(|_| spawn(script)).collect();
        let mut running = Vec::new();
        let mut lanes = Vec::new();
        for (number, (world, stdout)) in starting?.into_iter().enumerate() {
            let both = both_slots(stdout).ok_or_else(|| format!("{} did not start", script.display()))?;
            if number < PAIRS {
                lanes.push(both);
            } else {
                lanes.extend(both.apart().take(slots));
            }
            running.push(world);
        }
        // One slot of each pcscd after the other, so that few plays share one.
        lanes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { free: Mutex::new(lanes), freed: Condvar::new(), _running: running })
    }

    /// Room for so many cards, where it has been empty for longest, once it is seen to be.
    pub(crate) fn take(&'static self, cards: usize) -> Lease {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let lane = loop {
            match free.iter().position(|lane| lane.ports.len() == cards) {
                Some(at) => break free.remove(at),
                None => free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner),
            }
        };
        drop(free);
        let empty = lane.left.map_or(COOLING, |left| left.elapsed());
        std::thread::sleep(COOLING.saturating_sub(empty));
        Lease { lane, readers: self }
    }
}

/// A slot for as long as a play needs it. It is given back without its card.
pub(crate) struct Lease {
    lane: Lane,
    readers: &'static Readers,
}

impl Deref for Lease {
    type Target = Lane;

    fn deref(&self) -> &Lane {
        &self.lane
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut free = self.readers.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.push(Lane { left: Some(Instant::now()), ..self.lane.clone() });
        self.readers.freed.notify_all();
    }
}

impl Lane {
    /// Where the card for this seat connects to.
    pub(crate) fn port(&self, seat: Seat) -> Option<u16> {
        match seat {
            Seat::First => self.ports.first().copied(),
            Seat::Second => self.ports.get(1).copied(),
        }
    }

    /// Each of its slots alone.
    fn apart(&self) -> impl Iterator<Item = Self> {
        self.ports.iter().enumerate().map(|(slot, port)| {
            let name = format!("{} {slot:02X}", self.name);
            Self { name, ports: vec![*port], ..self.clone() }
        })
    }

    /// A command that will find this slot's pcscd and no other.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--mount=/proc/{}/ns/mnt", self.namespace)).arg("--").arg(program);
        command
    }
}

fn spawn(script: &Path) -> Result<(Running, ChildStdout), String> {
    let mut world = Command::new(script)
        .args(["--", "sh", "-c", "echo $$ $VPCD_PORTS; exec cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{}: {error}", script.display()))?;
    let stdin = world.stdin.take().ok_or("no input")?;
    let stdout = world.stdout.take().ok_or("no output")?;
    Ok((Running { _stdin: stdin, _world: world }, stdout))
}

/// The two slots that a starting world tells of.
fn both_slots(stdout: ChildStdout) -> Option<Lane> {
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let namespace = words.next()?.parse().ok()?;
    let ports = words.map(|port| port.parse().ok()).collect::<Option<_>>()?;
    Some(Lane { name: "Virtual PCD 00".to_owned(), ports, namespace, left: None })
}
