//! Local stores of certificates, in the order in which they are asked.
//!
//! 1. The files and directories that are named as extra, in their order.
//! 2. GnuPG's home: `pubring.kbx`, `pubring.gpg`, `public-keys.d/pubring.db`; the last one first if `common.conf` there
//!    says `use-keyboxd`, because the others are then what remains from before.
//! 3. The shared OpenPGP certificate directory.
//!
//! The first that has the key answers, and its copy is handed out as it is; copies are not merged. A store that cannot
//! be read does not hide those behind it, but it is told ([`Found::passed_over`]).
//!
//! A directory is read flat, or as a certificate directory (draft-nwjw-openpgp-cert-d: two digits of the fingerprint
//! are a subdirectory, the others the file in it); files are asked in the order of their names. Files are regular ones
//! of any name that does not begin with `.` or `_`; in directories, those that are not OpenPGP at all are passed by.
//!
//! The crate openpgp-cert-d is not used: it reads files of any size, and only by primary key.

mod contents;
mod files;
mod folder;
mod gnupg;
mod keyboxd;
mod trouble;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use claviger_keys::Keygrip;

pub use self::contents::MAX_CERTIFICATES;
use self::contents::{Contents, Form};
use self::files::Files;
pub use self::files::MAX_FILE;
pub use self::folder::MAX_FILES;
pub use self::keyboxd::DatabaseError;
pub use self::trouble::{NotFound, StoreError, Trouble};
use crate::{Fingerprint, Found, Key};

/// What a key is asked for by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// By the fingerprint of the primary key or of a subkey.
    Fingerprint(Fingerprint),
    /// By keygrip. Should two certificates have the key, the first one found answers.
    Keygrip(Keygrip),
}

impl Wanted {
    pub(crate) fn is(self, key: &Key) -> bool {
        match self {
            Self::Fingerprint(fingerprint) => key.fingerprint() == fingerprint,
            Self::Keygrip(keygrip) => key.keygrip() == Some(keygrip),
        }
    }
}

impl From<Fingerprint> for Wanted {
    fn from(fingerprint: Fingerprint) -> Self {
        Self::Fingerprint(fingerprint)
    }
}

impl From<Keygrip> for Wanted {
    fn from(keygrip: Keygrip) -> Self {
        Self::Keygrip(keygrip)
    }
}

/// The stores of a user. Nothing is read before something is looked for.
#[derive(Debug, Default)]
pub struct Stores {
    extra: Vec<PathBuf>,
    home: PathBuf,
    shared: Option<PathBuf>,
    files: Files,
}

impl Stores {
    /// The stores of a GnuPG home, behind extra ones: files and directories.
    #[must_use]
    pub fn of_home(home: &Path, extra: &[PathBuf]) -> Self {
        Self { extra: extra.to_vec(), home: home.to_owned(), ..Self::default() }
    }

    /// The same, and the shared certificate directory last: see [`certificate_directory`].
    #[must_use]
    pub fn and_certificate_directory(self, path: PathBuf) -> Self {
        Self { shared: Some(path), ..self }
    }

    /// The paths that are asked, in their order.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        let home = gnupg::stores(&self.home);
        self.extra.iter().cloned().chain(home).chain(self.shared.clone()).collect()
    }

    /// The certificate that has the key, from the first store that has it.
    ///
    /// # Errors
    /// [`NotFound`], with the stores that could not be read.
    pub fn find(&self, wanted: impl Into<Wanted>) -> Result<Found, NotFound> {
        let wanted = wanted.into();
        let mut unread = Vec::new();
        for path in self.paths() {
            if let Some(found) = self.find_in(&path, wanted, &mut unread) {
                return Ok(found.with_passed_over(unread));
            }
        }
        Err(NotFound { unread })
    }

    fn find_in(&self, path: &Path, wanted: Wanted, unread: &mut Vec<StoreError>) -> Option<Found> {
        if path.is_dir() {
            return folder::find(path, wanted, &self.files, unread);
        }
        let found = if keyboxd::is_database(path) {
            keyboxd::find(path, wanted)
        } else {
            self.files.find(path, wanted)
        };
        match found {
            Ok(found) => found,
            // Hardly anybody has all of them. Those that were named are missed.
            Err(Trouble::Io(io::ErrorKind::NotFound)) if !self.extra.iter().any(|extra| extra == path) => {
                None
            }
            Err(trouble) => {
                unread.push(StoreError { path: path.to_owned(), trouble });
                None
            }
        }
    }
}

/// The certificates of a file whose octets are at hand, as far as it can be read.
///
/// # Errors
/// [`Trouble`] if nothing of it can be read.
pub fn certificates(path: &Path, file: &[u8]) -> Result<Vec<Found>, Trouble> {
    let form = Form::of(file).ok_or(Trouble::NotOpenPgp)?;
    let octets = form.octets(file)?;
    let contents = Contents::read(form, &octets);
    let found = contents.places.iter().filter_map(|place| place.found(&octets, path));
    Ok(found.collect())
}

/// The place of the shared certificate directory: `PGP_CERT_D`, else `pgp.cert.d` in the user's data directory. The
/// environment is handed in.
#[must_use]
pub fn certificate_directory(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let path = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    path("PGP_CERT_D").or_else(|| {
        let data = path("XDG_DATA_HOME")
            .filter(|path| path.is_absolute())
            .or_else(|| path("HOME").map(|home| home.join(".local/share")))?;
        Some(data.join("pgp.cert.d"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_certificate_directory_is_where_its_draft_says() {
        let place = |environment: &[(&str, &str)]| {
            let value = |name: &str| {
                environment.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
            };
            certificate_directory(value).map(|path| path.to_str().unwrap().to_owned())
        };
        let home = ("HOME", "/home/mary");
        assert_eq!(place(&[home]).as_deref(), Some("/home/mary/.local/share/pgp.cert.d"));
        assert_eq!(place(&[home, ("XDG_DATA_HOME", "/data")]).as_deref(), Some("/data/pgp.cert.d"));
        assert_eq!(place(&[home, ("XDG_DATA_HOME", "data")]), place(&[home]), "relative ones do not count");
        assert_eq!(place(&[home, ("PGP_CERT_D", "/certs")]).as_deref(), Some("/certs"));
        assert_eq!(place(&[home, ("PGP_CERT_D", "")]), place(&[home]));
        assert_eq!(place(&[]), None);
    }

    #[test]
    fn stores_are_asked_in_the_order_that_is_promised() {
        let stores = Stores::of_home(Path::new("/home"), &["/extra".into(), "/more".into()]);
        let paths = stores.and_certificate_directory("/certs".into()).paths();
        let expected = [
            "/extra",
            "/more",
            "/home/pubring.kbx",
            "/home/pubring.gpg",
            "/home/public-keys.d/pubring.db",
            "/certs",
        ];
        assert_eq!(paths, expected.map(PathBuf::from));
    }
}
