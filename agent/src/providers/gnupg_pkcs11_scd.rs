//! `gnupg-pkcs11-scd.conf`, so that its users change one line and go on: gnupg-pkcs11-scd(1), "Configuration", as its version
//! 0.10 reads it.
//!
//! Each of its options is here: it is honoured, or a note says why it is not needed any more.

use std::path::{Path, PathBuf};

use claviger_keys::Keygrip;

use super::remark::{Complaint, Note, Problem};
use super::schema::{Draft, OpenPgpKeys};
use crate::nearest::nearest;
use crate::text_file;

/// The most providers that the file can name, as there.
const MAX_PROVIDERS: usize = 20;

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct Conf {
    /// Providers that have a library.
    pub(super) providers: Vec<Draft>,
    /// Keys for GnuPG's purposes.
    pub(super) openpgp_keys: OpenPgpKeys,
    /// What concerns the daemon as a whole.
    pub(super) habits: Habits,
    /// What is wrong.
    pub(super) complaints: Vec<Complaint>,
    /// What does nothing here.
    pub(super) notes: Vec<Note>,
}

/// Options that have a fellow in `scdaemon.conf`, which goes before them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Habits {
    /// `log-file`.
    pub(crate) log_file: Option<PathBuf>,
    /// `verbose` and `debug-all`.
    pub(crate) verbose: u8,
    /// `pin-cache`, in seconds.
    pub(crate) pin_cache: Option<u64>,
}

/// An option.
struct Row {
    name: &'static str,
    /// What follows it; `None` if nothing does.
    takes: Option<&'static str>,
    does: Does,
}

enum Does {
    /// It is honoured; `None` if the value is wrong.
    Note(fn(&mut Conf, &str) -> Option<()>),
    /// It is not needed, and why.
    Nothing(&'static str),
}

static OPTIONS: &[Row] = &[
    Row { name: "providers", takes: Some("names, separated by commas"), does: Does::Note(note_providers) },
    Row {
        name: "log-file",
        takes: Some("a file"),
        does: Does::Note(|conf, value| {
            conf.habits.log_file = Some(value.into());
            Some(())
        }),
    },
    Row {
        name: "verbose",
        takes: None,
        does: Does::Note(|conf, _| {
            conf.habits.verbose = conf.habits.verbose.max(1);
            Some(())
        }),
    },
    Row {
        name: "debug-all",
        takes: None,
        does: Does::Note(|conf, _| {
            conf.habits.verbose = 2;
            Some(())
        }),
    },
    Row {
        name: "pin-cache",
        takes: Some("a number of seconds"),
        does: Does::Note(|conf, value| {
            // -1 is for ever there.
            let seconds: i64 = value.parse().ok()?;
            conf.habits.pin_cache = Some(u64::try_from(seconds).unwrap_or(u64::MAX));
            Some(())
        }),
    },
    Row {
        name: "use-gnupg-pin-cache",
        takes: None,
        does: Does::Nothing("PINs are kept here, and in the agent as far as it keeps them (pin-cache-ttl)"),
    },
    Row {
        name: "emulate-openpgp",
        takes: None,
        does: Does::Nothing("GnuPG takes the keys of a token as they are"),
    },
    Row {
        name: "openpgp-sign",
        takes: Some(KEYGRIP),
        does: Does::Note(|conf, value| note_key(&mut conf.openpgp_keys.sign, value)),
    },
    Row {
        name: "openpgp-encr",
        takes: Some(KEYGRIP),
        does: Does::Note(|conf, value| note_key(&mut conf.openpgp_keys.encrypt, value)),
    },
    Row {
        name: "openpgp-auth",
        takes: Some(KEYGRIP),
        does: Does::Note(|conf, value| note_key(&mut conf.openpgp_keys.authenticate, value)),
    },
];

const KEYGRIP: &str = "a keygrip (40 hexadecimal digits)";

/// What a provider can have: the words behind `provider-NAME-`. The library is in [`Reader::attribute`].
static ATTRIBUTES: &[(&str, Option<&str>)] = &[
    ("library", None),
    ("allow-protected-auth", Some("a PIN is typed at the token where the token says so")),
    ("cert-private", Some("what a token shows only after a login is seen after it")),
    ("private-mask", Some("how a key can be used is found out from the token")),
];

/// The names of the providers in a file's text, as many as have a library.
#[must_use]
pub fn provider_names(text: &str) -> Vec<String> {
    parse(Path::new(""), text).providers.into_iter().map(|draft| draft.config.name).collect()
}

/// Reads a file.
pub(super) fn read(path: &Path) -> Conf {
    match text_file::read(path) {
        Ok(text) => parse(path, &text),
        Err(error) => {
            let complaint = Complaint::of_file(path, Problem::Unreadable(error.to_string()));
            Conf { complaints: vec![complaint], ..Conf::default() }
        }
    }
}

fn parse(path: &Path, text: &str) -> Conf {
    let mut reader = Reader { path, line: 0, conf: Conf::default() };
    for (number, line) in text.lines().enumerate() {
        reader.line = number.saturating_add(1);
        let line = line.split_once('#').map_or(line, |(before, _)| before).trim();
        if !line.is_empty() {
            reader.option(line);
        }
    }
    // One without a library is none there either.
    reader.conf.providers.retain(|draft| draft.module.is_some());
    reader.conf
}

struct Reader<'a> {
    path: &'a Path,
    line: usize,
    conf: Conf,
}

impl Reader<'_> {
    fn option(&mut self, line: &str) {
        let (name, value) = split(line);
        if let Some(rest) = line.strip_prefix("provider-") {
            return self.attribute(rest);
        }
        let Some(row) = OPTIONS.iter().find(|row| row.name == name) else {
            let known: Vec<_> = OPTIONS.iter().map(|row| row.name).collect();
            return self.unknown(name, &known);
        };
        let done = match &row.does {
            Does::Note(note) if row.takes.is_some() != value.is_empty() => note(&mut self.conf, value),
            Does::Note(_) => None,
            Does::Nothing(reason) => return self.not_needed(name, reason),
        };
        if done.is_none() {
            let expected = row.takes.unwrap_or("nothing");
            let problem = Problem::Value { key: name.to_owned(), expected, found: format!("{value:?}") };
            self.complain(problem);
        }
    }

    /// An attribute of a provider: its name, a dash and one of [`ATTRIBUTES`].
    fn attribute(&mut self, rest: &str) {
        let (words, value) = split(rest);
        let drafts = self.conf.providers.iter_mut();
        let of_this = |name: &str| words.strip_prefix(name)?.strip_prefix('-').map(str::to_owned);
        let Some((draft, attribute)) =
            drafts.filter_map(|draft| of_this(&draft.config.name).map(|word| (draft, word))).next()
        else {
            return self.not_needed(&format!("provider-{words}"), "\"providers\" has no such name");
        };
        match ATTRIBUTES.iter().find(|(name, _)| *name == attribute) {
            Some((name, Some(reason))) => self.not_needed(name, reason),
            Some((_, None)) if value.is_empty() => self.complain(Problem::Missing("library")),
            Some((_, None)) => draft.module = Some(value.into()),
            None => {
                let known: Vec<_> = ATTRIBUTES.iter().map(|(name, _)| *name).collect();
                self.unknown(&attribute, &known);
            }
        }
    }

    fn not_needed(&mut self, option: &str, reason: &'static str) {
        let (file, line) = (self.path.to_owned(), self.line);
        self.conf.notes.push(Note::NotNeeded { file, line, option: option.to_owned(), reason });
    }

    fn unknown(&mut self, name: &str, known: &[&'static str]) {
        self.complain(Problem::UnknownKey { key: name.to_owned(), nearest: nearest(name, known) });
    }

    fn complain(&mut self, problem: Problem) {
        self.conf.complaints.push(Complaint::of_line(self.path, self.line, problem));
    }
}

/// A word and what follows it.
fn split(line: &str) -> (&str, &str) {
    let (name, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    (name, value.trim())
}

/// Names a provider each; one that is there already stays as it is.
fn note_providers(conf: &mut Conf, value: &str) -> Option<()> {
    for name in value.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        if conf.providers.len() >= MAX_PROVIDERS || name.contains(char::is_control) {
            return None;
        }
        if conf.providers.iter().all(|draft| draft.config.name != name) {
            let mut draft = Draft::default();
            name.clone_into(&mut draft.config.name);
            conf.providers.push(draft);
        }
    }
    Some(())
}

fn note_key(key: &mut Option<Keygrip>, value: &str) -> Option<()> {
    *key = Some(value.parse().ok()?);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Conf {
        parse(Path::new("F"), text)
    }

    fn words<T: ToString>(remarks: &[T]) -> Vec<String> {
        remarks.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn its_example_is_understood() {
        let conf = parsed(
            "# Log file.\nlog-file log1\nverbose\npin-cache 20\nproviders p1, my-own,,\n\
             provider-p1-library /usr/lib/p1.so  # a comment\n\tprovider-my-own-library\t/usr/lib/p2.so\n\
             openpgp-sign 5C661B8C07CFD957F7D98D5B9A0F31D236BFAC2A\n",
        );
        assert_eq!(words(&conf.complaints), [""; 0]);
        let providers: Vec<_> = conf
            .providers
            .iter()
            .map(|draft| (draft.config.name.as_str(), draft.module.as_deref()))
            .collect();
        assert_eq!(
            providers,
            [("p1", Some(Path::new("/usr/lib/p1.so"))), ("my-own", Some(Path::new("/usr/lib/p2.so")))]
        );
        assert_eq!(conf.habits, Habits { log_file: Some("log1".into()), verbose: 1, pin_cache: Some(20) });
        let sign = conf.openpgp_keys.sign.unwrap();
        assert_eq!(sign.to_string(), "5C661B8C07CFD957F7D98D5B9A0F31D236BFAC2A");
    }

    #[test]
    fn what_is_not_needed_is_said_with_its_reason() {
        let conf = parsed(
            "providers p1\nprovider-p1-library /a\nprovider-p1-allow-protected-auth\nprovider-p1-cert-private\n\
             provider-p1-private-mask 0\nprovider-p2-library /b\nuse-gnupg-pin-cache\nemulate-openpgp\n",
        );
        assert_eq!(words(&conf.complaints), [""; 0]);
        let notes = words(&conf.notes);
        assert_eq!(notes.len(), 6, "{notes:?}");
        assert_eq!(
            notes[0],
            "F:3: \"allow-protected-auth\" is not needed any more: a PIN is typed at the token where the token says so"
        );
        assert!(notes[3].contains("provider-p2-library"), "{notes:?}");
    }

    #[test]
    fn wrong_lines_are_named_and_the_others_count() {
        let conf = parsed(
            "providers p1\nprovider-p1-libary /a\nprovider-p1-library /a\npin-cash 3\npin-cache soon\nverbose 1\n\
             openpgp-auth 12\nproviders\n",
        );
        assert_eq!(
            words(&conf.complaints),
            [
                "F:2: unknown key \"libary\"; did you mean \"library\"?",
                "F:4: unknown key \"pin-cash\"; did you mean \"pin-cache\"?",
                "F:5: \"pin-cache\" takes a number of seconds, not \"soon\"",
                "F:6: \"verbose\" takes nothing, not \"1\"",
                "F:7: \"openpgp-auth\" takes a keygrip (40 hexadecimal digits), not \"12\"",
                "F:8: \"providers\" takes names, separated by commas, not \"\"",
            ]
        );
        assert_eq!(conf.providers.len(), 1);
    }

    #[test]
    fn a_pin_may_be_kept_for_ever() {
        assert_eq!(parsed("pin-cache -1").habits.pin_cache, Some(u64::MAX));
        assert_eq!(parsed("").habits.pin_cache, None);
    }

    #[test]
    fn a_provider_without_a_library_is_none_and_twenty_are_all() {
        assert!(parsed("providers a,b\n").providers.is_empty());
        let many: Vec<_> = (0..=MAX_PROVIDERS).map(|n| format!("p{n}")).collect();
        assert_eq!(parsed(&format!("providers {}\n", many.join(","))).complaints.len(), 1);
    }
}
