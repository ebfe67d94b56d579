//! The async client: over any pair of byte streams, a socket (redirect files included), or a child's pipes.
//!
//! A transaction is as in [`claviger_assuan::client`]; here the caller's answer to an inquiry may take its time. A
//! transaction that is dropped before its final line leaves its connection out of step, and the connection says so from
//! then on instead of taking one command's reply for another's.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;

use claviger_assuan::client::{
    Answer, Caller as Collect, ClientError, Step, answer_inquiry, check_command, redirect, step,
};
use claviger_assuan::conversation::BoxFuture;
use claviger_assuan::frame::Frame;
use claviger_assuan::line::write;
use claviger_assuan::output::Output;
use claviger_secret::Secret;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use crate::wire::Wire;

/// What a caller hears on the way to the final line of its command.
pub trait Caller: Send {
    /// Octets of data, unescaped; they come in pieces.
    fn data(&mut self, octets: &[u8]);

    /// A status line, as it is on the wire.
    fn status(&mut self, keyword: &str, value: &[u8]);

    /// An inquiry. Without an answer the server is told that it is cancelled.
    fn inquire<'a>(&'a mut self, keyword: &'a str, args: &'a [u8]) -> BoxFuture<'a, Option<Secret>>;
}

impl Caller for Answer {
    fn data(&mut self, octets: &[u8]) {
        Collect::data(self, octets);
    }

    fn status(&mut self, keyword: &str, value: &[u8]) {
        Collect::status(self, keyword, value);
    }

    fn inquire<'a>(&'a mut self, keyword: &'a str, args: &'a [u8]) -> BoxFuture<'a, Option<Secret>> {
        Box::pin(std::future::ready(Collect::inquire(self, keyword, args)))
    }
}

/// A connection to a server.
pub struct Client {
    wire: Wire<Box<dyn AsyncRead + Send + Sync + Unpin>, Box<dyn AsyncWrite + Send + Sync + Unpin>>,
    output: Output,
    in_step: bool,
}

/// libassuan's servers learn from this variable who started them.
const PARENT_VARIABLE: &str = "_assuan_pipe_connect_pid";

impl Client {
    /// Connects to the socket at `path`, or to the one that a redirect file there names, and waits for the greeting.
    ///
    /// # Errors
    /// When the file names no socket, nobody listens, or the greeting is none.
    pub async fn connect(path: &Path) -> Result<Self, ClientError> {
        let path = redirect::resolve(path, &|name: &OsStr| std::env::var_os(name))?;
        let (reader, writer) = UnixStream::connect(path).await?.into_split();
        Self::over(reader, writer).await
    }

    /// Starts `command` as a pipe server, its standard input and output connected to the client, and waits for the
    /// greeting. What the child is to be told otherwise (arguments, environment, standard error) is set before.
    ///
    /// # Errors
    /// When the program does not start, or the greeting is none.
    pub async fn spawn(command: &mut Command) -> Result<(Self, Child), ClientError> {
        let command = command.env(PARENT_VARIABLE, std::process::id().to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        match (child.stdout.take(), child.stdin.take()) {
            (Some(reader), Some(writer)) => Ok((Self::over(reader, writer).await?, child)),
            _ => Err(ClientError::Closed),
        }
    }

    /// A client over two streams, whose server speaks first; waits for the greeting.
    ///
    /// # Errors
    /// When the greeting is `ERR`, or none.
    pub async fn over<R, W>(reader: R, writer: W) -> Result<Self, ClientError>
    where
        R: AsyncRead + Send + Sync + Unpin + 'static,
        W: AsyncWrite + Send + Sync + Unpin + 'static,
    {
        let wire = Wire::new(Box::new(reader) as Box<_>, Box::new(writer) as Box<_>);
        let mut client = Self { wire, output: Output::new(), in_step: false };
        client.replies(&mut Answer::with_limit(0)).await?;
        Ok(client)
    }

    /// Sends `command` and hears the server out.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with the server's `ERR`; all others say that something went wrong on the way.
    pub async fn transact(&mut self, command: &[u8], caller: &mut dyn Caller) -> Result<(), ClientError> {
        check_command(command)?;
        if !std::mem::take(&mut self.in_step) {
            return Err(ClientError::OutOfStep);
        }
        write::command(&mut self.output, command);
        self.wire.send(&mut self.output).await?;
        self.replies(caller).await
    }

    /// Sends `command` and collects what it answers, at most `limit` octets of data. Inquiries are cancelled.
    ///
    /// # Errors
    /// As [`Self::transact`].
    pub async fn request(&mut self, command: &[u8], limit: usize) -> Result<Answer, ClientError> {
        let mut answer = Answer::with_limit(limit);
        self.transact(command, &mut answer).await?;
        Ok(answer)
    }

    async fn replies(&mut self, caller: &mut dyn Caller) -> Result<(), ClientError> {
        loop {
            let frame = self.frame().await?;
            match step(&frame)? {
                Step::Nothing => {}
                Step::Data(octets) => caller.data(&octets),
                Step::Status(keyword, value) => caller.status(&keyword, value),
                Step::Inquiry(keyword, args) => {
                    let answer = caller.inquire(&keyword, args).await;
                    answer_inquiry(&mut self.output, answer);
                    self.wire.send(&mut self.output).await?;
                }
                Step::Final(result) => {
                    self.in_step = true;
                    return result.map_err(ClientError::Refused);
                }
            }
        }
    }

    async fn frame(&mut self) -> Result<Frame, ClientError> {
        self.wire.frame().await?.ok_or(ClientError::Closed)
    }
}
