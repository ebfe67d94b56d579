//! UTCTime and GeneralizedTime (RFC 5280, section 4.1.2.5) as seconds since 1970, with what older standards allowed:
//! no seconds, fractions of them, an offset instead of `Z`. What is written is as that standard has it.

use crate::ber::{Element, element};

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

/// A time in DER; `None` if it is none that has four digits for its year.
pub(super) fn write(seconds: i64) -> Option<Vec<u8>> {
    let (day, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date(day);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let rest = format!("{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
    Some(match year {
        1950..=2049 => element(UTC_TIME, format!("{:02}{rest}", year % 100).as_bytes()),
        0..=9999 => element(GENERALIZED_TIME, format!("{year:04}{rest}").as_bytes()),
        _ => return None,
    })
}

/// A time as people and programs read it (RFC 3339, in UTC); `None` before the year 0 and after 9999.
#[must_use]
pub fn time_text(seconds: i64) -> Option<String> {
    let (year, month, day) = date(seconds.div_euclid(86_400));
    let second = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let text = || format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
    (0..=9999).contains(&year).then(text)
}

/// Year, month and day: the inverse of [`days`]. Eras are the 400 years after which the calendar repeats itself.
const fn date(day: i64) -> (i64, i64, i64) {
    let day = day.saturating_add(719_468);
    let (era, day) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let january_or_february = month >= 10;
    let month = if january_or_february { month - 9 } else { month + 3 };
    (era * 400 + year + january_or_february as i64, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ber::Reader;

    fn read(tag: u8, text: &str) -> Option<i64> {
        super::read(&Reader::new(&element(tag, text.as_bytes())).element().unwrap())
    }

    #[test]
    fn times_are_seconds_since_1970() {
        for (tag, text, expected) in [
            (UTC_TIME, "700101000000Z", 0),
            (UTC_TIME, "500101000000Z", -631_152_000),
            (UTC_TIME, "491231235959Z", 2_524_607_999),
            (UTC_TIME, "000229120000Z", 951_825_600),
            (GENERALIZED_TIME, "20500101000000Z", 2_524_608_000),
            (GENERALIZED_TIME, "99991231235959Z", 253_402_300_799),
            (GENERALIZED_TIME, "00000101000000Z", -62_167_219_200),
        ] {
            assert_eq!(read(tag, text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_older_standards_allowed_is_read() {
        for (tag, text) in [
            (UTC_TIME, "7001010000Z"),
            (UTC_TIME, "7001010000"),
            (UTC_TIME, "700101020000+0200"),
            (UTC_TIME, "6912312330-0030"),
            (GENERALIZED_TIME, "19700101000000.123Z"),
            (GENERALIZED_TIME, "19700101000000,5"),
        ] {
            assert_eq!(read(tag, text), Some(0), "{text}");
        }
    }

    #[test]
    fn other_text_is_no_time() {
        let bad =
            ["", "7", "70010100000", "701301000000Z", "700100000000Z", "700101240000Z", "700101006000Z"];
        for text in
            bad.into_iter().chain(["700101000061Z", "700101000000X", "700101000000ZZ", "70010100000+01"])
        {
            assert_eq!(read(UTC_TIME, text), None, "{text}");
        }
        assert_eq!(read(0x0c, "700101000000Z"), None);
    }

    #[test]
    fn times_have_a_text() {
        assert_eq!(time_text(951_825_599).as_deref(), Some("2000-02-29T11:59:59Z"));
        assert_eq!(time_text(253_402_300_799).as_deref(), Some("9999-12-31T23:59:59Z"));
        assert_eq!(
            (time_text(253_402_300_800), time_text(i64::MAX), time_text(i64::MIN)),
            (None, None, None)
        );
    }

    #[test]
    fn what_is_written_is_read_back() {
        let first = -62_167_219_200;
        let days_of_every_month = (first..253_402_300_799).step_by(86_399 * 17);
        for seconds in days_of_every_month.chain([0, 2_524_607_999, 2_524_608_000, 253_402_300_799]) {
            let written = write(seconds).unwrap();
            let time = Reader::new(&written).element().unwrap();
            assert_eq!(
                (super::read(&time), time.tag == UTC_TIME),
                (Some(seconds), (-631_152_000..2_524_608_000).contains(&seconds))
            );
        }
        assert_eq!(
            (write(first - 1), write(253_402_300_800), write(i64::MAX - 800_000 * 86_400)),
            (None, None, None)
        );
    }
}
