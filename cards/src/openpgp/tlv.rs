//! BER-TLV data objects as cards write them (OpenPGP card 3.4, section 4.4; ISO 7816-4, 5.2.2).
//!
//! Lengths are trusted as far as there are octets, containers are opened to a named depth, and a card that lies gets
//! [`Cut`] back.

use nom::IResult;
use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::{tag, take, take_while};
use nom::combinator::{flat_map, map, verify};
use nom::multi::many0;
use nom::number::complete::{be_u8, be_u16, be_u24};
use nom::sequence::preceded;

/// How deep a container is looked into; 6E needs two.
const MAX_DEPTH: usize = 4;

/// A data object: its tag as it is written, its value without tag and length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Object<'a> {
    /// The tag: 6E, 5F52.
    pub tag: u32,
    /// The content.
    pub value: &'a [u8],
}

/// The octets end before the object does, or go on where none begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a data object is cut short")]
pub struct Cut;

/// All objects that lie side by side in `octets`.
///
/// # Errors
/// [`Cut`].
pub fn objects(octets: &[u8]) -> Result<Vec<Object<'_>>, Cut> {
    match many0(object).parse(octets) {
        Ok((rest, objects)) if rest.iter().all(|octet| is_padding(*octet)) => Ok(objects),
        _ => Err(Cut),
    }
}

/// The value of the first object with this tag, in `octets` or in the containers there.
///
/// # Errors
/// [`Cut`].
pub fn find(octets: &[u8], tag: u32) -> Result<Option<&[u8]>, Cut> {
    find_within(octets, tag, MAX_DEPTH)
}

/// An object in octets, with as short a length as it can have. `value` is shorter than 64 KiB.
pub(crate) fn write(tag: &[u8], value: &[u8]) -> Vec<u8> {
    let mut octets = header(tag, value.len());
    octets.extend_from_slice(value);
    octets
}

/// Tag and length of an object. `length` is less than 64 KiB.
pub(crate) fn header(tag: &[u8], length: usize) -> Vec<u8> {
    let mut octets = tag.to_vec();
    let [.., high, low] = length.to_be_bytes();
    match length {
        0..=0x7f => octets.push(low),
        0x80..=0xff => octets.extend([0x81, low]),
        _ => octets.extend([0x82, high, low]),
    }
    octets
}

fn find_within(octets: &[u8], tag: u32, depth: usize) -> Result<Option<&[u8]>, Cut> {
    let objects = objects(octets)?;
    if let Some(found) = objects.iter().find(|object| object.tag == tag) {
        return Ok(Some(found.value));
    }
    if depth == 0 {
        return Ok(None);
    }
    for container in objects.iter().filter(|object| is_container(object.tag)) {
        if let Some(found) = find_within(container.value, tag, depth - 1)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn object(input: &[u8]) -> IResult<&[u8], Object<'_>> {
    let (input, _) = take_while(is_padding)(input)?;
    let (input, tag) = object_tag(input)?;
    let (input, value) = flat_map(length, take).parse(input)?;
    Ok((input, Object { tag, value }))
}

/// ISO 7816-4 lets these octets stand between objects.
fn is_padding(octet: u8) -> bool {
    octet == 0x00 || octet == 0xff
}

/// One octet, or two if the first has its five low bits set. OpenPGP cards have no longer ones.
fn object_tag(input: &[u8]) -> IResult<&[u8], u32> {
    let one = map(verify(be_u8, |first| first & 0x1f != 0x1f), u32::from);
    let two = map(verify(be_u16, |both| both & 0x80 == 0), u32::from);
    alt((one, two)).parse(input)
}

fn length(input: &[u8]) -> IResult<&[u8], u32> {
    alt((
        map(verify(be_u8, |length| *length < 0x80), u32::from),
        map(preceded(tag(&[0x81][..]), be_u8), u32::from),
        map(preceded(tag(&[0x82][..]), be_u16), u32::from),
        preceded(tag(&[0x83][..]), be_u24),
    ))
    .parse(input)
}

fn is_container(tag: u32) -> bool {
    let first = if tag > 0xff { tag >> 8 } else { tag };
    first & 0x20 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_found_in_containers() {
        let octets = b"\x6e\x0a\x4f\x01\xaa\x73\x05\xc0\x00\x5f\x52\x00";
        assert_eq!(find(octets, 0x4f), Ok(Some(&b"\xaa"[..])));
        assert_eq!(find(octets, 0x5f52), Ok(Some(&b""[..])));
        assert_eq!(find(octets, 0xc1), Ok(None));
    }

    #[test]
    fn a_length_that_lies_is_seen_at_every_cut() {
        let octets = b"\x6e\x0a\x4f\x01\xaa\x73\x05\xc0\x00\x5f\x52\x00";
        for cut in 1..octets.len() {
            assert_eq!(find(&octets[..cut], 0x4f), Err(Cut), "{cut}");
        }
        assert_eq!(find(b"\x5e\x83\xff\xff\xff", 0x5e), Err(Cut));
        assert_eq!(find(b"\x5e\x84\0\0\0\0", 0x5e), Err(Cut));
    }

    #[test]
    fn deep_nesting_is_not_followed() {
        let mut octets = write(&[0x5e], b"x");
        for _ in 0..20_000 {
            octets = write(&[0x73], &octets);
            octets.truncate(0xff00);
        }
        assert!(matches!(find(&octets, 0x5e), Ok(None) | Err(Cut)));
        let within = (0..MAX_DEPTH).fold(write(&[0x5e], b"x"), |inner, _| write(&[0x73], &inner));
        assert_eq!(find(&within, 0x5e), Ok(Some(&b"x"[..])));
        assert_eq!(find(&write(&[0x73], &within), 0x5e), Ok(None));
    }

    #[test]
    fn what_is_written_reads_back() {
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff] {
            let value = vec![7; length];
            for tag in [&[0x5e][..], &[0x7f, 0x49]] {
                let octets = write(tag, &value);
                let number = tag.iter().fold(0, |number, octet| number << 8 | u32::from(*octet));
                assert_eq!(objects(&octets), Ok(vec![Object { tag: number, value: &value }]));
            }
        }
    }

    #[test]
    fn padding_between_objects_is_no_object() {
        assert_eq!(objects(b"\x00\xff\x5e\x01\x61\xff\x00").map(|all| all.len()), Ok(1));
    }
}
