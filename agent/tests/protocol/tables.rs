//! The tables next to this file: what status lines, inquiries and errors mean. Each row is one that a command was seen to
//! send, and the other way round.

use std::fs;

use claviger_assuan::error::{Code, Error, Source};

use crate::world::repository;

/// A row of `statuses.tsv`.
pub(crate) struct Status {
    pub(crate) keyword: String,
    pub(crate) value: String,
    pub(crate) meaning: String,
}

/// A row of `inquiries.tsv`.
pub(crate) struct Inquiry {
    pub(crate) keyword: String,
    pub(crate) argument: String,
    pub(crate) limit: String,
    pub(crate) answer: String,
}

/// A row of `errors.tsv`.
pub(crate) struct Meaning {
    pub(crate) code: Code,
    pub(crate) meaning: String,
}

/// The status lines.
pub(crate) fn statuses() -> Vec<Status> {
    rows("agent/tests/protocol/statuses.tsv")
        .map(|[keyword, value, meaning]| Status { keyword, value, meaning })
        .collect()
}

/// The inquiries.
pub(crate) fn inquiries() -> Vec<Inquiry> {
    rows("agent/tests/protocol/inquiries.tsv")
        .map(|[keyword, argument, limit, answer]| Inquiry { keyword, argument, limit, answer })
        .collect()
}

/// The errors.
pub(crate) fn errors() -> Vec<Meaning> {
    rows("agent/tests/protocol/errors.tsv")
        .map(|[name, meaning]| {
            let code = Code::all().find(|code| code.name() == Some(&name));
            Meaning { code: code.unwrap_or_else(|| panic!("errors.tsv: no such code: {name}")), meaning }
        })
        .collect()
}

/// What this code is when our daemon says it.
pub(crate) fn said(code: u16) -> Error {
    Error::new(Source::Scd, Code::from_number(code))
}

/// The words of each command by the version that brought them: `WORDS.tsv` of the transcripts.
pub(crate) fn words() -> Vec<[String; 3]> {
    rows("testdata/transcripts/scdaemon/WORDS.tsv").collect()
}

/// The lines of a table with so many columns.
fn rows<const COLUMNS: usize>(file: &str) -> impl Iterator<Item = [String; COLUMNS]> {
    let text = fs::read_to_string(repository(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    let file = file.to_owned();
    lines.into_iter().map(move |line| {
        let columns: Vec<_> = line.split('\t').map(str::to_owned).collect();
        columns.try_into().unwrap_or_else(|_| panic!("{file}: no row: {line}"))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::dialogue::{self, Sent};

    /// What takes another program on the card, keys on the reader, a card that lies, or a fault: no transcript has these.
    const ELSEWHERE: [Code; 7] = [
        Code::BAD_SIGNATURE,
        Code::INTERNAL,
        Code::CANCELED,
        Code::NOT_CONFIRMED,
        Code::DUP_VALUE,
        Code::EBUSY,
        Code::EIO,
    ];

    fn seen<T: Ord + Clone>(part: impl Fn(&Sent) -> &BTreeSet<T>) -> BTreeSet<T> {
        dialogue::sent(&dialogue::all()).values().flat_map(|sent| part(sent).iter().cloned()).collect()
    }

    #[test]
    fn each_status_line_of_the_transcripts_is_explained_and_no_other() {
        let explained: BTreeSet<_> = statuses().into_iter().map(|status| status.keyword).collect();
        assert_eq!(explained, seen(|sent| &sent.statuses));
    }

    #[test]
    fn each_inquiry_of_the_transcripts_is_explained_and_no_other() {
        let explained: BTreeSet<_> = inquiries().into_iter().map(|inquiry| inquiry.keyword).collect();
        assert_eq!(explained, seen(|sent| &sent.inquiries));
    }

    #[test]
    fn each_error_of_the_transcripts_is_explained_and_no_other() {
        let explained: BTreeSet<_> = errors().iter().map(|row| row.code.number()).collect();
        let mut seen = seen(|sent| &sent.errors);
        seen.extend(ELSEWHERE.map(Code::number));
        let names =
            |codes: BTreeSet<u16>| codes.into_iter().map(|code| said(code).to_string()).collect::<Vec<_>>();
        assert_eq!(names(&seen - &explained), Vec::<String>::new(), "not explained");
        assert_eq!(names(&explained - &seen), Vec::<String>::new(), "never seen");
    }
}
