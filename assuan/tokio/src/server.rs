//! Serving one client: read a frame, hand it to the session, carry out what the session asks for, send its lines.
//!
//! What the client sent before its stream ended is answered before the end is noticed, as libassuan does: it may have
//! said all and still listen. A command that runs is broken off once nobody listens any more, if the connection can tell
//! ([`Connection::until`]); otherwise that is noticed at the next line that is sent or awaited. Breaking off, and dropping
//! the future that [`serve`] returns, drops the command's future; nothing is left half-moved but the client's stream itself.
//!
//! The log gets names, kinds and sizes, never what is in a line. The span of the connection is the caller's.

use std::io;

use claviger_assuan::conversation::{BoxFuture, Closed, Conversation, InquiryError};
use claviger_assuan::error::Error;
use claviger_assuan::line::write;
use claviger_assuan::server::{After, End, Event, Session};
use claviger_secret::Secret;
use tokio::io::{AsyncRead, AsyncWrite};
use tracing::debug;

use crate::wire::Wire;

/// The application behind a session: one value for each client.
pub trait Service: Send {
    /// Carries out the command in the row `index` of the table. It ends with `OK`, or with the error's `ERR` line.
    fn command<'a>(
        &'a mut self,
        index: usize,
        args: &'a [u8],
        talk: &'a mut dyn Conversation,
    ) -> BoxFuture<'a, Result<After, Error>>;

    /// Takes `OPTION name value`; the value is empty where none was given.
    ///
    /// # Errors
    /// What the client is told about an option that is refused.
    fn option(&mut self, name: &[u8], value: &[u8]) -> Result<(), Error>;

    /// Carries out `RESET args`.
    fn reset<'a>(&'a mut self, args: &'a [u8]) -> BoxFuture<'a, Result<(), Error>>;
}

/// A client's two streams.
pub struct Connection<R, W> {
    reader: R,
    writer: W,
    gone: BoxFuture<'static, ()>,
}

impl<R, W> Connection<R, W> {
    /// Streams that tell only by failing that the client is gone.
    pub fn new(reader: R, writer: W) -> Self {
        Self { reader, writer, gone: Box::pin(std::future::pending()) }
    }

    /// The same, where the end of `gone` tells that nobody is left to hear an answer.
    #[must_use]
    pub fn until(self, gone: BoxFuture<'static, ()>) -> Self {
        Self { gone, ..self }
    }
}

/// Serves one client to its end: sends the greeting of `session` before anything is read, and returns how the session
/// ended, with everything sent. What `service` holds for the client is its owner's to release.
///
/// # Errors
/// When reading from or writing to the client fails, or the client is gone while a command runs; the session is over
/// then, too.
pub async fn serve<R, W, S>(
    connection: Connection<R, W>,
    mut session: Session,
    service: &mut S,
) -> io::Result<End>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
    S: Service + ?Sized,
{
    let Connection { reader, writer, mut gone } = connection;
    let mut wire = Wire::new(reader, writer);
    loop {
        wire.send(session.output()).await?;
        if let Some(end) = session.end() {
            return Ok(end);
        }
        if let Some(event) = next_event(&mut wire, &mut session).await? {
            tokio::select! {
                biased;
                () = act(event, &mut session, &mut wire, service) => {}
                () = &mut gone => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
    }
}

async fn next_event<R, W>(wire: &mut Wire<R, W>, session: &mut Session) -> io::Result<Option<Event>>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    Ok(match wire.frame().await? {
        Some(frame) => session.frame(&frame),
        None => session.end_of_stream(),
    })
}

/// Has `service` do what the session asks for.
async fn act<R, W, S>(event: Event, session: &mut Session, wire: &mut Wire<R, W>, service: &mut S)
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
    S: Service + ?Sized,
{
    let result = match event {
        Event::Command { index, args } => {
            debug!(command = session.command_name(index), octets = args.len());
            service.command(index, &args, &mut Talk { session, wire }).await
        }
        Event::Option { name, value } => {
            debug!(command = "OPTION", name = %name.escape_ascii(), octets = value.len());
            service.option(&name, &value).map(|()| After::Continue)
        }
        Event::Reset { args } => {
            debug!(command = "RESET", octets = args.len());
            service.reset(&args).await.map(|()| After::Continue)
        }
        Event::Bye => Ok(After::Close),
        // An answer comes while a command runs, which awaits it itself.
        Event::Answered(_) | Event::Closed(_) => return,
    };
    if let Err(error) = &result {
        debug!(%error, "refused");
    }
    session.finish(result);
}

/// The conversation of the command that runs.
struct Talk<'a, R, W> {
    session: &'a mut Session,
    wire: &'a mut Wire<R, W>,
}

impl<R: AsyncRead + Unpin + Send, W: AsyncWrite + Unpin + Send> Talk<'_, R, W> {
    async fn send(&mut self) -> Result<(), Closed> {
        self.wire.send(self.session.output()).await.map_err(|_| Closed)
    }

    async fn answer(&mut self) -> Result<Secret, InquiryError> {
        self.send().await.map_err(|Closed| InquiryError::Closed)?;
        loop {
            match next_event(self.wire, self.session).await {
                Ok(Some(Event::Answered(answer))) => return answer,
                Ok(_) => {}
                Err(_) => return Err(InquiryError::Closed),
            }
        }
    }
}

impl<R: AsyncRead + Unpin + Send, W: AsyncWrite + Unpin + Send> Conversation for Talk<'_, R, W> {
    fn status(&mut self, keyword: &str, value: &[u8]) {
        write::status(self.session.output(), keyword, value);
    }

    fn data(&mut self, octets: &[u8]) {
        self.session.output().data(octets);
    }

    fn comment(&mut self, text: &str) {
        write::comment(self.session.output(), text);
    }

    fn inquire<'a>(
        &'a mut self,
        keyword: &'a str,
        args: &'a [u8],
        limit: usize,
    ) -> BoxFuture<'a, Result<Secret, InquiryError>> {
        Box::pin(async move {
            self.session.inquire(keyword, args, limit)?;
            let answer = self.answer().await;
            match &answer {
                // Not even its size: it may be a PIN.
                Ok(_) => debug!(inquiry = keyword, "answered"),
                Err(error) => debug!(inquiry = keyword, %error, "not answered"),
            }
            answer
        })
    }

    fn flush<'a>(&'a mut self) -> BoxFuture<'a, Result<(), Closed>> {
        self.session.output().end_data();
        Box::pin(self.send())
    }

    fn drain<'a>(&'a mut self) -> BoxFuture<'a, Result<(), Closed>> {
        Box::pin(self.send())
    }

    fn closed<'a>(&'a mut self) -> BoxFuture<'a, ()> {
        Box::pin(self.wire.end())
    }

    fn interrupted<'a>(&'a mut self) -> BoxFuture<'a, ()> {
        Box::pin(self.wire.something())
    }
}
