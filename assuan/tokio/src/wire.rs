//! Both directions of a connection: frames in, the lines of an [`Output`] out.

use std::io;

use bytes::BytesMut;
use claviger_assuan::frame::Frame;
use claviger_assuan::output::Output;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_util::codec::Decoder;

use crate::codec::LineCodec;

/// How much is read at once.
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
