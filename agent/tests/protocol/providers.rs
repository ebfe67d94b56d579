//! `docs/claviger.toml.md`: the text in `chapters/claviger_toml.md` with the tables of keys, which the program reads the file by.

use std::fs;

use claviger::providers::reference::{KeyText, openpgp_keys, provider, top};

use crate::world::repository;

const TEXT: &str = "agent/tests/protocol/chapters/claviger_toml.md";

/// The document.
pub(crate) fn page() -> String {
    let text = fs::read_to_string(repository(TEXT)).unwrap_or_else(|error| panic!("{TEXT}: {error}"));
    text.replace("{TOP}", &table(top()))
        .replace("{PROVIDER}", &table(provider()))
        .replace("{OPENPGP_KEYS}", &table(openpgp_keys()))
}

fn table(keys: impl Iterator<Item = KeyText>) -> String {
    let rows = keys.map(|key| format!("| `{}` | {} | {} |\n", key.name, key.takes, key.help));
    format!("| key | takes | |\n|---|---|---|\n{}", rows.collect::<String>())
}

#[cfg(test)]
mod tests {
    use claviger::providers::reference::complaints;

    use super::*;

    /// The example in the document.
    fn example() -> String {
        let page = page();
        let (_, behind) = page.split_once("```toml\n").unwrap();
        behind.split_once("```").unwrap().0.to_owned()
    }

    #[test]
    fn the_example_is_right_and_shows_every_key() {
        let example = example();
        assert_eq!(complaints(&example), Vec::<String>::new());
        let words: Vec<_> = example.lines().filter_map(|line| Some(line.split_once('=')?.0.trim())).collect();
        for key in top().chain(provider()).chain(openpgp_keys()) {
            assert!(words.contains(&key.name), "{} is not in the example", key.name);
        }
    }

    #[test]
    fn every_key_of_the_example_that_is_misspelled_is_noticed() {
        for key in top().chain(provider()).chain(openpgp_keys()) {
            // A blank line in front, so that every key stands behind the end of a line.
            let example = format!("\n{}", example());
            let wrong = example.replacen(&format!("\n{} = ", key.name), &format!("\n{}x = ", key.name), 1);
            let meant = format!("unknown key \"{0}x\"; did you mean \"{0}\"?", key.name);
            let said = complaints(&wrong);
            assert!(said.iter().any(|line| line.ends_with(&meant)), "{}: {said:?}", key.name);
        }
    }
}
