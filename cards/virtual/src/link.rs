//! The wire to a reader: vpcd over TCP or claviger's reader socket, both with vpicc's messages.
//!
//! A message is its length in two octets, most significant first, and that many octets. From the reader's side a message
//! of one octet is a signal: 0 power off, 1 power on, 2 reset, 4 "send your answer to reset". Anything else is an APDU.
//! The card answers APDUs and signal 4, each with one message. (vsmartcard, virtualsmartcard/doc, "vpcd protocol".)

use std::{
    fmt,
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
};

/// Where a reader waits for its card.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// A slot of vpcd.
    Vpcd {
        /// Where pcscd runs.
        host: String,
        /// The port of the slot.
        port: u16,
    },
    /// The reader socket of claviger's daemon.
    Socket(PathBuf),
}

impl Address {
    /// Plugs in.
    ///
    /// # Errors
    /// Whatever the system says, as long as nobody listens there.
    pub fn connect(&self) -> io::Result<Plug> {
        match self {
            Self::Vpcd { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port))?;
                stream.set_nodelay(true)?;
                Ok(Plug::Tcp(stream))
            }
            Self::Socket(path) => UnixStream::connect(path).map(Plug::Unix),
        }
    }

    /// What a person does when nobody listens at the address.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Vpcd { .. } => {
                "start pcscd with vpcd (apt-get install pcscd vsmartcard-vpcd; systemctl start pcscd), or name its port"
            }
            Self::Socket(_) => {
                "start the daemon with its reader socket switched on, or name the socket's path"
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vpcd { host, port } => write!(f, "{host}:{port}"),
            Self::Socket(path) => path.display().fmt(f),
        }
    }
}

/// A card's connection to its reader.
#[derive(Debug)]
pub enum Plug {
    /// To vpcd.
    Tcp(TcpStream),
    /// To the daemon.
    Unix(UnixStream),
}

impl Plug {
    /// A second hold on the same connection, with which another thread can pull the card.
    ///
    /// # Errors
    /// If the process has no file descriptor left.
    pub fn hold(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(stream) => stream.try_clone().map(Self::Tcp),
            Self::Unix(stream) => stream.try_clone().map(Self::Unix),
        }
    }

    /// Pulls the card: both sides read the end from now on.
    pub fn pull(&self) {
        // A connection that the reader has closed already is pulled as well.
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
            Self::Unix(stream) => stream.shutdown(Shutdown::Both),
        };
    }
}

impl Read for Plug {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => {
                // vpcd sends a length and its message apart and waits for our acknowledgement in between, which Linux
                // would put off for 40 ms. The wish is good for one read, so it is repeated; without it all is slow.
                let _ = rustix::net::sockopt::set_tcp_quickack(&*stream, true);
                stream.read(buffer)
            }
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Plug {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(data),
            Self::Unix(stream) => stream.write(data),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a reader says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// The power goes.
    PowerOff,
    /// The power comes.
    PowerOn,
    /// Warm reset.
    Reset,
    /// The answer to reset is asked for.
    SendAtr,
    /// A command for the card.
    Apdu(Vec<u8>),
}

impl From<Vec<u8>> for Message {
    fn from(octets: Vec<u8>) -> Self {
        match octets[..] {
            [0] => Self::PowerOff,
            [1] => Self::PowerOn,
            [2] => Self::Reset,
            [4] => Self::SendAtr,
            _ => Self::Apdu(octets),
        }
    }
}

/// Reads the next message; `None` when the reader has closed between two messages.
///
/// # Errors
/// If the connection broke, or ended inside a message.
pub fn read_message(from: &mut impl Read) -> io::Result<Option<Message>> {
    let mut length = [0; 2];
    let (first, second) = length.split_at_mut(1);
    if from.read(first)? == 0 {
        return Ok(None);
    }
    from.read_exact(second)?;
    let mut octets = vec![0; usize::from(u16::from_be_bytes(length))];
    from.read_exact(&mut octets)?;
    Ok(Some(octets.into()))
}

/// Sends one message.
///
/// # Errors
/// If the connection broke, or the message is longer than the protocol can say.
pub fn write_message(to: &mut impl Write, octets: &[u8]) -> io::Result<()> {
    let length = u16::try_from(octets.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    to.write_all(&[&length.to_be_bytes(), octets].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_octet_is_a_signal_and_more_are_a_command() {
        let mut wire: &[u8] = &[0, 1, 0, 0, 1, 1, 0, 1, 2, 0, 1, 4, 0, 4, 0, 0xA4, 4, 0];
        let mut heard = Vec::new();
        while let Some(message) = read_message(&mut wire).unwrap() {
            heard.push(message);
        }
        let apdu = Message::Apdu(vec![0, 0xA4, 4, 0]);
        assert_eq!(heard, [Message::PowerOff, Message::PowerOn, Message::Reset, Message::SendAtr, apdu]);
    }

    #[test]
    fn a_message_cut_anywhere_is_an_error() {
        let whole: &[u8] = &[0, 3, 1, 2, 3];
        for mut cut in (1..whole.len()).map(|end| &whole[..end]) {
            assert!(read_message(&mut cut).is_err(), "{cut:?}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut wire = Vec::new();
        write_message(&mut wire, &[0x90, 0]).unwrap();
        assert_eq!(read_message(&mut &wire[..]).unwrap(), Some(Message::Apdu(vec![0x90, 0])));
        assert!(write_message(&mut wire, &[0; 0x1_0000]).is_err());
    }
}
