//! Whose certificate it is: a subject, made of an OpenPGP user id (RFC 4880, section 5.11, and its convention
//! `Name (Comment) <mail>`) and of a fingerprint.

use std::fmt::Write as _;

use crate::ber::{OBJECT_IDENTIFIER, SEQUENCE, SET, element};

const UTF8_STRING: u8 = 0x0c;
const COMMON_NAME: &[u8] = b"\x55\x04\x03";

/// The kinds of alternative names that are written (RFC 5280, section 4.2.1.6).
const EMAIL: u8 = 0x81;
const URI: u8 = 0x86;

/// Characters of a common name (RFC 5280, appendix A: ub-common-name).
pub const MAX_COMMON_NAME: usize = 64;

/// Why somebody cannot be the subject of a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// There is no name.
    #[error("a certificate needs a name for its subject")]
    NoName,
    /// The name is too long.
    #[error("a name of {characters} characters; in a certificate there is room for {MAX_COMMON_NAME}")]
    LongName {
        /// How long it is.
        characters: usize,
    },
    /// A mail address or URI has characters other than ASCII, or none.
    #[error("no place in a certificate for {0:?}: it must be ASCII without blanks")]
    NotAscii(String),
}

/// The subject of a new certificate.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subject {
    /// The common name.
    pub common_name: String,
    /// Mail addresses, among the alternative names.
    pub emails: Vec<String>,
    /// URIs, among the alternative names.
    pub uris: Vec<String>,
}

impl Subject {
    /// The subject of a user id: the name is the common name, the mail address an alternative name; the comment is left
    /// out. Without a name the mail address, and without either the whole text, stands in for it.
    #[must_use]
    pub fn of_user_id(user_id: &str) -> Self {
        let (name, email) = match user_id.trim().strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
            Some((name, email)) => (name, Some(email.trim())),
            None if is_bare_email(user_id.trim()) => ("", Some(user_id.trim())),
            None => (user_id, None),
        };
        let name = Some(without_comment(name.trim())).filter(|name| !name.is_empty());
        let email = email.filter(|email| !email.is_empty());
        Self {
            common_name: name.or(email).unwrap_or_default().to_owned(),
            emails: email.map(str::to_owned).into_iter().collect(),
            uris: Vec::new(),
        }
    }

    /// The same with the fingerprint of an OpenPGP key among the alternative names, as a URI `openpgp4fpr:`.
    #[must_use]
    pub fn with_fingerprint(mut self, fingerprint: &[u8]) -> Self {
        let mut uri = "openpgp4fpr:".to_owned();
        for octet in fingerprint {
            let _ = write!(uri, "{octet:02X}");
        }
        self.uris.push(uri);
        self
    }

    /// The distinguished name.
    pub(super) fn name(&self) -> Result<Vec<u8>, SubjectError> {
        match self.common_name.chars().count() {
            0 => return Err(SubjectError::NoName),
            characters if characters > MAX_COMMON_NAME => return Err(SubjectError::LongName { characters }),
            _ => {}
        }
        let value = element(UTF8_STRING, self.common_name.as_bytes());
        let attribute = element(SEQUENCE, &[element(OBJECT_IDENTIFIER, COMMON_NAME), value].concat());
        Ok(element(SEQUENCE, &element(SET, &attribute)))
    }

    /// The alternative names; `None` if there are none.
    pub(super) fn alt_names(&self) -> Result<Option<Vec<u8>>, SubjectError> {
        let emails = self.emails.iter().map(|email| (EMAIL, email));
        let uris = self.uris.iter().map(|uri| (URI, uri));
        let names =
            emails.chain(uris).map(|(kind, text)| alt_name(kind, text)).collect::<Result<Vec<_>, _>>()?;
        Ok((!names.is_empty()).then(|| element(SEQUENCE, &names.concat())))
    }
}

fn alt_name(kind: u8, text: &str) -> Result<Vec<u8>, SubjectError> {
    if text.is_empty() || !text.bytes().all(|octet| octet.is_ascii_graphic()) {
        return Err(SubjectError::NotAscii(text.to_owned()));
    }
    Ok(element(kind, text.as_bytes()))
}

fn is_bare_email(text: &str) -> bool {
    text.contains('@') && !text.contains(char::is_whitespace)
}

/// A name whose last words, in parentheses, are a comment; a comment alone stays.
fn without_comment(name: &str) -> &str {
    let comment = name.strip_suffix(')').and_then(|name| name.rsplit_once('('));
    comment.map(|(name, _)| name.trim_end()).filter(|name| !name.is_empty()).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_id_is_taken_apart() {
        for (user_id, common_name, email) in [
            ("Zoë Example (at work) <zoe@example.org>", "Zoë Example", Some("zoe@example.org")),
            ("Zoë Example <zoe@example.org>", "Zoë Example", Some("zoe@example.org")),
            ("  Zoë (one) (two)  < zoe@example.org > ", "Zoë (one)", Some("zoe@example.org")),
            ("<zoe@example.org>", "zoe@example.org", Some("zoe@example.org")),
            ("zoe@example.org", "zoe@example.org", Some("zoe@example.org")),
            ("(only a comment) <zoe@example.org>", "(only a comment)", Some("zoe@example.org")),
            ("Zoë", "Zoë", None),
            ("Zoë <>", "Zoë", None),
            ("Zoë <broken", "Zoë <broken", None),
            ("Zoë (broken", "Zoë (broken", None),
            ("<>", "", None),
            ("", "", None),
        ] {
            let subject = Subject::of_user_id(user_id);
            assert_eq!(subject.common_name, common_name, "{user_id}");
            assert_eq!(subject.emails.first().map(String::as_str), email, "{user_id}");
        }
    }

    #[test]
    fn what_has_no_place_in_a_certificate_is_named() {
        let name = |text: &str| Subject { common_name: text.to_owned(), ..Subject::default() }.name();
        assert_eq!(name(""), Err(SubjectError::NoName));
        assert!(name(&"ë".repeat(MAX_COMMON_NAME)).is_ok());
        assert_eq!(name(&"ë".repeat(65)), Err(SubjectError::LongName { characters: 65 }));
        for email in ["zoë@example.org", "zoe @example.org", ""] {
            let subject = Subject { emails: vec![email.to_owned()], ..Subject::default() };
            assert_eq!(subject.alt_names(), Err(SubjectError::NotAscii(email.to_owned())));
        }
        assert_eq!(Subject::default().alt_names(), Ok(None));
    }

    #[test]
    fn a_fingerprint_becomes_a_uri() {
        let subject = Subject::of_user_id("Zoë").with_fingerprint(&[0x01, 0xab]);
        assert_eq!(subject.uris, ["openpgp4fpr:01AB"]);
    }
}
