//! Escaping with `%XX`, in the three ways that GnuPG has: data lines, status values (percent-plus), and arguments.
//!
//! Written: only the octets that must not appear raw (upper-case digits). Read: every `%XX`, in both cases. Two octets
//! after `%` that are no hexadecimal digits are taken as GnuPG's readers take them, which do not check. Section 2.3 of
//! the scdaemon reference.

use percent_encoding::percent_encode_byte;
use zeroize::Zeroizing;

/// The longest escaped form of one octet.
pub(crate) const TRIPLET: usize = 3;
/// Where scdaemon's status helper stops taking octets (it may write the triplet begun before).
const MAX_STATUS_VALUE: usize = 948;

/// One field of a status value as GnuPG escapes it: controls, `+`, `"` and `%` as triplets, a blank as `+`, everything
/// from 0x7F up raw.
#[must_use]
pub fn percent_plus(field: &[u8]) -> Vec<u8> {
    field.iter().flat_map(plus_octet).copied().collect()
}

/// The value of a status line made of fields as scdaemon's helper makes it: each escaped as by [`percent_plus`], empty
/// ones left out, joined by a raw blank, and cut after 948 octets but never within a triplet.
#[must_use]
pub fn status_fields(fields: &[&[u8]]) -> Vec<u8> {
    let mut value = Vec::new();
    for field in fields.iter().filter(|field| !field.is_empty()) {
        if value.len() >= MAX_STATUS_VALUE {
            break;
        }
        if !value.is_empty() {
            value.push(b' ');
        }
        for octet in *field {
            if value.len() >= MAX_STATUS_VALUE {
                break;
            }
            value.extend_from_slice(plus_octet(octet));
        }
    }
    value
}

/// The octets of an argument or status value written percent-plus: `%XX`, and `+` for a blank. A `%` without two
/// octets after it stays as it is.
#[must_use]
pub fn unescape_percent_plus(text: &[u8]) -> Zeroizing<Vec<u8>> {
    unescape(text, |octet| if octet == b'+' { b' ' } else { octet })
}

/// The octets of a text written with `%XX` alone. A `%` without two octets after it stays as it is.
#[must_use]
pub fn unescape_percent(text: &[u8]) -> Zeroizing<Vec<u8>> {
    unescape(text, |octet| octet)
}

/// One octet as a data line carries it: `%`, CR and LF as triplets, all others raw.
pub(crate) fn data_octet(octet: &u8) -> &[u8] {
    match octet {
        b'%' | b'\r' | b'\n' => percent_encode_byte(*octet).as_bytes(),
        _ => std::slice::from_ref(octet),
    }
}

/// A `%` without the two octets that have to follow it. libassuan's server spins on one in an inquiry's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BrokenEscape;

/// The octets that the payload of a data line stands for, one by one.
pub(crate) fn data_octets(payload: &[u8]) -> impl Iterator<Item = Result<u8, BrokenEscape>> + '_ {
    let mut rest = payload;
    std::iter::from_fn(move || {
        let item;
        (item, rest) = match rest {
            [b'%', high, low, rest @ ..] => (Ok(octet(*high, *low)), rest),
            [b'%', rest @ ..] => (Err(BrokenEscape), rest),
            [first, rest @ ..] => (Ok(*first), rest),
            [] => return None,
        };
        Some(item)
    })
}

fn plus_octet(octet: &u8) -> &[u8] {
    match octet {
        b' ' => b"+",
        b'+' | b'"' | b'%' | 0..0x20 => percent_encode_byte(*octet).as_bytes(),
        _ => std::slice::from_ref(octet),
    }
}

fn unescape(text: &[u8], plain: impl Fn(u8) -> u8) -> Zeroizing<Vec<u8>> {
    let mut octets = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text;
    loop {
        let octet;
        (octet, rest) = match rest {
            [b'%', high, low, rest @ ..] => (self::octet(*high, *low), rest),
            [first, rest @ ..] => (plain(*first), rest),
            [] => return octets,
        };
        octets.push(octet);
    }
}

/// GnuPG's `xtoi_2`: right for digits of both cases, and something for any other two octets.
fn octet(high: u8, low: u8) -> u8 {
    digit(high).wrapping_mul(16).wrapping_add(digit(low))
}

fn digit(octet: u8) -> u8 {
    match octet {
        0..=b'9' => octet.wrapping_sub(b'0'),
        b':'..=b'F' => octet.wrapping_sub(b'A' - 10),
        _ => octet.wrapping_sub(b'a' - 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data_line(octets: &[u8]) -> Vec<u8> {
        octets.iter().flat_map(data_octet).copied().collect()
    }

    #[test]
    fn a_data_line_escapes_percent_cr_and_lf_alone() {
        let every_octet: Vec<u8> = (0..=u8::MAX).collect();
        let escaped = data_line(&every_octet);
        assert_eq!(escaped.len(), 256 + 3 * 2);
        let back: Result<Vec<u8>, BrokenEscape> = data_octets(&escaped).collect();
        assert_eq!(back.as_deref(), Ok(&every_octet[..]));
        assert_eq!(data_line(b"a%b\r\n\0\xff+ "), b"a%25b%0D%0A\0\xff+ ");
    }

    #[test]
    fn a_reader_takes_any_triplet_in_both_cases() {
        let octets = |payload| data_octets(payload).collect::<Result<Vec<u8>, _>>();
        assert_eq!(octets(b"%41%4a%4A+%00"), Ok(b"AJJ+\0".to_vec()));
        assert_eq!(octets(b"ab%"), Err(BrokenEscape));
        assert_eq!(octets(b"ab%4"), Err(BrokenEscape));
        assert_eq!(octets(b"%%4"), Ok(b"T".to_vec()));
    }

    #[test]
    fn percent_plus_turns_blanks_into_plus_and_back() {
        let value = b"a b+c\"%\n\x7f\xc3\xa9";
        assert_eq!(percent_plus(value), b"a+b%2Bc%22%25%0A\x7f\xc3\xa9");
        assert_eq!(&unescape_percent_plus(&percent_plus(value))[..], value);
        assert_eq!(&unescape_percent(b"a+b%20c%")[..], b"a+b c%");
        assert_eq!(&unescape_percent_plus(b"%4")[..], b"%4");
    }

    #[test]
    fn status_fields_are_joined_by_a_blank_and_cut_between_octets() {
        assert_eq!(status_fields(&[b"1", b"", b"a b"]), b"1 a+b");
        assert_eq!(status_fields(&[&[b'x'; 2000]]).len(), 948);
        let escaped = status_fields(&[b"x", &[b'+'; 2000]]);
        assert_eq!(escaped.len(), 2 + 316 * 3);
        assert!(escaped.ends_with(b"%2B"));
    }
}
