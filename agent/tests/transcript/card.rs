//! The card of a transcript: `claviger-virtual-card`, and a tap on the wire between it and the reader. The tap lets a
//! transcript answer single commands in the card's stead, and pull the card and put it back with its memory whole.
//!
//! Both wires speak vsmartcard's protocol: a length of two octets, then a command; a command of one octet is about
//! power (0 off, 1 on, 2 reset) or asks for the ATR (4). Powering is not answered. vpcd asks for the ATR
//! whenever pcscd looks whether a card is there.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::script::CardReply;

const POWER_OFF: &[u8] = &[0];
const POWER_ON: &[u8] = &[1];
const RESET: &[u8] = &[2];
const GET_ATR: &[u8] = &[4];

/// With other data, SELECT is another command.
const SELECT: u8 = 0xA4;

/// How long pcscd may take to see a card; it looks every 400 ms.
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

/// A vpcd slot, and the card that is put into it and pulled out of it.
pub(crate) struct Slot {
    port: u16,
    beside: Option<VirtualCard>,
    inside: Option<Inside>,
    orders: Arc<Orders>,
}

/// A card in the slot: the thread between the two wires, which gives the card back when the reader's wire is cut.
struct Inside {
    reader: TcpStream,
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
    noticed: bool,
    offence: Option<String>,
    exchanges: Vec<String>,
}

/// A command that is not passed on to the card.
struct Ordered {
    header: [u8; 4],
    data: Vec<u8>,
    reply: CardReply,
    asked: bool,
}

impl Slot {
    /// The slot behind a TCP port, with a card beside it if there is one.
    pub(crate) fn new(port: u16, card: Option<VirtualCard>) -> Self {
        Self { port, beside: card, inside: None, orders: Arc::default() }
    }

    /// Puts the card in and waits until pcscd has noticed it.
    pub(crate) fn insert(&mut self) -> Result<(), String> {
        self.remove();
        let card = self.beside.take().ok_or("there is no card to insert")?;
        let reader =
            TcpStream::connect(("127.0.0.1", self.port)).map_err(|error| format!("vpcd: {error}"))?;
        reader.set_nodelay(true).map_err(|error| error.to_string())?;
        let ours = reader.try_clone().map_err(|error| error.to_string())?;
        self.orders.lock().noticed = false;
        let orders = Arc::clone(&self.orders);
        let tap = std::thread::spawn(move || tap(ours, card, &orders));
        self.inside = Some(Inside { reader, tap });
        let state = self.orders.lock();
        let (state, _) = self
            .orders
            .noticed
            .wait_timeout_while(state, INSERTION, |seen| !seen.noticed)
            .unwrap_or_else(PoisonError::into_inner);
        if state.noticed { Ok(()) } else { Err("pcscd did not notice the card".to_owned()) }
    }

    /// Pulls the card, if one is in.
    pub(crate) fn remove(&mut self) {
        if let Some(inside) = self.inside.take() {
            let _ = inside.reader.shutdown(Shutdown::Both);
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

    fn note(&self, command: &[u8], reply: &[u8]) {
        let mut seen = self.lock();
        if seen.exchanges.len() == EXCHANGES_KEPT {
            seen.exchanges.remove(0);
        }
        seen.exchanges.push(format!("{} -> {}", hex(command), hex(reply)));
    }
}

/// Passes commands on until one of the wires is cut; then the card is without power, and given back.
fn tap(mut reader: TcpStream, mut card: VirtualCard, orders: &Orders) -> VirtualCard {
    while let Ok(command) = receive(&mut reader) {
        if pass_on(&mut reader, &mut card, &command, orders).is_err() {
            break;
        }
    }
    let _ = reader.shutdown(Shutdown::Both);
    let _ = send(&mut card.wire, POWER_OFF);
    card
}

fn pass_on(
    reader: &mut TcpStream,
    card: &mut VirtualCard,
    command: &[u8],
    orders: &Orders,
) -> io::Result<()> {
    match command {
        POWER_OFF | POWER_ON | RESET => send(&mut card.wire, command),
        GET_ATR => {
            let atr = card.exchange(command)?;
            send(reader, &atr)?;
            orders.lock().noticed = true;
            orders.noticed.notify_all();
            Ok(())
        }
        _ => {
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

fn send(wire: &mut TcpStream, octets: &[u8]) -> io::Result<()> {
    let length = u16::try_from(octets.len()).map_err(io::Error::other)?;
    wire.write_all(&[&length.to_be_bytes()[..], octets].concat())
}

fn receive(wire: &mut TcpStream) -> io::Result<Vec<u8>> {
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
        let slot = Slot::new(0, None);
        slot.order([0, 0x2A, 0x9E, 0x9A], vec![1, 2], CardReply::Octets(vec![0x69, 0x85]));
        let reply = slot.orders.reply(&[0, 0x2A, 0x9E, 0x9A, 2, 1, 3, 0]);
        assert_eq!(reply, Some(CardReply::Octets(vec![0x6F, 0x00])));
        assert_eq!(slot.as_before().unwrap(), "the card was asked 002A9E9A with other data: 0103");
    }

    #[test]
    fn an_ordered_command_that_is_never_asked_is_an_offence() {
        let slot = Slot::new(0, None);
        slot.order([0, 0x2A, 0x9E, 0x9A], vec![], CardReply::Gone);
        assert_eq!(slot.orders.reply(&[0, 0xCA, 0, 0x6E, 0]), None);
        assert_eq!(slot.as_before().unwrap(), "the card was never asked 002A9E9A");
        assert_eq!(slot.as_before(), None);
    }
}
