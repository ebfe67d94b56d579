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
        let greeting = wire.read_line();
        assert!(greeting.starts_with("OK "), "{greeting}");
        wire
    }

    /// Sends a line and gives the last line of the answer, an inquiry included.
    pub(crate) fn ask(&mut self, line: &str) -> String {
        self.stream.write_all(format!("{line}\n").as_bytes()).expect("the daemon listens");
        loop {
            let reply = self.read_line();
            if matches!(reply.split(' ').next(), Some("OK" | "ERR" | "INQUIRE")) {
                return reply;
            }
        }
    }

    fn read_line(&mut self) -> String {
        let mut line = Vec::new();
        self.replies.read_until(b'\n', &mut line).expect("the daemon answers");
        String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned()
    }
}
