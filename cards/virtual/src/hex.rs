//! Octets as hexadecimal digits, for the command line, scripts and logs.

use std::fmt::Write as _;

/// Reads pairs of digits, in either case, without blanks.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> =
        text.chars().map(|digit| digit.to_digit(16)?.try_into().ok()).collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// Writes upper-case digits.
#[must_use]
pub fn encode(octets: &[u8]) -> String {
    octets.iter().fold(String::with_capacity(octets.len().saturating_mul(2)), |mut text, octet| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{octet:02X}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_become_octets_and_digits_again() {
        assert_eq!(decode("00fFA0"), Some(vec![0x00, 0xFF, 0xA0]));
        assert_eq!(encode(&[0x00, 0xFF, 0xA0]), "00FFA0");
        for bad in ["0", "0g", "é", "0 0"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
