//! Reads `claviger.toml`: TOML 1.1, by the table of keys in [`super::schema`]. All that is wrong is told at once.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::remark::{Complaint, Problem};
use super::schema::{Draft, Key, OPENPGP_KEYS, OpenPgpKeys, PROVIDER, TABLES, TOP, Top};
use super::value::{self, Value, Wrong};
use crate::nearest::nearest;
use crate::text_file;

/// The most providers that a file can name.
const MAX_PROVIDERS: usize = 64;

/// What a file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct File {
    /// Where it is.
    pub(super) path: PathBuf,
    /// What stands above all tables.
    pub(super) top: Top,
    /// Its providers, each with a name of its own; those that are enabled have a module.
    pub(super) providers: Vec<Draft>,
    /// Keys for GnuPG's purposes.
    pub(super) openpgp_keys: OpenPgpKeys,
}

/// Reads a file; one that is missing says nothing, unless it `has_to_be` there.
///
/// # Errors
/// Everything that is wrong with it.
pub(super) fn read(path: &Path, has_to_be: bool) -> Result<File, Vec<Complaint>> {
    let text = if has_to_be { text_file::read(path).map(Some) } else { text_file::read_if_there(path) };
    match text {
        Ok(text) => parse(path, &text.unwrap_or_default()),
        Err(error) => Err(vec![Complaint::of_file(path, Problem::Unreadable(error.to_string()))]),
    }
}

/// Reads the text of a file.
///
/// # Errors
/// Everything that is wrong with it.
pub(super) fn parse(path: &Path, text: &str) -> Result<File, Vec<Complaint>> {
    let mut reader = Reader { path, text, complaints: Vec::new() };
    let mut file = File { path: path.to_owned(), ..File::default() };
    match DeTable::parse(text) {
        Ok(table) => reader.top(table.get_ref(), &mut file),
        Err(error) => reader.syntax(&error),
    }
    reader.complaints.sort_by_key(|complaint| complaint.line);
    if reader.complaints.is_empty() { Ok(file) } else { Err(reader.complaints) }
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    complaints: Vec<Complaint>,
}

/// What may stand in a table.
struct Known<T: 'static> {
    keys: &'static [Key<T>],
    /// Names of tables within it.
    tables: &'static [&'static str],
}

impl<T> Known<T> {
    fn keys(keys: &'static [Key<T>]) -> Self {
        Self { keys, tables: &[] }
    }
}

impl Reader<'_> {
    fn top(&mut self, table: &DeTable<'_>, file: &mut File) {
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "provider" => self.providers(value, &mut file.providers),
                "openpgp-keys" => match value.get_ref() {
                    DeValue::Table(table) => {
                        self.table(table, &Known::keys(OPENPGP_KEYS), &mut file.openpgp_keys);
                    }
                    _ => self.wrong("openpgp-keys", "a table", value::wrong(value)),
                },
                _ => self.key(key, value, &Known { keys: TOP, tables: &TABLES }, &mut file.top),
            }
        }
    }

    fn providers(&mut self, value: &Value<'_>, providers: &mut Vec<Draft>) {
        let expected = "tables: it is written [[provider]]";
        let DeValue::Array(tables) = value.get_ref() else {
            return self.wrong("provider", expected, value::wrong(value));
        };
        if tables.len() > MAX_PROVIDERS {
            return self.complain(value.span(), Problem::TooMany(MAX_PROVIDERS));
        }
        for value in tables {
            let DeValue::Table(table) = value.get_ref() else {
                self.wrong("provider", expected, value::wrong(value));
                continue;
            };
            let mut draft = Draft::default();
            self.table(table, &Known::keys(PROVIDER), &mut draft);
            self.check(&draft, table, value.span(), providers);
            providers.push(draft);
        }
    }

    /// Complains about what is missing in a provider, and about a name that is there already.
    fn check(&mut self, draft: &Draft, table: &DeTable<'_>, at: Range<usize>, others: &[Draft]) {
        let name = &draft.config.name;
        for needed in ["name", "module"] {
            let needless = needed == "module" && !draft.enabled;
            if !needless && !table.contains_key(needed) {
                self.complain(at.clone(), Problem::Missing(needed));
            }
        }
        if !name.is_empty() && others.iter().any(|other| other.config.name == *name) {
            let at = table.get("name").map_or(at, |value| value.span());
            self.complain(at, Problem::NameTwice(name.clone()));
        }
    }

    fn table<T>(&mut self, table: &DeTable<'_>, known: &Known<T>, into: &mut T) {
        for (key, value) in table {
            self.key(key, value, known, into);
        }
    }

    fn key<T>(&mut self, key: &Spanned<DeString<'_>>, value: &Value<'_>, known: &Known<T>, into: &mut T) {
        let name = key.get_ref().as_ref();
        let Some(row) = known.keys.iter().find(|row| row.name == name) else {
            let names: Vec<_> =
                known.keys.iter().map(|row| row.name).chain(known.tables.iter().copied()).collect();
            let problem = Problem::UnknownKey { key: name.to_owned(), nearest: nearest(name, &names) };
            return self.complain(key.span(), problem);
        };
        if let Err(wrong) = (row.read)(into, value) {
            self.wrong(row.name, row.takes, wrong);
        }
    }

    fn wrong(&mut self, key: &str, expected: &'static str, wrong: Wrong) {
        let problem = Problem::Value { key: key.to_owned(), expected, found: wrong.found };
        self.complain(wrong.at, problem);
    }

    fn syntax(&mut self, error: &toml::de::Error) {
        let problem = Problem::Syntax(error.message().replace('\n', ", "));
        self.complain(error.span().unwrap_or_default(), problem);
    }

    fn complain(&mut self, at: Range<usize>, problem: Problem) {
        let before = self.text.get(..at.start).unwrap_or(self.text);
        let line = before.matches('\n').count().saturating_add(1);
        self.complaints.push(Complaint::of_line(self.path, line, problem));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use claviger_cards::pkcs11::LoginMode;

    use super::*;

    fn read(text: &str) -> Result<File, Vec<String>> {
        let words = |complaints: Vec<Complaint>| complaints.iter().map(ToString::to_string).collect();
        parse(Path::new("F"), text).map_err(words)
    }

    #[test]
    fn a_provider_has_what_is_written_and_else_what_is_usual() {
        let text = "[[provider]]\nname = \"a\"\nmodule = \"a.so\"\n\n[[provider]]\nname = \"b\"\nmodule = \"/b.so\"\n\
                    tokens = [\"pkcs11:token=t\"]\noperation = \"1m\"\nlogin = \"always\"\nthreads = 2\n\
                    environment.SOFTHSM2_CONF = \"/c\"\n";
        let file = read(text).unwrap();
        let [a, b] = &file.providers[..] else { panic!("{file:?}") };
        assert_eq!(a.config, claviger_cards::pkcs11::ProviderConfig::new("a", ""));
        assert_eq!(a.module.as_deref(), Some(Path::new("a.so")));
        assert_eq!(b.config.tokens, ["pkcs11:token=t".parse().unwrap()]);
        assert_eq!(b.config.limits.operation, Duration::from_secs(60));
        assert_eq!((b.config.login, b.config.threads), (LoginMode::Always, Some(2)));
        assert_eq!(b.config.environment, [("SOFTHSM2_CONF".into(), Some("/c".into()))]);
    }

    #[test]
    fn everything_that_is_wrong_is_told_with_its_line() {
        let text = "p11kit = true\nexclude = \"a\"\nproviders = []\n\n[[provider]]\nmodul = \"x\"\nname = \"a b\"\n\
                    slots = [1,\n  -2]\n\n[[provider]]\nname = \"c\"\nmodule = \"c\"\n[[provider]]\nmodule = \"d\"\n\
                    name = \"c\"\n[openpgp-keys]\nsign = \"12\"\nsgin = \"\"\n";
        assert_eq!(
            read(text).unwrap_err(),
            [
                "F:1: unknown key \"p11kit\"; did you mean \"p11-kit\"?",
                "F:2: \"exclude\" takes a list of names, not \"a\"",
                "F:3: unknown key \"providers\"; did you mean \"provider\"?",
                "F:5: the provider has no \"module\"",
                "F:6: unknown key \"modul\"; did you mean \"module\"?",
                "F:7: \"name\" takes letters, digits, dots, dashes and underscores (64 at most), not \"a b\"",
                "F:9: \"slots\" takes a list of numbers, not -2",
                "F:16: there is a provider \"c\" already",
                "F:18: \"sign\" takes a keygrip (40 hexadecimal digits), not \"12\"",
                "F:19: unknown key \"sgin\"; did you mean \"sign\"?",
            ]
        );
    }

    #[test]
    fn what_is_no_toml_is_told_with_its_line() {
        let complaints = read("p11-kit = true\n[[provider\n").unwrap_err();
        assert_eq!(complaints.len(), 1);
        assert!(complaints[0].starts_with("F:2: "), "{complaints:?}");
        assert_eq!(read("[provider]\n").unwrap_err().len(), 1);
        assert_eq!(
            read("provider = [1]\n").unwrap_err(),
            ["F:1: \"provider\" takes tables: it is written [[provider]], not 1"]
        );
    }

    #[test]
    fn a_provider_that_is_switched_off_needs_no_module() {
        let file = read("[[provider]]\nname = \"a\"\nenabled = false\n").unwrap();
        assert!(!file.providers[0].enabled);
    }

    #[test]
    fn more_providers_than_anybody_has_are_too_many() {
        let one = |n: usize| format!("[[provider]]\nname = \"n{n}\"\nmodule = \"m\"\n");
        let text: String = (0..MAX_PROVIDERS).map(one).collect();
        assert!(read(&text).is_ok());
        assert_eq!(read(&(text + &one(MAX_PROVIDERS))).unwrap_err().len(), 1);
    }

    #[test]
    fn a_file_that_was_named_has_to_be_there() {
        let missing = Path::new("/nonexistent/claviger.toml");
        assert_eq!(super::read(missing, false).unwrap().providers, []);
        assert!(super::read(missing, true).is_err());
    }
}
