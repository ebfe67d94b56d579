//! From what was typed to what holds: the command line and `scdaemon.conf` fill a [`Typed`], which resolves once, in
//! [`Settings::resolve`], to the values that the daemon runs with.

use std::path::{Path, PathBuf};
use std::time::Duration;

use claviger_cards::deck::Pinpads;

use super::options::{self, Opt, Takes};
use super::typed::{Debug, Typed};
use crate::{home, providers, text_file};

/// How long an unused PIN is remembered, unless `pin-cache-ttl` says otherwise: GnuPG's own `default-cache-ttl`.
const DEFAULT_PIN_CACHE_TTL: Duration = Duration::from_secs(600);

/// The longest time that an option can mean; more than a clock can count is no time at all.
const MAX_TTL: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// How many clients may wait to be accepted, unless `listen-backlog` says otherwise (GnuPG's default).
const DEFAULT_LISTEN_BACKLOG: i32 = 64;

/// What the daemon runs with.
#[derive(Debug)]
pub(super) struct Settings {
    /// GnuPG's home directory, absolute.
    pub(super) homedir: PathBuf,
    /// The file that options were read from, whether or not it exists.
    pub(super) config_file: PathBuf,
    pub(super) verbose: u8,
    pub(super) debug: Debug,
    pub(super) log_file: Option<PathBuf>,
    pub(super) reader_port: Option<String>,
    pub(super) reader_socket: Option<PathBuf>,
    /// Files and directories with OpenPGP certificates, to be asked before the usual ones.
    pub(super) openpgp_certificates: Vec<PathBuf>,
    pub(super) pinpads: Pinpads,
    /// Whether `disable-application openpgp` was given.
    pub(super) openpgp_disabled: bool,
    pub(super) listen_backlog: i32,
    pub(super) pin_cache_ttl: Duration,
    /// How long an unused verification of a card lasts; `None` for as long as the card is there.
    pub(super) card_verified_ttl: Option<Duration>,
    pub(super) deny_admin: bool,
    /// Whether the agent is to show that a touch is awaited.
    pub(super) touch_prompt: bool,
    /// PKCS#11 providers. They are not options: [`Settings::resolve`] finds none.
    pub(super) providers: providers::Found,
}

/// Why options cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OptionError {
    /// There is no option of that name.
    #[error("{place}invalid option{} — run with --help for the list", named(.name))]
    Unknown {
        /// `FILE:LINE: `, or nothing for the command line.
        place: String,
        /// As it was typed; empty for a file, where GnuPG does not repeat it.
        name: String,
    },
    /// The option's value is missing or wrong.
    #[error("{place}option \"--{name}\": {problem}")]
    Value {
        /// `FILE:LINE: `, or nothing for the command line.
        place: String,
        /// The option.
        name: String,
        /// What is wrong with the value.
        problem: String,
    },
    /// The command line cannot be taken apart.
    #[error("{0}")]
    CommandLine(String),
    /// A file that was named cannot be read.
    #[error("option file '{}': {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

fn named(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!(" \"{name}\"") }
}

impl Settings {
    /// The one place where typed options become effective ones.
    pub(super) fn resolve(typed: &Typed) -> Self {
        let homedir = home::directory(typed.homedir.as_deref());
        Self {
            config_file: typed.options.clone().unwrap_or_else(|| homedir.join("scdaemon.conf")),
            verbose: if typed.quiet { 0 } else { typed.verbose },
            debug: typed.debug,
            log_file: typed.log_file.as_deref().map(|file| below(&homedir, file)),
            reader_port: typed.reader_port.clone(),
            reader_socket: typed.reader_socket.as_deref().map(|file| below(&homedir, file)),
            openpgp_certificates: typed
                .openpgp_certificates
                .iter()
                .map(|path| below(&homedir, path))
                .collect(),
            pinpads: match (typed.disable_pinpad, typed.enable_pinpad_varlen) {
                (true, _) => Pinpads::Unused,
                (false, false) => Pinpads::AsReadersSay,
                (false, true) => Pinpads::OfAnyLength,
            },
            openpgp_disabled: typed.disabled_applications.iter().any(|name| name == "openpgp"),
            listen_backlog: typed.listen_backlog.unwrap_or(DEFAULT_LISTEN_BACKLOG),
            pin_cache_ttl: typed.pin_cache_ttl.map_or(DEFAULT_PIN_CACHE_TTL, seconds),
            card_verified_ttl: typed.card_verified_ttl.map(seconds),
            deny_admin: typed.deny_admin,
            touch_prompt: typed.touch_prompt,
            providers: providers::Found::default(),
            homedir,
        }
    }
}

/// The PKCS#11 providers that these options lead to.
pub(super) fn find_providers(typed: &Typed) -> providers::Found {
    if typed.no_pkcs11 {
        return providers::Found::default();
    }
    let homedir = home::directory(typed.homedir.as_deref());
    let file = typed.providers_config.as_deref().map(|file| below(&homedir, file));
    providers::find(&providers::Places::new(&homedir, file))
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count).min(MAX_TTL)
}

/// A path in an option: `~/` is the user's home, anything else relative is below `directory`, sockets for logs stay.
fn below(directory: &Path, file: &Path) -> PathBuf {
    match (file.strip_prefix("~"), std::env::var_os("HOME")) {
        (Ok(rest), Some(user_home)) => Path::new(&user_home).join(rest),
        _ if file.to_string_lossy().starts_with("socket:") => file.to_owned(),
        _ => directory.join(file),
    }
}

/// Reads an option file into `typed`: one option a line, without dashes, `#` begins a comment. An option that is on the
/// command line too keeps the value it has there, since files are read first.
///
/// # Errors
/// For each line that is wrong, all of them; lines that are right count all the same. A missing file is only an error
/// when it was `named` on the command line.
pub(super) fn read_file(path: &Path, named: bool, typed: &mut Typed) -> Result<(), Vec<OptionError>> {
    let text = match text_file::read(path) {
        Ok(text) => text,
        Err(source) if source.kind() == std::io::ErrorKind::NotFound && !named => return Ok(()),
        Err(source) => return Err(vec![OptionError::File { path: path.to_owned(), source }]),
    };
    let mut errors = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let place = format!("{}:{}: ", path.display(), number.saturating_add(1));
        if let Err(error) = read_line(line.trim(), place, typed) {
            errors.push(error);
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn read_line(line: &str, place: String, typed: &mut Typed) -> Result<(), OptionError> {
    if line.is_empty() || line.starts_with('#') {
        return Ok(());
    }
    let (name, value) = match line.split_once(|c: char| c.is_whitespace() || c == '=') {
        Some((name, value)) => (name, Some(unquoted(value.trim()))),
        None => (line, None),
    };
    let Some(option) = options::by_name(name).filter(|option| option.group != options::Group::Command) else {
        return Err(OptionError::Unknown { place, name: String::new() });
    };
    note(option, value.filter(|value| !value.is_empty()), place, typed)
}

fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value)
}

/// Notes an option with its value, if that is what it takes.
///
/// # Errors
/// [`OptionError::Value`] if the value is missing, wrong, or not wanted.
pub(super) fn note(
    option: &'static Opt,
    value: Option<&str>,
    place: String,
    typed: &mut Typed,
) -> Result<(), OptionError> {
    let refuse = |problem: String| OptionError::Value { place, name: option.name.to_owned(), problem };
    match (option.takes, value) {
        (Takes::Nothing, Some(_)) => Err(refuse("it takes no value".to_owned())),
        (Takes::Text | Takes::Number, None) => Err(refuse("its value is missing".to_owned())),
        (_, value) => {
            (option.note)(typed, value.unwrap_or_default()).map_err(|problem| refuse(problem.to_string()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Typed, Vec<String>) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("scdaemon.conf");
        std::fs::write(&file, text).unwrap();
        let mut typed = Typed::default();
        let errors = read_file(&file, true, &mut typed).err().unwrap_or_default();
        let name = format!("{}:", file.display());
        (typed, errors.iter().map(|error| error.to_string().replace(&name, "file:")).collect())
    }

    #[test]
    fn a_file_of_options_is_read_and_comments_are_not() {
        let (typed, errors) =
            read("# mine\n\nverbose\nverbose\nreader-port  Gemalto PC \nlog-file \"/tmp/a b\"\ndeny-admin\n");
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(typed.verbose, 2);
        assert_eq!(typed.reader_port.as_deref(), Some("Gemalto PC"));
        assert_eq!(typed.log_file.as_deref(), Some(Path::new("/tmp/a b")));
        assert!(typed.deny_admin);
    }

    #[test]
    fn a_bad_line_is_named_and_the_good_ones_count() {
        let (typed, errors) = read("nonsense\nquiet\npin-cache-ttl soon\nquiet yes\nversion\n");
        assert!(typed.quiet);
        assert_eq!(
            errors,
            [
                "file:1: invalid option — run with --help for the list",
                "file:3: option \"--pin-cache-ttl\": it takes a decimal number",
                "file:4: option \"--quiet\": it takes no value",
                "file:5: invalid option — run with --help for the list",
            ]
        );
    }

    #[test]
    fn a_missing_file_matters_only_if_it_was_named() {
        let path = Path::new("/nonexistent/scdaemon.conf");
        assert!(read_file(path, false, &mut Typed::default()).is_ok());
        let errors = read_file(path, true, &mut Typed::default()).unwrap_err();
        assert!(errors[0].to_string().starts_with("option file '/nonexistent/scdaemon.conf': No such file"));
    }

    #[test]
    fn a_time_beyond_every_clock_is_a_long_time() {
        let (typed, _) = read(&format!("pin-cache-ttl {}\ncard-verified-ttl 90\n", u64::MAX));
        let settings = Settings::resolve(&typed);
        assert_eq!(settings.pin_cache_ttl, MAX_TTL);
        assert_eq!(settings.card_verified_ttl, Some(Duration::from_secs(90)));
        assert_eq!(Settings::resolve(&Typed::default()).card_verified_ttl, None);
    }

    #[test]
    fn paths_are_below_the_home_directory() {
        let home = Path::new("/h");
        assert_eq!(below(home, Path::new("scd.log")), Path::new("/h/scd.log"));
        assert_eq!(below(home, Path::new("/var/log/scd")), Path::new("/var/log/scd"));
        assert_eq!(below(home, Path::new("socket:///h/S.log")), Path::new("socket:///h/S.log"));
    }
}
