//! The tables: of commands and the error codes that GnuPG's scdaemon answers them with, and of commands and the words that
//! stand behind them. Each pair needs a transcript, and each transcript of a pair was played against the original in this
//! very run.

use std::collections::BTreeSet;
use std::fs;

use super::play::{Played, play};
use super::rehearsal::Rehearsal;
use super::script::{Side, Transcript};
use super::theatre::transcripts;

/// A row of `COVERAGE.tsv`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// The command, in upper case.
    pub(crate) command: String,
    /// The code without its source.
    pub(crate) code: u32,
    /// GnuPG's text for it.
    pub(crate) name: String,
    /// Where the reference says so.
    pub(crate) section: String,
}

impl Row {
    /// The row as transcripts show it.
    pub(crate) fn pair(&self) -> (String, u32) {
        (self.command.clone(), self.code)
    }
}

/// A row of `WORDS.tsv`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    /// The command, in upper case.
    pub(crate) command: String,
    /// An option, or the name of what is asked for or set; empty for the command alone.
    pub(crate) word: String,
    /// Who has it.
    pub(crate) since: Since,
}

/// Who has a command or one of its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// GnuPG 2.2.40, and all later ones.
    Stock,
    /// GnuPG 2.3 or 2.4, and later ones.
    Newer,
    /// GnuPG 2.5, as its source says.
    SourceOnly,
    /// claviger alone.
    Ours,
}

impl Word {
    /// The row as transcripts show it.
    pub(crate) fn pair(&self) -> (String, String) {
        (self.command.clone(), self.word.clone())
    }

    /// Whether the original on this side has it, so that it can confirm what is said of it.
    pub(crate) fn is_known_to(&self, original: Side) -> bool {
        match self.since {
            Since::Stock => true,
            Since::Newer => original == Side::Newer,
            Since::SourceOnly | Since::Ours => false,
        }
    }
}

/// Reads the table of words.
pub(crate) fn words() -> Vec<Word> {
    let text = fs::read_to_string(transcripts().join("scdaemon/WORDS.tsv")).expect("the table is there");
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    rows.flat_map(|line| words_of(line).unwrap_or_else(|| panic!("no row: {line}"))).collect()
}

/// A line has the words of one command that came with one version.
fn words_of(line: &str) -> Option<Vec<Word>> {
    let [command, since, words] = line.split('\t').collect::<Vec<_>>().try_into().ok()?;
    let since = match since {
        "2.2" => Since::Stock,
        "2.3" => Since::Newer,
        "2.5" => Since::SourceOnly,
        "ours" => Since::Ours,
        _ => return None,
    };
    let word = |word: &str| Word {
        command: command.into(),
        word: if word == "-" { String::new() } else { word.into() },
        since,
    };
    Some(words.split(' ').map(word).collect())
}

/// The words that transcripts hold for us, found by rehearsing them.
pub(crate) fn said(library: &[Transcript]) -> BTreeSet<(String, String)> {
    rehearsed(library, Side::Ours).flat_map(|played| played.words).collect()
}

/// Reads the table; for a newer GnuPG, with what it has besides.
pub(crate) fn table(original: Side) -> Vec<Row> {
    let mut rows = rows("scdaemon/COVERAGE.tsv");
    if original == Side::Newer {
        rows.extend(self::rows("scdaemon/COVERAGE-2.4.tsv"));
    }
    rows
}

/// What ours answers to what is its own; no original can confirm it.
pub(crate) fn own() -> Vec<Row> {
    rows("scdaemon/COVERAGE-OURS.tsv")
}

fn rows(file: &str) -> Vec<Row> {
    let text = fs::read_to_string(transcripts().join(file)).expect("the table is there");
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    rows.map(|line| row(line).unwrap_or_else(|| panic!("no row: {line}"))).collect()
}

fn row(line: &str) -> Option<Row> {
    let [command, code, name, section] = line.split('\t').collect::<Vec<_>>().try_into().ok()?;
    Some(Row {
        command: command.into(),
        code: code.parse().ok()?,
        name: name.into(),
        section: section.into(),
    })
}

/// The pairs that transcripts hold for one side, found by rehearsing them.
pub(crate) fn pairs(library: &[Transcript], side: Side) -> BTreeSet<(String, u32)> {
    rehearsed(library, side).flat_map(|played| played.pairs).collect()
}

fn rehearsed(library: &[Transcript], side: Side) -> impl Iterator<Item = Played> {
    let rehearse = move |transcript| {
        let played = play(transcript, &mut Rehearsal::new(transcript, side));
        played.unwrap_or_else(|failure| panic!("a transcript contradicts itself: {failure}"))
    };
    library.iter().filter(move |transcript| transcript.scene.concerns(side)).map(rehearse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_each_pair_once() {
        let rows = table(Side::Newer);
        let pairs: BTreeSet<_> = rows.iter().map(Row::pair).collect();
        assert_eq!(pairs.len(), rows.len());
    }

    #[test]
    fn the_table_of_our_own_names_each_once() {
        let rows = own();
        let pairs: BTreeSet<_> = rows.iter().map(Row::pair).collect();
        assert_eq!(pairs.len(), rows.len());
    }

    #[test]
    fn the_table_of_words_names_each_once() {
        let rows = words();
        let pairs: BTreeSet<_> = rows.iter().map(Word::pair).collect();
        assert_eq!(pairs.len(), rows.len());
    }

    #[test]
    fn a_newer_word_is_not_expected_of_an_older_original() {
        let [word] = words_of("GENKEY\t2.3\t--algo").unwrap().try_into().unwrap();
        assert!(word.is_known_to(Side::Newer) && !word.is_known_to(Side::Stock));
        let [word] = words_of("WAIT\tours\t-").unwrap().try_into().unwrap();
        assert!(!word.is_known_to(Side::Newer) && word.pair() == ("WAIT".to_owned(), String::new()));
        assert_eq!(words_of("GENKEY\t2.7\t--algo"), None);
    }

    #[test]
    fn the_table_has_the_texts_of_the_codes() {
        let mut names = std::collections::BTreeMap::new();
        for row in table(Side::Newer).into_iter().chain(own()) {
            let name = names.entry(row.code).or_insert_with(|| row.name.clone());
            assert_eq!(*name, row.name, "code {}", row.code);
        }
    }
}
