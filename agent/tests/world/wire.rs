//! A session with a daemon's socket, line by line, with no agent between.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use super::Home;

/// A connection that was greeted.
pub(crate) struct Wire {
    stream: UnixStream,
    replies: BufReader<UnixStream>,
}

impl Wire {
    /// Connects to the scdaemon of `home`, which the agent starts if need be.
    pub(crate) fn to_scdaemon(home: &Home) -> Self {
        let socket = home.agent(&["SCD GETINFO socket_name"]).ok().line("D ");
        let stream = UnixStream::connect(socket).expect("the socket is there");
        let replies = BufReader::new(stream.try_clone().expect("a descriptor"));
        let mut wire = Self { stream, replies };
        let greeting = wire.line();
        assert!(greeting.starts_with("OK "), "{greeting}");
        wire
    }

    /// Sends a line and gives the last line of the answer, an inquiry included.
    pub(crate) fn ask(&mut self, line: &str) -> String {
        self.send(line.as_bytes());
        loop {
            let reply = self.line();
            if matches!(reply.split(' ').next(), Some("OK" | "ERR" | "INQUIRE")) {
                return reply;
            }
        }
    }

    /// Sends a line, answers an inquiry with `answer`, and gives the data of the reply. Fails unless that is OK.
    #[track_caller]
    pub(crate) fn data(&mut self, line: &str, answer: &[u8]) -> Vec<u8> {
        self.send(line.as_bytes());
        let mut data = Vec::new();
        loop {
            let reply = self.read_octets();
            match reply.split(|octet| *octet == b' ').next() {
                Some(b"D") => data.extend(unescape(&reply[2..])),
                Some(b"INQUIRE") => {
                    self.send(&[b"D ", answer].concat());
                    self.send(b"END");
                }
                Some(b"S") => {}
                Some(b"OK") => return data,
                _ => panic!("{line}: {}", String::from_utf8_lossy(&reply)),
            }
        }
    }

    /// Signs what was set with a key, giving the PIN where it is asked for; the last line of the answer.
    pub(crate) fn sign(&mut self, key: &str, pin: &str) -> String {
        let mut reply = self.ask(&format!("PKSIGN --hash=sha256 {key}"));
        while reply.starts_with("INQUIRE ") {
            self.send(format!("D {pin}\0").as_bytes());
            reply = self.ask("END");
        }
        reply
    }

    /// Sends a line and waits for nothing.
    pub(crate) fn send(&mut self, line: &[u8]) {
        self.stream.write_all(&[line, b"\n"].concat()).expect("the daemon listens");
    }

    /// Whether the daemon ends the connection without another line.
    pub(crate) fn hangs_up(&mut self) -> bool {
        self.replies.read_until(b'\n', &mut Vec::new()).is_ok_and(|octets| octets == 0)
    }

    fn read_octets(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        self.replies.read_until(b'\n', &mut line).expect("the daemon answers");
        assert_eq!(line.pop(), Some(b'\n'), "the daemon hung up");
        line
    }

    /// The next line of an answer.
    pub(crate) fn line(&mut self) -> String {
        String::from_utf8_lossy(&self.read_octets()).into_owned()
    }
}

/// The octets behind the escapes of a D line.
pub(crate) fn unescape(line: &[u8]) -> Vec<u8> {
    let mut pieces = line.split(|octet| *octet == b'%');
    let mut octets = pieces.next().unwrap_or_default().to_vec();
    for piece in pieces {
        let digits = std::str::from_utf8(&piece[..2]).expect("digits");
        octets.push(u8::from_str_radix(digits, 16).expect("digits"));
        octets.extend(&piece[2..]);
    }
    octets
}
