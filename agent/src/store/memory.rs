//! What is known of the store's files: each is read once, and again when it changed.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use claviger_keys::x509::Certificate;

use super::file::{Read, Stamp};
use super::{Contents, Origin, StoreError, Stored, Trouble};

/// The most certificates in the store.
pub const MAX_STORED: usize = 10_000;

/// The most octets that they have together; what is read of them takes about as much again.
pub const MAX_OCTETS: usize = 32 * 1024 * 1024;

/// A file that may have certificates.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// In our folder.
    Dropped(PathBuf),
    /// gpgsm's.
    Keybox(PathBuf),
}

impl Source {
    fn path(&self) -> &Path {
        match self {
            Self::Dropped(path) | Self::Keybox(path) => path,
        }
    }

    fn read(&self, stamp: Stamp) -> Result<Read, Trouble> {
        match self {
            Self::Dropped(path) => Read::dropped(path, stamp),
            Self::Keybox(path) => Read::keybox(path, stamp),
        }
    }

    fn origin(&self) -> Origin {
        match self {
            Self::Dropped(path) => Origin::File(path.clone()),
            Self::Keybox(path) => Origin::Keybox(path.clone()),
        }
    }
}

/// What certificates take.
#[derive(Debug, Clone, Copy, Default)]
struct Weight {
    certificates: usize,
    octets: usize,
}

impl Weight {
    fn of(certificates: &[Certificate]) -> Self {
        let octets = certificates.iter().map(|certificate| certificate.der().len());
        Self { certificates: certificates.len(), octets: octets.fold(0, usize::saturating_add) }
    }

    const fn and(self, other: Self) -> Self {
        Self {
            certificates: self.certificates.saturating_add(other.certificates),
            octets: self.octets.saturating_add(other.octets),
        }
    }

    const fn is_too_much(self) -> bool {
        self.certificates > MAX_STORED || self.octets > MAX_OCTETS
    }
}

/// A file as it was when it was looked at last.
#[derive(Debug, Default)]
struct Known {
    /// Nothing if it has to be read at the next occasion in any case.
    stamp: Option<Stamp>,
    /// What its certificates take, or would take if there were room.
    weight: Weight,
    read: Read,
}

impl Known {
    fn new(stamp: Stamp, read: Read) -> Self {
        Self { stamp: Some(stamp), weight: Weight::of(&read.certificates), read }
    }

    fn unread(trouble: Trouble) -> Self {
        Self { read: Read { trouble: Some(trouble), ..Read::default() }, ..Self::default() }
    }

    /// Whether a file with this stamp need not be read, where others take so much.
    fn is_current(&self, stamp: Stamp, others: Weight) -> bool {
        let fits_now = self.is_left_out() && !others.and(self.weight).is_too_much();
        self.stamp == Some(stamp) && !fits_now
    }

    fn is_left_out(&self) -> bool {
        self.read.trouble == Some(Trouble::Full)
    }

    /// Leaves out what does not fit beside others.
    fn beside(&mut self, others: Weight) {
        if others.and(self.weight).is_too_much() {
            self.read = Read { trouble: Some(Trouble::Full), ..Read::default() };
        }
    }

    fn has(&self, sha256: &[u8; 32]) -> bool {
        self.read.certificates.iter().any(|certificate| certificate.sha256() == *sha256)
    }

    fn has_no_other(&self) -> bool {
        self.read.certificates.len() == 1 && self.read.trouble.is_none()
    }
}

/// What is known of the store.
#[derive(Debug, Default)]
pub(super) struct Memory {
    files: Vec<(Source, Known)>,
    /// What is wrong with the folder itself.
    folder: Option<StoreError>,
    contents: Arc<Contents>,
    files_read: u64,
}

impl Memory {
    /// Looks at the files that there are now, and reads those that changed.
    pub(super) fn look(
        &mut self,
        sources: impl Iterator<Item = Source>,
        folder: Option<StoreError>,
    ) -> Arc<Contents> {
        let mut before: HashMap<Source, Known> = self.files.drain(..).collect();
        let (mut taken, mut is_changed) = (Weight::default(), self.folder != folder);
        self.folder = folder;
        for source in sources {
            let (known, is_new) = self.current(&source, before.remove(&source), taken);
            is_changed |= is_new;
            if let (true, Some(trouble)) = (is_new, &known.read.trouble) {
                tracing::warn!("{}: {trouble}", source.path().display());
            }
            taken = taken.and(Weight::of(&known.read.certificates));
            self.files.push((source, known));
        }
        if is_changed || !before.is_empty() {
            self.contents = Arc::new(self.gathered());
        }
        Arc::clone(&self.contents)
    }

    /// How many files were read.
    pub(super) const fn files_read(&self) -> u64 {
        self.files_read
    }

    /// The files of the folder that have a certificate, and whether they have no other.
    pub(super) fn files_with(&self, sha256: &[u8; 32]) -> impl Iterator<Item = (&Path, bool)> {
        self.files.iter().filter_map(move |(source, known)| match source {
            Source::Dropped(path) if known.has(sha256) => Some((path.as_path(), known.has_no_other())),
            _ => None,
        })
    }

    /// Whether the keybox has a certificate.
    pub(super) fn is_in_keybox(&self, sha256: &[u8; 32]) -> bool {
        self.files.iter().any(|(source, known)| matches!(source, Source::Keybox(_)) && known.has(sha256))
    }

    /// Whether another file with that certificate would be used.
    pub(super) fn has_room_for(&self, certificate: &Certificate) -> bool {
        let taken = self
            .files
            .iter()
            .fold(Weight::default(), |taken, (_, known)| taken.and(Weight::of(&known.read.certificates)));
        let is_listed = self.folder.is_none() && self.files.len() < super::MAX_FILES;
        is_listed && !taken.and(Weight::of(std::slice::from_ref(certificate))).is_too_much()
    }

    /// A file as it is now, and whether that is news.
    fn current(&mut self, source: &Source, before: Option<Known>, others: Weight) -> (Known, bool) {
        let stamp = match Stamp::of(source.path()) {
            Ok(stamp) => stamp,
            Err(trouble) => {
                let is_new = before.is_none_or(|before| before.read.trouble.as_ref() != Some(&trouble));
                return (Known::unread(trouble), is_new);
            }
        };
        match before {
            Some(mut known) if known.is_current(stamp, others) => {
                let was_left_out = known.is_left_out();
                known.beside(others);
                let is_new = known.is_left_out() != was_left_out;
                (known, is_new)
            }
            _ => (self.learn(source, stamp, others), true),
        }
    }

    fn learn(&mut self, source: &Source, stamp: Stamp, others: Weight) -> Known {
        self.files_read = self.files_read.saturating_add(1);
        let mut known = source.read(stamp).map_or_else(Known::unread, |read| Known::new(stamp, read));
        known.beside(others);
        known
    }

    fn gathered(&self) -> Contents {
        let mut contents = Contents::default();
        contents.troubles.extend(self.folder.clone());
        let mut seen = HashSet::new();
        for (source, known) in &self.files {
            let news = known.read.certificates.iter().filter(|certificate| seen.insert(certificate.sha256()));
            contents.certificates.extend(
                news.map(|certificate| Stored { certificate: certificate.clone(), origin: source.origin() }),
            );
            contents.troubles.extend(
                known
                    .read
                    .trouble
                    .clone()
                    .map(|trouble| StoreError { path: source.path().to_owned(), trouble }),
            );
        }
        contents
    }
}
