//! The socket to the daemon: any thread may receive or send, one at a time.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Mutex;

use claviger_secret::Secret;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::hold;
use crate::pkcs11::wire::frame::{Reader, encode};
use crate::pkcs11::wire::{FromHelper, ToHelper};

/// Both directions of the socket.
pub(super) struct Link {
    socket: UnixStream,
    reader: Mutex<Reader<ToHelper>>,
    writer: Mutex<()>,
}

impl Link {
    pub(super) fn new(socket: UnixStream) -> Self {
        Self { socket, reader: Mutex::default(), writer: Mutex::default() }
    }

    /// The next message; nothing once the daemon has closed, or says what it cannot say.
    pub(super) fn receive(&self) -> Option<(ToHelper, Vec<Secret>)> {
        let mut reader = hold(&self.reader);
        loop {
            match reader.next() {
                Ok(Some(message)) => return Some(message),
                Ok(None) => {}
                Err(error) => {
                    eprintln!("pkcs11-helper: the daemon sends {error}");
                    return None;
                }
            }
            match (&self.socket).read(reader.room()) {
                Ok(0) => return None,
                Ok(octets) => reader.filled(octets),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
    }

    /// Sends a message. Where that is impossible the daemon is gone, which the next reader notices.
    pub(super) fn send(&self, message: &FromHelper, secrets: &[Secret]) {
        let encoded = match encode(message, secrets) {
            Ok(encoded) => encoded,
            Err(error) => {
                eprintln!("pkcs11-helper: an answer is dropped: {error}");
                return;
            }
        };
        let _sending = hold(&self.writer);
        let sent = (&self.socket).write_all(&encoded.head);
        let _ = sent.and_then(|()| (&self.socket).write_all(encoded.secrets.as_bytes()));
    }

    /// Whether the daemon has closed its end.
    pub(super) fn is_closed(&self) -> bool {
        let mut sockets = [PollFd::new(&self.socket, PollFlags::empty())];
        match poll(&mut sockets, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
            Ok(_) => sockets[0].revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL),
            Err(_) => false,
        }
    }
}
