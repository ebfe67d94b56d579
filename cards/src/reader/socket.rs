//! The reader socket: a Unix socket, opened only when configured, into which virtual cards plug.
//!
//! The protocol is vpicc's (vsmartcard), of which this is the reader's side: every message has its length in front, two
//! octets, the high one first. From here to the card a message of one octet is a control (00 power off, 01 power on,
//! 02 reset, 04 send the ATR, which alone has an answer), a longer one is a command APDU, and its answer comes back. One
//! connection is one card; closing it is pulling the card out.
//!
//! One thread listens for cards and for hang-ups; what goes over a connection belongs to the card's worker.

mod card;

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, fchmod};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use tokio::sync::oneshot;
use tracing::warn;

use crate::deck::{Arrival, Register, Source};
use crate::token::Insertion;

/// The most cards that may be plugged in at a time; further ones are turned away.
const MAX_CARDS: usize = 16;

/// Cards that may wait at the socket until they are taken in.
const BACKLOG: i32 = 16;

/// The open socket. Dropping it closes and removes it.
pub(crate) struct Listener {
    asks: Sender<oneshot::Sender<()>>,
    /// Writing wakes the thread, closing stops it.
    wake: UnixStream,
    path: PathBuf,
}

impl Listener {
    /// Binds the socket, readable and writable by its owner only. A socket that nobody listens at is replaced.
    pub(crate) fn open(path: &Path, register: Arc<Register>) -> io::Result<Self> {
        let listener = bind(path)?;
        let (wake, woken) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        woken.set_nonblocking(true)?;
        let (asks, questions) = mpsc::channel();
        let mut slots = Slots { listener, woken, asks: questions, register, plugged: Vec::new() };
        thread::Builder::new().name("reader-socket".to_owned()).spawn(move || slots.run())?;
        Ok(Self { asks, wake, path: path.to_owned() })
    }

    /// Takes in whoever is waiting at the socket now.
    pub(crate) fn look(&self) -> oneshot::Receiver<()> {
        let (reply, answer) = oneshot::channel();
        if self.asks.send(reply).is_ok() {
            // A full pipe wakes as well as one more octet would.
            let _ = (&self.wake).write(&[0]);
        }
        answer
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // It may have been removed by hand; nothing is left to do then.
        let _ = fs::remove_file(&self.path);
    }
}

/// Replaces a socket at which nobody listens any more.
fn bind(path: &Path) -> io::Result<UnixListener> {
    match bind_new(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse && UnixStream::connect(path).is_err() => {
            fs::remove_file(path)?;
            bind_new(path)
        }
        other => other,
    }
}

/// The mode is set before the name exists, so that there is no moment in which others could connect.
fn bind_new(path: &Path) -> io::Result<UnixListener> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(UnixListener::from(socket))
}

/// What the thread has: the listener and the cards that are plugged in.
struct Slots {
    listener: UnixListener,
    woken: UnixStream,
    asks: Receiver<oneshot::Sender<()>>,
    register: Arc<Register>,
    plugged: Vec<Plugged>,
}

struct Plugged {
    stream: UnixStream,
    number: usize,
    insertion: Insertion,
}

impl Slots {
    fn run(&mut self) {
        while self.wait() {
            if self.stopped() {
                break;
            }
            // Who asks from here on may mean a card that came after the look.
            let asks: Vec<_> = self.asks.try_iter().collect();
            self.drop_hung_up();
            self.accept();
            for ask in asks {
                // Who asked may have given up.
                let _ = ask.send(());
            }
        }
        for plugged in self.plugged.drain(..) {
            self.register.depart(plugged.insertion);
        }
        self.register.set_readers(Source::Socket, &[]);
    }

    /// Waits for a card, a hang-up or a wake-up; false when waiting is impossible.
    fn wait(&self) -> bool {
        let mut all =
            vec![PollFd::new(&self.listener, PollFlags::IN), PollFd::new(&self.woken, PollFlags::IN)];
        all.extend(self.plugged.iter().map(|card| PollFd::new(&card.stream, PollFlags::RDHUP)));
        match poll(&mut all, None) {
            Ok(_) | Err(Errno::INTR) => true,
            Err(error) => {
                warn!(%error, "the reader socket cannot be watched");
                false
            }
        }
    }

    fn stopped(&mut self) -> bool {
        let mut buffer = [0; 64];
        loop {
            match self.woken.read(&mut buffer) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => {
                    return error.kind() != ErrorKind::WouldBlock && error.kind() != ErrorKind::Interrupted;
                }
            }
        }
    }

    fn drop_hung_up(&mut self) {
        let register = &self.register;
        self.plugged.retain(|card| {
            let here = !hung_up(&card.stream);
            if !here {
                register.depart(card.insertion);
            }
            here
        });
        self.tell_readers();
    }

    fn accept(&mut self) {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => self.plug_in(stream),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    if error.kind() != ErrorKind::WouldBlock {
                        warn!(%error, "a card could not plug in");
                    }
                    break;
                }
            }
        }
        self.tell_readers();
    }

    fn plug_in(&mut self, stream: UnixStream) {
        let Some(number) = (0..MAX_CARDS).find(|n| self.plugged.iter().all(|card| card.number != *n)) else {
            warn!(MAX_CARDS, "too many cards at the reader socket; one was turned away");
            return;
        };
        // An accepted socket takes over nothing of the listener's non-blocking mode on Linux, but does elsewhere.
        let line = stream.set_nonblocking(false).and_then(|()| stream.try_clone());
        let Ok(line) = line else { return };
        let name = name(number);
        let reader = name.clone();
        let connect = move || card::connect(&line, &name);
        let insertion = self.register.arrive(Arrival { reader, connect: Arc::new(connect) });
        self.plugged.push(Plugged { stream, number, insertion });
    }

    fn tell_readers(&self) {
        let mut numbers: Vec<_> = self.plugged.iter().map(|card| card.number).collect();
        numbers.sort_unstable();
        let names: Vec<_> = numbers.into_iter().map(name).collect();
        self.register.set_readers(Source::Socket, &names);
    }
}

fn name(number: usize) -> String {
    format!("Claviger Reader Socket {number:02}")
}

fn hung_up(stream: &UnixStream) -> bool {
    let mut one = [PollFd::new(stream, PollFlags::RDHUP)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    let seen = poll(&mut one, Some(&now)).is_ok_and(|count| count > 0);
    seen && one[0].revents().intersects(PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR)
}
