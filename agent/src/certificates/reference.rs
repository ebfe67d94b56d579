//! How a client names a certificate (architecture: "Extensions to the scdaemon protocol: certificates").

use claviger_assuan::escape::unescape_percent_plus;
use claviger_cards::token::Slot as CardSlot;
use claviger_keys::Keygrip;
use claviger_keys::pkcs11::key_id::KeyId;
use claviger_keys::pkcs11::uri::{Uri, UriError};
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
    /// The name that gnupg-pkcs11-scd gives a token's key or certificate.
    Key(KeyId),
    /// A `pkcs11:` URI (RFC 7512), in its possible readings.
    Pkcs11(Vec<Uri>),
}

/// The text is no reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotReference {
    /// Of no kind that there is.
    Unknown,
    /// It begins like a URI, and is none.
    Uri(UriError),
}

impl Reference {
    /// Parses an argument, percent-plus escaped; a URI may also be as it is.
    ///
    /// # Errors
    /// [`NotReference`].
    pub(crate) fn parse(argument: &[u8]) -> Result<Self, NotReference> {
        if argument.get(..PKCS11.len()).is_some_and(|start| start.eq_ignore_ascii_case(PKCS11.as_bytes())) {
            return uri(argument);
        }
        let octets = unescape_percent_plus(argument);
        let text = std::str::from_utf8(&octets).map_err(|_| NotReference::Unknown)?.trim_end();
        if text.starts_with('#') {
            return text.parse().map(Self::SerialIssuer).map_err(|_| NotReference::Unknown);
        }
        if let Some((scheme, value)) = text.split_once(':').filter(|(scheme, _)| !scheme.contains('/')) {
            return prefixed(scheme, value).ok_or(NotReference::Unknown);
        }
        let of_slot = slot_called(text).map(Self::Slot).or_else(|| slot_of(text));
        let of_key = || text.parse().ok().map(Self::Keygrip).or_else(|| text.parse().ok().map(Self::Key));
        of_slot.or_else(of_key).ok_or(NotReference::Unknown)
    }
}

fn prefixed(scheme: &str, value: &str) -> Option<Reference> {
    match scheme.to_ascii_lowercase().as_str() {
        "sha1" => octets(value).map(Reference::Sha1),
        "sha256" => octets(value).map(Reference::Sha256),
        "fpr" => value.parse().ok().map(Reference::Fingerprint),
        _ => None,
    }
}

/// A URI has escapes of its own. It is read as p11tool prints it, and as it is once the escapes of an argument are taken
/// away: which of the two was meant shows when it fits something.
fn uri(argument: &[u8]) -> Result<Reference, NotReference> {
    let text = String::from_utf8_lossy(argument);
    let unescaped = unescape_percent_plus(argument);
    let as_it_is = text.trim_end().parse::<Uri>();
    let once_more = std::str::from_utf8(&unescaped).ok().and_then(|text| text.trim_end().parse::<Uri>().ok());
    let mut readings: Vec<_> = as_it_is.iter().cloned().collect();
    readings.extend(once_more.filter(|uri| !readings.contains(uri)));
    match as_it_is {
        Err(error) if readings.is_empty() => Err(NotReference::Uri(error)),
        _ => Ok(Reference::Pkcs11(readings)),
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
    }

    #[test]
    fn a_uri_is_read_as_it_is_and_without_the_escapes_of_an_argument() {
        let read = |text: &str| match parse(text) {
            Ok(Reference::Pkcs11(readings)) => readings.iter().map(Uri::to_string).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        assert_eq!(read("pkcs11:token=a%20b"), ["pkcs11:token=a%20b"]);
        assert_eq!(read("PKCS11:token=a+b"), ["pkcs11:token=a%2Bb", "pkcs11:token=a%20b"]);
        assert_eq!(read("pkcs11:token=a%3Bb"), ["pkcs11:token=a%3Bb"]);
        assert_eq!(read("pkcs11:token=a%2520b"), ["pkcs11:token=a%2520b", "pkcs11:token=a%20b"]);
        assert_eq!(read("pkcs11:id=%01%FF"), ["pkcs11:id=%01%FF"]);
        let pin = parse("pkcs11:token=a?pin-value=1234");
        assert_eq!(pin, Err(NotReference::Uri(UriError::PinValue { at: 15 })));
    }

    #[test]
    fn a_key_of_a_token_is_called_as_gnupg_pkcs11_scd_calls_it() {
        for text in ["SoftHSM\\x20project/SoftHSM\\x20v2/4dd5289f1942f77a/tls/01", "m/o/s/l:x/0aB4"] {
            assert_eq!(parse(text), Ok(Reference::Key(text.parse().unwrap())));
        }
        assert!(matches!(parse(&format!("m/o/s/l/sha256:{}", "AB".repeat(32))), Ok(Reference::Key(_))));
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
            assert_eq!(parse(text), Err(NotReference::Unknown), "{text}");
        }
        assert_eq!(Reference::parse(b"OPENPGP.1\xff"), Err(NotReference::Unknown));
    }
}
