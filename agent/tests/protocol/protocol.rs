//! The whole of `docs/protocol.md`: chapters, commands, tables.

use std::fmt::Write as _;
use std::fs;

use claviger::scdaemon::reference::{commands, options};

use crate::command::Sources;
use crate::dialogue;
use crate::tables::{errors, inquiries, said, statuses};
use crate::world::repository;

/// The chapters before the commands, in order; files of `chapters/`.
const CHAPTERS: [&str; 7] = ["wire", "sessions", "references", "tokens", "pins", "keys", "extensions"];

/// The document.
pub(crate) fn page() -> String {
    let mut page = chapter("beginning");
    for name in CHAPTERS {
        page += &chapter(name);
    }
    page += &chapter("built-in");
    let sources = Sources::new(dialogue::all());
    page += "## Commands\n\nIn the order of `HELP`, whose texts these are.\n\n";
    for command in commands() {
        page += &sources.section(&command);
        page += "\n";
    }
    page += &(status_table() + &inquiry_table() + &error_table());
    page + "\n" + &chapter("program") + &option_table()
}

/// A chapter with a blank line behind it.
fn chapter(name: &str) -> String {
    let path = format!("agent/tests/protocol/chapters/{name}.md");
    let text = fs::read_to_string(repository(&path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    with_errors(text.trim_end()) + "\n\n"
}

/// The text with the number put before each `{NAME}` of an error.
fn with_errors(text: &str) -> String {
    let rows = errors();
    rows.iter().fold(text.to_owned(), |text, row| {
        let name = row.code.name().unwrap_or_default();
        text.replace(&format!("{{{name}}}"), &format!("{} `{name}`", row.code.number()))
    })
}

fn status_table() -> String {
    let mut table =
        "## Status lines\n\n`S KEYWORD value`; in the order in which LEARN sends them, then the others. \
                     \"Escaped\" is percent-plus: `+` is a blank, `%XX` an octet.\n\n\
                     | keyword | value | meaning |\n|---|---|---|\n"
            .to_owned();
    for row in statuses() {
        let _ = writeln!(table, "| `{}` | {} | {} |", row.keyword, row.value, row.meaning);
    }
    table + "\n"
}

fn inquiry_table() -> String {
    let mut table = "## Inquiries\n\nThe limit is the longest answer in octets, all `D` lines together.\n\n\
                     | keyword | argument | limit | answer |\n|---|---|---|---|\n"
        .to_owned();
    for row in inquiries() {
        let _ = writeln!(table, "| `{}` | {} | {} | {} |", row.keyword, row.argument, row.limit, row.answer);
    }
    table + "\n"
}

fn error_table() -> String {
    let mut table =
        "## Errors\n\nThe number on the wire is 100663296 (source 6, SCD, times 2^24) and the code.\n\n\
                     | code | on the wire | name | meaning |\n|---|---|---|---|\n"
            .to_owned();
    let mut rows = errors();
    rows.sort_by_key(|row| row.code.number());
    for row in rows {
        let code = row.code.number();
        let name = row.code.name().unwrap_or_default();
        let _ = writeln!(table, "| {code} | {} | `{name}` | {} |", said(code).number(), row.meaning);
    }
    table
}

fn option_table() -> String {
    let mut table = "| option | meaning |\n|---|---|\n".to_owned();
    for option in options() {
        let value = option.value.map(|value| format!(" {value}")).unwrap_or_default();
        let _ = writeln!(table, "| `{}{value}` | {} |", option.name, option.help);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::words;

    #[test]
    fn each_command_has_an_example() {
        let sources = Sources::new(dialogue::all());
        let without: Vec<_> = commands().filter(|command| sources.example(command.name).is_none()).collect();
        assert!(without.is_empty(), "{without:#?}");
    }

    #[test]
    fn each_built_in_command_is_described() {
        let text = chapter("built-in");
        let is_described = |name: &str| text.lines().any(|line| line.starts_with(&format!("| `{name}")));
        for [name, ..] in words() {
            assert!(commands().any(|command| command.name == name) || is_described(&name), "{name}");
        }
    }

    #[test]
    fn no_error_is_named_in_vain() {
        let page = page();
        let names = page.split('{').skip(1).filter_map(|rest| rest.split('}').next());
        let unknown: Vec<_> =
            names.filter(|name| name.starts_with(|letter: char| letter.is_ascii_uppercase())).collect();
        assert_eq!(unknown, Vec::<&str>::new());
    }

    #[test]
    fn each_command_says_since_when_it_is_there() {
        for command in commands() {
            assert!(
                words().iter().any(|[name, ..]| name == command.name),
                "WORDS.tsv lacks {}",
                command.name
            );
        }
    }

    #[test]
    fn links_lead_to_headings() {
        let page = page();
        let anchor = |title: &str| {
            let kept = title.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
            kept.collect::<String>().to_lowercase().replace(' ', "-")
        };
        let titles = page.lines().filter(|line| line.starts_with('#'));
        let anchors: Vec<_> = titles.map(|line| anchor(line.trim_start_matches('#').trim())).collect();
        for link in page.split("](#").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(anchors.iter().any(|anchor| anchor == link), "#{link} leads nowhere");
        }
    }

    #[test]
    fn a_line_of_a_table_has_its_columns() {
        let columns = |line: &str| line.replace("\\|", "").matches('|').count();
        let table = status_table();
        let rows = table.lines().filter(|line| line.starts_with('|'));
        assert!(rows.clone().count() > 40);
        assert_eq!(rows.filter(|line| columns(line) != 4).collect::<Vec<_>>(), Vec::<&str>::new());
    }
}
