//! Hexadecimal digits: two for each octet, written in upper case, read in either.

use std::fmt::Write as _;

/// The octets that digits stand for; `None` for an odd number of them, and for other characters.
pub(crate) fn read(digits: &[u8]) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits.chunks_exact(2).map(|pair| Some(nibble(pair.first()?)? << 4 | nibble(pair.last()?)?)).collect()
}

/// The digits of octets.
pub(crate) fn write(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02X}");
        text
    })
}

fn nibble(digit: &u8) -> Option<u8> {
    char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits_come_in_pairs() {
        assert_eq!(read(b"00fFa5"), Some(vec![0, 0xFF, 0xA5]));
        assert_eq!(read(b""), Some(vec![]));
        assert_eq!(read(b"0"), None);
        assert_eq!(read(b"0g"), None);
        assert_eq!(write(&[0, 0xFF, 0xA5]), "00FFA5");
    }
}
