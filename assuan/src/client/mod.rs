//! A small client that blocks, for programs without a runtime, and what it shares with the async one.
//!
//! A command is a *transaction*: one line out, then replies up to the final `OK` or `ERR`. Data, status lines and
//! inquiries on the way go to a [`Caller`]; [`Answer`] is one that collects. Sections 2.3 and 2.4 of the scdaemon
//! reference.

mod answer;
pub mod redirect;
mod step;

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use claviger_secret::Secret;
use zeroize::{Zeroize, Zeroizing};

pub use self::answer::Answer;
pub use self::step::{Step, step};
use crate::error::Error;
use crate::frame::{Frame, LineBuffer, MAX_LINE};
use crate::line::write;
use crate::output::Output;

/// What a caller hears on the way to the final line of its command.
pub trait Caller {
    /// Octets of data, unescaped; they come in pieces.
    fn data(&mut self, octets: &[u8]);

    /// A status line, as it is on the wire.
    fn status(&mut self, keyword: &str, value: &[u8]);

    /// An inquiry. Without an answer the server is told that it is cancelled.
    fn inquire(&mut self, keyword: &str, args: &[u8]) -> Option<Secret>;
}

/// Why a transaction failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server answered `ERR`. The connection is fine.
    #[error("{0}")]
    Refused(Error),
    /// The command has an LF or is too long; nothing was sent.
    #[error("the command does not fit into a line")]
    BadCommand,
    /// The stream failed.
    #[error("connection to the server: {0}")]
    Io(#[from] io::Error),
    /// The server's stream ended.
    #[error("the server closed the connection")]
    Closed,
    /// The server sent something that is no reply. What comes next on this connection cannot be told.
    #[error("the server sent something that is no reply")]
    NoReply,
    /// An earlier transaction on this connection broke off or was dropped before its final line.
    #[error("an earlier command on this connection was left unfinished")]
    OutOfStep,
}

impl ClientError {
    /// Whether the connection is of no more use.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        !matches!(self, Self::Refused(_) | Self::BadCommand)
    }
}

/// A connection to a server, over any stream that blocks.
pub struct Client<S> {
    stream: S,
    buffer: LineBuffer,
    ahead: Ahead,
    output: Output,
    in_step: bool,
}

impl Client<UnixStream> {
    /// Connects to the socket at `path`, or to the one that a redirect file there names, and waits for the greeting.
    ///
    /// # Errors
    /// When the file names no socket, nobody listens, or the greeting is none.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let path = redirect::resolve(path, &|name| std::env::var_os(name))?;
        Self::new(UnixStream::connect(path)?)
    }
}

impl<S: Read + Write> Client<S> {
    /// A client over `stream`, whose server speaks first; waits for the greeting.
    ///
    /// # Errors
    /// When the greeting is `ERR`, or none.
    pub fn new(stream: S) -> Result<Self, ClientError> {
        let (buffer, ahead) = (LineBuffer::new(), Ahead::new());
        let mut client = Self { stream, buffer, ahead, output: Output::new(), in_step: false };
        client.replies(&mut Answer::with_limit(0))?;
        Ok(client)
    }

    /// Sends `command` and hears the server out.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with the server's `ERR`; all others say that something went wrong on the way.
    pub fn transact(&mut self, command: &[u8], caller: &mut dyn Caller) -> Result<(), ClientError> {
        check_command(command)?;
        if !std::mem::take(&mut self.in_step) {
            return Err(ClientError::OutOfStep);
        }
        write::command(&mut self.output, command);
        self.send()?;
        self.replies(caller)
    }

    /// Sends `command` and collects what it answers, at most `limit` octets of data. Inquiries are cancelled.
    ///
    /// # Errors
    /// As [`Self::transact`].
    pub fn request(&mut self, command: &[u8], limit: usize) -> Result<Answer, ClientError> {
        let mut answer = Answer::with_limit(limit);
        self.transact(command, &mut answer)?;
        Ok(answer)
    }

    fn replies(&mut self, caller: &mut dyn Caller) -> Result<(), ClientError> {
        loop {
            let frame = self.frame()?;
            match step(&frame)? {
                Step::Nothing => {}
                Step::Data(octets) => caller.data(&octets),
                Step::Status(keyword, value) => caller.status(&keyword, value),
                Step::Inquiry(keyword, args) => {
                    let answer = caller.inquire(&keyword, args);
                    answer_inquiry(&mut self.output, answer);
                    self.send()?;
                }
                Step::Final(result) => {
                    self.in_step = true;
                    return result.map_err(ClientError::Refused);
                }
            }
        }
    }

    fn frame(&mut self) -> Result<Frame, ClientError> {
        loop {
            let (taken, frame) = self.buffer.feed(self.ahead.unread());
            self.ahead.consume(taken);
            if let Some(frame) = frame {
                return Ok(frame);
            }
            if self.ahead.unread().is_empty() && self.ahead.fill(&mut self.stream)? == 0 {
                return Err(ClientError::Closed);
            }
        }
    }

    fn send(&mut self) -> io::Result<()> {
        self.stream.write_all(self.output.pending())?;
        self.output.consume(usize::MAX);
        self.stream.flush()
    }
}

/// Refuses what would not arrive as the one line that was meant.
///
/// # Errors
/// [`ClientError::BadCommand`]
pub fn check_command(command: &[u8]) -> Result<(), ClientError> {
    let awaits_reply = !command.is_empty() && !command.starts_with(b"#");
    let is_line = command.len() <= MAX_LINE && !command.contains(&b'\n');
    (awaits_reply && is_line).then_some(()).ok_or(ClientError::BadCommand)
}

/// Puts an inquiry's answer on its way: its data and `END`, or `CAN`.
pub fn answer_inquiry(output: &mut Output, answer: Option<Secret>) {
    match answer {
        Some(answer) => {
            output.data(answer.as_bytes());
            write::end(output);
        }
        None => write::cancel(output),
    }
}

/// How much is read at once.
const READ_AHEAD: usize = 4096;

/// Octets that were read and not yet taken; wiped when taken.
struct Ahead {
    octets: Zeroizing<[u8; READ_AHEAD]>,
    start: usize,
    end: usize,
}

impl Ahead {
    fn new() -> Self {
        Self { octets: Zeroizing::new([0; READ_AHEAD]), start: 0, end: 0 }
    }

    fn unread(&self) -> &[u8] {
        self.octets.get(self.start..self.end).unwrap_or_default()
    }

    fn consume(&mut self, count: usize) {
        self.octets.iter_mut().skip(self.start).take(count).for_each(Zeroize::zeroize);
        self.start += count;
    }

    fn fill(&mut self, stream: &mut impl Read) -> io::Result<usize> {
        let read = loop {
            match stream.read(&mut self.octets[..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        (self.start, self.end) = (0, read);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};

    use super::*;
    use crate::error::{Code, Source};

    /// A server that says `greeting`, then for each line it hears the next of `replies`.
    fn server(
        greeting: &'static str,
        replies: &'static [&'static str],
    ) -> (UnixStream, std::thread::JoinHandle<String>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let thread = std::thread::spawn(move || {
            let mut heard = String::new();
            let mut reader = BufReader::new(theirs.try_clone().unwrap());
            (&theirs).write_all(greeting.as_bytes()).unwrap();
            for reply in replies {
                reader.read_line(&mut heard).unwrap();
                (&theirs).write_all(reply.as_bytes()).unwrap();
            }
            theirs.shutdown(std::net::Shutdown::Write).unwrap();
            reader.read_to_string(&mut heard).unwrap();
            heard
        });
        (ours, thread)
    }

    struct Pin(Option<Secret>);

    impl Caller for Pin {
        fn data(&mut self, _octets: &[u8]) {}
        fn status(&mut self, _keyword: &str, _value: &[u8]) {}
        fn inquire(&mut self, keyword: &str, args: &[u8]) -> Option<Secret> {
            assert_eq!((keyword, args), ("NEEDPIN", &b"||PIN"[..]));
            self.0.take()
        }
    }

    #[test]
    fn a_request_collects_data_and_status_lines() {
        let (stream, server) = server("# hello\nOK ready\n", &["S A 1\nD a%25\nS B\nD %0Ab\nOK\n", "OK\n"]);
        let mut client = Client::new(stream).unwrap();
        let answer = client.request(b"LEARN --force", 100).unwrap();
        assert_eq!(answer.data(), Some(&b"a%\nb"[..]));
        assert_eq!(answer.statuses(), [("A".into(), b"1".to_vec()), ("B".into(), Vec::new())]);
        assert!(client.request(b"NOP", 0).is_ok());
        drop(client);
        assert_eq!(server.join().unwrap(), "LEARN --force\nNOP\n");
    }

    #[test]
    fn a_refusal_leaves_the_connection_usable() {
        let (stream, server) = server("OK\n", &["ERR 100696144 No such device <SCD>\n", "OK\n"]);
        let mut client = Client::new(stream).unwrap();
        let Err(ClientError::Refused(error)) = client.request(b"SERIALNO", 0) else { panic!("not refused") };
        assert_eq!(error, Error::new(Source::Scd, Code::ENODEV));
        assert!(client.request(b"NOP", 0).is_ok());
        drop((client, server));
    }

    #[test]
    fn an_inquiry_is_answered_or_cancelled() {
        const REFUSED: &str = "ERR 100663573 IPC call has been cancelled <SCD>\n";
        let (stream, server) = server(
            "OK\n",
            &[
                "INQUIRE NEEDPIN ||PIN\n",
                "",
                "OK\n",
                "INQUIRE NEEDPIN ||PIN\n",
                REFUSED,
                "INQUIRE X\n",
                REFUSED,
            ],
        );
        let mut client = Client::new(stream).unwrap();
        client.transact(b"CHECKPIN", &mut Pin(Some(Secret::copy_of(b"12%\n34")))).unwrap();
        assert!(matches!(client.transact(b"CHECKPIN", &mut Pin(None)), Err(ClientError::Refused(_))));
        assert!(matches!(client.request(b"OTHER", 0), Err(ClientError::Refused(_))));
        drop(client);
        assert_eq!(server.join().unwrap(), "CHECKPIN\nD 12%25%0A34\nEND\nCHECKPIN\nCAN\nOTHER\nCAN\n");
    }

    #[test]
    fn a_connection_out_of_step_is_not_used_again() {
        let (stream, server) = server("OK\n", &["what?\nOK\n"]);
        let mut client = Client::new(stream).unwrap();
        assert!(matches!(client.request(b"NOP", 0), Err(ClientError::NoReply)));
        assert!(matches!(client.request(b"NOP", 0), Err(ClientError::OutOfStep)));
        drop(client);
        assert_eq!(server.join().unwrap(), "NOP\n");
    }

    #[test]
    fn what_is_no_line_is_not_sent() {
        let (stream, server) = server("OK\n", &[]);
        let mut client = Client::new(stream).unwrap();
        for command in [&b""[..], b"# x", b"NOP\nKILLSCD", &[b'x'; 1001]] {
            assert!(matches!(client.request(command, 0), Err(ClientError::BadCommand)));
        }
        drop(client);
        assert_eq!(server.join().unwrap(), "");
    }

    #[test]
    fn a_greeting_may_refuse_or_never_come() {
        let (stream, _server) = server("ERR 67108983 No SmartCard daemon <GPG Agent>\n", &[]);
        assert!(matches!(Client::new(stream), Err(ClientError::Refused(_))));
        let (stream, _server) = server("OK", &[]);
        assert!(matches!(Client::new(stream), Err(ClientError::Closed)));
    }

    #[test]
    fn data_over_the_limit_is_noticed_and_not_kept() {
        let (stream, _server) = server("OK\n", &["D 12345\nD 678\nOK\n"]);
        let answer = Client::new(stream).unwrap().request(b"RANDOM 8", 7).unwrap();
        assert_eq!(answer.data(), None);
    }
}
