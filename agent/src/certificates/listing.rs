//! What is told of a certificate: the value of a `CERTIFICATE` status line, and what is wrong with it.

use claviger_assuan::escape::percent_plus;
use claviger_keys::x509::{Certificate, Fields};

use super::Entry;
use crate::hex;

/// The longest value of a status line, as GnuPG cuts it: with keyword and line end it stays below 1,000 octets.
const MAX_VALUE: usize = 948;

/// Stands for what is not known, or not there.
const NONE: &str = "-";

/// Where a subject was cut.
const CUT: &str = "…";

/// What a certificate is for, with the numbers that GnuPG has in `CERTINFO`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Of a person or a service.
    Regular,
    /// Of a certification authority.
    Authority,
    /// Octets that cannot be read as a certificate.
    Unreadable,
}

impl Kind {
    /// The type in `CERTINFO`; 0 for what it never names.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Regular => 100,
            Self::Authority => 102,
            Self::Unreadable => 0,
        }
    }
}

/// The kind of a certificate.
pub(crate) fn kind(certificate: &Certificate) -> Kind {
    match certificate.fields() {
        Ok(fields) if fields.is_ca() => Kind::Authority,
        Ok(_) => Kind::Regular,
        Err(_) => Kind::Unreadable,
    }
}

/// What is wrong with a certificate, as words with commas between; `-` for nothing. `now` is in seconds since 1970.
fn flaws_of(entry: &Entry, now: i64) -> String {
    let flaws: Vec<_> = match entry.certificate.fields() {
        Ok(fields) => [
            (fields.not_before() > now, "not-yet-valid"),
            (fields.not_after() < now, "expired"),
            (is_of_another_key(entry, fields), "other-key"),
        ]
        .into_iter()
        .filter_map(|(applies, word)| applies.then_some(word))
        .collect(),
        Err(_) => vec!["unreadable"],
    };
    if flaws.is_empty() { NONE.to_owned() } else { flaws.join(",") }
}

fn is_of_another_key(entry: &Entry, fields: &Fields) -> bool {
    let own = entry.slot.as_ref().and_then(|slot| slot.keygrip);
    own.is_some() && fields.keygrip() != own
}

/// The value of `CERTSTATUS`: name, SHA-256 fingerprint, what is wrong.
pub(crate) fn worth(entry: &Entry, now: i64) -> String {
    format!("{} {} {}", entry.id(), hex::write(&entry.certificate.sha256()), flaws_of(entry, now))
}

/// The value of `CERTIFICATE`.
pub(crate) fn line(entry: &Entry, now: i64) -> Vec<u8> {
    let fields = entry.certificate.fields().ok();
    let date = |of: fn(&Fields) -> i64| fields.map_or(NONE.to_owned(), |fields| of(fields).to_string());
    let mut value = format!(
        "{} {} {} {} {} {} {} {} ",
        entry.id(),
        entry.slot.as_deref().map_or("store", |slot| &slot.serial),
        entry.keygrip().map_or(NONE.to_owned(), |grip| grip.to_string()),
        kind(&entry.certificate).number(),
        hex::write(&entry.certificate.sha256()),
        date(Fields::not_before),
        date(Fields::not_after),
        flaws_of(entry, now),
    )
    .into_bytes();
    let subject = fields.map(|fields| fields.subject().to_string()).filter(|subject| !subject.is_empty());
    value.extend(fitted(&subject.unwrap_or(NONE.to_owned()), MAX_VALUE.saturating_sub(value.len())));
    value
}

/// A text as a field of at most so many octets, with a mark where it was cut.
fn fitted(text: &str, room: usize) -> Vec<u8> {
    let whole = percent_plus(text.as_bytes());
    if whole.len() <= room {
        return whole;
    }
    let mut field = Vec::new();
    for letter in text.chars() {
        let next = percent_plus(letter.encode_utf8(&mut [0; 4]).as_bytes());
        if field.len().saturating_add(next.len()).saturating_add(CUT.len()) > room {
            break;
        }
        field.extend(next);
    }
    field.extend(CUT.as_bytes());
    field
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use claviger_cards::token::Slot as CardSlot;

    use super::super::samples::{certificate, slot};
    use super::*;

    /// A time in which the samples are valid.
    const NOW: i64 = 1_900_000_000;

    fn text(entry: &Entry) -> String {
        String::from_utf8(line(entry, NOW)).unwrap()
    }

    #[test]
    fn a_line_has_nine_fields_and_the_subject_last() {
        let leaf = certificate("leaf");
        let entry = Entry { certificate: leaf.clone(), slot: None };
        let line = text(&entry);
        let fields: Vec<_> = line.split(' ').collect();
        assert_eq!(fields.len(), 9, "{line}");
        assert_eq!((fields[0], fields[1], fields[3], fields[7]), (entry.id().as_str(), "store", "100", "-"));
        assert_eq!(fields[2], leaf.fields().unwrap().keygrip().unwrap().to_string());
        assert_eq!(fields[8], leaf.fields().unwrap().subject().to_string().replace(' ', "+"));
    }

    #[test]
    fn certificates_of_authorities_have_a_number_of_their_own() {
        let kinds = ["root", "middle", "leaf"].map(|name| kind(&certificate(name)));
        assert_eq!(kinds.map(Kind::number), [102, 102, 100]);
    }

    #[test]
    fn time_and_key_are_judged() {
        let leaf = certificate("leaf");
        let (begin, end) = {
            let fields = leaf.fields().unwrap();
            (fields.not_before(), fields.not_after())
        };
        let entry = Entry { certificate: leaf.clone(), slot: None };
        for (now, flaws) in [(begin - 1, "not-yet-valid"), (begin, "-"), (end, "-"), (end + 1, "expired")] {
            assert_eq!(flaws_of(&entry, now), flaws);
        }
        let own = slot(CardSlot::Sign, leaf.fields().unwrap().keygrip(), Some(leaf.clone()));
        assert_eq!(flaws_of(&Entry { certificate: leaf.clone(), slot: Some(Arc::new(own)) }, NOW), "-");
        let other = slot(CardSlot::Sign, certificate("root").fields().unwrap().keygrip(), Some(leaf.clone()));
        let entry = Entry { certificate: leaf, slot: Some(Arc::new(other)) };
        assert_eq!(flaws_of(&entry, end + 1), "expired,other-key");
        assert_eq!(worth(&entry, NOW).split(' ').nth(2), Some("other-key"));
    }

    #[test]
    fn what_is_no_certificate_is_listed_with_what_is_known() {
        let certificate = Certificate::new(&b"hello"[..]);
        let grip = super::super::samples::certificate("leaf").fields().unwrap().keygrip();
        let place = slot(CardSlot::Decrypt, grip, Some(certificate.clone()));
        let line = text(&Entry { certificate, slot: Some(Arc::new(place)) });
        let sha256 = "2CF24DBA5FB0A30E26E83B2AC5B9E29E1B161E5C1FA7425E73043362938B9824";
        let serial = "D276000124010304FFFE123456780000";
        assert_eq!(
            line,
            format!("{serial}/OPENPGP.2 {serial} {} 0 {sha256} - - unreadable -", grip.unwrap())
        );
    }

    #[test]
    fn a_long_subject_is_cut_with_a_mark_and_never_within_a_letter() {
        for text in ["a".repeat(4096), "é".repeat(4096), "%".repeat(4096), "a%é".repeat(2000)] {
            for room in 700..710 {
                let cut = String::from_utf8(fitted(&text, room)).unwrap();
                assert!(cut.len() <= room && cut.len() > room - 6, "{} of {room}", cut.len());
                assert!(cut.ends_with(CUT) && !cut.contains("%…") && !cut.contains("%2…"));
            }
        }
        assert_eq!(fitted("abc", 3), b"abc");
    }
}
