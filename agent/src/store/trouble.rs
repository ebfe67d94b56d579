//! What is in the way of reading the store, of adding to it and removing from it.

use std::io;
use std::path::PathBuf;

use claviger_keys::keybox::KeyboxError;
use claviger_keys::x509::{FileError, X509Error};

use super::{MAX_FILES, MAX_OCTETS, MAX_STORED};

/// A part of the store that cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {trouble}", path.display())]
pub struct StoreError {
    /// Its path.
    pub path: PathBuf,
    /// What is in the way.
    pub trouble: Trouble,
}

/// What is in the way of reading or writing a part of the store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The system refuses.
    #[error("{0}")]
    Io(io::ErrorKind),
    /// It is no regular file: a pipe, a socket, a device.
    #[error("not a regular file")]
    NotFile,
    /// It is too long.
    #[error("more than {most} octets, which is the most that is read")]
    TooLong {
        /// The most that is read.
        most: u64,
    },
    /// There is a private key in it. It does not belong here, and nothing of the file is used.
    #[error("there is a private key in it; only certificates belong here")]
    PrivateKey,
    /// There are no certificates in it, or it is broken.
    #[error(transparent)]
    File(#[from] FileError),
    /// One of its certificates cannot be read; the first of those is named. The others are used.
    #[error("certificate {number} in it cannot be read: {error}")]
    Certificate {
        /// Which one, counted from 1.
        number: usize,
        /// What is wrong with it.
        error: X509Error,
    },
    /// The keybox is broken; what could be read is used.
    #[error(transparent)]
    Keybox(#[from] KeyboxError),
    /// Somebody wrote it while it was read. It is read again at the next occasion.
    #[error("changed while it was read")]
    Changed,
    /// With its certificates there would be more in the store than there may be. None of it is used.
    #[error("no room: the store holds at most {MAX_STORED} certificates of {MAX_OCTETS} octets together")]
    Full,
    /// The folder has more than [`MAX_FILES`] files. None of it is used.
    #[error("more than {MAX_FILES} files")]
    TooManyFiles,
    /// Another program is writing, and does not end.
    #[error("another program is writing to it")]
    Busy,
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error.kind())
    }
}

/// Why a certificate is not added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// It is none, or it cannot be read.
    #[error("no certificate that can be read: {0}")]
    Certificate(#[from] X509Error),
    /// There are as many certificates or files as there may be.
    #[error(
        "no room: the store holds at most {MAX_STORED} certificates of {MAX_OCTETS} octets, in {MAX_FILES} files"
    )]
    Full,
    /// The folder cannot be written.
    #[error(transparent)]
    Folder(#[from] StoreError),
}

/// Why a certificate is not removed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemoveError {
    /// The store does not have it.
    #[error("there is no such certificate in the store")]
    NotThere,
    /// Only gpgsm has it.
    #[error("it is in gpgsm's keybox {} only; gpgsm --delete-keys removes it", path.display())]
    OnlyInKeybox {
        /// The keybox.
        path: PathBuf,
    },
    /// A file that has it has more, which would be lost with it.
    #[error("{} holds more than this certificate; edit the file", path.display())]
    Shared {
        /// The file.
        path: PathBuf,
    },
    /// The folder cannot be written.
    #[error(transparent)]
    Folder(#[from] StoreError),
}
