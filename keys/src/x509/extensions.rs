//! The extensions of a certificate (RFC 5280, section 4.2) that tell whose it is and which one issued it. Others, and
//! those that are broken, are passed over. Of an extension that is there twice the first counts.

use std::net::IpAddr;
use std::sync::Arc;

use super::Part;
use super::name::{Name, dotted};
use crate::ber::{BIT_STRING, BOOLEAN, Element, OBJECT_IDENTIFIER, OCTET_STRING, Reader, SEQUENCE};

const SUBJECT_KEY_ID: &[u8] = b"\x55\x1d\x0e";
const KEY_USAGE: &[u8] = b"\x55\x1d\x0f";
const SUBJECT_ALT_NAME: &[u8] = b"\x55\x1d\x11";
const BASIC_CONSTRAINTS: &[u8] = b"\x55\x1d\x13";
const AUTHORITY_KEY_ID: &[u8] = b"\x55\x1d\x23";
const EXTENDED_KEY_USAGE: &[u8] = b"\x55\x1d\x25";

/// The key identifier among the fields of AUTHORITY KEY IDENTIFIER.
const KEY_ID_FIELD: u8 = 0x80;

/// How many other names of a subject are read.
pub const MAX_ALT_NAMES: usize = 1024;

/// How many uses of the key are read.
const MAX_USAGES: usize = 64;

/// Bits of KEY USAGE, the first one on the left.
const USAGE_BITS: [&str; 9] = [
    "digitalSignature",
    "nonRepudiation",
    "keyEncipherment",
    "dataEncipherment",
    "keyAgreement",
    "keyCertSign",
    "cRLSign",
    "encipherOnly",
    "decipherOnly",
];

/// Identifiers in EXTENDED KEY USAGE that have a name here: below 1.3.6.1.5.5.7.3, and any.
const USAGE_NAMES: [(&[u8], &str); 7] = [
    (b"\x2b\x06\x01\x05\x05\x07\x03\x01", "serverAuth"),
    (b"\x2b\x06\x01\x05\x05\x07\x03\x02", "clientAuth"),
    (b"\x2b\x06\x01\x05\x05\x07\x03\x03", "codeSigning"),
    (b"\x2b\x06\x01\x05\x05\x07\x03\x04", "emailProtection"),
    (b"\x2b\x06\x01\x05\x05\x07\x03\x08", "timeStamping"),
    (b"\x2b\x06\x01\x05\x05\x07\x03\x09", "OCSPSigning"),
    (b"\x55\x1d\x25\x00", "anyExtendedKeyUsage"),
];

/// Another name of the subject (RFC 5280, section 4.2.1.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AltName {
    /// A mail address.
    Email(String),
    /// A host.
    Dns(String),
    /// A URI, such as `openpgp4fpr:` with the fingerprint of an OpenPGP key.
    Uri(String),
    /// An address of the internet protocol.
    Address(IpAddr),
    /// A distinguished name.
    Directory(Name),
    /// A name of another kind, or one that is not of its kind's form: the whole element.
    Other(Vec<u8>),
}

/// What the extensions say.
#[derive(Default)]
pub(super) struct Extensions {
    pub(super) is_ca: bool,
    pub(super) subject_key_id: Option<Part>,
    pub(super) authority_key_id: Option<Part>,
    pub(super) alt_names: Vec<AltName>,
    pub(super) usages: Vec<String>,
}

impl Extensions {
    /// Reads the field `[3]` of the certificate `der`.
    pub(super) fn read(field: &Element<'_>, der: &Arc<[u8]>) -> Self {
        let Ok(list) = field.inside().expect(SEQUENCE) else { return Self::default() };
        let part = |id: Element<'_>| Part { whole: Arc::clone(der), range: id.content_range() };
        let value = |extension| value(list.inside(), extension);
        Self {
            is_ca: value(BASIC_CONSTRAINTS).is_some_and(|constraints| is_ca(&constraints)),
            subject_key_id: value(SUBJECT_KEY_ID).filter(|id| id.tag == OCTET_STRING).map(part),
            authority_key_id: value(AUTHORITY_KEY_ID)
                .and_then(|ids| ids.inside().find(|id| id.tag == KEY_ID_FIELD))
                .map(part),
            alt_names: value(SUBJECT_ALT_NAME)
                .map(|names| names.inside().take(MAX_ALT_NAMES).map(|name| alt_name(&name, der)).collect())
                .unwrap_or_default(),
            usages: usages(value(KEY_USAGE).as_ref(), value(EXTENDED_KEY_USAGE).as_ref()),
        }
    }
}

/// What the key may be used for, by the names that RFC 5280 has for it; others as dotted identifiers.
fn usages(bits: Option<&Element<'_>>, extended: Option<&Element<'_>>) -> Vec<String> {
    let bits = bits.filter(|bits| bits.tag == BIT_STRING).and_then(|bits| bits.content.get(1..));
    let set = |bit: usize| {
        let octet = bits.and_then(|octets| octets.get(bit / 8));
        octet.is_some_and(|octet| octet & (0x80 >> (bit % 8)) != 0)
    };
    let plain =
        USAGE_BITS.iter().enumerate().filter(|(bit, _)| set(*bit)).map(|(_, name)| (*name).to_owned());
    let extended = extended.into_iter().flat_map(Element::inside);
    let extended = extended.filter(|purpose| purpose.tag == OBJECT_IDENTIFIER);
    plain.chain(extended.map(|purpose| purpose_name(purpose.content)).take(MAX_USAGES)).collect()
}

fn purpose_name(identifier: &[u8]) -> String {
    let known = USAGE_NAMES.iter().find(|(known, _)| *known == identifier);
    known.map_or_else(|| dotted(identifier), |(_, name)| (*name).to_owned())
}

/// The value of an extension, opened.
fn value<'a>(mut extensions: Reader<'a>, wanted: &[u8]) -> Option<Element<'a>> {
    extensions
        .find_map(|extension| {
            let mut fields = extension.inside();
            let identifier = fields.expect(OBJECT_IDENTIFIER).ok()?;
            let value = fields.find(|field| field.tag == OCTET_STRING)?;
            (identifier.content == wanted).then_some(value)
        })?
        .inside()
        .element()
        .ok()
}

fn is_ca(constraints: &Element<'_>) -> bool {
    let first = constraints.inside().next();
    first.is_some_and(|flag| flag.tag == BOOLEAN && flag.content.iter().any(|octet| *octet != 0))
}

fn alt_name(name: &Element<'_>, der: &Arc<[u8]>) -> AltName {
    let text = || String::from_utf8_lossy(name.content).into_owned();
    let known = match name.tag {
        0x81 => Some(AltName::Email(text())),
        0x82 => Some(AltName::Dns(text())),
        0x86 => Some(AltName::Uri(text())),
        0x87 => address(name.content).map(AltName::Address),
        // A name is a choice, and so there is a tag around its own.
        0xa4 => name.inside().next().map(|directory| {
            AltName::Directory(Name::within(Part { whole: Arc::clone(der), range: directory.range() }))
        }),
        _ => None,
    };
    known.unwrap_or_else(|| AltName::Other(name.whole.to_vec()))
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}
