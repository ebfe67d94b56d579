//! Both directions of a connection: frames in, the lines of an [`Output`] out.

use std::io;

use bytes::BytesMut;
use claviger_assuan::frame::Frame;
use claviger_assuan::output::Output;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_util::codec::Decoder;

use crate::codec::LineCodec;

/// How much is read at once, and kept of what comes while a command runs.
const READ_AHEAD: usize = 4096;

/// A connection. Every call can be dropped while it waits: no octet is lost, none is sent twice.
pub(crate) struct Wire<R, W> {
    reader: R,
    writer: W,
    codec: LineCodec,
    ahead: BytesMut,
    ended: bool,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Wire<R, W> {
    pub(crate) fn new(reader: R, writer: W) -> Self {
        let ahead = BytesMut::with_capacity(READ_AHEAD);
        Self { reader, writer, codec: LineCodec::new(), ahead, ended: false }
    }

    /// The next frame; nothing once the stream has ended, and whatever it ended with.
    pub(crate) async fn frame(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.codec.decode(&mut self.ahead)? {
                return Ok(Some(frame));
            }
            if self.ended {
                return Ok(None);
            }
            self.ended = self.reader.read_buf(&mut self.ahead).await? == 0;
        }
    }

    /// Waits for the end of the stream, as long as there is room for what comes before it.
    pub(crate) async fn end(&mut self) {
        while !self.ended {
            self.listen().await;
        }
    }

    /// Waits until something is there to be read: a frame, a piece of one, or the end of the stream.
    pub(crate) async fn something(&mut self) {
        while self.ahead.is_empty() && !self.ended {
            self.listen().await;
        }
    }

    /// Reads more, but never so much that the buffer would have to grow: what is in it may be a PIN, and growing would
    /// leave a copy behind.
    async fn listen(&mut self) {
        if self.ahead.is_empty() {
            self.ahead.reserve(READ_AHEAD);
        }
        if self.ahead.len() == self.ahead.capacity() {
            return std::future::pending().await;
        }
        self.ended = !matches!(self.reader.read_buf(&mut self.ahead).await, Ok(1..));
    }

    /// Sends all whole lines.
    pub(crate) async fn send(&mut self, output: &mut Output) -> io::Result<()> {
        if output.pending().is_empty() {
            return Ok(());
        }
        while !output.pending().is_empty() {
            match self.writer.write(output.pending()).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                sent => output.consume(sent),
            }
        }
        self.writer.flush().await
    }
}
