//! Directories of certificates: flat ones, and those of draft-nwjw-openpgp-cert-d.

use std::fs::DirEntry;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::Found;
use crate::stores::files::Files;
use crate::stores::{StoreError, Trouble, Wanted};

/// The most files that are looked at in a directory.
pub const MAX_FILES: usize = 20_000;

/// The first certificate in a directory that has the key.
pub(super) fn find(
    directory: &Path,
    wanted: Wanted,
    files: &Files,
    unread: &mut Vec<StoreError>,
) -> Option<Found> {
    if let Some(path) = by_name(directory, wanted)
        && let Ok(Some(found)) = files.find(&path, wanted)
    {
        return Some(found);
    }
    let mut note = |path: &Path, trouble| unread.push(StoreError { path: path.to_owned(), trouble });
    let paths = list(directory).unwrap_or_else(|trouble| {
        note(directory, trouble);
        Vec::new()
    });
    files.keep(directory, &paths);
    for path in paths {
        match files.find(&path, wanted) {
            Ok(Some(found)) => return Some(found),
            Ok(None) | Err(Trouble::NotOpenPgp | Trouble::NotFile | Trouble::Io(io::ErrorKind::NotFound)) => {
            }
            Err(trouble) => note(&path, trouble),
        }
    }
    None
}

/// Where a certificate directory has the certificate, if the primary key is asked for.
fn by_name(directory: &Path, wanted: Wanted) -> Option<PathBuf> {
    let Wanted::Fingerprint(fingerprint) = wanted else { return None };
    let digits = fingerprint.to_string().to_lowercase();
    let (shelf, name) = digits.split_at_checked(2)?;
    Some(directory.join(shelf).join(name))
}

/// The files of a directory and of its shelves, by name.
fn list(directory: &Path) -> Result<Vec<PathBuf>, Trouble> {
    let mut paths = Vec::new();
    for entry in entries(directory)? {
        match entry.path() {
            path if is_shelf(&entry) && path.is_dir() => {
                paths.extend(entries(&path)?.iter().map(DirEntry::path));
            }
            path => paths.push(path),
        }
        if paths.len() > MAX_FILES {
            return Err(Trouble::TooManyFiles);
        }
    }
    paths.sort();
    Ok(paths)
}

fn entries(directory: &Path) -> Result<Vec<DirEntry>, Trouble> {
    let is_ours = |entry: &io::Result<DirEntry>| {
        entry.as_ref().is_ok_and(|entry| !matches!(entry.file_name().as_bytes(), [b'.' | b'_', ..]))
    };
    let entries: Vec<_> =
        directory.read_dir()?.filter(is_ours).take(MAX_FILES + 1).collect::<Result<_, _>>()?;
    if entries.len() > MAX_FILES { Err(Trouble::TooManyFiles) } else { Ok(entries) }
}

/// Whether the name is two lower-case hexadecimal digits.
fn is_shelf(entry: &DirEntry) -> bool {
    let is_digit = |octet: &u8| matches!(octet, b'0'..=b'9' | b'a'..=b'f');
    matches!(entry.file_name().as_bytes(), name @ [_, _] if name.iter().all(is_digit))
}
