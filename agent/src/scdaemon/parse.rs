//! Small parsers that several families share: decimal numbers, times, arguments that are ignored.

use claviger_assuan::args::Args;
use claviger_assuan::error::Error;

/// For commands without arguments; GnuPG ignores what follows them.
pub(super) fn nothing(_arguments: Args<'_>) -> Result<(), Error> {
    Ok(())
}

/// The argument after the options, as text; octets that are no UTF-8 are replaced and so match nothing.
pub(super) fn text(arguments: Args<'_>) -> Result<String, Error> {
    Ok(String::from_utf8_lossy(arguments.rest()).into_owned())
}

/// The elements of a flat TLV list with one-octet tags and lengths below 128 (OpenPGP card 3.4, 4.4.3.11); what does not
/// fit that form ends the list.
pub(super) fn simple_tlvs(mut rest: &[u8]) -> Vec<(u8, &[u8])> {
    let mut found = Vec::new();
    while let [tag, length @ 0..=0x7F, behind @ ..] = rest {
        let Some((value, next)) = behind.split_at_checked(usize::from(*length)) else { break };
        found.push((*tag, value));
        rest = next;
    }
    found
}

/// What C's `atoi` makes of a text: leading digits, 0 if there are none.
pub(super) fn leading_number(text: &[u8]) -> usize {
    let digits = text.iter().take_while(|octet| octet.is_ascii_digit());
    digits.fold(0_usize, |value, digit| value.saturating_mul(10).saturating_add(usize::from(*digit & 0x0F)))
}

/// Seconds since 1970 of `YYYYMMDDThhmmss`, universal time; nothing beyond what OpenPGP's 32 bits can say.
pub(super) fn timestamp(text: &[u8]) -> Option<u32> {
    let (date, time) = (text.get(..8)?, text.get(9..15)?);
    if text.len() != 15 || text.get(8) != Some(&b'T') || !date.iter().chain(time).all(u8::is_ascii_digit) {
        return None;
    }
    let field = |digits: Option<&[u8]>| digits.map(|digits| leading_number(digits) as i64);
    let (year, month, day) = (field(date.get(..4))?, field(date.get(4..6))?, field(date.get(6..))?);
    let (hour, minute, second) = (field(time.get(..2))?, field(time.get(2..4))?, field(time.get(4..))?);
    let valid = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=61).contains(&second);
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    u32::try_from(seconds).ok().filter(|_| valid)
}

/// Days from 1970-01-01 in the Gregorian calendar; years begin in March, so that the leap day is the last one.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let shifted = if month > 2 { year } else { year - 1 };
    let (era, year_of_era) = (shifted.div_euclid(400), shifted.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tlv_list_ends_where_it_lies() {
        assert_eq!(simple_tlvs(&[0xC1, 2, 1, 2, 0xC2, 0]), [(0xC1, &[1, 2][..]), (0xC2, &[][..])]);
        assert_eq!(simple_tlvs(&[0xC1, 1, 1, 0xC2, 5, 1]), [(0xC1, &[1][..])]);
        assert_eq!(simple_tlvs(&[0xC1, 0x81]), []);
    }

    #[test]
    fn numbers_end_where_digits_end() {
        assert_eq!(leading_number(b"16 octets"), 16);
        assert_eq!(leading_number(b"x"), 0);
        assert_eq!(leading_number(&[b'9'; 40]), usize::MAX);
    }

    #[test]
    fn times_are_universal_and_checked() {
        assert_eq!(timestamp(b"19700101T000000"), Some(0));
        assert_eq!(timestamp(b"20240101T000000"), Some(1_704_067_200));
        assert_eq!(timestamp(b"20240229T235959"), Some(1_709_251_199));
        assert_eq!(timestamp(b"21060207T062815"), Some(u32::MAX));
        for wrong in [
            "21060207T062816",
            "19691231T235959",
            "20241301T000000",
            "20240101T240000",
            "20240101",
            "2024010aT000000",
            "",
        ] {
            assert_eq!(timestamp(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
