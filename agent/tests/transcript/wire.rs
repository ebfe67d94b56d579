//! Connections to a real program. A thread writes and a thread reads, so that neither side's full buffer stops a play.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::{ChildStdin, ChildStdout};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::play::{Incoming, Wire};

/// A pipe or a socket.
pub(crate) struct Stream {
    incoming: Receiver<Incoming>,
    outgoing: Option<Sender<Vec<u8>>>,
    /// Lines that were read ahead of the play.
    read_ahead: Vec<Incoming>,
}

impl Stream {
    /// The standard input and output of a program.
    pub(crate) fn pipe(stdin: ChildStdin, stdout: ChildStdout) -> Self {
        Self::new(stdout, stdin, |_| {})
    }

    /// A connection to a socket.
    pub(crate) fn socket(socket: UnixStream) -> std::io::Result<Self> {
        let reader = socket.try_clone()?;
        Ok(Self::new(reader, socket, |socket| drop(socket.shutdown(Shutdown::Both))))
    }

    /// Puts a line back, to be read once more.
    pub(crate) fn put_back(&mut self, incoming: Incoming) {
        self.read_ahead.push(incoming);
    }

    fn new<R, W>(reader: R, mut writer: W, close: impl FnOnce(&W) + Send + 'static) -> Self
    where
        R: Read + Send + 'static,
        W: Write + Send + 'static,
    {
        let (lines, incoming) = channel();
        let (outgoing, octets) = channel::<Vec<u8>>();
        std::thread::spawn(move || read_lines(reader, &lines));
        std::thread::spawn(move || {
            for octets in octets {
                if writer.write_all(&octets).and_then(|()| writer.flush()).is_err() {
                    break;
                }
            }
            close(&writer);
        });
        Self { incoming, outgoing: Some(outgoing), read_ahead: Vec::new() }
    }
}

fn read_lines(reader: impl Read, lines: &Sender<Incoming>) {
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = Vec::new();
        let ended =
            reader.read_until(b'\n', &mut line).is_err() || line.pop_if(|last| *last == b'\n').is_none();
        let incoming = if ended { Incoming::Closed(line) } else { Incoming::Line(line) };
        if lines.send(incoming).is_err() || ended {
            return;
        }
    }
}

impl Wire for Stream {
    fn send(&mut self, octets: &[u8]) {
        if let Some(outgoing) = &self.outgoing {
            let _ = outgoing.send(octets.to_vec());
        }
    }

    fn line(&mut self, patience: Duration) -> Incoming {
        if let Some(incoming) = self.read_ahead.pop() {
            return incoming;
        }
        match self.incoming.recv_timeout(patience) {
            Ok(incoming) => incoming,
            Err(RecvTimeoutError::Timeout) => Incoming::Silence,
            Err(RecvTimeoutError::Disconnected) => Incoming::Closed(Vec::new()),
        }
    }

    fn hang_up(&mut self) {
        self.outgoing = None;
    }
}
