//! UTCTime and GeneralizedTime (RFC 5280, section 4.1.2.5) as seconds since 1970, with what older standards allowed:
//! no seconds, fractions of them, an offset instead of `Z`.

use crate::ber::Element;

const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Seconds since 1970; `None` if the element is no time.
pub(super) fn read(time: &Element<'_>) -> Option<i64> {
    let mut digits = Digits(time.content);
    let year = match time.tag {
        UTC_TIME => century(digits.two()?),
        GENERALIZED_TIME => digits.two()? * 100 + digits.two()?,
        _ => return None,
    };
    let (month, day) = (digits.within(1..=12)?, digits.within(1..=31)?);
    let (hour, minute) = (digits.within(0..=23)?, digits.within(0..=59)?);
    let second = if digits.0.first().is_some_and(u8::is_ascii_digit) { digits.within(0..=60)? } else { 0 };
    digits.skip_fraction();
    let offset = digits.offset()?;
    Some(days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset)
}

/// 50 to 99 are years of the last century.
const fn century(year: i64) -> i64 {
    if year < 50 { 2000 + year } else { 1900 + year }
}

struct Digits<'a>(&'a [u8]);

impl Digits<'_> {
    fn two(&mut self) -> Option<i64> {
        let [tens @ b'0'..=b'9', ones @ b'0'..=b'9', rest @ ..] = self.0 else { return None };
        self.0 = rest;
        Some(i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
    }

    fn within(&mut self, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        self.two().filter(|number| range.contains(number))
    }

    fn skip_fraction(&mut self) {
        if let [b'.' | b',', rest @ ..] = self.0 {
            let digits = rest.iter().take_while(|octet| octet.is_ascii_digit()).count();
            self.0 = rest.get(digits..).unwrap_or_default();
        }
    }

    /// Seconds east of Greenwich, and nothing behind. Without a zone it is Greenwich: what local time that was, nobody
    /// can say.
    fn offset(&mut self) -> Option<i64> {
        let east = match self.0 {
            [] | [b'Z'] => return Some(0),
            [b'+', ..] => 1,
            [b'-', ..] => -1,
            _ => return None,
        };
        self.0 = self.0.get(1..)?;
        let (hours, minutes) = (self.within(0..=23)?, self.within(0..=59)?);
        self.0.is_empty().then_some(east * (hours * 3600 + minutes * 60))
    }
}

/// Days from 1970 to a day of the Gregorian calendar. The year is counted from March, so that the leap day is its last.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let month = (month + 9) % 12;
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}
