//! The text of URIs (RFC 7512, section 2.3): what is read, and its inverse.
//!
//! Read is more than the grammar allows, where it can mean one thing only: characters that should be escaped but separate
//! nothing, and empty places between separators. Written are the words in the order of p11-kit, and all but letters, digits
//! and `_-.` is escaped, as there.

use std::fmt;
use std::str::FromStr;

use super::{ObjectType, Uri};

/// The longest URI that is read, in octets.
pub const MAX_URI: usize = 8 * 1024;

const SCHEME: &str = "pkcs11:";
const PIN_VALUE: &str = "pin-value";

/// Words of `type`.
const TYPES: [(&str, ObjectType); 5] = [
    ("cert", ObjectType::Certificate),
    ("public", ObjectType::Public),
    ("private", ObjectType::Private),
    ("secret-key", ObjectType::Secret),
    ("data", ObjectType::Data),
];

/// Why a text is no URI of PKCS#11. Positions count octets from the text's beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// It does not begin with `pkcs11:`.
    #[error("no PKCS#11 URI: it begins with {SCHEME}")]
    Scheme,
    /// It is longer than [`MAX_URI`].
    #[error("a PKCS#11 URI of {octets} octets; {MAX_URI} are read at most")]
    TooLong {
        /// How long.
        octets: usize,
    },
    /// A control character, or `#`.
    #[error("a character at octet {at} of the PKCS#11 URI that has to be escaped")]
    Character {
        /// Where.
        at: usize,
    },
    /// A per cent sign without two hexadecimal digits.
    #[error("no escape at octet {at} of the PKCS#11 URI: %XX is one")]
    Escape {
        /// Where.
        at: usize,
    },
    /// A place between separators that is no `name=value`.
    #[error("no attribute at octet {at} of the PKCS#11 URI: name=value is one")]
    Attribute {
        /// Where.
        at: usize,
    },
    /// An attribute for the second time.
    #[error("an attribute at octet {at} of the PKCS#11 URI that was there before")]
    Twice {
        /// Where.
        at: usize,
    },
    /// A value that is no UTF-8, no number, no version or no type, and has to be.
    #[error("an impossible value at octet {at} of the PKCS#11 URI")]
    Value {
        /// Where.
        at: usize,
    },
    /// A PIN, which nobody asked for.
    #[error("a PIN (pin-value) at octet {at} of the PKCS#11 URI: it is asked for where it is needed")]
    PinValue {
        /// Where.
        at: usize,
    },
}

impl FromStr for Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        read::path_and_query(text, |at, _| Err(UriError::PinValue { at }))
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SCHEME)?;
        f.write_str(&write::path(self).join(";"))?;
        let query = write::query(self);
        if query.is_empty() { Ok(()) } else { write!(f, "?{}", query.join("&")) }
    }
}

/// What is written as it is.
pub(in crate::pkcs11) fn is_plain(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"_-.".contains(&octet)
}

pub(super) mod read {
    use claviger_secret::Secret;

    use super::*;
    use crate::pkcs11::escape::PERCENT;

    type Step = Result<(), UriError>;

    /// What stands between two separators.
    struct Part<'a> {
        at: usize,
        name: &'a str,
        value: &'a str,
    }

    pub(in crate::pkcs11::uri) fn uri(text: &str) -> Result<(Uri, Option<Secret>), UriError> {
        let mut pin = None;
        let uri = path_and_query(text, |at, octets| match pin.replace(Secret::take(octets)) {
            None => Ok(()),
            Some(_) => Err(UriError::Twice { at }),
        })?;
        Ok((uri, pin))
    }

    /// The URI; its PIN is handed over with its position.
    pub(super) fn path_and_query(
        text: &str,
        mut pin: impl FnMut(usize, Vec<u8>) -> Step,
    ) -> Result<Uri, UriError> {
        if text.len() > MAX_URI {
            return Err(UriError::TooLong { octets: text.len() });
        }
        let scheme = text.get(..SCHEME.len()).filter(|start| start.eq_ignore_ascii_case(SCHEME));
        let behind = text.get(scheme.ok_or(UriError::Scheme)?.len()..).unwrap_or_default();
        if let Some(at) = text.find(|character: char| character.is_control() || character == '#') {
            return Err(UriError::Character { at });
        }
        let (path, query) = behind.split_once('?').unwrap_or((behind, ""));
        let mut uri = Uri::default();
        for part in parts(path, ';', SCHEME.len()) {
            path_attribute(&mut uri, &part?)?;
        }
        for part in parts(query, '&', text.len().saturating_sub(query.len())) {
            match part? {
                part if part.name == PIN_VALUE => pin(part.at, part.octets()?)?,
                part => query_attribute(&mut uri, &part)?,
            }
        }
        Ok(uri)
    }

    fn path_attribute(uri: &mut Uri, part: &Part<'_>) -> Step {
        match part.name {
            "token" => part.put(&mut uri.token, Part::text),
            "manufacturer" => part.put(&mut uri.manufacturer, Part::text),
            "serial" => part.put(&mut uri.serial, Part::text),
            "model" => part.put(&mut uri.model, Part::text),
            "library-manufacturer" => part.put(&mut uri.library_manufacturer, Part::text),
            "library-description" => part.put(&mut uri.library_description, Part::text),
            "library-version" => part.put(&mut uri.library_version, Part::version),
            "slot-description" => part.put(&mut uri.slot_description, Part::text),
            "slot-manufacturer" => part.put(&mut uri.slot_manufacturer, Part::text),
            "slot-id" => part.put(&mut uri.slot_id, Part::number),
            "object" => part.put(&mut uri.object, Part::text),
            "type" => part.put(&mut uri.kind, Part::kind),
            "id" => part.put(&mut uri.id, Part::octets),
            name if uri.others.iter().any(|(other, _)| other == name) => Err(UriError::Twice { at: part.at }),
            name => part.text().map(|value| uri.others.push((name.to_owned(), value))),
        }
    }

    fn query_attribute(uri: &mut Uri, part: &Part<'_>) -> Step {
        match part.name {
            "pin-source" => part.put(&mut uri.pin_source, Part::text),
            "module-name" => part.put(&mut uri.module_name, Part::text),
            "module-path" => part.put(&mut uri.module_path, Part::text),
            // A query may repeat what the standard does not know.
            name => part.text().map(|value| uri.query_others.push((name.to_owned(), value))),
        }
    }

    /// The places between separators, but for empty ones.
    fn parts(text: &str, separator: char, at: usize) -> impl Iterator<Item = Result<Part<'_>, UriError>> {
        let mut next = at;
        let places = text.split(separator).map(move |place| {
            let at = next;
            next = next.saturating_add(place.len()).saturating_add(separator.len_utf8());
            (at, place)
        });
        places.filter(|(_, place)| !place.is_empty()).map(|(at, place)| {
            let (name, value) = place.split_once('=').ok_or(UriError::Attribute { at })?;
            let is_name = |octet: u8| octet.is_ascii_alphanumeric() || b"-_".contains(&octet);
            if name.is_empty() || !name.bytes().all(is_name) {
                return Err(UriError::Attribute { at });
            }
            Ok(Part { at, name, value })
        })
    }

    impl Part<'_> {
        fn put<T>(&self, place: &mut Option<T>, value: fn(&Self) -> Result<T, UriError>) -> Step {
            if place.is_some() {
                return Err(UriError::Twice { at: self.at });
            }
            *place = Some(value(self)?);
            Ok(())
        }

        fn octets(&self) -> Result<Vec<u8>, UriError> {
            let at = self.value_at();
            PERCENT.read(self.value).map_err(|within| UriError::Escape { at: at.saturating_add(within) })
        }

        fn text(&self) -> Result<String, UriError> {
            String::from_utf8(self.octets()?).map_err(|_| self.impossible())
        }

        fn number(&self) -> Result<u64, UriError> {
            digits(&self.text()?).ok_or(self.impossible())
        }

        fn version(&self) -> Result<(u8, u8), UriError> {
            let text = self.text()?;
            let (major, minor) = text.split_once('.').unwrap_or((&text, "0"));
            digits(major).zip(digits(minor)).ok_or(self.impossible())
        }

        fn kind(&self) -> Result<ObjectType, UriError> {
            let text = self.text()?;
            let kind = TYPES.iter().find(|(word, _)| *word == text);
            kind.map(|(_, kind)| *kind).ok_or(self.impossible())
        }

        fn impossible(&self) -> UriError {
            UriError::Value { at: self.value_at() }
        }

        fn value_at(&self) -> usize {
            self.at.saturating_add(self.name.len()).saturating_add(1)
        }
    }

    /// A number of digits alone: no sign.
    fn digits<T: FromStr>(text: &str) -> Option<T> {
        text.parse().ok().filter(|_| text.bytes().all(|octet| octet.is_ascii_digit()))
    }
}

mod write {
    use super::*;
    use crate::pkcs11::escape::PERCENT;

    /// The words of the path, in the order of p11-kit.
    pub(super) fn path(uri: &Uri) -> Vec<String> {
        let kind = TYPES.iter().find(|(_, kind)| Some(*kind) == uri.kind);
        let words = [
            text("library-description", &uri.library_description),
            text("library-manufacturer", &uri.library_manufacturer),
            uri.library_version.map(|(major, minor)| format!("library-version={major}.{minor}")),
            text("slot-description", &uri.slot_description),
            text("slot-manufacturer", &uri.slot_manufacturer),
            uri.slot_id.map(|number| format!("slot-id={number}")),
            text("model", &uri.model),
            text("manufacturer", &uri.manufacturer),
            text("serial", &uri.serial),
            text("token", &uri.token),
            uri.id.as_ref().map(|id| word("id", id, |_| false)),
            text("object", &uri.object),
            kind.map(|(name, _)| format!("type={name}")),
        ];
        words.into_iter().flatten().chain(others(&uri.others)).collect()
    }

    /// The words of the query.
    pub(super) fn query(uri: &Uri) -> Vec<String> {
        let words = [
            text("pin-source", &uri.pin_source),
            text("module-name", &uri.module_name),
            text("module-path", &uri.module_path),
        ];
        words.into_iter().flatten().chain(others(&uri.query_others)).collect()
    }

    fn others(words: &[(String, String)]) -> impl Iterator<Item = String> {
        words.iter().map(|(name, value)| word(name, value.as_bytes(), is_plain))
    }

    fn text(name: &str, value: &Option<String>) -> Option<String> {
        value.as_ref().map(|value| word(name, value.as_bytes(), is_plain))
    }

    fn word(name: &str, value: &[u8], plain: fn(u8) -> bool) -> String {
        let mut word = format!("{name}=");
        PERCENT.write(value, plain, &mut word);
        word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Uri, UriError> {
        text.parse()
    }

    #[test]
    fn every_attribute_is_written_and_read_back() {
        let text = "pkcs11:library-description=d;library-manufacturer=m;library-version=2.6;slot-description=s;\
                    slot-manufacturer=sm;slot-id=18446744073709551615;model=M;manufacturer=MM;serial=1;\
                    token=%C3%A9%3B%26%3F%2F;id=%61%00%FF;object=;type=secret-key;x-a=1\
                    ?pin-source=file%3A%2Fpin&module-name=softhsm2&module-path=%2Fa&x-b=1&x-b=2";
        let uri = read(text).unwrap();
        assert_eq!(uri.to_string(), text);
        assert_eq!((uri.token.as_deref(), uri.id.as_deref()), (Some("é;&?/"), Some(b"a\0\xff".as_slice())));
        assert_eq!(uri.query_others.len(), 2);
        assert_eq!(read("pkcs11:").unwrap(), Uri::default());
        assert_eq!(Uri::default().to_string(), "pkcs11:");
    }

    #[test]
    fn the_examples_of_the_standard_are_read() {
        for text in [
            "pkcs11:object=my-pubkey;type=public",
            "pkcs11:object=my-key;type=private?pin-source=file:/etc/token",
            "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;\
             object=my-certificate;type=cert;id=%69%95%3E%5C%F4%BD%EC%91;serial=?pin-source=file:/etc/token_pin",
            "pkcs11:object=my-sign-key;type=private?module-name=mypkcs11",
            "pkcs11:object=my-sign-key;type=private?module-path=/mnt/libmypkcs11.so.1",
            "pkcs11:token=Software%20PKCS%2311%20softtoken;manufacturer=Snake%20Oil,%20Inc.?pin-value=the-pin",
            "pkcs11:slot-description=Sun%20Metaslot",
            "pkcs11:library-manufacturer=Snake%20Oil,%20Inc.;library-description=Soft%20Token%20Library;\
             library-version=1.23",
            "pkcs11:library-version=3",
            "pkcs11:token=My%20token%25%20created%20by%20Joe;library-version=3;id=%01%02%03%Ba%dd%Ca%fe%04%05%06",
            "pkcs11:token=A%20name%20with%20a%20substring%20%25%3B;object=my-certificate;type=cert",
            "pkcs11:token=Name%20with%20a%20small%20A%20with%20acute:%20%C3%A1;object=my-certificate;type=cert",
            "pkcs11:token=my-token;object=my-certificate;type=cert;vendor-aaa=value-a\
             ?pin-source=file:/etc/token_pin&vendor-bbb=value-b",
        ] {
            let (uri, pin) = Uri::with_pin(text).unwrap();
            assert_eq!(pin.is_some(), text.contains("pin-value"), "{text}");
            assert_eq!(read(&uri.to_string()), Ok(uri));
        }
    }

    #[test]
    fn a_pin_is_a_secret_and_refused_where_nobody_asks_for_it() {
        let text = "pkcs11:token=a?pin-value=12%2034";
        assert_eq!(read(text), Err(UriError::PinValue { at: 15 }));
        let (uri, pin) = Uri::with_pin(text).unwrap();
        assert_eq!(pin.unwrap().as_bytes(), b"12 34");
        assert_eq!(uri.to_string(), "pkcs11:token=a");
        let twice = Uri::with_pin("pkcs11:?pin-value=1&pin-value=2");
        assert_eq!(twice.err(), Some(UriError::Twice { at: 20 }));
    }

    #[test]
    fn faults_are_named_with_their_place() {
        for (text, error) in [
            ("", UriError::Scheme),
            ("pkcs11", UriError::Scheme),
            ("pkcs12:token=a", UriError::Scheme),
            ("pkcs11:a", UriError::Attribute { at: 7 }),
            ("pkcs11:token=a;=b", UriError::Attribute { at: 15 }),
            ("pkcs11:to ken=a", UriError::Attribute { at: 7 }),
            ("pkcs11:token=a;token=a", UriError::Twice { at: 15 }),
            ("pkcs11:x=a;x=b", UriError::Twice { at: 11 }),
            ("pkcs11:?module-name=a&module-name=a", UriError::Twice { at: 22 }),
            ("pkcs11:token=ab%2", UriError::Escape { at: 15 }),
            ("pkcs11:?module-name=%zz", UriError::Escape { at: 20 }),
            ("pkcs11:token=%ff", UriError::Value { at: 13 }),
            ("pkcs11:type=key", UriError::Value { at: 12 }),
            ("pkcs11:slot-id=+1", UriError::Value { at: 15 }),
            ("pkcs11:slot-id=18446744073709551616", UriError::Value { at: 15 }),
            ("pkcs11:library-version=1.256", UriError::Value { at: 23 }),
            ("pkcs11:library-version=", UriError::Value { at: 23 }),
            ("pkcs11:token=a\n", UriError::Character { at: 14 }),
            ("pkcs11:token=a#b", UriError::Character { at: 14 }),
        ] {
            assert_eq!(read(text), Err(error), "{text}");
        }
        let long = format!("pkcs11:token={}", "a".repeat(MAX_URI));
        assert_eq!(read(&long), Err(UriError::TooLong { octets: MAX_URI + 13 }));
    }

    #[test]
    fn what_can_mean_one_thing_only_is_read() {
        for text in ["PKCS11:token=a b", "pkcs11:;token=a%20b;", "pkcs11:token=a b?"] {
            assert_eq!(read(text).unwrap().to_string(), "pkcs11:token=a%20b");
        }
    }
}
