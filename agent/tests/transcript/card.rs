//! The card of a transcript: `claviger-virtual-card`, and a tap on the wire between it and the reader (vpcd, or our own
//! reader socket). The tap lets a
//! transcript answer single commands in the card's stead, and pull the card and put it back with its memory whole.
//!
//! Both wires speak vsmartcard's protocol: a length of two octets, then a command; a command of one octet is about
//! power (0 off, 1 on, 2 reset) or asks for the ATR (4). Powering is not answered. vpcd asks for the ATR
//! whenever pcscd looks whether a card is there.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::script::CardReply;

const POWER_OFF: &[u8] = &[0];
const POWER_ON: &[u8] = &[1];
const RESET: &[u8] = &[2];
const GET_ATR: &[u8] = &[4];

/// With other data, SELECT is another command.
const SELECT: u8 = 0xA4;

/// The commands that carry PINs: their data are not noted.
const VERIFY: u8 = 0x20;
const CHANGE_PIN: u8 = 0x24;
const RESET_PIN: u8 = 0x2C;

/// How long a reader may take to see a card; pcscd looks every 400 ms.
const INSERTION: Duration = Duration::from_secs(10);
/// What is kept of the card's exchanges for a failure's notes.
const EXCHANGES_KEPT: usize = 60;

/// A running virtual card, in nobody's reader.
pub(crate) struct VirtualCard {
    program: Child,
    wire: TcpStream,
}

impl VirtualCard {
    /// Starts the program with its arguments (apart from the address that it connects to).
    pub(crate) fn start(program: &Path, arguments: &[OsString]) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?.to_string();
        let program = Command::new(program)
            .args(["--vpcd", &address])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let (wire, _) = listener.accept()?;
        wire.set_nodelay(true)?;
        Ok(Self { program, wire })
    }

    /// The card's answer to a command.
    pub(crate) fn exchange(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        send(&mut self.wire, command)?;
        receive(&mut self.wire)
    }

    /// Switches it on, so that it takes commands.
    pub(crate) fn power_on(&mut self) -> io::Result<()> {
        send(&mut self.wire, POWER_ON)
    }
}

impl Drop for VirtualCard {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// Where a card is put.
#[derive(Debug, Clone)]
pub(crate) enum Reader {
    /// A slot of vpcd, at this TCP port.
    Vpcd(u16),
    /// Our own reader socket.
    Socket(PathBuf),
}

/// A reader, and the card that is put into it and pulled out of it.
pub(crate) struct Slot {
    reader: Reader,
    beside: Option<VirtualCard>,
    inside: Option<Inside>,
    orders: Arc<Orders>,
}

/// A card in the slot: the thread between the two wires, which gives the card back when the reader's wire is cut.
struct Inside {
    reader: Plug,
    tap: JoinHandle<VirtualCard>,
}

/// What the tap is told, and what it has seen.
#[derive(Default)]
struct Orders {
    state: Mutex<Seen>,
    noticed: Condvar,
}

#[derive(Default)]
struct Seen {
    answers: Vec<Ordered>,
    /// How often the reader has looked at the card since it was powered on.
    looks: Option<usize>,
    offence: Option<String>,
    exchanges: Vec<String>,
    /// Commands since somebody wanted to know.
    commands: usize,
    /// The one at which the card is pulled.
    pulled_at: Option<usize>,
}

impl Seen {
    /// pcscd looks at the card to power it on and tells its clients then; the look after that comes later.
    fn is_announced(&self) -> bool {
        self.looks.is_some_and(|looks| looks >= 2)
    }
}

/// A command that is not passed on to the card.
struct Ordered {
    header: [u8; 4],
    data: Vec<u8>,
    reply: CardReply,
    asked: bool,
}

impl Slot {
    /// A reader with a card beside it, if there is one.
    pub(crate) fn new(reader: Reader, card: Option<VirtualCard>) -> Self {
        Self { reader, beside: card, inside: None, orders: Arc::default() }
    }

    /// Puts the card in and waits until pcscd has told its clients of it.
    pub(crate) fn insert(&mut self) -> Result<(), String> {
        self.remove();
        let card = self.beside.take().ok_or("there is no card to insert")?;
        let reader = Plug::connect(&self.reader).map_err(|error| format!("{:?}: {error}", self.reader))?;
        let ours = reader.try_clone().map_err(|error| error.to_string())?;
        self.orders.lock().looks = None;
        let orders = Arc::clone(&self.orders);
        let tap = std::thread::spawn(move || tap(ours, card, &orders));
        self.inside = Some(Inside { reader, tap });
        match self.reader {
            Reader::Vpcd(_) => self.orders.wait_for_notice(),
            // Whoever waits there is taken in by the next SERIALNO at the latest.
            Reader::Socket(_) => Ok(()),
        }
    }

    /// Pulls the card, if one is in.
    pub(crate) fn remove(&mut self) {
        if let Some(inside) = self.inside.take() {
            inside.reader.pull();
            self.beside = inside.tap.join().ok();
        }
    }

    /// Another card for the next insertion.
    pub(crate) fn exchange_card(&mut self, card: VirtualCard) {
        self.remove();
        self.beside = Some(card);
    }

    /// From now on, this command is answered in the card's stead.
    pub(crate) fn order(&self, header: [u8; 4], data: Vec<u8>, reply: CardReply) {
        self.orders.lock().answers.push(Ordered { header, data, reply, asked: false });
    }

    /// The card answers everything again. Says which command it was never asked.
    pub(crate) fn as_before(&self) -> Option<String> {
        let mut seen = self.orders.lock();
        let unasked = seen.answers.iter().find(|answer| !answer.asked);
        let offence = unasked.map(|answer| format!("the card was never asked {}", hex(&answer.header)));
        seen.answers.clear();
        seen.offence.take().or(offence)
    }

    /// The card is pulled at the command of this number from now on, if one is named.
    pub(crate) fn pull_at(&self, command: Option<usize>) {
        let mut seen = self.orders.lock();
        (seen.commands, seen.pulled_at) = (0, command);
    }

    /// How many commands came since [`Self::pull_at`].
    pub(crate) fn commands(&self) -> usize {
        self.orders.lock().commands
    }

    /// What went over the wire, the latest last.
    pub(crate) fn exchanges(&self) -> Vec<String> {
        self.orders.lock().exchanges.clone()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.remove();
    }
}

impl Orders {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for_notice(&self) -> Result<(), String> {
        let wait = self.noticed.wait_timeout_while(self.lock(), INSERTION, |seen| !seen.is_announced());
        let (seen, _) = wait.unwrap_or_else(PoisonError::into_inner);
        if seen.is_announced() { Ok(()) } else { Err("pcscd did not notice the card".to_owned()) }
    }

    /// The reply to a command in the card's stead, if one was ordered.
    fn reply(&self, command: &[u8]) -> Option<CardReply> {
        let (header, data) = parsed(command)?;
        let mut seen = self.lock();
        let answer = seen.answers.iter_mut().rev().find(|answer| answer.header == header)?;
        if answer.data == data {
            answer.asked = true;
            return Some(answer.reply.clone());
        }
        if header[1] == SELECT {
            return None;
        }
        let offence = format!("the card was asked {} with other data: {}", hex(&header), hex(data));
        seen.offence = Some(offence);
        Some(CardReply::Octets(vec![0x6F, 0x00]))
    }

    /// Counts a command. Whether the card is pulled at it.
    fn is_the_end(&self) -> bool {
        let mut seen = self.lock();
        seen.commands += 1;
        seen.pulled_at == Some(seen.commands)
    }

    fn note(&self, command: &[u8], reply: &[u8]) {
        let mut seen = self.lock();
        if seen.exchanges.len() == EXCHANGES_KEPT {
            seen.exchanges.remove(0);
        }
        let shown = match command {
            [_, VERIFY | CHANGE_PIN | RESET_PIN, _, _, ..] => &command[..4],
            _ => command,
        };
        seen.exchanges.push(format!("{} -> {}", hex(shown), hex(reply)));
    }
}

/// The wire to a reader.
enum Plug {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Plug {
    fn connect(reader: &Reader) -> io::Result<Self> {
        match reader {
            Reader::Vpcd(port) => {
                let wire = TcpStream::connect(("127.0.0.1", *port))?;
                wire.set_nodelay(true)?;
                Ok(Self::Tcp(wire))
            }
            Reader::Socket(path) => connect(path).map(Self::Unix),
        }
    }

    fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(wire) => wire.try_clone().map(Self::Tcp),
            Self::Unix(wire) => wire.try_clone().map(Self::Unix),
        }
    }

    fn pull(&self) {
        let _ = match self {
            Self::Tcp(wire) => wire.shutdown(Shutdown::Both),
            Self::Unix(wire) => wire.shutdown(Shutdown::Both),
        };
    }
}

/// Connects to a socket that may be opened only now.
fn connect(path: &Path) -> io::Result<UnixStream> {
    let deadline = Instant::now() + INSERTION;
    loop {
        match UnixStream::connect(path) {
            Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
            result => return result,
        }
    }
}

impl Read for Plug {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(wire) => wire.read(buffer),
            Self::Unix(wire) => wire.read(buffer),
        }
    }
}

impl Write for Plug {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(wire) => wire.write(octets),
            Self::Unix(wire) => wire.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Passes commands on until one of the wires is cut; then the card is without power, and given back.
fn tap(mut reader: Plug, mut card: VirtualCard, orders: &Orders) -> VirtualCard {
    while let Ok(command) = receive(&mut reader) {
        if pass_on(&mut reader, &mut card, &command, orders).is_err() {
            break;
        }
    }
    reader.pull();
    let _ = send(&mut card.wire, POWER_OFF);
    card
}

fn pass_on(reader: &mut Plug, card: &mut VirtualCard, command: &[u8], orders: &Orders) -> io::Result<()> {
    match command {
        POWER_OFF | POWER_ON | RESET => {
            orders.lock().looks.get_or_insert(0);
            send(&mut card.wire, command)
        }
        GET_ATR => {
            let atr = card.exchange(command)?;
            send(reader, &atr)?;
            let mut seen = orders.lock();
            seen.looks = seen.looks.map(|looks| looks.saturating_add(1));
            orders.noticed.notify_all();
            Ok(())
        }
        _ => {
            if orders.is_the_end() {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            let reply = match orders.reply(command) {
                Some(CardReply::Octets(octets)) => octets,
                Some(CardReply::Gone) => return Err(io::ErrorKind::ConnectionAborted.into()),
                None => card.exchange(command)?,
            };
            orders.note(command, &reply);
            send(reader, &reply)
        }
    }
}

/// A command's header and data, whatever form its lengths have (ISO 7816-4, section 5.2).
fn parsed(command: &[u8]) -> Option<([u8; 4], &[u8])> {
    let (header, body) = command.split_first_chunk()?;
    let data = match body {
        [] | [_] | [0, _, _] => &[],
        [0, high, low, rest @ ..] => rest.get(..usize::from(*high) << 8 | usize::from(*low))?,
        [length, rest @ ..] => rest.get(..usize::from(*length))?,
    };
    Some((*header, data))
}

fn send(wire: &mut impl Write, octets: &[u8]) -> io::Result<()> {
    let length = u16::try_from(octets.len()).map_err(io::Error::other)?;
    wire.write_all(&[&length.to_be_bytes()[..], octets].concat())
}

fn receive(wire: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    wire.read_exact(&mut length)?;
    let mut octets = vec![0; usize::from(u16::from_be_bytes(length))];
    wire.read_exact(&mut octets)?;
    Ok(octets)
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_of_a_command_is_found_in_every_form() {
        let header = [0x00, 0x2A, 0x9E, 0x9A];
        let data = |body: &[u8]| {
            let command = [&header[..], body].concat();
            parsed(&command).map(|(found, data)| (found == header, data.to_vec()))
        };
        assert_eq!(data(&[]), Some((true, vec![])));
        assert_eq!(data(&[0]), Some((true, vec![])));
        assert_eq!(data(&[0, 0, 0]), Some((true, vec![])));
        assert_eq!(data(&[2, 8, 9]), Some((true, vec![8, 9])));
        assert_eq!(data(&[2, 8, 9, 0]), Some((true, vec![8, 9])));
        assert_eq!(data(&[0, 0, 2, 8, 9, 0, 0]), Some((true, vec![8, 9])));
        assert_eq!(data(&[3, 8, 9]), None);
    }

    #[test]
    fn an_ordered_command_with_other_data_is_an_offence() {
        let slot = Slot::new(Reader::Vpcd(0), None);
        slot.order([0, 0x2A, 0x9E, 0x9A], vec![1, 2], CardReply::Octets(vec![0x69, 0x85]));
        let reply = slot.orders.reply(&[0, 0x2A, 0x9E, 0x9A, 2, 1, 3, 0]);
        assert_eq!(reply, Some(CardReply::Octets(vec![0x6F, 0x00])));
        assert_eq!(slot.as_before().unwrap(), "the card was asked 002A9E9A with other data: 0103");
    }

    #[test]
    fn an_ordered_command_that_is_never_asked_is_an_offence() {
        let slot = Slot::new(Reader::Vpcd(0), None);
        slot.order([0, 0x2A, 0x9E, 0x9A], vec![], CardReply::Gone);
        assert_eq!(slot.orders.reply(&[0, 0xCA, 0, 0x6E, 0]), None);
        assert_eq!(slot.as_before().unwrap(), "the card was never asked 002A9E9A");
        assert_eq!(slot.as_before(), None);
    }
}
