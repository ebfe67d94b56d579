//! What a token is recognised by, wherever it is plugged in: manufacturer, model, serial number and label; and the forms in
//! which GnuPG hears of it.
//!
//! Both forms are gnupg-pkcs11-scd's, so that its users' key stubs go on working: the text is what pkcs11-helper makes of a
//! token (`pkcs11h_token_serializeTokenId`), the serial number a hash of that text, in the place where an OpenPGP card's
//! application identifier has manufacturer and number.
//!
//! Two other serial numbers of a token are understood, and not written. Fedora's pkcs11-helper writes a URI instead of the
//! text. And gnupg-pkcs11-scd gives gpg the number of the first slot's token, which with SoftHSM is the one that is always
//! there and not initialised: its stubs have that number.

use std::str::FromStr;

use sha1::{Digest as _, Sha1};

use super::escape::{BACKSLASH, PERCENT, upper_hex};

/// The longest text that is read as a token's or a key's id.
pub const MAX_SERIALIZED: usize = 4096;

/// What pkcs11-helper escapes of what can be seen.
const ESCAPED: &[u8] = b"\\/\"'%&#@!?$*<>{}[]()`|:;,.+-";

/// The identity of a token (PKCS#11, `CK_TOKEN_INFO`), without padding.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct TokenId {
    /// `manufacturerID`.
    pub manufacturer: String,
    /// `model`.
    pub model: String,
    /// `serialNumber`.
    pub serial: String,
    /// `label`.
    pub label: String,
}

impl TokenId {
    /// The text by which gnupg-pkcs11-scd speaks of it: `SoftHSM\x20project/SoftHSM\x20v2/4dd5289f1942f77a/tls`.
    #[must_use]
    pub fn serialized(&self) -> String {
        let parts = [&self.manufacturer, &self.model, &self.serial, &self.label].map(|part| {
            let mut text = String::new();
            BACKSLASH.write(c_string(part), stays, &mut text);
            text
        });
        parts.join("/")
    }

    /// The serial number by which GnuPG knows it: 32 digits, those of gnupg-pkcs11-scd.
    #[must_use]
    pub fn gnupg_serial(&self) -> String {
        serial_of(&self.serialized())
    }

    /// Whether a stub with this serial number may mean this token: it is its own, or the one of Fedora's pkcs11-helper, or that
    /// of a token of the same make that is not initialised. Digits may be of either case.
    #[must_use]
    pub fn answers_to(&self, serial: &str) -> bool {
        let blank = Self { serial: String::new(), label: String::new(), ..self.clone() };
        [self.gnupg_serial(), serial_of(&self.fedora_serialized()), blank.gnupg_serial()]
            .iter()
            .any(|own| own.eq_ignore_ascii_case(serial))
    }

    /// The text of Fedora's pkcs11-helper: a URI in an order of its own, with lower-case digits in its escapes.
    fn fedora_serialized(&self) -> String {
        let parts = [
            ("pkcs11:model=", &self.model),
            (";token=", &self.label),
            (";manufacturer=", &self.manufacturer),
            (";serial=", &self.serial),
        ];
        let mut text = String::new();
        for (name, value) in parts {
            text.push_str(name);
            let mut escaped = String::new();
            PERCENT.write(c_string(value), super::uri::is_plain, &mut escaped);
            lower_escapes(&escaped, &mut text);
        }
        text
    }
}

/// `%C3` as `%c3`; what is not escaped keeps its case.
fn lower_escapes(escaped: &str, text: &mut String) {
    let mut parts = escaped.split('%');
    text.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        text.push('%');
        text.push_str(&digits.to_ascii_lowercase());
        text.push_str(rest);
    }
}

/// What C has of a string: it ends at the first zero.
fn c_string(text: &str) -> &[u8] {
    text.split('\0').next().unwrap_or_default().as_bytes()
}

fn stays(octet: u8) -> bool {
    octet.is_ascii_graphic() && !ESCAPED.contains(&octet)
}

fn serial_of(serialized: &str) -> String {
    let hash: [u8; 20] = Sha1::digest(serialized).into();
    let [first, second, third, fourth, ..] = hash;
    format!("D2760001240111503131{}1111", upper_hex(&[first, second, third, fourth]))
}

/// The text is no token's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no token's id: MANUFACTURER/MODEL/SERIAL/LABEL, escaped as pkcs11-helper does")]
pub struct NotTokenId;

/// Reads [`TokenId::serialized`].
impl FromStr for TokenId {
    type Err = NotTokenId;

    fn from_str(text: &str) -> Result<Self, NotTokenId> {
        if text.len() > MAX_SERIALIZED {
            return Err(NotTokenId);
        }
        // pkcs11-helper takes a slash in the label as it is.
        let mut parts = text.splitn(4, '/').map(|part| {
            let octets = BACKSLASH.read(part).map_err(|_| NotTokenId)?;
            Ok(String::from_utf8_lossy(&octets).into_owned())
        });
        let mut next = || parts.next().unwrap_or(Err(NotTokenId));
        Ok(Self { manufacturer: next()?, model: next()?, serial: next()?, label: next()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(parts: [&str; 4]) -> TokenId {
        let [manufacturer, model, serial, label] = parts.map(str::to_owned);
        TokenId { manufacturer, model, serial, label }
    }

    #[test]
    fn the_text_is_that_of_pkcs11_helper() {
        let id = token(["SoftHSM project", "SoftHSM v2", "4dd5289f1942f77a", "tls"]);
        assert_eq!(id.serialized(), "SoftHSM\\x20project/SoftHSM\\x20v2/4dd5289f1942f77a/tls");
        let odd = token(["a/b\\c", "", "1.2-3:4", "é_~^=\0behind"]);
        assert_eq!(odd.serialized(), "a\\x2Fb\\x5Cc//1\\x2E2\\x2D3\\x3A4/\\xC3\\xA9_~^=");
    }

    #[test]
    fn the_serial_number_has_the_form_of_an_application_identifier() {
        let serial = TokenId::default().gnupg_serial();
        assert_eq!((&serial[..20], &serial[28..]), ("D2760001240111503131", "1111"));
        assert_eq!(serial.len(), 32);
    }

    #[test]
    fn a_token_answers_to_the_serial_numbers_of_both_pkcs11_helpers() {
        let id = token(["SoftHSM project", "SoftHSM v2", "4dd5289f1942f77a", "Prüfung %C"]);
        let uri = "pkcs11:model=SoftHSM%20v2;token=Pr%c3%bcfung%20%25C;manufacturer=SoftHSM%20project;\
                   serial=4dd5289f1942f77a";
        assert_eq!(id.fedora_serialized(), uri);
        assert!(id.answers_to(&id.gnupg_serial()) && id.answers_to(&serial_of(uri).to_lowercase()));
        assert!(!id.answers_to(&TokenId::default().gnupg_serial()));
    }

    #[test]
    fn a_token_answers_to_the_number_that_stubs_of_softhsm_have() {
        let id = token(["SoftHSM project", "SoftHSM v2", "4dd5289f1942f77a", "tls"]);
        assert_eq!(id.gnupg_serial(), "D276000124011150313155D72AA61111");
        assert!(id.answers_to("D27600012401115031319909A5ED1111"));
    }

    #[test]
    fn what_is_written_is_read_back() {
        for id in [
            token(["SoftHSM project", "SoftHSM v2", "4dd5289f1942f77a", "a/b\\x2F é"]),
            token(["", "", "", ""]),
        ] {
            assert_eq!(id.serialized().parse(), Ok(id));
        }
    }

    #[test]
    fn a_slash_in_the_label_needs_no_escape() {
        assert_eq!("m/o/s/a/b".parse(), Ok(token(["m", "o", "s", "a/b"])));
    }

    #[test]
    fn other_text_is_no_token() {
        let long = format!("m/o/s/{}", "l".repeat(MAX_SERIALIZED));
        for text in ["", "m/o/s", "m/o/s/\\x2", "m/o/s/\\y20", &long] {
            assert_eq!(text.parse::<TokenId>(), Err(NotTokenId), "{text}");
        }
    }
}
