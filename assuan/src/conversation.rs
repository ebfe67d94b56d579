//! The port that command handlers speak through: status lines, data, questions back to the client.
//!
//! A handler is async over this trait and never sees a stream, so that it runs against a script in tests. What it says
//! is sent in the order it says it; how it is cut into lines, escaped and sent is the business of [`crate::server`] and
//! of the shell that drives it.

use std::future::Future;
use std::pin::Pin;

use claviger_secret::Secret;

use crate::error::Code;

/// A future that can be sent between threads, in a box: what a method of a trait object returns.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a handler can say to its client while its command runs. The final `OK` or `ERR` is its return value.
pub trait Conversation: Send {
    /// Sends `S keyword value`. The value is sent as it is (see [`crate::escape::percent_plus`]), up to an LF and to
    /// the length of a line; an empty one leaves `S keyword`.
    fn status(&mut self, keyword: &str, value: &[u8]);

    /// Sends octets in `D` lines, escaped and cut as libassuan does. Those that do not fill a line wait for more, until
    /// the handler says something else, flushes or is done.
    fn data(&mut self, octets: &[u8]);

    /// Sends `# text`, which clients ignore.
    fn comment(&mut self, text: &str);

    /// Asks the client for data: sends `INQUIRE keyword args` and collects the answer, at most `limit` octets of it.
    /// With a limit of 0 no data line is allowed at all: the client can say `END` or `CAN`.
    fn inquire<'a>(
        &'a mut self,
        keyword: &'a str,
        args: &'a [u8],
        limit: usize,
    ) -> BoxFuture<'a, Result<Secret, InquiryError>>;

    /// Sends what was said so far, an unfinished `D` line included, and waits until the client's side took it.
    fn flush<'a>(&'a mut self) -> BoxFuture<'a, Result<(), Closed>>;

    /// Waits until the client's side took all whole lines; an unfinished `D` line stays open. Handlers with more data
    /// than should be held in memory call this between pieces; the lines are cut as if they did not.
    fn drain<'a>(&'a mut self) -> BoxFuture<'a, Result<(), Closed>>;

    /// Ends when the client's stream has ended. A command that waits for something else waits for this beside it, so that
    /// it does not outlive its client. What the client sends meanwhile is kept, and taken as commands afterwards; if that
    /// is more than is kept, the end is not noticed before the command is over.
    fn closed<'a>(&'a mut self) -> BoxFuture<'a, ()>;

    /// Ends when the client has sent something, which is taken as a command afterwards, or its stream has ended.
    fn interrupted<'a>(&'a mut self) -> BoxFuture<'a, ()>;
}

/// The client can no longer be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client is gone")]
pub struct Closed;

/// Why an inquiry brought no data. The handler usually fails with [`InquiryError::code`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InquiryError {
    /// The client answered `CAN`.
    #[error("the client cancelled the inquiry")]
    Cancelled,
    /// The client sent something that is no answer; it is dropped, and the lines after it are taken as commands.
    #[error("the client sent something else than data")]
    Unexpected,
    /// The answer was read to its end and is longer than allowed.
    #[error("the answer is longer than {limit} octets")]
    TooMuchData {
        /// The limit that was passed to the inquiry.
        limit: usize,
    },
    /// The answer was read to its end; a `%` in it lacks its two digits.
    #[error("a broken escape in the answer")]
    BrokenEscape,
    /// The client sent a line longer than a line may be. What follows the first 1002 octets is taken as commands.
    #[error("a line of the answer is too long")]
    LineTooLong,
    /// The client's stream ended.
    #[error("the client is gone")]
    Closed,
    /// An earlier inquiry of the same command was given up while its answer was awaited; nothing was sent.
    #[error("an earlier inquiry is still open")]
    Nested,
    /// Keyword and arguments together do not fit into a line; nothing was sent.
    #[error("the question is longer than a line")]
    QuestionTooLong,
}

impl InquiryError {
    /// The code that libassuan has for it.
    #[must_use]
    pub fn code(self) -> Code {
        match self {
            Self::Cancelled => Code::ASS_CANCELED,
            Self::Unexpected => Code::ASS_UNEXPECTED_CMD,
            Self::TooMuchData { .. } => Code::ASS_TOO_MUCH_DATA,
            // libassuan has none: it never comes back from this one.
            Self::BrokenEscape => Code::ASS_SYNTAX,
            Self::LineTooLong => Code::ASS_LINE_TOO_LONG,
            Self::Closed => Code::EOF,
            Self::Nested => Code::ASS_NESTED_COMMANDS,
            Self::QuestionTooLong => Code::ASS_INV_VALUE,
        }
    }
}
