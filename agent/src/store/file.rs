//! One file of the store: whether it changed, and the certificates in it.

use std::fs::{File, Metadata, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use claviger_keys::keybox::{Entry, entries};
use claviger_keys::x509::{Certificate, MAX_FILE, read_file};
use rustix::fs::OFlags;
use zeroize::Zeroizing;

use super::Trouble;

/// The longest keybox that is read. It is in memory as a whole for the time of reading.
pub const MAX_KEYBOX: u64 = 64 * 1024 * 1024;

/// How the PEM of every kind of private key begins behind its name.
const PRIVATE_KEY: &[u8] = b"PRIVATE KEY-----";

/// What changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    place: (u64, u64),
    len: u64,
    /// Of the content, and of everything about the file: the latter cannot be set back, and changes with permissions.
    times: [(i64, i64); 2],
}

impl Stamp {
    /// The stamp of a regular file. Anything else is not even opened: some devices do something when they are.
    pub(super) fn of(path: &Path) -> Result<Self, Trouble> {
        Self::read(&path.metadata()?)
    }

    fn read(metadata: &Metadata) -> Result<Self, Trouble> {
        if !metadata.is_file() {
            return Err(Trouble::NotFile);
        }
        Ok(Self {
            place: (metadata.dev(), metadata.ino()),
            len: metadata.len(),
            times: [(metadata.mtime(), metadata.mtime_nsec()), (metadata.ctime(), metadata.ctime_nsec())],
        })
    }
}

/// The certificates of a file whose fields can be read, and the first thing that is wrong with it.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) certificates: Vec<Certificate>,
    pub(super) trouble: Option<Trouble>,
}

impl Read {
    /// Certificates of a file that somebody dropped. `Err` if it could not be got at; then it is worth another try.
    pub(super) fn dropped(path: &Path, stamp: Stamp) -> Result<Self, Trouble> {
        octets(path, stamp, u64::try_from(MAX_FILE).unwrap_or(u64::MAX)).map(|octets| match octets {
            Some(octets) if has_private_key(&octets) => Self::none(Trouble::PrivateKey),
            Some(octets) => read_file(&octets).map_or_else(|error| Self::none(error.into()), Self::readable),
            None => Self::none(Trouble::TooLong { most: u64::try_from(MAX_FILE).unwrap_or(u64::MAX) }),
        })
    }

    /// Certificates of a keybox, in the same way.
    pub(super) fn keybox(path: &Path, stamp: Stamp) -> Result<Self, Trouble> {
        octets(path, stamp, MAX_KEYBOX).map(|octets| match octets {
            Some(octets) => Self::in_keybox(&octets),
            None => Self::none(Trouble::TooLong { most: MAX_KEYBOX }),
        })
    }

    fn none(trouble: Trouble) -> Self {
        Self { certificates: Vec::new(), trouble: Some(trouble) }
    }

    fn readable(certificates: impl IntoIterator<Item = Certificate>) -> Self {
        let mut read = Self::default();
        for (index, certificate) in certificates.into_iter().enumerate() {
            match certificate.fields() {
                Ok(_) => read.certificates.push(certificate),
                Err(&error) => {
                    let number = index.saturating_add(1);
                    read.trouble.get_or_insert(Trouble::Certificate { number, error });
                }
            }
        }
        read
    }

    fn in_keybox(keybox: &[u8]) -> Self {
        let mut broken = None;
        let read = Self::readable(entries(keybox).filter_map(|entry| match entry {
            Ok(Entry::X509(der)) => Some(Certificate::new(der)),
            Ok(_) => None,
            Err(error) => {
                broken.get_or_insert(Trouble::Keybox(error));
                None
            }
        }));
        Self { trouble: broken.or(read.trouble), ..read }
    }
}

/// What is in a regular file; `None` if that is more than `most`. Nothing of it stays in memory afterwards: there may be
/// a private key in it that somebody dropped by mistake.
fn octets(path: &Path, stamp: Stamp, most: u64) -> Result<Option<Zeroizing<Vec<u8>>>, Trouble> {
    if stamp.len > most {
        return Ok(None);
    }
    let file = open(path)?;
    // Into one piece of memory; a file that says nothing of its length (in /proc) is not read beyond the limit.
    let room = usize::try_from(stamp.len).unwrap_or_default().saturating_add(1);
    let mut octets = Zeroizing::new(Vec::with_capacity(room));
    (&file).take(most.saturating_add(1)).read_to_end(&mut octets)?;
    if Stamp::read(&file.metadata()?)? != stamp {
        return Err(Trouble::Changed);
    }
    let is_within = u64::try_from(octets.len()).is_ok_and(|len| len <= most);
    Ok(is_within.then_some(octets))
}

/// Should a pipe have taken the file's place since it was looked at, opening does not wait for the other end.
fn open(path: &Path) -> Result<File, Trouble> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
    Ok(OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path)?)
}

fn has_private_key(octets: &[u8]) -> bool {
    octets.windows(PRIVATE_KEY.len()).any(|window| window == PRIVATE_KEY)
}
