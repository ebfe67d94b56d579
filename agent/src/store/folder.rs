//! The folder of the store: the names in it, and writing to it. Two who write take turns.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use claviger_keys::x509::{Certificate, pem};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::{StoreError, Trouble};
use crate::hex;

/// The most files in the folder.
pub const MAX_FILES: usize = 10_000;

/// Its file is locked by who writes, as long as that lasts.
const LOCK: &str = ".lock";

/// A certificate that is being written. What is left of one that was broken off is written over.
const NEW: &str = ".new";

/// The folder is its owner's, like the home; the certificates in it are public.
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o644;

/// How long, and how often, we try while somebody else writes.
const TURNS: usize = 50;
const TURN: Duration = Duration::from_millis(100);

/// The names of the files in the folder, in order. There are none if there is no folder.
pub(super) fn list(folder: &Path) -> Result<Vec<OsString>, Trouble> {
    let entries = match folder.read_dir() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !is_folder && !entry.file_name().as_bytes().starts_with(b".") {
            names.push(entry.file_name());
        }
        if names.len() > MAX_FILES {
            return Err(Trouble::TooManyFiles);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The one who may write.
pub(super) struct Writer<'a> {
    folder: &'a Path,
    /// Closed, it is open to the next.
    _lock: File,
}

impl<'a> Writer<'a> {
    /// Waits for its turn. The folder is made if it is not there.
    pub(super) fn enter(folder: &'a Path) -> Result<Self, StoreError> {
        let lock = make(folder).and_then(|()| lock(&folder.join(LOCK)));
        match lock {
            Ok(lock) => Ok(Self { folder, _lock: lock }),
            Err(trouble) => Err(StoreError { path: folder.to_owned(), trouble }),
        }
    }

    /// Writes a certificate as PEM, named by its fingerprint.
    pub(super) fn write(&self, certificate: &Certificate) -> Result<(), StoreError> {
        let path = self.folder.join(hex::write(&certificate.sha256()) + ".crt");
        let text = pem::write(pem::CERTIFICATE, certificate.bare());
        self.replace(&path, text.as_bytes()).map_err(|error| StoreError { path, trouble: error.into() })
    }

    /// Removes a file; of a link, the link.
    pub(super) fn remove(&self, path: &Path) -> Result<(), StoreError> {
        fs::remove_file(path).map_err(|error| StoreError { path: path.to_owned(), trouble: error.into() })
    }

    fn replace(&self, path: &Path, octets: &[u8]) -> io::Result<()> {
        let new = self.folder.join(NEW);
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(&new)?;
        file.write_all(octets)?;
        // The name must not be on the disk before what it names.
        file.sync_all()?;
        fs::rename(&new, path)?;
        File::open(self.folder)?.sync_all()
    }
}

fn make(folder: &Path) -> Result<(), Trouble> {
    match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error.into()),
        _ => Ok(()),
    }
}

fn lock(path: &Path) -> Result<File, Trouble> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(FILE_MODE).open(path)?;
    for _ in 0..TURNS {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(Errno::WOULDBLOCK) => sleep(TURN),
            Err(error) => return Err(io::Error::from(error).into()),
        }
    }
    Err(Trouble::Busy)
}
