//! URIs of PKCS#11 objects (RFC 7512): `pkcs11:token=tls;object=mail;type=cert?pin-source=file:/etc/pin`.
//!
//! A URI says something of a token, of an object on it, of a slot, of a module, and in its query how to get at them. What it
//! does not say fits anything. Here is what it means; reading and writing are next door.
//!
//! A URI may carry a PIN (`pin-value`). It is a secret in a place where secrets are seen, in process lists and logs; so it is
//! refused unless the caller asks for it, and never written.

mod text;

use claviger_secret::Secret;

pub(super) use self::text::is_plain;
pub use self::text::{MAX_URI, UriError};
use super::token_id::TokenId;

/// A `pkcs11:` URI: what it says of tokens, objects, slots and modules. What it does not say is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Uri {
    /// `token`: the token's label.
    pub token: Option<String>,
    /// `manufacturer`: the token's.
    pub manufacturer: Option<String>,
    /// `serial`: the token's.
    pub serial: Option<String>,
    /// `model`: the token's.
    pub model: Option<String>,
    /// `library-manufacturer`.
    pub library_manufacturer: Option<String>,
    /// `library-description`.
    pub library_description: Option<String>,
    /// `library-version`, major and minor.
    pub library_version: Option<(u8, u8)>,
    /// `slot-description`.
    pub slot_description: Option<String>,
    /// `slot-manufacturer`.
    pub slot_manufacturer: Option<String>,
    /// `slot-id`.
    pub slot_id: Option<u64>,
    /// `object`: `CKA_LABEL`.
    pub object: Option<String>,
    /// `type`: `CKA_CLASS`.
    pub kind: Option<ObjectType>,
    /// `id`: `CKA_ID`.
    pub id: Option<Vec<u8>>,
    /// Attributes of the path that the standard does not know. A URI that has one fits nothing.
    pub others: Vec<(String, String)>,
    /// `pin-source`, in the query.
    pub pin_source: Option<String>,
    /// `module-name`: the module's file without `lib` in front and its ending.
    pub module_name: Option<String>,
    /// `module-path`: the module's file, or its directory.
    pub module_path: Option<String>,
    /// Attributes of the query that the standard does not know. They mean nothing here.
    pub query_others: Vec<(String, String)>,
}

/// What kind of object (RFC 7512, `type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObjectType {
    /// `CKO_CERTIFICATE`.
    Certificate,
    /// `CKO_PUBLIC_KEY`.
    Public,
    /// `CKO_PRIVATE_KEY`.
    Private,
    /// `CKO_SECRET_KEY`.
    Secret,
    /// `CKO_DATA`.
    Data,
}

/// Where a token is. What is `None` is not known, and then it does not matter what a URI says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Whereabouts<'a> {
    /// The slot's number.
    pub slot: Option<u64>,
    /// `slotDescription`.
    pub slot_description: Option<&'a str>,
    /// The slot's `manufacturerID`.
    pub slot_manufacturer: Option<&'a str>,
    /// `libraryDescription`.
    pub library_description: Option<&'a str>,
    /// The library's `manufacturerID`.
    pub library_manufacturer: Option<&'a str>,
    /// `libraryVersion`.
    pub library_version: Option<(u8, u8)>,
}

impl Uri {
    /// A token's URI, as p11tool prints it.
    #[must_use]
    pub fn of_token(token: &TokenId) -> Self {
        let said = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        Self {
            model: said(&token.model),
            manufacturer: said(&token.manufacturer),
            serial: said(&token.serial),
            token: said(&token.label),
            ..Self::default()
        }
    }

    /// An object's URI, as p11tool prints it.
    #[must_use]
    pub fn of_object(token: &TokenId, id: &[u8], label: &str, kind: ObjectType) -> Self {
        Self {
            id: Some(id.to_vec()).filter(|id| !id.is_empty()),
            object: Some(label.to_owned()).filter(|label| !label.is_empty()),
            kind: Some(kind),
            ..Self::of_token(token)
        }
    }

    /// Reads a URI that may carry a PIN: the URI without it, and the PIN.
    ///
    /// # Errors
    /// [`UriError`] if the text is no such URI.
    pub fn with_pin(text: &str) -> Result<(Self, Option<Secret>), UriError> {
        text::read::uri(text)
    }

    /// Whether what it says of tokens, slots and modules is true of this token. Objects are not looked at.
    #[must_use]
    pub fn matches_token(&self, token: &TokenId, place: &Whereabouts<'_>) -> bool {
        let own = [
            (&self.token, &token.label),
            (&self.manufacturer, &token.manufacturer),
            (&self.serial, &token.serial),
            (&self.model, &token.model),
        ];
        self.others.is_empty()
            && own.into_iter().all(|(said, is)| fits_text(said, Some(is)))
            && self.matches_place(place)
    }

    /// Whether what it says of objects is true of this one. Tokens are not looked at.
    #[must_use]
    pub fn matches_object(&self, id: &[u8], label: &str, kind: ObjectType) -> bool {
        self.others.is_empty()
            && self.id.as_deref().is_none_or(|said| said == id)
            && self.object.as_deref().is_none_or(|said| said == label)
            && fits(self.kind, Some(kind))
    }

    fn matches_place(&self, place: &Whereabouts<'_>) -> bool {
        let texts = [
            (&self.slot_description, place.slot_description),
            (&self.slot_manufacturer, place.slot_manufacturer),
            (&self.library_description, place.library_description),
            (&self.library_manufacturer, place.library_manufacturer),
        ];
        texts.into_iter().all(|(said, is)| fits_text(said, is))
            && fits(self.slot_id, place.slot)
            && fits(self.library_version, place.library_version)
    }
}

/// Whether what is said, if anything, is what is, as far as that is known.
fn fits<T: PartialEq>(said: Option<T>, is: Option<T>) -> bool {
    said.is_none() || is.is_none() || said == is
}

/// The same for text that PKCS#11 pads with blanks.
fn fits_text(said: &Option<String>, is: Option<&str>) -> bool {
    let unpadded = |text: &'_ str| text.trim_end_matches(' ').to_owned();
    fits(said.as_deref().map(unpadded), is.map(unpadded))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> TokenId {
        "SoftHSM\\x20project/SoftHSM\\x20v2/4dd5289f1942f77a/tls".parse().unwrap()
    }

    fn fits_token(text: &str) -> bool {
        let place = Whereabouts {
            slot: Some(17),
            slot_description: Some("SoftHSM slot ID 0x11"),
            library_version: Some((2, 6)),
            ..Whereabouts::default()
        };
        text.parse::<Uri>().unwrap().matches_token(&token(), &place)
    }

    #[test]
    fn what_is_not_said_fits_every_token() {
        for text in ["pkcs11:", "pkcs11:object=a;id=%01;type=data", "pkcs11:?pin-source=a&x=1"] {
            assert!(fits_token(text), "{text}");
        }
    }

    #[test]
    fn every_word_about_a_token_is_looked_at() {
        for (yes, no) in [
            ("token=tls", "token=TLS"),
            ("token=tls%20%20", "token=%20tls"),
            ("manufacturer=SoftHSM%20project", "manufacturer="),
            ("serial=4dd5289f1942f77a", "serial=4dd5289f1942f77"),
            ("model=SoftHSM%20v2", "model=SoftHSM"),
            ("slot-id=17", "slot-id=18"),
            ("slot-description=SoftHSM%20slot%20ID%200x11", "slot-description=SoftHSM"),
            ("library-version=2.6", "library-version=2.7"),
            // Not known here.
            ("slot-manufacturer=SoftHSM%20project", "slot-manufacturer=a;token=b"),
        ] {
            assert!(fits_token(&format!("pkcs11:{yes}")), "{yes}");
            assert!(!fits_token(&format!("pkcs11:{no}")), "{no}");
        }
    }

    #[test]
    fn every_word_about_an_object_is_looked_at() {
        for (text, fits) in [
            ("pkcs11:token=other", true),
            ("pkcs11:id=%01%02;object=mail;type=cert", true),
            ("pkcs11:id=%01", false),
            ("pkcs11:id=", false),
            ("pkcs11:object=Mail", false),
            ("pkcs11:type=private", false),
            ("pkcs11:x-vendor=1", false),
        ] {
            let uri: Uri = text.parse().unwrap();
            assert_eq!(uri.matches_object(&[1, 2], "mail", ObjectType::Certificate), fits, "{text}");
        }
        assert!("pkcs11:id=;object=".parse::<Uri>().unwrap().matches_object(b"", "", ObjectType::Data));
    }

    #[test]
    fn an_unknown_attribute_of_the_path_fits_no_token_and_one_of_the_query_matters_not() {
        assert!(!fits_token("pkcs11:token=tls;x-vendor=1"));
        assert!(fits_token("pkcs11:token=tls?x-vendor=1"));
    }

    #[test]
    fn an_objects_own_uri_fits_it() {
        let uri = Uri::of_object(&token(), &[1], "a;b", ObjectType::Certificate);
        assert_eq!(
            uri.to_string(),
            "pkcs11:model=SoftHSM%20v2;manufacturer=SoftHSM%20project;serial=4dd5289f1942f77a;token=tls;\
             id=%01;object=a%3Bb;type=cert"
        );
        assert!(uri.matches_token(&token(), &Whereabouts::default()));
        assert!(uri.matches_object(&[1], "a;b", ObjectType::Certificate));
        assert!(Uri::of_object(&token(), &[], "", ObjectType::Data).matches_object(
            b"x",
            "y",
            ObjectType::Data
        ));
    }
}
