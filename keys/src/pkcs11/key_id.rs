//! The ids by which gnupg-pkcs11-scd names keys and certificates to GnuPG: the token's text, a slash, and which object.
//!
//! `SoftHSM\x20project/SoftHSM\x20v2/4dd5289f1942f77a/tls/01`: the last part is the object's `CKA_ID` in hexadecimal digits.
//! Where that is empty, or belongs to several keys, it is the keygrip; a `CKA_ID` of twenty octets that is a keygrip names
//! the key of that keygrip in any case. A certificate that needs a name of its own has its fingerprint, as `sha256:HEX`.
//! Stubs of Fedora's pkcs11-helper have a URI instead, which is read, too.

use std::fmt;
use std::str::FromStr;

use super::escape::{from_hex, upper_hex};
use super::token_id::{MAX_SERIALIZED, TokenId};
use super::uri::Uri;
use crate::Keygrip;

/// What stands before the digits of a certificate's fingerprint.
const SHA256: &str = "sha256:";

/// The id of a key or certificate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyId {
    /// The token.
    pub token: TokenId,
    /// The object on it.
    pub object: ObjectId,
}

/// Which object of a token.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ObjectId {
    /// The octets of its `CKA_ID`, or of its keygrip.
    Octets(Vec<u8>),
    /// A certificate, by the SHA-256 of its octets.
    Sha256([u8; 32]),
}

impl KeyId {
    /// By `CKA_ID`.
    #[must_use]
    pub const fn new(token: TokenId, id: Vec<u8>) -> Self {
        Self { token, object: ObjectId::Octets(id) }
    }

    /// By keygrip.
    #[must_use]
    pub fn by_grip(token: TokenId, grip: &Keygrip) -> Self {
        Self::new(token, grip.0.to_vec())
    }

    /// A certificate by its fingerprint.
    #[must_use]
    pub const fn by_sha256(token: TokenId, fingerprint: [u8; 32]) -> Self {
        Self { token, object: ObjectId::Sha256(fingerprint) }
    }
}

impl ObjectId {
    /// Whether it is this `CKA_ID`.
    #[must_use]
    pub fn is_id(&self, id: &[u8]) -> bool {
        matches!(self, Self::Octets(octets) if octets == id)
    }

    /// Whether it is this keygrip. A key that has the octets as its `CKA_ID` goes first.
    #[must_use]
    pub fn is_grip(&self, grip: &Keygrip) -> bool {
        self.is_id(&grip.0)
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Octets(octets) => f.write_str(&upper_hex(octets)),
            Self::Sha256(fingerprint) => write!(f, "{SHA256}{}", upper_hex(fingerprint)),
        }
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.token.serialized(), self.object)
    }
}

/// The text is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no id of a key: MANUFACTURER/MODEL/SERIAL/LABEL/ID, escaped as pkcs11-helper does")]
pub struct NotKeyId;

impl FromStr for KeyId {
    type Err = NotKeyId;

    fn from_str(text: &str) -> Result<Self, NotKeyId> {
        if text.len() > MAX_SERIALIZED {
            return Err(NotKeyId);
        }
        if text.starts_with("pkcs11:") {
            return text.parse().ok().and_then(of_uri).ok_or(NotKeyId);
        }
        let (token, object) = text.rsplit_once('/').ok_or(NotKeyId)?;
        let token = token.parse().map_err(|_| NotKeyId)?;
        Ok(Self { token, object: self::object(object).ok_or(NotKeyId)? })
    }
}

fn object(text: &str) -> Option<ObjectId> {
    if let Some(digits) = text.strip_prefix(SHA256) {
        return Some(ObjectId::Sha256(from_hex(digits)?.try_into().ok()?));
    }
    from_hex(text).filter(|octets| !octets.is_empty()).map(ObjectId::Octets)
}

/// What Fedora's pkcs11-helper writes, and nothing more: all of the token, and the id.
fn of_uri(uri: Uri) -> Option<KeyId> {
    let id = uri.id.clone().filter(|id| !id.is_empty())?;
    let token = TokenId {
        manufacturer: uri.manufacturer.clone()?,
        model: uri.model.clone()?,
        serial: uri.serial.clone()?,
        label: uri.token.clone()?,
    };
    let whole = Uri { id: Some(id.clone()), ..Uri::of_token(&token) };
    (uri == whole).then(|| KeyId::new(token, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> TokenId {
        "SoftHSM\\x20project/SoftHSM\\x20v2/4dd5289f1942f77a/tls".parse().unwrap()
    }

    #[test]
    fn a_key_is_named_as_gnupg_pkcs11_scd_names_it() {
        let id = KeyId::new(token(), vec![1, 0xab]);
        assert_eq!(id.to_string(), "SoftHSM\\x20project/SoftHSM\\x20v2/4dd5289f1942f77a/tls/01AB");
        assert_eq!(id.to_string().to_lowercase().replace("softhsm", "SoftHSM").parse(), Ok(id));
    }

    #[test]
    fn every_kind_is_read_back() {
        let grip = Keygrip([7; 20]);
        for id in [
            KeyId::new(token(), vec![0]),
            KeyId::by_grip(token(), &grip),
            KeyId::by_sha256(token(), [0xfe; 32]),
            KeyId::new(TokenId::default(), vec![0xff; 64]),
        ] {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        let id = KeyId::by_grip(token(), &grip).object;
        assert!(id.is_grip(&grip) && id.is_id(&grip.0) && !id.is_grip(&Keygrip([8; 20])));
    }

    #[test]
    fn a_stub_of_fedora_is_read() {
        let text = "pkcs11:model=SoftHSM%20v2;token=tls;manufacturer=SoftHSM%20project;\
                    serial=4dd5289f1942f77a;id=%01%ab";
        assert_eq!(text.parse(), Ok(KeyId::new(token(), vec![1, 0xab])));
        for other in
            [text.replace(";id=%01%ab", ""), format!("{text};object=a"), format!("{text}?pin-source=a")]
        {
            assert_eq!(other.parse::<KeyId>(), Err(NotKeyId), "{other}");
        }
    }

    #[test]
    fn other_text_is_no_id() {
        let long = format!("m/o/s/l/{}", "01".repeat(MAX_SERIALIZED / 2));
        for text in ["", "01", "m/o/s/01", "m/o/s/l/", "m/o/s/l/0", "m/o/s/l/0g", "m/o/s/l/sha256:01", &long]
        {
            assert_eq!(text.parse::<KeyId>(), Err(NotKeyId), "{text}");
        }
    }
}
