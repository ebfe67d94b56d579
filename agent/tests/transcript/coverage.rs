//! The table of commands and the error codes that GnuPG's scdaemon answers them with. Each pair needs a transcript, and
//! each transcript of a pair was played against the original in this very run.

use std::collections::BTreeSet;
use std::fs;

use super::play::play;
use super::rehearsal::Rehearsal;
use super::script::{Action, Side, Transcript};
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

/// Reads the table; for a newer GnuPG, with what it has besides.
pub(crate) fn table(original: Side) -> Vec<Row> {
    let mut rows = rows("scdaemon/COVERAGE.tsv");
    if original == Side::Newer {
        rows.extend(self::rows("scdaemon/COVERAGE-2.4.tsv"));
    }
    rows
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
    let rehearse = |transcript| {
        let played = play(transcript, &mut Rehearsal::new(transcript, side));
        played.unwrap_or_else(|failure| panic!("a transcript contradicts itself: {failure}")).pairs
    };
    library.iter().filter(|transcript| transcript.scene.concerns(side)).flat_map(rehearse).collect()
}

/// What only GnuPG 2.5 has: commands with a word of their line, from `COVERAGE-2.5.tsv`.
pub(crate) fn newest() -> Vec<(String, String)> {
    let text =
        fs::read_to_string(transcripts().join("scdaemon/COVERAGE-2.5.tsv")).expect("the table is there");
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    rows.map(|line| {
        let mut columns = line.split('\t').map(str::to_owned);
        columns.next().zip(columns.next()).unwrap_or_else(|| panic!("no row: {line}"))
    })
    .collect()
}

/// Lines of clients to which ours says what 2.5 says, as far as its source tells.
pub(crate) fn said_as_by_the_newest(library: &[Transcript]) -> Vec<String> {
    let steps = library.iter().flat_map(|transcript| transcript.steps.windows(2));
    let said = steps.filter_map(|pair| match [&pair[0].action, &pair[1].action] {
        [Action::Send { text, .. }, Action::Difference { newest: true, .. }] => {
            Some(text.shown(&Default::default()))
        }
        _ => None,
    });
    said.collect()
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
    fn the_table_has_the_texts_of_the_codes() {
        let mut names = std::collections::BTreeMap::new();
        for row in table(Side::Newer) {
            let name = names.entry(row.code).or_insert_with(|| row.name.clone());
            assert_eq!(*name, row.name, "code {}", row.code);
        }
    }
}
