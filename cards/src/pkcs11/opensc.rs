//! An `opensc.conf` with readers that OpenSC is to leave alone: opensc.conf(5), `ignored_readers`.
//!
//! OpenSC's module looks at every card when it is loaded, and would fight us for those that we serve ourselves. What somebody
//! has configured stays. OpenSC takes the first `app default` block only, and puts together lists of one name in one block;
//! so ours goes to the beginning of that block, and a block of our own is added only where there is none.

/// The configuration `existing`, with these readers ignored beside those that it ignores already. OpenSC ignores a reader if
/// what is listed is part of its name.
#[must_use]
pub fn opensc_conf(existing: &str, ignored_readers: &[String]) -> String {
    let quoted: Vec<_> = ignored_readers.iter().filter_map(|name| quoted(name)).collect();
    if quoted.is_empty() {
        return existing.to_owned();
    }
    let setting = format!("\n\tignored_readers = {};\n", quoted.join(", "));
    match existing.split_at_checked(default_block(existing).unwrap_or(usize::MAX)) {
        Some((before, behind)) => format!("{before}{setting}{behind}"),
        None => format!("{existing}\napp default {{{setting}}}\n"),
    }
}

/// The octets of a slot's description in PKCS#11; a longer name is cut, and blanks at its end are lost.
const DESCRIPTION: usize = 64;

/// Whether a slot with this description is in this reader: the reader's name is what such modules describe it by.
pub(super) fn is_in_reader(description: &str, reader: &str) -> bool {
    let cut = reader.get(..DESCRIPTION).unwrap_or(reader).trim_end();
    !cut.is_empty() && description.starts_with(cut)
}

/// A reader's name as OpenSC's configuration has texts. There is no escape: of a name with a quotation mark the longest part
/// has to do.
fn quoted(name: &str) -> Option<String> {
    let parts = name.split(|c: char| c == '"' || c.is_control()).filter(|part| !part.trim().is_empty());
    parts.max_by_key(|part| part.len()).map(|part| format!("\"{part}\""))
}

/// Where the contents of the first `app default` block begin.
fn default_block(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut words: Vec<&str> = Vec::new();
    for (token, end) in Tokens::of(text) {
        match token {
            "{" if depth == 0 && is_default(&words) => return Some(end),
            "{" => depth = depth.saturating_add(1),
            "}" => depth = depth.saturating_sub(1),
            "," => continue,
            ";" => {}
            word => {
                words.push(word);
                continue;
            }
        }
        words.clear();
    }
    None
}

/// Whether these words head a block for all programs: what it is, and the first of its names.
fn is_default(words: &[&str]) -> bool {
    let bare = |word: &&str| word.trim_matches('"').to_ascii_lowercase();
    words.iter().take(2).map(bare).eq(["app", "default"])
}

/// Words, texts and punctuation of OpenSC's format, each with where it ends. A `#` begins a comment only where a word could begin.
struct Tokens<'t> {
    text: &'t str,
    rest: &'t str,
}

impl<'t> Tokens<'t> {
    fn of(text: &'t str) -> Self {
        Self { text, rest: text }
    }

    /// Takes what `length` octets of the rest are.
    fn take(&mut self, length: usize) -> &'t str {
        let (token, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.rest = rest;
        token
    }
}

impl<'t> Iterator for Tokens<'t> {
    type Item = (&'t str, usize);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
            let first = self.rest.chars().next()?;
            let until = |ends: &[char]| self.rest.char_indices().skip(1).find(|(_, c)| ends.contains(c));
            let length = match first {
                '#' => until(&['\r', '\n']).map(|(at, _)| at),
                ',' | '{' | '}' | '=' | ';' => Some(1),
                '"' => until(&['"', '\r', '\n']).map(|(at, _)| at.saturating_add(1)),
                _ => until(&[';', ',', ' ', '\t', '\r', '\n']).map(|(at, _)| at),
            };
            let token = self.take(length.unwrap_or(self.rest.len()));
            if first != '#' {
                return Some((token, self.text.len().saturating_sub(self.rest.len())));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_one(existing: &str) -> String {
        opensc_conf(existing, &["R 00 00".to_owned()])
    }

    #[test]
    fn without_a_block_for_all_programs_one_is_added() {
        let ours = "\napp default {\n\tignored_readers = \"R 00 00\";\n}\n";
        for existing in [
            "",
            "app opensc-pkcs11 {\n}\n",
            "# app default {",
            "app \"x\" { app default { } }",
            "app other default {\n}",
            "app default; {",
        ] {
            assert_eq!(with_one(existing), format!("{existing}{ours}"), "{existing}");
        }
    }

    #[test]
    fn the_first_block_for_all_programs_gets_the_list() {
        for (before, behind) in [
            ("app default {", "\n\tdebug = 3;\n}\napp default { }\n"),
            ("# }\napp x { a = \"{\"; framework pkcs15 { } }\nAPP \"Default\" {", "}"),
            ("app default # {\n {", " ignored_readers = \"x\"; }"),
            ("app, default, more {", "}"),
        ] {
            let expected = format!("{before}\n\tignored_readers = \"R 00 00\";\n{behind}");
            assert_eq!(with_one(&format!("{before}{behind}")), expected);
        }
    }

    #[test]
    fn readers_are_texts_and_odd_names_end_none() {
        let names = ["A 00", "B \"{xy}\" 01", "\"", ""].map(str::to_owned);
        assert_eq!(
            opensc_conf("app default {}", &names),
            "app default {\n\tignored_readers = \"A 00\", \"{xy}\";\n}"
        );
        assert_eq!(opensc_conf("as it was", &[]), "as it was");
        assert_eq!(opensc_conf("as it was", &["\"".to_owned()]), "as it was");
    }

    #[test]
    fn a_slot_is_known_by_its_reader_s_name_even_if_that_is_cut() {
        let long = format!("{} 00 00", "A reader with a name".repeat(4));
        assert!(
            is_in_reader("Reader 00 00", "Reader 00 00")
                && is_in_reader("Reader 00 00 (PIN)", "Reader 00 00")
        );
        assert!(
            is_in_reader(&long[..64], &long) && is_in_reader(&long[..63], &format!("{} {long}", &long[..63]))
        );
        assert!(!is_in_reader("Reader 00 01", "Reader 00 00") && !is_in_reader("Reader", ""));
    }

    #[test]
    fn what_is_broken_is_left_to_opensc() {
        for existing in ["app default", "\"", "app default {", "}}}{{{", "ä\"ö#ü"] {
            assert!(with_one(existing).contains("ignored_readers"), "{existing}");
        }
    }
}
