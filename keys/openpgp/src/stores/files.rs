//! Files with certificates: each is read once, and again when it changed.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Found;
use crate::stores::contents::{Contents, Form, Place};
use crate::stores::{Trouble, Wanted};

/// The largest file that is read.
pub const MAX_FILE: u64 = 128 << 20;

/// What is known of files.
#[derive(Debug, Default)]
pub(super) struct Files {
    known: Mutex<HashMap<PathBuf, Known>>,
}

/// A file when it was read last.
#[derive(Debug)]
struct Known {
    stamp: Stamp,
    form: Option<Form>,
    contents: Contents,
}

/// What changes when a file does.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    len: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

impl Files {
    /// The first certificate in a file that has the key.
    pub(super) fn find(&self, path: &Path, wanted: Wanted) -> Result<Option<Found>, Trouble> {
        let mut files = self.lock();
        let known = match current(&mut files, path) {
            Ok(known) => known,
            Err(trouble) => {
                files.remove(path);
                return Err(trouble);
            }
        };
        let form = known.form.ok_or(Trouble::NotOpenPgp)?;
        match (known.contents.places.iter().find(|place| place.has(wanted)), &known.contents.trouble) {
            (Some(place), _) => cut(path, form, place, wanted).map(Some),
            (None, Some(trouble)) => Err(trouble.clone()),
            (None, None) => Ok(None),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is in a file now.
fn current<'a>(files: &'a mut HashMap<PathBuf, Known>, path: &Path) -> Result<&'a Known, Trouble> {
    let stamp = Stamp::of(&regular(path)?);
    if files.get(path).is_none_or(|known| known.stamp != stamp) {
        files.insert(path.to_owned(), read(path)?);
    }
    files.get(path).ok_or(Trouble::Changed)
}

/// The metadata of a regular file. Anything else is not opened: a pipe would keep us waiting.
fn regular(path: &Path) -> Result<Metadata, Trouble> {
    let metadata = path.metadata()?;
    if !metadata.is_file() {
        return Err(Trouble::NotFile);
    }
    if metadata.len() > MAX_FILE {
        return Err(Trouble::TooLarge { octets: metadata.len() });
    }
    Ok(metadata)
}

fn read(path: &Path) -> Result<Known, Trouble> {
    let file = File::open(path)?;
    let stamp = Stamp::of(&file.metadata()?);
    let octets = read_all(file)?;
    let form = Form::of(&octets);
    let contents = match form {
        Some(form) => match form.octets(&octets) {
            Ok(octets) => Contents::read(form, &octets),
            Err(trouble) => Contents { trouble: Some(trouble), ..Contents::default() },
        },
        None => Contents::default(),
    };
    Ok(Known { stamp, form, contents })
}

fn read_all(file: File) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut octets)?;
    Ok(octets)
}

/// The certificate at a place. The file may have changed since that was noted.
fn cut(path: &Path, form: Form, place: &Place, wanted: Wanted) -> Result<Found, Trouble> {
    let octets = match form {
        Form::Packets | Form::Keybox => cut_file(path, place)?,
        Form::Armored => {
            let file = read_all(File::open(path)?)?;
            let octets = form.octets(&file)?;
            octets.get(place.range.clone()).ok_or(Trouble::Changed)?.to_vec()
        }
    };
    Found::new(octets, path, wanted).map_err(|_| Trouble::Changed)
}

fn cut_file(path: &Path, place: &Place) -> io::Result<Vec<u8>> {
    let mut octets = vec![0; place.range.len()];
    let start = u64::try_from(place.range.start).unwrap_or(u64::MAX);
    File::open(path)?.read_exact_at(&mut octets, start)?;
    Ok(octets)
}
