//! Stands between PC/SC's library and the service, and does something to one message.
//!
//! The protocol is pcscd's own (pcsc-lite, `winscard_msg.h`): a request has its length and its command in front, each
//! four octets, and is answered, where it is, by a structure of the same length that ends with the result; TRANSMIT's has
//! the command behind it, and the card's answer behind the reply. What the service says without being asked passes.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

/// Where the real service listens.
const SERVICE: &str = "/run/pcscd/pcscd.comm";

/// TRANSMIT, and where its structure has the length of the card's command.
const TRANSMIT: u32 = 9;
const COMMAND_LENGTH: usize = 12;

/// What is done to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection ends instead of the request.
    HangUp,
    /// The connection ends instead of the reply.
    Lose,
    /// The connection ends after half of the reply.
    Cut,
    /// The service does not hear the request; the reply has this result.
    Refuse(u32),
    /// The service is silent until the fault is over.
    Stall,
}

/// The proxy.
#[derive(Clone, Default)]
pub(crate) struct Proxy {
    shared: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    /// How many requests of each command came since that was forgotten.
    counts: BTreeMap<u32, usize>,
    /// The command, which of its requests, and what.
    fault: Option<(u32, usize, Fault)>,
    /// Those who stall wait for another number.
    round: u64,
    happened: bool,
}

impl Proxy {
    /// Listens at `path` until the process ends.
    pub(crate) fn listen(path: &Path) -> Self {
        let proxy = Self::default();
        let listener = UnixListener::bind(path).unwrap();
        let shared = proxy.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if let Ok(service) = UnixStream::connect(SERVICE) {
                    shared.join(client, service);
                }
            }
        });
        proxy
    }

    /// Counts anew, and has a fault happen.
    pub(crate) fn arm(&self, fault: Option<(u32, usize, Fault)>) {
        let mut state = self.state();
        state.counts.clear();
        (state.fault, state.happened) = (fault, false);
    }

    /// The fault is over. Whether it happened.
    pub(crate) fn disarm(&self) -> bool {
        let mut state = self.state();
        state.fault = None;
        state.round += 1;
        self.shared.1.notify_all();
        state.happened
    }

    /// How many requests of each command came.
    pub(crate) fn counts(&self) -> BTreeMap<u32, usize> {
        self.state().counts.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap()
    }

    /// Carries one connection, in both directions.
    fn join(&self, client: UnixStream, service: UnixStream) {
        let fate = Fate::default();
        let (proxy, upward) = (self.clone(), fate.clone());
        let (mut from_client, mut to_service) = (client.try_clone().unwrap(), service.try_clone().unwrap());
        thread::spawn(move || {
            while proxy.request(&mut from_client, &mut to_service, &upward).is_ok() {}
            end(&from_client, &to_service);
        });
        let proxy = self.clone();
        let (mut from_service, mut to_client) = (service, client);
        thread::spawn(move || {
            while proxy.reply(&mut from_service, &mut to_client, &fate).is_ok() {}
            end(&to_client, &from_service);
        });
    }

    fn request(&self, client: &mut UnixStream, service: &mut UnixStream, fate: &Fate) -> io::Result<()> {
        let mut header = [0; 8];
        client.read_exact(&mut header)?;
        let [size, command] = [0, 4].map(|at| u32::from_ne_bytes(*header[at..].first_chunk().unwrap()));
        let mut message = vec![0; usize::try_from(size).unwrap()];
        client.read_exact(&mut message)?;
        if command == TRANSMIT {
            let length = u32::from_ne_bytes(*message[COMMAND_LENGTH..].first_chunk().unwrap());
            let structure = message.len();
            message.resize(structure + usize::try_from(length).unwrap(), 0);
            client.read_exact(&mut message[structure..])?;
        }
        let fault = self.fault(command);
        if fault == Some(Fault::HangUp) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        if fault == Some(Fault::Stall) {
            self.stall();
        }
        let structure = usize::try_from(size).unwrap();
        if let (Some(Fault::Refuse(result)), Some(at)) = (fault, structure.checked_sub(4)) {
            // What would follow a good result is not looked for after a bad one.
            message[at..structure].copy_from_slice(&result.to_ne_bytes());
            return client.write_all(&message[..structure]);
        }
        *fate.0.lock().unwrap() = fault;
        service.write_all(&[&header[..], &message].concat())
    }

    /// One piece of what the service says; its replies are short enough to come in one.
    fn reply(&self, service: &mut UnixStream, client: &mut UnixStream, fate: &Fate) -> io::Result<()> {
        let mut octets = [0; 0x4000];
        let length = service.read(&mut octets)?;
        let piece = octets.get(..length).filter(|piece| !piece.is_empty());
        let piece = piece.ok_or(io::ErrorKind::UnexpectedEof)?;
        match fate.0.lock().unwrap().take() {
            Some(Fault::Lose) => return Err(io::ErrorKind::ConnectionAborted.into()),
            Some(Fault::Cut) => {
                client.write_all(&piece[..length / 2])?;
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            _ => {}
        }
        client.write_all(piece)
    }

    /// What happens to a request of this command.
    fn fault(&self, command: u32) -> Option<Fault> {
        let mut state = self.state();
        let count = state.counts.entry(command).or_default();
        *count += 1;
        let now = (command, *count);
        let (_, _, fault) = state.fault.filter(|(command, at, _)| now == (*command, *at))?;
        state.happened = true;
        Some(fault)
    }

    fn stall(&self) {
        let state = self.state();
        let round = state.round;
        drop(self.shared.1.wait_while(state, |state| state.round == round));
    }
}

/// What is to happen to a connection's next reply.
#[derive(Clone, Default)]
struct Fate(Arc<Mutex<Option<Fault>>>);

fn end(client: &UnixStream, service: &UnixStream) {
    // Whichever is closed already is closed.
    let _ = (client.shutdown(Shutdown::Both), service.shutdown(Shutdown::Both));
}
