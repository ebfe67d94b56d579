//! The command table: which commands a server has, under which names, with which help.
//!
//! The rows of the application stand behind libassuan's built-in ones; `HELP` lists them in this order. How a command is
//! carried out is the application's business, which knows it by its index in the table it gave.

/// A command of the application as a row of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandInfo {
    /// Its name, in upper case.
    pub name: &'static str,
    /// Its help text; the first line is the usage, which begins with the name. `HELP name` prints all lines. Empty if it
    /// has none.
    pub help: &'static str,
}

/// Rows that the session answers by itself wherever the application lists them, so that they appear in `HELP` in the
/// application's order: libassuan registers them on demand.
pub(crate) const ON_DEMAND: [&str; 2] = ["INPUT", "OUTPUT"];

/// The commands that every server has, in the order in which `HELP` lists them. None has a help text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BuiltIn {
    Nop,
    Cancel,
    Option,
    Bye,
    Auth,
    Reset,
    End,
    Help,
}

const BUILT_IN: [(&str, BuiltIn); 8] = [
    ("NOP", BuiltIn::Nop),
    ("CANCEL", BuiltIn::Cancel),
    ("OPTION", BuiltIn::Option),
    ("BYE", BuiltIn::Bye),
    ("AUTH", BuiltIn::Auth),
    ("RESET", BuiltIn::Reset),
    ("END", BuiltIn::End),
    ("HELP", BuiltIn::Help),
];

/// What a command word stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    BuiltIn(BuiltIn),
    /// One of [`ON_DEMAND`].
    OnDemand,
    /// The row of the application with this index.
    Row(usize),
}

/// Finds the command that `word` names, in any case.
pub(crate) fn find(table: &[CommandInfo], word: &[u8]) -> Option<Found> {
    let is_word = |name: &str| name.as_bytes().eq_ignore_ascii_case(word);
    if let Some((_, built_in)) = BUILT_IN.iter().find(|(name, _)| is_word(name)) {
        return Some(Found::BuiltIn(*built_in));
    }
    let index = table.iter().position(|row| is_word(row.name))?;
    let on_demand = ON_DEMAND.iter().any(|name| is_word(name));
    Some(if on_demand { Found::OnDemand } else { Found::Row(index) })
}

/// The lines of `HELP`: each command's usage, or its name alone where its help does not begin with it.
pub(crate) fn usages(table: &[CommandInfo]) -> impl Iterator<Item = &str> {
    BUILT_IN.iter().map(|(name, _)| *name).chain(table.iter().map(usage))
}

fn usage(row: &CommandInfo) -> &str {
    let first = row.help.lines().next().unwrap_or_default();
    let behind = first.strip_prefix(row.name);
    if behind.is_some_and(|behind| behind.is_empty() || behind.starts_with(' ')) { first } else { row.name }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: [CommandInfo; 3] = [
        CommandInfo { name: "LEARN", help: "LEARN [--force]\n\nReads the card." },
        CommandInfo { name: "INPUT", help: "" },
        CommandInfo { name: "LOCK", help: "LOCKED is something else" },
    ];

    #[test]
    fn words_match_in_any_case_and_as_a_whole() {
        assert_eq!(find(&TABLE, b"lEaRn"), Some(Found::Row(0)));
        assert_eq!(find(&TABLE, b"lock"), Some(Found::Row(2)));
        assert_eq!(find(&TABLE, b"nop"), Some(Found::BuiltIn(BuiltIn::Nop)));
        assert_eq!(find(&TABLE, b"input"), Some(Found::OnDemand));
        assert_eq!(find(&TABLE, b"OUTPUT"), None);
        assert_eq!(find(&TABLE, b"LEA"), None);
        assert_eq!(find(&TABLE, b""), None);
    }

    #[test]
    fn usages_begin_with_the_built_in_commands() {
        let usages: Vec<_> = usages(&TABLE).collect();
        assert_eq!(usages[..8], ["NOP", "CANCEL", "OPTION", "BYE", "AUTH", "RESET", "END", "HELP"]);
        assert_eq!(usages[8..], ["LEARN [--force]", "INPUT", "LOCK"]);
    }
}
