//! Lines as tokio-util frames.
//!
//! The codec takes all octets out of the driver's buffer at once and wipes them there, so that this buffer never moves
//! octets that may be a PIN; the line in the making is held in the core's buffer of fixed size. There is no encoder: an
//! [`Output`](claviger_assuan::output::Output) is written from its own memory, which is wiped, and not through a copy.

use std::io;

use bytes::{Buf, BytesMut};
use claviger_assuan::frame::{Frame, LineBuffer};
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_octet_stays_in_the_drivers_buffer() {
        let mut codec = LineCodec::new();
        let mut source = BytesMut::from(&b"D 123"[..]);
        assert!(matches!(codec.decode(&mut source), Ok(None)));
        assert!(source.is_empty());
        source.extend_from_slice(b"456\r\nD 7");
        let Ok(Some(Frame::Line(line))) = codec.decode(&mut source) else { panic!("no line") };
        assert_eq!(line.as_bytes(), b"D 123456");
        assert_eq!(&source[..], b"D 7");
    }

    #[test]
    fn a_line_too_long_is_a_frame_and_what_follows_is_cut_anew() {
        let mut codec = LineCodec::new();
        let mut source = BytesMut::from(&[&[b'x'; 1002][..], b"\nNOP\n"].concat()[..]);
        let frames: Vec<_> = std::iter::from_fn(|| codec.decode(&mut source).unwrap()).collect();
        assert!(matches!(&frames[..], [Frame::TooLong, Frame::Line(_), Frame::Line(_)]), "{frames:?}");
    }
}
