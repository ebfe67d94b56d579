//! `#SERIAL/ISSUER`, by which GnuPG names a certificate: gpgsm on its command line, dirmngr in its requests (user id
//! classification in GnuPG's manual, "How to Specify a User Id").

use std::fmt;
use std::str::FromStr;

use super::fields::Fields;
use crate::public::without_zeros;

/// The longest reference that is read.
pub const MAX_SERIAL_ISSUER: usize = 16 * 1024;

/// A serial number and the text of an issuer's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SerialIssuer {
    /// Without zeros in front: the number counts, not how it is written.
    serial: Vec<u8>,
    issuer: String,
}

impl SerialIssuer {
    /// Whether it names this certificate.
    #[must_use]
    pub fn matches(&self, fields: &Fields) -> bool {
        without_zeros(fields.serial()) == self.serial && fields.issuer().to_string() == self.issuer
    }
}

impl From<&Fields> for SerialIssuer {
    fn from(fields: &Fields) -> Self {
        Self { serial: without_zeros(fields.serial()).to_vec(), issuer: fields.issuer().to_string() }
    }
}

impl fmt::Display for SerialIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("#")?;
        let zero: &[u8] = &[0];
        let serial = if self.serial.is_empty() { zero } else { &self.serial };
        serial.iter().try_for_each(|octet| write!(f, "{octet:02X}"))?;
        write!(f, "/{}", self.issuer)
    }
}

/// The text is no `#SERIAL/ISSUER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no #SERIAL/ISSUER: a serial number in hexadecimal digits, and the issuer as gpgsm lists it")]
pub struct NotSerialIssuer;

impl FromStr for SerialIssuer {
    type Err = NotSerialIssuer;

    fn from_str(text: &str) -> Result<Self, NotSerialIssuer> {
        let reference = text.strip_prefix('#').filter(|_| text.len() <= MAX_SERIAL_ISSUER);
        let (serial, issuer) = reference.and_then(|text| text.split_once('/')).ok_or(NotSerialIssuer)?;
        if serial.is_empty() || issuer.is_empty() || issuer.starts_with([' ', '\t']) {
            return Err(NotSerialIssuer);
        }
        let serial = octets(serial.as_bytes()).ok_or(NotSerialIssuer)?;
        Ok(Self { serial: without_zeros(&serial).to_vec(), issuer: issuer.to_owned() })
    }
}

/// Digits as octets; an odd number of them has a zero in front.
fn octets(digits: &[u8]) -> Option<Vec<u8>> {
    let value = |digit: &u8| char::from(*digit).to_digit(16);
    let pairs = digits
        .rchunks(2)
        .map(|pair| pair.iter().try_fold(0, |octet, digit| Some(octet * 16 + value(digit)?)));
    let mut octets = pairs.map(|octet| octet.map(|octet| octet as u8)).collect::<Option<Vec<_>>>()?;
    octets.reverse();
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_whatever_the_case_and_the_zeros() {
        for text in ["#01aB/CN=A,O=B/C", "#1AB/CN=A,O=B/C", "#0001ab/CN=A,O=B/C"] {
            let reference: SerialIssuer = text.parse().unwrap();
            assert_eq!(reference.to_string(), "#01AB/CN=A,O=B/C");
            assert_eq!(reference.to_string().parse(), Ok(reference));
        }
        assert_eq!("#0/CN=A".parse::<SerialIssuer>().unwrap().to_string(), "#00/CN=A");
    }

    #[test]
    fn other_text_is_no_reference() {
        let long = format!("#01/{}", "A".repeat(MAX_SERIAL_ISSUER));
        for text in [
            "",
            "#",
            "01/CN=A",
            "#/CN=A",
            "#01",
            "#01/",
            "#01/ CN=A",
            "#0x01/CN=A",
            "#01 /CN=A",
            "#é/CN=A",
            &long,
        ] {
            assert_eq!(text.parse::<SerialIssuer>(), Err(NotSerialIssuer), "{text}");
        }
    }
}
