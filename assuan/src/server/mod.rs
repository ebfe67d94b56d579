//! One client's session as a state machine without IO: frames in, lines and events out.
//!
//! ```text
//!             a command of the table                     inquire
//!   Awaiting ───────────────────────▶ Running ──────────────────────▶ Inquiring
//!      │  ▲ ◀───────────────────────────┘ ▲ ◀──────────────────────────┘
//!      │  └ built-in commands    finish   └──    Event::Answered
//!      └──▶ Closed: BYE, the end of the stream, a line that is too long
//! ```
//!
//! The driver sends what [`Session::output`] holds whenever it is about to wait, and reads on only while the session
//! [awaits a frame](Session::awaits_frame): Assuan is half-duplex, and what a client sends ahead stays unread until its
//! turn comes. Built-in commands answer as libassuan's do; the application hears of the others as [`Event`]s, carries
//! them out, and ends each with [`Session::finish`]. Sections 2.1 to 2.4 of the scdaemon reference.

mod builtin;
mod inquiry;

use claviger_secret::Secret;
use zeroize::Zeroizing;

use self::inquiry::{Inquiry, Progress};
use crate::conversation::InquiryError;
use crate::error::{Code, Error, Source};
use crate::frame::{Frame, Line};
use crate::line::{read, write};
use crate::output::Output;
use crate::table::{self, CommandInfo, Found};

/// What a session needs from its application. Each of these but [`Event::Closed`] makes the session wait until the
/// application says [`Session::finish`].
#[derive(Debug)]
pub enum Event {
    /// The command in the row `index` of the table is to be carried out.
    Command {
        /// The index of its row.
        index: usize,
        /// What stood behind the command word, trailing blanks included.
        args: Zeroizing<Vec<u8>>,
    },
    /// `OPTION name value`.
    Option {
        /// The name, without the dashes before it.
        name: Zeroizing<Vec<u8>>,
        /// The value; empty if there was none.
        value: Zeroizing<Vec<u8>>,
    },
    /// `RESET`, and what stood behind it.
    Reset {
        /// What stood behind the command word.
        args: Zeroizing<Vec<u8>>,
    },
    /// `BYE`. The session closes when it is finished, whatever the result.
    Bye,
    /// The inquiry is over, and the command that made it goes on.
    Answered(Result<Secret, InquiryError>),
    /// The client is gone; nothing will be read or answered any more.
    Closed(End),
}

/// How a session came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The client said `BYE`.
    Bye,
    /// A command closed the session.
    ByCommand,
    /// The client's stream ended.
    EndOfStream,
    /// The client sent a line longer than a line may be.
    LineTooLong,
}

/// What a finished command means for its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// It goes on.
    Continue,
    /// It ends with this answer, `OK closing connection`.
    Close,
}

/// One client's session.
#[derive(Debug)]
pub struct Session {
    source: Source,
    table: &'static [CommandInfo],
    output: Output,
    state: State,
}

#[derive(Debug)]
enum State {
    Awaiting,
    /// As `Awaiting`, but the last command gave up an inquiry whose answer may still come: it is skipped.
    Skipping,
    /// A command of the application runs. `bye` if it is `BYE`.
    Running {
        bye: bool,
    },
    Inquiring(Inquiry),
    Closed(End),
}

impl Session {
    /// A session that reports its errors as `source`, knows the commands of `table` beside the built-in ones, and greets
    /// with `OK greeting`.
    #[must_use]
    pub fn new(source: Source, table: &'static [CommandInfo], greeting: &str) -> Self {
        let mut output = Output::new();
        write::ok(&mut output, greeting);
        Self { source, table, output, state: State::Awaiting }
    }

    /// The lines to be sent, and the place to write `S`, `D` and `#` lines to while a command runs.
    pub fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    /// The name of the command in the row `index`, for a log.
    #[must_use]
    pub fn command_name(&self, index: usize) -> &'static str {
        self.table.get(index).map_or("", |row| row.name)
    }

    /// Whether the next thing to happen is a frame (or the end of the stream) from the client.
    #[must_use]
    pub fn awaits_frame(&self) -> bool {
        !matches!(self.state, State::Running { .. } | State::Closed(_))
    }

    /// How the session ended, if it did.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        match self.state {
            State::Closed(end) => Some(end),
            _ => None,
        }
    }

    /// Takes a frame, and says what the application has to do about it, if anything. Frames that come while a command
    /// runs or after the end are dropped.
    pub fn frame(&mut self, frame: &Frame) -> Option<Event> {
        match (std::mem::replace(&mut self.state, State::Awaiting), frame) {
            (State::Awaiting, Frame::Line(line)) => self.command(line),
            (State::Skipping, Frame::Line(line)) => self.late_answer(line),
            (State::Awaiting | State::Skipping, Frame::TooLong) => Some(self.close(End::LineTooLong)),
            (State::Inquiring(inquiry), Frame::Line(line)) => self.answer(inquiry, line),
            (State::Inquiring(_), Frame::TooLong) => Some(self.answered(Err(InquiryError::LineTooLong))),
            (state @ (State::Running { .. } | State::Closed(_)), _) => {
                self.state = state;
                None
            }
        }
    }

    /// Takes the end of the client's stream. A command that waits for an answer hears of it, and is finished as any
    /// other: the client may still listen.
    pub fn end_of_stream(&mut self) -> Option<Event> {
        match self.state {
            State::Awaiting | State::Skipping => Some(self.close(End::EndOfStream)),
            State::Inquiring(_) => Some(self.answered(Err(InquiryError::Closed))),
            State::Running { .. } | State::Closed(_) => None,
        }
    }

    /// Asks the client for at most `limit` octets on behalf of the command that runs; [`Event::Answered`] brings them.
    /// With a limit of 0 the client may send no data line at all.
    ///
    /// # Errors
    /// [`InquiryError::QuestionTooLong`] or [`InquiryError::Nested`], and then nothing is sent.
    pub fn inquire(&mut self, keyword: &str, args: &[u8], limit: usize) -> Result<(), InquiryError> {
        if !matches!(self.state, State::Running { .. }) {
            return Err(InquiryError::Nested);
        }
        if !write::inquire(&mut self.output, keyword, args) {
            return Err(InquiryError::QuestionTooLong);
        }
        self.state = State::Inquiring(Inquiry::new(limit));
        Ok(())
    }

    /// Ends the command that runs with its one final line. An inquiry that is still open is given up; if its answer
    /// comes after all, it is not taken for commands.
    pub fn finish(&mut self, result: Result<After, Error>) {
        let (bye, next) = match self.state {
            State::Running { bye } => (bye, State::Awaiting),
            State::Inquiring(_) => (false, State::Skipping),
            State::Awaiting | State::Skipping | State::Closed(_) => return,
        };
        self.state = next;
        match result {
            _ if bye => self.say_goodbye(End::Bye),
            Ok(After::Continue) => write::ok(&mut self.output, ""),
            Ok(After::Close) => self.say_goodbye(End::ByCommand),
            Err(error) => write::err(&mut self.output, &error),
        }
    }

    fn command(&mut self, line: &Line) -> Option<Event> {
        match read::command(line.as_bytes()) {
            read::Command::Ignored => None,
            read::Command::Data => self.refuse(Code::NOT_IMPLEMENTED, None),
            read::Command::LeadingBlank => self.refuse(Code::ASS_SYNTAX, Some("leading white-space")),
            read::Command::Word(word, args) => match table::find(self.table, word) {
                Some(Found::Row(index)) => self.run(Event::Command { index, args: owned(args) }),
                Some(Found::BuiltIn(command)) => self.built_in(command, args),
                Some(Found::OnDemand) => self.descriptor(args),
                None => self.refuse(Code::ASS_UNKNOWN_CMD, None),
            },
        }
    }

    fn answer(&mut self, inquiry: Inquiry, line: &Line) -> Option<Event> {
        match inquiry.line(line.as_bytes()) {
            Progress::More(inquiry) => {
                self.state = State::Inquiring(inquiry);
                None
            }
            Progress::Over(answer) => Some(self.answered(answer)),
        }
    }

    fn late_answer(&mut self, line: &Line) -> Option<Event> {
        match read::answer(line.as_bytes()) {
            read::Answer::Data(_) | read::Answer::Ignored => self.state = State::Skipping,
            read::Answer::End | read::Answer::Cancel => {}
            read::Answer::Other => return self.command(line),
        }
        None
    }

    fn answered(&mut self, answer: Result<Secret, InquiryError>) -> Event {
        self.state = State::Running { bye: false };
        Event::Answered(answer)
    }

    fn run(&mut self, event: Event) -> Option<Event> {
        self.state = State::Running { bye: matches!(event, Event::Bye) };
        Some(event)
    }

    fn refuse(&mut self, code: Code, text: Option<&str>) -> Option<Event> {
        let error = Error::new(self.source, code);
        let error = text.into_iter().fold(error, Error::with_text);
        write::err(&mut self.output, &error);
        None
    }

    fn say_goodbye(&mut self, end: End) {
        write::ok(&mut self.output, "closing connection");
        self.state = State::Closed(end);
    }

    fn close(&mut self, end: End) -> Event {
        self.state = State::Closed(end);
        Event::Closed(end)
    }
}

fn owned(octets: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(octets.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::LineBuffer;

    const TABLE: &[CommandInfo] = &[CommandInfo { name: "PKSIGN", help: "" }];

    fn session() -> Session {
        let mut session = Session::new(Source::Scd, TABLE, "ready");
        assert_eq!(said(&mut session), "OK ready\n");
        session
    }

    /// Gives the session a line.
    fn hear(session: &mut Session, line: &str) -> Option<Event> {
        let (_, frame) = LineBuffer::new().feed(format!("{line}\n").as_bytes());
        session.frame(&frame.unwrap())
    }

    /// What the session has said since.
    fn said(session: &mut Session) -> String {
        let said = String::from_utf8(session.output().pending().to_vec()).unwrap();
        session.output().consume(usize::MAX);
        said
    }

    #[test]
    fn nothing_is_heard_while_a_command_runs() {
        let mut session = session();
        assert!(session.awaits_frame());
        assert!(matches!(hear(&mut session, "PKSIGN x"), Some(Event::Command { index: 0, .. })));
        assert!(!session.awaits_frame());
        assert!(hear(&mut session, "NOP").is_none());
        assert!(session.end_of_stream().is_none());
        assert_eq!(said(&mut session), "");
        session.finish(Ok(After::Continue));
        session.finish(Ok(After::Continue));
        assert_eq!(said(&mut session), "OK\n");
    }

    #[test]
    fn the_answer_to_an_abandoned_inquiry_is_not_taken_for_commands() {
        let mut session = session();
        for end in ["END", "CAN"] {
            assert!(hear(&mut session, "PKSIGN").is_some());
            session.inquire("NEEDPIN", b"||PIN", 100).unwrap();
            session.finish(Err(Error::new(Source::Scd, Code::CARD_REMOVED)));
            assert_eq!(said(&mut session), "INQUIRE NEEDPIN ||PIN\nERR 100663406 Card removed <SCD>\n");
            for line in ["D 123456", "", end] {
                assert!(hear(&mut session, line).is_none());
            }
            assert_eq!(said(&mut session), "");
            assert!(hear(&mut session, "END").is_none());
            assert_eq!(said(&mut session), "ERR 100663365 Not implemented <SCD>\n");
        }
    }

    #[test]
    fn a_command_after_an_abandoned_inquiry_is_carried_out() {
        let mut session = session();
        assert!(hear(&mut session, "PKSIGN").is_some());
        session.inquire("NEEDPIN", b"", 100).unwrap();
        session.finish(Err(Error::new(Source::Scd, Code::CARD_REMOVED)));
        assert!(matches!(hear(&mut session, "PKSIGN"), Some(Event::Command { .. })));
        session.finish(Ok(After::Continue));
        assert!(hear(&mut session, "END").is_none());
        assert!(said(&mut session).ends_with("OK\nERR 100663365 Not implemented <SCD>\n"));
    }

    #[test]
    fn a_question_is_asked_by_a_command_and_one_at_a_time() {
        let mut session = session();
        assert_eq!(session.inquire("NEEDPIN", b"", 100), Err(InquiryError::Nested));
        assert!(hear(&mut session, "PKSIGN").is_some());
        assert_eq!(session.inquire("NEEDPIN", b"", 100), Ok(()));
        assert_eq!(session.inquire("NEEDPIN", b"", 100), Err(InquiryError::Nested));
        assert_eq!(said(&mut session), "INQUIRE NEEDPIN\n");
        assert!(hear(&mut session, "D 12").is_none());
        let Some(Event::Answered(Ok(pin))) = hear(&mut session, "END") else { panic!("no answer") };
        assert_eq!(pin.as_bytes(), b"12");
    }

    #[test]
    fn goodbye_is_said_whatever_the_application_thinks() {
        let mut session = session();
        assert!(matches!(hear(&mut session, "BYE"), Some(Event::Bye)));
        session.finish(Err(Error::new(Source::Scd, Code::GENERAL)));
        assert_eq!(said(&mut session), "OK closing connection\n");
        assert_eq!(session.end(), Some(End::Bye));
        assert!(hear(&mut session, "NOP").is_none());
        assert_eq!(said(&mut session), "");
    }

    #[test]
    fn the_application_hears_options_and_resets() {
        let mut session = session();
        let Some(Event::Option { name, value }) = hear(&mut session, "OPTION --event-signal= 12 ") else {
            panic!("no option")
        };
        assert_eq!((&name[..], &value[..]), (&b"event-signal"[..], &b"12"[..]));
        session.finish(Err(Error::new(Source::Scd, Code::ASS_PARAMETER)));
        assert_eq!(said(&mut session), "ERR 100663576 IPC parameter error <SCD>\n");
        let Some(Event::Reset { args }) = hear(&mut session, "RESET --keep-lock") else { panic!("no reset") };
        assert_eq!(&args[..], b"--keep-lock");
    }
}
