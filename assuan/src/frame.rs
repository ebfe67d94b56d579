//! Framing: cutting the stream of octets into lines, before anything in them is looked at.
//!
//! A line ends with LF; one CR before it belongs to the ending. The buffer holds one line and no more, whatever is sent,
//! and is wiped when a line leaves it, since a line may carry a PIN. A line that was begun when the stream ended is
//! dropped. Section 2.1 of the scdaemon reference.

use zeroize::{Zeroize, Zeroizing};

/// The longest line that is written, without its LF.
pub const MAX_LINE: usize = 1000;
/// What the reader holds at most: libassuan accepts 1001 octets before the LF (1000 and a CR).
const CAPACITY: usize = MAX_LINE + 2;

/// What was cut out of the stream.
#[derive(Debug)]
pub enum Frame {
    /// A whole line, without its ending.
    Line(Line),
    /// More octets than a line may have, without an LF. They are gone; what follows them is cut as a new line.
    TooLong,
}

/// The octets of a line without its ending; wiped when dropped, and not shown by `Debug`.
pub struct Line(Zeroizing<Vec<u8>>);

impl Line {
    /// The octets.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Line({} octets)", self.0.len())
    }
}

/// Collects octets until a line is whole.
pub struct LineBuffer {
    octets: Zeroizing<[u8; CAPACITY]>,
    len: usize,
}

impl LineBuffer {
    /// An empty buffer.
    #[must_use]
    pub fn new() -> Self {
        Self { octets: Zeroizing::new([0; CAPACITY]), len: 0 }
    }

    /// Takes octets from the front of `input` up to the end of a line, and says how many it took, and what they
    /// completed. To be called again with the rest; without a frame all of `input` was taken.
    #[must_use]
    pub fn feed(&mut self, input: &[u8]) -> (usize, Option<Frame>) {
        let room = CAPACITY - self.len;
        let line_end = input.iter().take(room).position(|&octet| octet == b'\n');
        let taken = line_end.map_or(room.min(input.len()), |at| at + 1);
        for (to, from) in self.octets.iter_mut().skip(self.len).zip(input.iter().take(taken)) {
            *to = *from;
        }
        self.len += taken;
        let frame = match line_end {
            Some(_) => Some(Frame::Line(self.cut())),
            None if self.len == CAPACITY => {
                self.clear();
                Some(Frame::TooLong)
            }
            None => None,
        };
        (taken, frame)
    }

    fn cut(&mut self) -> Line {
        let held = self.octets.get(..self.len).unwrap_or_default();
        let line = held.strip_suffix(b"\n").unwrap_or(held);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = Line(Zeroizing::new(line.to_vec()));
        self.clear();
        line
    }

    fn clear(&mut self) {
        self.octets.iter_mut().take(self.len).for_each(Zeroize::zeroize);
        self.len = 0;
    }
}

impl Default for LineBuffer {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every frame of `stream`, fed in pieces of `piece` octets, written in a form to compare.
    fn frames(stream: &[u8], piece: usize) -> Vec<String> {
        let mut buffer = LineBuffer::new();
        let mut frames = Vec::new();
        for mut input in stream.chunks(piece) {
            while !input.is_empty() {
                let (taken, frame) = buffer.feed(input);
                frames.extend(frame);
                input = &input[taken..];
            }
        }
        frames.iter().map(written).collect()
    }

    fn written(frame: &Frame) -> String {
        match frame {
            Frame::Line(line) => String::from_utf8_lossy(line.as_bytes()).into_owned(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn lines_come_out_the_same_in_pieces_of_any_size() {
        let stream = b"NOP\r\n\nBYE\r\r\nhalf";
        for piece in 1..=stream.len() {
            assert_eq!(frames(stream, piece), ["NOP", "", "BYE\r"]);
        }
    }

    #[test]
    fn a_line_may_have_1001_octets_before_its_lf() {
        let fits = "x".repeat(1001);
        assert_eq!(frames(format!("{fits}\nNOP\n").as_bytes(), 700), [&fits, "NOP"]);
        let with_cr = format!("{}\r\n", "x".repeat(1000));
        assert_eq!(frames(with_cr.as_bytes(), 700), ["x".repeat(1000)]);
        let over = format!("{}\nNOP\n", "x".repeat(1002));
        assert_eq!(frames(over.as_bytes(), 700), ["TooLong", "", "NOP"]);
    }

    #[test]
    fn no_line_makes_the_buffer_grow() {
        let flood = vec![b'x'; 4 << 20];
        let cut = frames(&flood, 1 << 16);
        assert_eq!(cut, vec!["TooLong"; flood.len() / CAPACITY]);
    }

    #[test]
    fn what_was_cut_is_wiped_and_not_shown() {
        let mut buffer = LineBuffer::new();
        let (_, frame) = buffer.feed(b"D 123456\n");
        assert_eq!(format!("{frame:?}"), "Some(Line(Line(8 octets)))");
        assert!(buffer.octets.iter().all(|octet| *octet == 0));
    }
}
