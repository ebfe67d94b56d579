//! Distinguished names, and how GnuPG writes them: RFC 2253 in the dialect of libksba (`ksba_cert_get_subject`), which
//! is what gpgsm lists, dirmngr asks by, and references of the form `#SERIAL/ISSUER` consist of.
//!
//! The dialect: the last attribute first; abbreviations for the attributes of RFC 2253 only, every other type as its
//! dotted identifier with the octets of the value (not its tag and length) in hexadecimal; strings that are neither
//! UTF-8 nor of two or four octets a character are Latin-1; a blank at the end of a value is written, escaped, at its
//! beginning.
//!
//! Where libksba loses text or writes what is no text, this does not follow: octets that are no UTF-8 are escaped,
//! half a character is U+FFFD, and characters that need an escape in a BMPString or UniversalString do not swallow
//! their neighbours (libksba 1.6.3 writes `A\00` for `A,B`).

use std::fmt::{self, Write as _};
use std::sync::Arc;

use super::Part;
use crate::ber::{Element, OBJECT_IDENTIFIER, Reader, SEQUENCE, SET};

const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const TELETEX_STRING: u8 = 0x14;
const IA5_STRING: u8 = 0x16;
const UNIVERSAL_STRING: u8 = 0x1c;
const BMP_STRING: u8 = 0x1e;

/// The types that RFC 2253 has abbreviations for (its section 2.3), as DER content.
const ABBREVIATIONS: [(&[u8], &str); 9] = [
    (b"\x55\x04\x03", "CN"),
    (b"\x55\x04\x06", "C"),
    (b"\x55\x04\x07", "L"),
    (b"\x55\x04\x08", "ST"),
    (b"\x55\x04\x09", "STREET"),
    (b"\x55\x04\x0a", "O"),
    (b"\x55\x04\x0b", "OU"),
    (b"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19", "DC"),
    (b"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x01", "UID"),
];

/// What libksba writes for an identifier with a number that no machine word holds.
const BAD_IDENTIFIER: &str = "1.3.6.1.4.1.11591.2.12242973";

/// A distinguished name. As text it is what GnuPG writes; two names are equal if GnuPG writes them alike.
#[derive(Clone)]
pub struct Name(Part);

impl Name {
    /// The name of these octets. One that is broken is written in hexadecimal from where it is.
    #[must_use]
    pub fn new(der: impl Into<Arc<[u8]>>) -> Self {
        let whole = der.into();
        Self(Part { range: 0..whole.len(), whole })
    }

    pub(super) const fn within(part: Part) -> Self {
        Self(part)
    }

    /// The octets as they stand in the certificate.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.0
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        Reader::new(self.der()).expect(SEQUENCE).is_ok_and(|name| name.content.is_empty())
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.der() == other.der() || self.to_string() == other.to_string()
    }
}

impl Eq for Name {}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(name) = Reader::new(self.der()).expect(SEQUENCE) else { return write_hex(f, self.der()) };
        let mut reader = name.inside();
        let sets: Vec<_> = reader.by_ref().collect();
        if !reader.rest().is_empty() {
            write_hex(f, reader.rest())?;
            f.write_str(if sets.is_empty() { "" } else { "," })?;
        }
        separated(f, ',', sets.iter().rev(), write_set)
    }
}

/// Several attributes that stand for one.
fn write_set(f: &mut fmt::Formatter<'_>, set: &Element<'_>) -> fmt::Result {
    let mut reader = set.inside();
    let attributes: Vec<_> = reader.by_ref().collect();
    if set.tag != SET || !reader.rest().is_empty() {
        return write_hex(f, set.whole);
    }
    separated(f, '+', attributes.iter(), write_attribute)
}

fn write_attribute(f: &mut fmt::Formatter<'_>, attribute: &Element<'_>) -> fmt::Result {
    let mut reader = attribute.inside();
    let (Ok(kind), Ok(value)) = (reader.expect(OBJECT_IDENTIFIER), reader.element()) else {
        return write_hex(f, attribute.whole);
    };
    match ABBREVIATIONS.iter().find(|(identifier, _)| *identifier == kind.content) {
        Some((_, abbreviation)) => {
            write!(f, "{abbreviation}=")?;
            write_value(f, &value)
        }
        None => {
            write!(f, "{}=", dotted(kind.content))?;
            write_hex(f, value.content)
        }
    }
}

fn separated<'a, 'b: 'a>(
    f: &mut fmt::Formatter<'_>,
    separator: char,
    items: impl Iterator<Item = &'a Element<'b>>,
    write: impl Fn(&mut fmt::Formatter<'_>, &Element<'_>) -> fmt::Result,
) -> fmt::Result {
    for (index, item) in items.enumerate() {
        if index > 0 {
            f.write_char(separator)?;
        }
        write(f, item)?;
    }
    Ok(())
}

fn write_hex(f: &mut fmt::Formatter<'_>, octets: &[u8]) -> fmt::Result {
    f.write_char('#')?;
    octets.iter().try_for_each(|octet| write!(f, "{octet:02X}"))
}

fn write_value(f: &mut fmt::Formatter<'_>, value: &Element<'_>) -> fmt::Result {
    match value.tag {
        UTF8_STRING => write_characters(f, utf8(value.content)),
        // What is not ASCII in these is taken for Latin-1, as libksba does; it mostly is.
        PRINTABLE_STRING | TELETEX_STRING | IA5_STRING => {
            write_characters(f, value.content.iter().map(|octet| Ok(char::from(*octet))))
        }
        BMP_STRING => write_characters(f, utf16(value.content)),
        UNIVERSAL_STRING => write_characters(f, utf32(value.content)),
        _ => write_hex(f, value.content),
    }
}

/// Characters, or octets that are none.
fn write_characters(
    f: &mut fmt::Formatter<'_>,
    characters: impl Iterator<Item = Result<char, u8>>,
) -> fmt::Result {
    let characters: Vec<_> = characters.collect();
    let mut rest = characters.as_slice();
    if let [Ok(first @ (' ' | '#')), behind @ ..] = rest {
        write!(f, "\\{first}")?;
        rest = behind;
    }
    if let [before @ .., Ok(' ')] = rest {
        f.write_str("\\ ")?;
        rest = before;
    }
    rest.iter().try_for_each(|character| match character {
        Ok(special @ (',' | '+' | '"' | '\\' | '<' | '>' | ';')) => write!(f, "\\{special}"),
        Ok(control @ ('\0'..' ' | '\x7f')) => write!(f, "\\{:02X}", u32::from(*control)),
        Ok(plain) => f.write_char(*plain),
        Err(octet) => write!(f, "\\{octet:02X}"),
    })
}

fn utf8(octets: &[u8]) -> impl Iterator<Item = Result<char, u8>> {
    octets.utf8_chunks().flat_map(|chunk| {
        chunk.valid().chars().map(Ok).chain(chunk.invalid().iter().map(|octet| Err(*octet)))
    })
}

fn utf16(octets: &[u8]) -> impl Iterator<Item = Result<char, u8>> {
    let units = octets.chunks(2).map(|unit| unit.try_into().map_or(0xdc00, u16::from_be_bytes));
    char::decode_utf16(units).map(|unit| Ok(unit.unwrap_or(char::REPLACEMENT_CHARACTER)))
}

fn utf32(octets: &[u8]) -> impl Iterator<Item = Result<char, u8>> {
    let numbers = octets.chunks(4).map(|number| number.try_into().map_or(u32::MAX, u32::from_be_bytes));
    numbers.map(|number| Ok(char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER)))
}

/// An object identifier in digits and dots.
pub(crate) fn dotted(identifier: &[u8]) -> String {
    arcs(identifier).map_or(BAD_IDENTIFIER.to_owned(), |arcs| {
        arcs.iter().map(u64::to_string).collect::<Vec<_>>().join(".")
    })
}

/// The numbers of an identifier: seven bits an octet, the first two numbers in one (X.690, section 8.19).
fn arcs(identifier: &[u8]) -> Option<Vec<u64>> {
    let mut arcs = Vec::new();
    let mut number: u64 = 0;
    for octet in identifier {
        number = number.checked_mul(0x80)? | u64::from(octet & 0x7f);
        if octet & 0x80 == 0 {
            if arcs.is_empty() {
                let first = number.min(80) / 40;
                arcs.push(first);
                number -= first * 40;
            }
            arcs.push(number);
            number = 0;
        }
    }
    Some(arcs)
}

/// Names that gpgsm lists alike are in `tests/real_programs/gpgsm.rs`; these it does not, or cannot be asked.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::ber::element;

    fn attribute(identifier: &[u8], tag: u8, value: &[u8]) -> Vec<u8> {
        element(SEQUENCE, &[element(OBJECT_IDENTIFIER, identifier), element(tag, value)].concat())
    }

    fn common_name(tag: u8, value: &[u8]) -> Vec<u8> {
        element(SEQUENCE, &element(SET, &attribute(b"\x55\x04\x03", tag, value)))
    }

    fn text(der: Vec<u8>) -> String {
        Name::new(der).to_string()
    }

    #[test]
    fn what_libksba_loses_is_kept() {
        assert_eq!(text(common_name(UTF8_STRING, b"\xe9t\xc3")), "CN=\\E9t\\C3");
        assert_eq!(text(common_name(BMP_STRING, b"\0A\0,\0B")), "CN=A\\,B");
        assert_eq!(text(common_name(BMP_STRING, b"\0 \0A\0 ")), "CN=\\ \\ A");
        assert_eq!(text(common_name(UNIVERSAL_STRING, b"\0\0\0#\0\0\0+")), "CN=\\#\\+");
    }

    #[test]
    fn half_a_character_is_marked() {
        assert_eq!(text(common_name(BMP_STRING, b"\0A\0")), "CN=A\u{fffd}");
        assert_eq!(text(common_name(BMP_STRING, b"\xd8\x3d\0A")), "CN=\u{fffd}A");
        assert_eq!(text(common_name(BMP_STRING, b"\xd8\x3d\xdd\x11")), "CN=🔑");
        assert_eq!(text(common_name(UNIVERSAL_STRING, b"\xff\xff\xff\xff\0\0A")), "CN=\u{fffd}\u{fffd}");
    }

    #[test]
    fn broken_names_are_hexadecimal_from_where_they_are() {
        let good = element(SET, &attribute(b"\x55\x04\x03", UTF8_STRING, b"good"));
        let name = |octets: &[u8]| element(SEQUENCE, &[good.as_slice(), octets].concat());
        assert_eq!(text(b"no name".to_vec()), "#6E6F206E616D65");
        assert_eq!(text(name(b"\x31\x05a")), "#310561,CN=good");
        assert_eq!(text(name(b"\x05\x00")), "#0500,CN=good");
        assert_eq!(text(name(b"\x31\x03\x30\x01\x06")), "#300106,CN=good");
        assert_eq!(text(name(b"\x31\x02\x30\x07")), "#31023007,CN=good");
        assert_eq!(text(element(SEQUENCE, b"\x31\x05a")), "#310561");
        assert_eq!(text(Vec::new()), "#");
        assert_eq!(text(element(SEQUENCE, b"")), "");
    }

    #[test]
    fn names_in_other_octets_are_the_same_if_they_read_the_same() {
        let name = |tag, value: &[u8]| Name::new(common_name(tag, value));
        let expected = name(UTF8_STRING, "Zoë".as_bytes());
        for (tag, value) in [(TELETEX_STRING, b"Zo\xeb".as_slice()), (BMP_STRING, b"\0Z\0o\0\xeb")] {
            assert_eq!(name(tag, value), expected);
        }
        assert_ne!(name(UTF8_STRING, "zoë".as_bytes()), expected);
        assert!(!expected.is_empty() && Name::new(element(SEQUENCE, b"")).is_empty());
    }

    #[test]
    fn identifiers_are_numbers_with_dots() {
        for (octets, expected) in [
            (b"\x2a\x86\x48\x86\xf7\x0d".as_slice(), "1.2.840.113549"),
            (b"\x27", "0.39"),
            (b"\x88\x37\x03", "2.999.3"),
            (b"", ""),
            (&[0xff; 10], BAD_IDENTIFIER),
            (b"\x83\xff\xff\xff\xff\xff\xff\xff\xff\x7f", BAD_IDENTIFIER),
        ] {
            assert_eq!(dotted(octets), expected, "{octets:02x?}");
        }
    }
}
