//! Lines as tokio-util frames, and the reader that drives the codec.
//!
//! The codec takes all octets out of the driver's buffer at once and wipes them there, so that this buffer never moves
//! octets that may be a PIN; the line in the making is held in the core's buffer of fixed size. There is no encoder: an
//! [`Output`](claviger_assuan::output::Output) is written from its own memory, which is wiped, and not through a copy.

use std::io;

use bytes::{Buf, BytesMut};
use claviger_assuan::frame::{Frame, LineBuffer};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_util::codec::Decoder;
use zeroize::Zeroize;

/// Cuts lines out of a stream.
#[derive(Default)]
pub struct LineCodec {
    buffer: LineBuffer,
}

impl LineCodec {
    /// A codec at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Decoder for LineCodec {
    type Item = Frame;
    type Error = io::Error;

    fn decode(&mut self, source: &mut BytesMut) -> io::Result<Option<Frame>> {
        while !source.is_empty() {
            let (taken, frame) = self.buffer.feed(source);
            source.iter_mut().take(taken).for_each(Zeroize::zeroize);
            source.advance(taken);
            if frame.is_some() {
                return Ok(frame);
            }
        }
        Ok(None)
    }
}

/// How much is read at once.
const READ_AHEAD: usize = 4096;

/// The frames of a stream, one after the other.
pub(crate) struct Frames<R> {
    reader: R,
    codec: LineCodec,
    ahead: BytesMut,
    ended: bool,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, codec: LineCodec::new(), ahead: BytesMut::with_capacity(READ_AHEAD), ended: false }
    }

    /// The next frame; nothing once the stream has ended. A call that is dropped loses no octets.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Frame>> {
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
}
