//! Escapes: `%2F` of URIs (RFC 3986, section 2.1), and `\x2F` as pkcs11-helper writes it in token and key ids.

/// What stands before two hexadecimal digits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Escape(pub(super) &'static str);

/// URIs.
pub(super) const PERCENT: Escape = Escape("%");
/// pkcs11-helper.
pub(super) const BACKSLASH: Escape = Escape("\\x");

impl Escape {
    /// Adds octets to a text: those that are `plain` as they are, the others escaped.
    pub(super) fn write(self, octets: &[u8], plain: fn(u8) -> bool, text: &mut String) {
        for octet in octets {
            if plain(*octet) {
                text.push(char::from(*octet));
            } else {
                text.push_str(self.0);
                text.push_str(&upper_hex(&[*octet]));
            }
        }
    }

    /// The octets of a text.
    ///
    /// # Errors
    /// Where an escape begins that is none.
    pub(super) fn read(self, text: &str) -> Result<Vec<u8>, usize> {
        let first = self.0.as_bytes().first().copied();
        let mut octets = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let Some((octet, behind)) = rest.split_first() {
            let (octet, behind) = if Some(*octet) == first {
                self.escaped(rest).ok_or(text.len().saturating_sub(rest.len()))?
            } else {
                (*octet, behind)
            };
            octets.push(octet);
            rest = behind;
        }
        Ok(octets)
    }

    fn escaped(self, text: &[u8]) -> Option<(u8, &[u8])> {
        let [high, low, behind @ ..] = text.strip_prefix(self.0.as_bytes())? else { return None };
        Some((digit(*high)? << 4 | digit(*low)?, behind))
    }
}

/// Octets as hexadecimal digits.
pub(super) fn upper_hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02X}")).collect()
}

/// Hexadecimal digits of either case as octets.
pub(super) fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    digits.as_bytes().chunks(2).map(pair).collect()
}

fn digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_escaped_is_read_back() {
        let all: Vec<u8> = (0..=0xff).collect();
        for (escape, mark) in [(PERCENT, "%"), (BACKSLASH, "\\x")] {
            let mut text = String::new();
            escape.write(&all, |octet| octet.is_ascii_alphanumeric(), &mut text);
            assert!(text.starts_with(&format!("{mark}00{mark}01")), "{text}");
            assert_eq!(escape.read(&text), Ok(all.clone()));
            assert_eq!(escape.read(&text.to_lowercase()).unwrap().len(), all.len());
        }
    }

    #[test]
    fn an_escape_that_is_none_is_where_it_begins() {
        for (escape, text, at) in [
            (PERCENT, "a%", 1),
            (PERCENT, "ab%4", 2),
            (PERCENT, "%4G", 0),
            (PERCENT, "%41%+1", 3),
            (BACKSLASH, "a\\", 1),
            (BACKSLASH, "\\x4", 0),
            (BACKSLASH, "a\\\\x41", 1),
        ] {
            assert_eq!(escape.read(text), Err(at), "{text}");
        }
    }

    #[test]
    fn digits_come_in_pairs() {
        assert_eq!(from_hex("00aBFf"), Some(vec![0, 0xab, 0xff]));
        assert_eq!(from_hex(""), Some(Vec::new()));
        assert_eq!((from_hex("0"), from_hex("0x"), from_hex("é0")), (None, None, None));
    }
}
