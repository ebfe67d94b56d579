//! The local certificate store: X.509 certificates that are on no card, of keys that may be on one, and of their issuers.
//!
//! ```text
//!   claviger-certs.d/   what `claviger cert import` wrote and what people dropped ──┐
//!                                                                                   ├──► Contents
//!   pubring.kbx         gpgsm's keybox, read only ──────────────────────────────────┘
//! ```
//!
//! Both are in the GnuPG home. A dropped file is PEM (several certificates and other text, too) or DER, whatever its name;
//! names that begin with a dot, and folders, are passed over. PKCS#7 (`.p7b`) is not read: `openssl pkcs7 -print_certs`
//! makes PEM of it. Nor is a file with a private key in it. What gpgsm keeps to itself (ephemeral certificates), and
//! what 2.4 keeps in keyboxd's database, is not in the store. A certificate that is in several places is there once.
//!
//! Symbolic links are followed, out of the folder, too: people link what a program renews elsewhere. Only regular files are
//! opened, and so that nothing can make us wait; each has a limit, and so have all together.
//!
//! A file is looked at (`stat`) each time, read when it changed, and not before somebody asks. What is wrong with one does
//! not touch the others, and is told beside the certificates. All of it is blocking and short; an asynchronous caller
//! takes it to a thread for blocking work, because a home may be on a network.

mod file;
mod folder;
mod memory;
mod trouble;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use claviger_keys::x509::Certificate;

pub use self::file::MAX_KEYBOX;
pub use self::folder::MAX_FILES;
pub use self::memory::{MAX_OCTETS, MAX_STORED};
use self::memory::{Memory, Source};
pub use self::trouble::{AddError, RemoveError, StoreError, Trouble};
use crate::certificates::Shelf;

/// The folder of the GnuPG home that holds certificates.
pub const FOLDER: &str = "claviger-certs.d";

/// gpgsm's keybox in the GnuPG home.
const KEYBOX: &str = "pubring.kbx";

/// A certificate of the store.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The certificate; its fields can be read.
    pub certificate: Certificate,
    /// Where it is.
    pub origin: Origin,
}

/// Where a certificate of the store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In a file of our folder.
    File(PathBuf),
    /// In gpgsm's keybox, which is gpgsm's to change.
    Keybox(PathBuf),
}

/// What is in the store.
#[derive(Debug, Default)]
pub struct Contents {
    /// The certificates, each once: those of the folder by the names of their files, then those of the keybox.
    pub certificates: Vec<Stored>,
    /// What could not be read.
    pub troubles: Vec<StoreError>,
}

/// What became of a certificate that was to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It is in the folder now.
    New,
    /// It was there before.
    AlreadyThere,
}

/// What became of a certificate that was removed from the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// It is in the store no more.
    Gone,
    /// gpgsm's keybox has it, too, and so it is still in the store.
    StillInKeybox,
}

/// The store of a GnuPG home.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    keybox: PathBuf,
    memory: Mutex<Memory>,
}

impl Store {
    /// The store of a home. Nothing is read yet; there may be nothing.
    #[must_use]
    pub fn open(home: &Path) -> Self {
        Self { folder: home.join(FOLDER), keybox: home.join(KEYBOX), memory: Mutex::default() }
    }

    /// What is in it now.
    #[must_use]
    pub fn contents(&self) -> Arc<Contents> {
        self.look(&mut self.lock())
    }

    /// How many files were read so far. Files that did not change are not read again.
    #[must_use]
    pub fn files_read(&self) -> u64 {
        self.lock().files_read()
    }

    /// Puts a certificate into the folder, in a file of its own, which is there as a whole or not at all.
    ///
    /// # Errors
    /// [`AddError`] if it cannot be read as a certificate, there is no room, or the system refuses.
    pub fn add(&self, certificate: &Certificate) -> Result<Added, AddError> {
        certificate.fields().map_err(|error| *error)?;
        let writer = folder::Writer::enter(&self.folder)?;
        let mut memory = self.lock();
        self.look(&mut memory);
        if memory.files_with(&certificate.sha256()).next().is_some() {
            return Ok(Added::AlreadyThere);
        }
        if !memory.has_room_for(certificate) {
            return Err(AddError::Full);
        }
        writer.write(certificate)?;
        Ok(Added::New)
    }

    /// Takes a certificate out of the folder, by its SHA-256 fingerprint: every file that holds nothing else.
    ///
    /// # Errors
    /// [`RemoveError`] if it is not in the folder, or a file of it has others, too, or the system refuses.
    pub fn remove(&self, sha256: &[u8; 32]) -> Result<Removed, RemoveError> {
        let writer = folder::Writer::enter(&self.folder)?;
        let mut memory = self.lock();
        self.look(&mut memory);
        let files: Vec<_> = memory.files_with(sha256).collect();
        if let Some((path, _)) = files.iter().find(|(_, is_alone)| !is_alone) {
            return Err(RemoveError::Shared { path: path.to_path_buf() });
        }
        match (files.is_empty(), memory.is_in_keybox(sha256)) {
            (true, true) => return Err(RemoveError::OnlyInKeybox { path: self.keybox.clone() }),
            (true, false) => return Err(RemoveError::NotThere),
            (false, _) => {}
        }
        files.iter().try_for_each(|(path, _)| writer.remove(path))?;
        Ok(if memory.is_in_keybox(sha256) { Removed::StillInKeybox } else { Removed::Gone })
    }

    fn look(&self, memory: &mut Memory) -> Arc<Contents> {
        let (names, trouble) = match folder::list(&self.folder) {
            Ok(names) => (names, None),
            Err(trouble) => (Vec::new(), Some(StoreError { path: self.folder.clone(), trouble })),
        };
        let dropped = names.into_iter().map(|name| Source::Dropped(self.folder.join(name)));
        let keybox = is_there(&self.keybox).then(|| Source::Keybox(self.keybox.clone()));
        memory.look(dropped.chain(keybox), trouble)
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf for Store {
    fn certificates(&self) -> Vec<Certificate> {
        self.contents().certificates.iter().map(|stored| stored.certificate.clone()).collect()
    }
}

/// Whether there is something, be it unreadable.
fn is_there(path: &Path) -> bool {
    !path.try_exists().is_ok_and(|exists| !exists)
}
