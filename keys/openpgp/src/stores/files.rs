//! Files with certificates: each is read once, and again when it changed.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use zeroize::Zeroize as _;

use crate::Found;
use crate::stores::contents::{Contents, Form, MAX_KNOWN_KEYS, Place};
use crate::stores::{Trouble, Wanted};

/// The largest file that is read.
pub const MAX_FILE: u64 = 128 << 20;

/// What is known of files.
#[derive(Debug, Default)]
pub(super) struct Files {
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    files: HashMap<PathBuf, Known>,
    keys: usize,
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
        let mut memory = self.lock();
        let known = memory.current(path)?;
        let form = known.form.ok_or(Trouble::NotOpenPgp)?;
        match (known.contents.places.iter().find(|place| place.has(wanted)), &known.contents.trouble) {
            (Some(place), _) => cut(path, form, place, wanted).map(Some),
            (None, Some(trouble)) => Err(trouble.clone()),
            (None, None) => Ok(None),
        }
    }

    /// Forgets files of a directory that are no more, given those that are, by name.
    pub(super) fn keep(&self, directory: &Path, present: &[PathBuf]) {
        let mut memory = self.lock();
        let is_present = |path: &PathBuf| !path.starts_with(directory) || present.binary_search(path).is_ok();
        let gone: Vec<_> = memory.files.keys().filter(|path| !is_present(path)).cloned().collect();
        gone.iter().for_each(|path| memory.forget(path));
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    /// What is in a file now.
    fn current(&mut self, path: &Path) -> Result<&Known, Trouble> {
        let stamp = regular(path).map(|metadata| Stamp::of(&metadata));
        let is_known = self.files.get(path).is_some_and(|known| Ok(&known.stamp) == stamp.as_ref());
        if !is_known {
            self.forget(path);
            stamp?;
            self.learn(path, read(path)?);
        }
        self.files.get(path).ok_or(Trouble::Changed)
    }

    /// Where too much would be known, everything else is forgotten.
    fn learn(&mut self, path: &Path, known: Known) {
        if self.keys.saturating_add(known.contents.keys) > MAX_KNOWN_KEYS {
            *self = Self::default();
        }
        self.keys = self.keys.saturating_add(known.contents.keys);
        self.files.insert(path.to_owned(), known);
    }

    fn forget(&mut self, path: &Path) {
        let keys = self.files.remove(path).map_or(0, |known| known.contents.keys);
        self.keys = self.keys.saturating_sub(keys);
    }
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

/// Reads a file. Should there be secret keys in it, nothing of them stays in memory.
fn read(path: &Path) -> Result<Known, Trouble> {
    let file = File::open(path)?;
    let stamp = Stamp::of(&file.metadata()?);
    let mut octets = read_all(file, stamp.len)?;
    let form = Form::of(&octets);
    let contents = form.map(|form| contents(form, &octets)).unwrap_or_default();
    if contents.trouble.as_ref().is_some_and(Trouble::is_secret) {
        octets.zeroize();
    }
    Ok(Known { stamp, form, contents })
}

fn contents(form: Form, file: &[u8]) -> Contents {
    match form.octets(file) {
        Ok(octets) => Contents::read(form, &octets),
        Err(trouble) => Contents { trouble: Some(trouble), ..Contents::default() },
    }
}

/// Into one piece of memory, from the beginning.
fn read_all(file: File, len: u64) -> io::Result<Vec<u8>> {
    let mut octets = Vec::with_capacity(usize::try_from(len.min(MAX_FILE)).unwrap_or_default());
    file.take(len.min(MAX_FILE)).read_to_end(&mut octets)?;
    Ok(octets)
}

/// The certificate at a place. The file may have changed since that was noted.
fn cut(path: &Path, form: Form, place: &Place, wanted: Wanted) -> Result<Found, Trouble> {
    let octets = match form {
        Form::Packets | Form::Keybox => cut_file(path, place)?,
        Form::Armored => {
            let file = File::open(path)?;
            let len = file.metadata()?.len();
            let file = read_all(file, len)?;
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
