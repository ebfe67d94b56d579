//! A session with the daemon's socket in which every wait has an end, and PINs are answered and counted.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::world::{Home, unescape};

/// How long the daemon may be silent. What takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(15);

/// What an error begins with when the daemon did not answer, or not in time.
pub(crate) const SILENCE: &str = "no answer";

/// A connection that was greeted.
pub(crate) struct Session {
    stream: UnixStream,
    replies: BufReader<UnixStream>,
    /// How many PINs were asked for.
    pub(crate) questions: usize,
}

impl Session {
    /// Connects to the scdaemon of `home`, which the agent starts if need be.
    pub(crate) fn with(home: &Home) -> Self {
        let socket = home.agent(&["SCD GETINFO socket_name"]).ok().line("D ");
        let stream = UnixStream::connect(socket).expect("the socket is there");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let replies = BufReader::new(stream.try_clone().expect("a descriptor"));
        let mut session = Self { stream, replies, questions: 0 };
        assert!(session.line().is_ok_and(|greeting| greeting.starts_with(b"OK ")));
        session
    }

    /// Sends a command, answers what it asks, and gives the data and status lines of the reply, or the ERR line, or what
    /// begins with [`SILENCE`]. `key` is what KEYDATA is answered with.
    pub(crate) fn ask(&mut self, command: &str, key: &[u8]) -> Result<Reply, String> {
        self.send(command.as_bytes())?;
        let mut reply = Reply::default();
        loop {
            let line = self.line()?;
            let text = String::from_utf8_lossy(&line);
            match text.split(' ').next().unwrap_or_default() {
                "OK" => return Ok(reply),
                "ERR" => return Err(text.into_owned()),
                "D" => reply.data.extend(unescape(&line[2..])),
                "S" => reply.status.push(text.into_owned()),
                "INQUIRE" if text.starts_with("INQUIRE KEYDATA") => self.answer(key)?,
                "INQUIRE" => {
                    self.questions += 1;
                    self.answer(if text.contains("|A|") { b"12345678\0" } else { b"123456\0" })?;
                }
                other => panic!("{command}: {other}"),
            }
        }
    }

    fn answer(&mut self, octets: &[u8]) -> Result<(), String> {
        self.send(&[b"D ", escaped(octets).as_slice()].concat())?;
        self.send(b"END")
    }

    fn send(&mut self, line: &[u8]) -> Result<(), String> {
        let sent = self.stream.write_all(&[line, b"\n"].concat());
        sent.map_err(|error| format!("{SILENCE}: {error}"))
    }

    fn line(&mut self) -> Result<Vec<u8>, String> {
        let mut line = Vec::new();
        match self.replies.read_until(b'\n', &mut line).map(|_| line.pop()) {
            Ok(Some(b'\n')) => Ok(line),
            Ok(_) => Err(format!("{SILENCE}: it hung up")),
            Err(error) => Err(format!("{SILENCE}: {error}")),
        }
    }
}

/// What came before OK.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    /// All D lines.
    pub(crate) data: Vec<u8>,
    /// The S lines.
    pub(crate) status: Vec<String>,
}

fn escaped(octets: &[u8]) -> Vec<u8> {
    let escape = |octet: &u8| match octet {
        b'%' | b'\r' | b'\n' => format!("%{octet:02X}").into_bytes(),
        other => vec![*other],
    };
    octets.iter().flat_map(escape).collect()
}
