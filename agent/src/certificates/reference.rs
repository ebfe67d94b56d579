//! How a client names a certificate (architecture: "Extensions to the scdaemon protocol: certificates").

use claviger_assuan::escape::unescape_percent_plus;
use claviger_cards::token::Slot as CardSlot;
use claviger_keys::Keygrip;
use claviger_keys::x509::SerialIssuer;
use claviger_openpgp::Fingerprint;

use crate::hex;

/// The digits of a serial number (the AID of an OpenPGP card).
const SERIAL_DIGITS: usize = 32;

/// How a URI of RFC 7512 begins.
const PKCS11: &str = "pkcs11:";

/// A name, parsed but not looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reference {
    /// `OPENPGP.3`: of the session's card.
    Slot(CardSlot),
    /// `D276…/OPENPGP.3`: of the card with this serial number.
    SlotOf(String, CardSlot),
    /// 40 hexadecimal digits: of the slot with this key.
    Keygrip(Keygrip),
    /// `sha1:` and 40 digits.
    Sha1([u8; 20]),
    /// `sha256:` and 64 digits.
    Sha256([u8; 32]),
    /// `fpr:` and 40 or 64 digits: of the slot whose key has this OpenPGP fingerprint.
    Fingerprint(Fingerprint),
    /// `#SERIAL/ISSUER` as GnuPG writes it.
    SerialIssuer(SerialIssuer),
    /// A `pkcs11:` URI (RFC 7512).
    Pkcs11,
}

/// The text is no reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotReference;

impl Reference {
    /// Parses an argument, percent-plus escaped.
    ///
    /// # Errors
    /// [`NotReference`].
    pub(crate) fn parse(argument: &[u8]) -> Result<Self, NotReference> {
        let octets = unescape_percent_plus(argument);
        let text = std::str::from_utf8(&octets).map_err(|_| NotReference)?.trim_end();
        if text.starts_with('#') {
            return text.parse().map(Self::SerialIssuer).map_err(|_| NotReference);
        }
        if let Some((scheme, value)) = text.split_once(':') {
            return prefixed(scheme, value, text).ok_or(NotReference);
        }
        let of_slot = slot_called(text).map(Self::Slot).or_else(|| slot_of(text));
        of_slot.or_else(|| text.parse().ok().map(Self::Keygrip)).ok_or(NotReference)
    }
}

fn prefixed(scheme: &str, value: &str, whole: &str) -> Option<Reference> {
    match scheme.to_ascii_lowercase().as_str() {
        "sha1" => octets(value).map(Reference::Sha1),
        "sha256" => octets(value).map(Reference::Sha256),
        "fpr" => value.parse().ok().map(Reference::Fingerprint),
        _ if whole.starts_with(PKCS11) => Some(Reference::Pkcs11),
        _ => None,
    }
}

fn slot_of(text: &str) -> Option<Reference> {
    let (serial, name) = text.split_once('/')?;
    let whole = serial.len() == SERIAL_DIGITS && serial.bytes().all(|digit| digit.is_ascii_hexdigit());
    whole.then(|| slot_called(name).map(|slot| Reference::SlotOf(serial.to_ascii_uppercase(), slot)))?
}

/// The name of a slot, which is also that of its key.
pub(crate) fn slot_name(slot: CardSlot) -> &'static str {
    match slot {
        CardSlot::Sign => "OPENPGP.1",
        CardSlot::Decrypt => "OPENPGP.2",
        CardSlot::Authenticate => "OPENPGP.3",
    }
}

/// The slot of that name, in any case.
pub(crate) fn slot_called(text: &str) -> Option<CardSlot> {
    CardSlot::ALL.into_iter().find(|slot| slot_name(*slot).eq_ignore_ascii_case(text))
}

fn octets<const N: usize>(digits: &str) -> Option<[u8; N]> {
    hex::read(digits.as_bytes())?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRIP: &str = "925BEAC2BFC3FC060AC364F8D01A7D00054F784E";

    fn parse(text: &str) -> Result<Reference, NotReference> {
        Reference::parse(text.as_bytes())
    }

    #[test]
    fn a_certificate_has_many_names() {
        assert_eq!(parse("openpgp.3"), Ok(Reference::Slot(CardSlot::Authenticate)));
        assert_eq!(
            parse("d276000124010304fffe123456780000/OPENPGP.1"),
            Ok(Reference::SlotOf("D276000124010304FFFE123456780000".to_owned(), CardSlot::Sign))
        );
        assert_eq!(parse(GRIP), Ok(Reference::Keygrip(GRIP.parse().unwrap())));
        assert_eq!(parse(&format!("SHA1:{}", "aB".repeat(20))), Ok(Reference::Sha1([0xab; 20])));
        assert_eq!(parse(&format!("sha256:{}", "AB".repeat(32))), Ok(Reference::Sha256([0xab; 32])));
        for octets in [20, 32] {
            let text = format!("fpr:{}", "AB".repeat(octets));
            assert!(matches!(parse(&text), Ok(Reference::Fingerprint(_))), "{text}");
        }
        assert_eq!(parse("pkcs11:token=a%3Bb;object=c"), Ok(Reference::Pkcs11));
    }

    #[test]
    fn an_issuer_with_blanks_is_escaped_or_not() {
        let escaped = parse("#0A/CN=Mary%2BAnn,O=A+House");
        assert_eq!(escaped, Ok(Reference::SerialIssuer("#0A/CN=Mary+Ann,O=A House".parse().unwrap())));
        assert_eq!(parse("#0A/CN=Mary%2BAnn,O=A House"), escaped);
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "",
            "OPENPGP.4",
            "nonsense",
            &GRIP[1..],
            "sha1:00",
            &format!("sha1:{}", "é0".repeat(20)),
            &format!("sha256:{}", "0".repeat(63)),
            "fpr:1234",
            "#/CN=A",
            "D276/OPENPGP.1",
            "D276000124010304FFFE123456780000/OPENPGP.4",
            "http://example.org",
        ] {
            assert_eq!(parse(text), Err(NotReference), "{text}");
        }
        assert_eq!(Reference::parse(b"OPENPGP.1\xff"), Err(NotReference));
    }
}
