//! What keeps a store from being read, or a certificate from being found.

use std::io;
use std::path::PathBuf;

use claviger_keys::keybox::KeyboxError;

use crate::stores::{DatabaseError, MAX_CERTIFICATES, MAX_FILE, MAX_FILES};
use crate::{ArmorError, BlockError};

/// No store has the key, as far as they could be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no local store has an OpenPGP certificate with that key")]
pub struct NotFound {
    /// Those that could not be read.
    pub unread: Vec<StoreError>,
}

/// A store, or a file in one, that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {trouble}", path.display())]
pub struct StoreError {
    /// Its path.
    pub path: PathBuf,
    /// What was in the way.
    pub trouble: Trouble,
}

/// What keeps a store from being read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The system refuses.
    #[error("{0}")]
    Io(io::ErrorKind),
    /// It is neither a file nor a directory.
    #[error("neither a file nor a directory")]
    NotFile,
    /// It is larger than [`MAX_FILE`].
    #[error("{octets} octets; at most {MAX_FILE} are read")]
    TooLarge {
        /// How large it is.
        octets: u64,
    },
    /// It is nothing of OpenPGP.
    #[error("neither OpenPGP packets, nor armored ones, nor a keybox, nor keyboxd's database")]
    NotOpenPgp,
    /// The armor is broken.
    #[error(transparent)]
    Armor(#[from] ArmorError),
    /// A certificate is broken or beyond a limit.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// The keybox is broken.
    #[error(transparent)]
    Keybox(#[from] KeyboxError),
    /// The database cannot be read.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// It has more than [`MAX_CERTIFICATES`].
    #[error("more than {MAX_CERTIFICATES} certificates")]
    TooManyCertificates,
    /// The directory has more than [`MAX_FILES`].
    #[error("more than {MAX_FILES} files")]
    TooManyFiles,
    /// The file was changed while it was read.
    #[error("changed while it was read")]
    Changed,
}

impl Trouble {
    /// Whether it is that there are secret keys.
    pub(super) const fn is_secret(&self) -> bool {
        matches!(self, Self::Block(BlockError::SecretKey) | Self::Armor(ArmorError::PrivateKey))
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error.kind())
    }
}
