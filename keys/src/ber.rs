//! ASN.1's tag, length and value (X.690): a tolerant reader, for certificates and keys as they are met in the field, and
//! a strict writer.
//!
//! The reader takes what DER forbids and BER or no standard at all allows: lengths written longer than need be, the
//! indefinite length, and octets behind the end. It never looks into a value that it was not asked to open. Whoever
//! compares or hands on octets gets them as they stand.

use std::ops::Range;

use crate::public::without_zeros;

/// BOOLEAN.
pub(crate) const BOOLEAN: u8 = 0x01;
/// INTEGER.
pub(crate) const INTEGER: u8 = 0x02;
/// BIT STRING.
pub(crate) const BIT_STRING: u8 = 0x03;
/// OCTET STRING.
pub(crate) const OCTET_STRING: u8 = 0x04;
/// NULL.
pub(crate) const NULL: u8 = 0x05;
/// OBJECT IDENTIFIER.
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
/// SEQUENCE, and SEQUENCE OF.
pub(crate) const SEQUENCE: u8 = 0x30;
/// SET, and SET OF.
pub(crate) const SET: u8 = 0x31;

/// The bit of a tag that says: made of elements.
const CONSTRUCTED: u8 = 0x20;

/// How deep elements of indefinite length may lie in each other.
pub const MAX_DEPTH: usize = 16;

/// The most octets that a tag number of the long form may have.
const MAX_TAG_OCTETS: usize = 4;

/// What closes an element of indefinite length.
const END_OF_CONTENTS: &[u8] = &[0, 0];

/// Why octets are no element. Positions count from the first octet that was handed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BerError {
    /// It ends too early.
    #[error("it ends within an element that begins at octet {at}")]
    Truncated {
        /// Where the element begins.
        at: usize,
    },
    /// A length, or a tag, of a form that nothing can be.
    #[error("an impossible tag or length at octet {at}")]
    Header {
        /// Where the element begins.
        at: usize,
    },
    /// Indefinite lengths within each other: more than [`MAX_DEPTH`].
    #[error("elements of indefinite length nested more than {MAX_DEPTH} deep at octet {at}")]
    Depth {
        /// Where the element begins.
        at: usize,
    },
    /// Another element than has to be there.
    #[error("tag {found:02X} at octet {at} where {wanted:02X} has to be")]
    Tag {
        /// Where the element begins.
        at: usize,
        /// What has to be there.
        wanted: u8,
        /// What is.
        found: u8,
    },
}

/// An element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Element<'a> {
    /// The first octet of the tag.
    pub(crate) tag: u8,
    /// Tag, length and value, and what closes it.
    pub(crate) whole: &'a [u8],
    /// The value.
    pub(crate) content: &'a [u8],
    at: usize,
    header: usize,
}

impl<'a> Element<'a> {
    /// Where the element stands.
    pub(crate) const fn range(&self) -> Range<usize> {
        self.at..self.at.saturating_add(self.whole.len())
    }

    /// Where the value stands.
    pub(crate) const fn content_range(&self) -> Range<usize> {
        let start = self.at.saturating_add(self.header);
        start..start.saturating_add(self.content.len())
    }

    /// A reader of the elements in the value.
    pub(crate) const fn inside(&self) -> Reader<'a> {
        Reader { rest: self.content, at: self.content_range().start }
    }
}

/// Reads one element after the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(octets: &'a [u8]) -> Self {
        Self { rest: octets, at: 0 }
    }

    /// The next element, whatever it is.
    pub(crate) fn element(&mut self) -> Result<Element<'a>, BerError> {
        let at = self.at;
        let header = Header::read(self.rest, at)?;
        let value = self.rest.get(header.size..).unwrap_or_default();
        let (length, closed_by) = match header.length {
            Some(length) => (length, 0),
            None => (end_of_contents(value, at + header.size, 1)?, END_OF_CONTENTS.len()),
        };
        let content = value.get(..length).ok_or(BerError::Truncated { at })?;
        let (whole, rest) = self.rest.split_at(header.size + length + closed_by);
        self.rest = rest;
        self.at += whole.len();
        Ok(Element { tag: header.tag, whole, content, at, header: header.size })
    }

    /// The next element, which must have this tag.
    pub(crate) fn expect(&mut self, wanted: u8) -> Result<Element<'a>, BerError> {
        match self.rest.first() {
            Some(&found) if found != wanted => Err(BerError::Tag { at: self.at, wanted, found }),
            _ => self.element(),
        }
    }

    /// The next element if it has this tag; otherwise nothing is read.
    pub(crate) fn optional(&mut self, wanted: u8) -> Result<Option<Element<'a>>, BerError> {
        if self.rest.first() == Some(&wanted) { self.element().map(Some) } else { Ok(None) }
    }

    /// What was not read yet.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

/// Elements until the end, or until something that is none; [`Reader::rest`] is then not empty.
impl<'a> Iterator for Reader<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        self.element().ok()
    }
}

struct Header {
    tag: u8,
    size: usize,
    /// `None` is the indefinite length.
    length: Option<usize>,
}

impl Header {
    fn read(octets: &[u8], at: usize) -> Result<Self, BerError> {
        let (&tag, rest) = octets.split_first().ok_or(BerError::Truncated { at })?;
        let number = if tag & 0x1f == 0x1f { long_tag(rest, at)? } else { 0 };
        let rest = rest.get(number..).unwrap_or_default();
        let (&first, rest) = rest.split_first().ok_or(BerError::Truncated { at })?;
        let (octets, length) = match first {
            0..0x80 => (0, Some(usize::from(first))),
            0x80 if tag & CONSTRUCTED != 0 => (0, None),
            0x80 | 0xff => return Err(BerError::Header { at }),
            _ => long_length(rest, usize::from(first & 0x7f), at)?,
        };
        Ok(Self { tag, size: 2 + number + octets, length })
    }
}

/// How many octets the number of a tag has that begins with 1F.
fn long_tag(octets: &[u8], at: usize) -> Result<usize, BerError> {
    match octets.iter().position(|octet| octet & 0x80 == 0) {
        Some(last) if last < MAX_TAG_OCTETS => Ok(last + 1),
        None if octets.len() < MAX_TAG_OCTETS => Err(BerError::Truncated { at }),
        _ => Err(BerError::Header { at }),
    }
}

/// A length of that many octets; zeros in front do not matter.
fn long_length(octets: &[u8], size: usize, at: usize) -> Result<(usize, Option<usize>), BerError> {
    let number = octets.get(..size).ok_or(BerError::Truncated { at })?;
    let number = without_zeros(number);
    if number.len() > size_of::<u32>() {
        return Err(BerError::Header { at });
    }
    let length = number.iter().fold(0, |length, octet| (length << 8) | usize::from(*octet));
    Ok((size, Some(length)))
}

/// How long the value is that begins here and is closed by two zeros.
fn end_of_contents(octets: &[u8], at: usize, depth: usize) -> Result<usize, BerError> {
    if depth > MAX_DEPTH {
        return Err(BerError::Depth { at });
    }
    let mut read = 0;
    loop {
        let (rest, here) = (octets.get(read..).ok_or(BerError::Truncated { at })?, at.saturating_add(read));
        if rest.starts_with(END_OF_CONTENTS) {
            return Ok(read);
        }
        let header = Header::read(rest, here)?;
        let value = rest.get(header.size..).unwrap_or_default();
        let length = match header.length {
            Some(length) => length,
            None => end_of_contents(value, here + header.size, depth + 1)? + END_OF_CONTENTS.len(),
        };
        read = read.saturating_add(header.size).saturating_add(length);
    }
}

/// An element in DER, whose content must be DER, too.
pub(crate) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let octets = content.len().to_be_bytes();
    let length = without_zeros(&octets);
    let mut element = vec![tag];
    match *length {
        [] => element.push(0),
        [short @ ..=0x7f] => element.push(short),
        _ => {
            // The length of a length is at most eight.
            element.push(0x80 | length.len() as u8);
            element.extend(length);
        }
    }
    element.extend(content);
    element
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_knows_where_it_stands() {
        let octets = b"\x05\x00\x30\x05\x02\x01\x07\x04\x00behind";
        let mut reader = Reader::new(octets);
        reader.element().unwrap();
        let sequence = reader.expect(SEQUENCE).unwrap();
        assert_eq!(&octets[sequence.range()], sequence.whole);
        assert_eq!(&octets[sequence.content_range()], sequence.content);
        let number = sequence.inside().expect(INTEGER).unwrap();
        assert_eq!(
            (&octets[number.range()], number.content),
            (b"\x02\x01\x07".as_slice(), b"\x07".as_slice())
        );
        assert_eq!(reader.rest(), b"behind");
    }

    #[test]
    fn lengths_longer_than_need_be_are_read() {
        for octets in [b"\x04\x02ab".as_slice(), b"\x04\x81\x02ab", b"\x04\x86\0\0\0\0\0\x02ab"] {
            let element = Reader::new(octets).element().unwrap();
            assert_eq!((element.content, element.whole), (b"ab".as_slice(), octets));
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0x1_0000] {
            let content = vec![7; length];
            let written = element(OCTET_STRING, &content);
            let read = Reader::new(&written).expect(OCTET_STRING).unwrap();
            assert_eq!((read.content, read.whole), (content.as_slice(), written.as_slice()));
        }
        assert_eq!(element(OCTET_STRING, &[7; 0x80])[..3], [4, 0x81, 0x80]);
    }

    #[test]
    fn indefinite_lengths_are_closed_by_two_zeros_of_their_own() {
        let octets = b"\x30\x80\x30\x80\x04\x02\0\0\0\0\x02\x01\x01\0\0behind";
        let mut reader = Reader::new(octets);
        let outer = reader.element().unwrap();
        assert_eq!(outer.content, b"\x30\x80\x04\x02\0\0\0\0\x02\x01\x01");
        assert_eq!(reader.rest(), b"behind");
        let inner = outer.inside().element().unwrap();
        assert_eq!((inner.content, inner.range()), (b"\x04\x02\0\0".as_slice(), 2..10));
    }

    #[test]
    fn deep_nesting_ends_at_the_limit() {
        let nested = |depth: usize| [b"\x30\x80".repeat(depth), b"\0\0".repeat(depth)].concat();
        assert!(Reader::new(&nested(MAX_DEPTH)).element().is_ok());
        let too_deep = nested(MAX_DEPTH + 1);
        assert_eq!(Reader::new(&too_deep).element(), Err(BerError::Depth { at: 2 * MAX_DEPTH + 2 }));
    }

    #[test]
    fn what_is_cut_anywhere_is_truncated() {
        let octets = b"\x7f\x81\x01\x82\x00\x03abc";
        assert_eq!(Reader::new(octets).element().unwrap().content, b"abc");
        let indefinite = b"\x30\x80\x04\x01a\x00\x00";
        for whole in [octets.as_slice(), indefinite] {
            for cut in 0..whole.len() {
                let error = Reader::new(&whole[..cut]).element();
                assert!(matches!(error, Err(BerError::Truncated { .. })), "{cut}: {error:?}");
            }
        }
    }

    #[test]
    fn impossible_headers_are_refused() {
        for octets in [
            b"\x04\x80ab\0\0".as_slice(),
            b"\x04\xff",
            b"\x04\x85\x01\0\0\0\0",
            b"\x1f\x81\x81\x81\x81\x01\x00",
        ] {
            assert_eq!(Reader::new(octets).element(), Err(BerError::Header { at: 0 }));
        }
        let huge = Reader::new(b"\x04\x84\xff\xff\xff\xff").element();
        assert_eq!(huge, Err(BerError::Truncated { at: 0 }));
    }

    #[test]
    fn another_element_than_wanted_is_named() {
        let error = Reader::new(b"\x05\x00").expect(SEQUENCE);
        assert_eq!(error, Err(BerError::Tag { at: 0, wanted: 0x30, found: 5 }));
        let mut reader = Reader::new(b"\x05\x00");
        assert_eq!(reader.optional(SEQUENCE), Ok(None));
        assert!(reader.optional(5).unwrap().is_some());
    }
}
