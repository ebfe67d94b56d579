//! The database of GnuPG 2.4's keyboxd, `public-keys.d/pubring.db`, read while keyboxd works with it.
//!
//! It is SQLite, with a table of keyblocks and one of the fingerprints and keygrips of their keys, both indexed (schema
//! version 1, in GnuPG's kbx/backend-sqlite.c). We take no lock: keyboxd does not wait for one, and a change of its that
//! met our reading would be lost and block every later one. So the file is read as if nobody could change it, and what
//! was read counts only if nobody did: the change counter in the file's header is the same before and after, and at
//! neither time was there the journal that SQLite keeps beside the file while it writes.
//!
//! What the format does not allow to read in this manner is said, not guessed: a change that is not finished (keyboxd is
//! at it, or died in it and has to be started to mend the file), and a database in write-ahead mode, which keyboxd does not
//! use.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use crate::Found;
use crate::block::MAX_CERTIFICATE;
use crate::stores::{Trouble, Wanted};

/// How often, and how long apart, a database is tried that is being changed: a second in all.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// How many steps of SQLite's machine a search may have; a table that is none, but a program, would take them all.
/// One by an index has some dozen.
const MAX_STEPS: i32 = 100_000;

/// The version of the tables that is known here.
const SCHEMA: &str = "1";

const MAGIC: &[u8] = b"SQLite format 3\0";

/// What stays as it is in a path that becomes an URI.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');

/// Why a database of keyboxd cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseError {
    /// A change did not come to its end within a second.
    #[error(
        "a change of the database is not finished; is keyboxd at work? If it died, starting it mends the file"
    )]
    Unfinished,
    /// It is in write-ahead mode, which cannot be read without writing.
    #[error("a database in write-ahead mode, which cannot be read without writing to it")]
    WriteAhead,
    /// The tables are of another version.
    #[error("tables of version {0}; version {SCHEMA} is known here")]
    Version(String),
    /// The search takes longer than one in such tables can.
    #[error("a search that does not end")]
    Endless,
    /// The tables are not keyboxd's, or the file is broken.
    #[error("not a database of keyboxd: {0}")]
    Broken(String),
}

impl From<rusqlite::Error> for DatabaseError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::OperationInterrupted) => Self::Endless,
            _ => Self::Broken(error.to_string()),
        }
    }
}

/// Whether a file begins as SQLite's do.
pub(super) fn is_database(path: &Path) -> bool {
    let mut start = [0; MAGIC.len()];
    path.is_file()
        && File::open(path).and_then(|file| file.read_exact_at(&mut start, 0)).is_ok()
        && start == MAGIC
}

/// The certificate that has the key.
pub(super) fn find(path: &Path, wanted: Wanted) -> Result<Option<Found>, Trouble> {
    for _ in 0..TRIES {
        if let Some(before) = state(path)? {
            let found = search(path, wanted);
            if state(path)? == Some(before) {
                return Ok(found?.map(|octets| Found::new(octets, path, wanted)).transpose()?);
            }
        }
        std::thread::sleep(PAUSE);
    }
    Err(Trouble::Database(DatabaseError::Unfinished))
}

/// What tells whether a database was changed: the change counter of its header (section 1.3.7 of SQLite's file format)
/// and its size. Nothing while it is being changed.
fn state(path: &Path) -> Result<Option<([u8; 4], u64)>, Trouble> {
    if journal(path).try_exists()? {
        return Ok(None);
    }
    let file = File::open(path)?;
    let mut header = [0; 28];
    match file.read_exact_at(&mut header, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(DatabaseError::Broken("a file that is too short".to_owned()).into());
        }
        other => other?,
    }
    let [.., write_version, read_version, _, _, _, _, a, b, c, d] = header;
    if write_version > 1 || read_version > 1 {
        return Err(DatabaseError::WriteAhead.into());
    }
    Ok(Some(([a, b, c, d], file.metadata()?.len())))
}

fn journal(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push("-journal");
    name.into()
}

/// The stored octets.
fn search(path: &Path, wanted: Wanted) -> Result<Option<Vec<u8>>, DatabaseError> {
    let database = open(path)?;
    let version: String =
        database.query_row("SELECT value FROM config WHERE name = 'dbversion'", [], |row| row.get(0))?;
    if version != SCHEMA {
        return Err(DatabaseError::Version(version));
    }
    let (column, octets) = match &wanted {
        Wanted::Fingerprint(fingerprint) => ("fpr", fingerprint.as_bytes()),
        Wanted::Keygrip(keygrip) => ("keygrip", keygrip.0.as_slice()),
    };
    let query = format!(
        "SELECT keyblob FROM fingerprint JOIN pubkey USING (ubid) WHERE {column} = ?1 AND type = 1 ORDER BY ubid LIMIT 1"
    );
    Ok(database.query_row(&query, [octets], |row| row.get(0)).optional()?)
}

/// Opens without a lock and for reading only; with what SQLite has against hostile files.
fn open(path: &Path) -> Result<Connection, DatabaseError> {
    let path = std::path::absolute(path).map_err(|error| DatabaseError::Broken(error.to_string()))?;
    let uri = format!("file://{}?immutable=1", percent_encode(path.as_os_str().as_bytes(), PATH));
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(uri, flags)?;
    database.set_limit(Limit::SQLITE_LIMIT_LENGTH, i32::try_from(MAX_CERTIFICATE).unwrap_or(i32::MAX))?;
    database.progress_handler(MAX_STEPS, Some(|| true))?;
    database.pragma_update(None, "trusted_schema", false)?;
    database.pragma_update(None, "cell_size_check", true)?;
    database.pragma_update(None, "mmap_size", 0)?;
    Ok(database)
}
