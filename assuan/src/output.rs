//! The octets on their way out: lines cut to length, data escaped and split into `D` lines, everything wiped once sent.
//!
//! Lines leave in the order in which they were written: a data line that is still open is ended before any other line.
//! Sections 2.1 and 2.3 of the scdaemon reference.

use crate::escape::{TRIPLET, data_octet};
use crate::frame::MAX_LINE;
use crate::wiped::Wiped;

/// What is left of a line that was too long: libassuan's writer keeps one octet less than a line may have.
const CUT_LINE: usize = MAX_LINE - 1;
/// A data line takes octets until it is this long; the last one may be a triplet.
const DATA_LINE_FULL: usize = MAX_LINE + 1 - TRIPLET;
/// A buffer of lines to be sent.
pub struct Output {
    octets: Wiped,
    sent: usize,
    /// The length of the data line that is still open; 0 if there is none.
    open: usize,
}

impl Output {
    /// An empty buffer.
    #[must_use]
    pub fn new() -> Self {
        Self { octets: Wiped::new(), sent: 0, open: 0 }
    }

    /// Adds a line made of `parts`, up to an LF in them and cut to what a line may have.
    pub fn line(&mut self, parts: &[&[u8]]) {
        self.end_data();
        let octets = parts.iter().copied().flatten().take_while(|octet| **octet != b'\n');
        let len = octets.take(MAX_LINE + 1).count();
        let mut room = if len > MAX_LINE { CUT_LINE } else { len };
        for part in parts {
            let part = part.get(..room).unwrap_or(part);
            self.octets.extend(part);
            room -= part.len();
        }
        self.octets.extend(b"\n");
    }

    /// Adds octets in data lines; the last of these stays open for more.
    pub fn data(&mut self, octets: &[u8]) {
        for piece in octets.iter().map(data_octet) {
            if self.open == 0 {
                self.extend_data(b"D ");
            }
            self.extend_data(piece);
            if self.open >= DATA_LINE_FULL {
                self.end_data();
            }
        }
    }

    /// Ends the data line that is open, if there is one.
    pub fn end_data(&mut self) {
        if self.open > 0 {
            self.octets.extend(b"\n");
            self.open = 0;
        }
    }

    /// The whole lines that are not sent yet.
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        let whole = self.octets.len().saturating_sub(self.open);
        self.octets.as_slice().get(self.sent..whole).unwrap_or_default()
    }

    /// Says that the first `count` octets of [`Self::pending`] were sent. When all were, they are wiped.
    pub fn consume(&mut self, count: usize) {
        self.sent += count.min(self.pending().len());
        if self.pending().is_empty() {
            self.octets.drop_front(self.sent);
            self.sent = 0;
        }
    }

    fn extend_data(&mut self, piece: &[u8]) {
        self.octets.extend(piece);
        self.open += piece.len();
    }
}

impl Default for Output {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Output({} octets)", self.octets.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(output: &Output) -> Vec<&[u8]> {
        output
            .pending()
            .strip_suffix(b"\n")
            .map(|all| all.split(|o| *o == b'\n').collect())
            .unwrap_or_default()
    }

    #[test]
    fn a_line_ends_at_an_lf_and_at_its_limit() {
        let mut output = Output::new();
        output.line(&[b"S X ", b"one\ntwo", b"three"]);
        output.line(&[&[b'x'; 1000]]);
        output.line(&[&[b'x'; 600], &[b'y'; 401]]);
        let lengths: Vec<_> = lines(&output).iter().map(|line| line.len()).collect();
        assert_eq!(lines(&output)[0], b"S X one");
        assert_eq!(lengths, [7, 1000, 999]);
    }

    #[test]
    fn data_is_cut_into_lines_that_never_end_within_a_triplet() {
        let mut output = Output::new();
        output.data(&[b'x'; 996 + 3]);
        output.line(&[b"OK"]);
        assert_eq!(lines(&output)[..2], [&[b"D ", &[b'x'; 996][..]].concat()[..], b"D xxx"]);

        let mut output = Output::new();
        output.data(&[&[b'x'; 995][..], b"%%"].concat());
        output.end_data();
        assert_eq!(lines(&output)[0].len(), 1000);
        assert!(lines(&output)[0].ends_with(b"x%25"));
        assert_eq!(lines(&output)[1], b"D %25");
    }

    #[test]
    fn pieces_of_data_make_the_same_lines_as_the_whole() {
        let octets: Vec<u8> = (0..5000).map(|n: u32| n.to_le_bytes()[0]).collect();
        let mut whole = Output::new();
        whole.data(&octets);
        whole.end_data();
        for size in [1, 7, 996, 1001] {
            let mut pieces = Output::new();
            let mut sent = Vec::new();
            for piece in octets.chunks(size) {
                pieces.data(piece);
                sent.extend_from_slice(pieces.pending());
                pieces.consume(usize::MAX);
                assert!(pieces.octets.len() <= MAX_LINE);
            }
            pieces.end_data();
            sent.extend_from_slice(pieces.pending());
            assert_eq!(sent, whole.pending());
        }
    }

    #[test]
    fn an_open_data_line_leaves_before_the_next_line() {
        let mut output = Output::new();
        output.data(b"abc");
        assert!(output.pending().is_empty());
        output.line(&[b"S X"]);
        output.data(b"d");
        output.line(&[b"OK"]);
        assert_eq!(lines(&output), [&b"D abc"[..], b"S X", b"D d", b"OK"]);
    }

    #[test]
    fn an_open_data_line_stays_when_everything_else_was_sent() {
        let mut output = Output::new();
        output.line(&[b"S X"]);
        output.data(b"123");
        output.consume(2);
        assert_eq!(output.pending(), b"X\n");
        output.consume(usize::MAX);
        assert_eq!(output.pending(), b"");
        output.data(b"456");
        output.end_data();
        assert_eq!(output.pending(), b"D 123456\n");
    }
}
