//! A certificate that was found, and the forms it leaves in.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::block::Block;
use crate::stores::{StoreError, Wanted};
use crate::{BlockError, Fingerprint, Key, NotJudged, Verdict, armor, judge, minimal};

/// How a certificate is to be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Form {
    /// Only what is needed for the key that was asked for: see [`Found::export`].
    pub minimal: bool,
    /// As text.
    pub armored: bool,
}

/// A certificate as it is stored.
#[derive(Debug, Clone)]
pub struct Found {
    octets: Vec<u8>,
    path: PathBuf,
    keys: Vec<Key>,
    asked: Key,
    passed_over: Vec<StoreError>,
}

impl Found {
    /// The certificate that these octets are, if it has the key.
    pub(crate) fn new(octets: Vec<u8>, path: &Path, wanted: Wanted) -> Result<Self, BlockError> {
        let keys = Block::read(&octets)?.keys();
        let asked = *keys.iter().find(|key| wanted.is(key)).ok_or(BlockError::OtherKeys)?;
        Ok(Self { octets, path: path.to_owned(), keys, asked, passed_over: Vec::new() })
    }

    pub(crate) fn with_passed_over(self, passed_over: Vec<StoreError>) -> Self {
        Self { passed_over, ..self }
    }

    /// The file in which it stands.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Stores before that one which could not be read: they may have another copy.
    #[must_use]
    pub fn passed_over(&self) -> &[StoreError] {
        &self.passed_over
    }

    /// The primary key's fingerprint, which is also the certificate's.
    #[must_use]
    pub fn primary(&self) -> Fingerprint {
        self.keys.first().unwrap_or(&self.asked).fingerprint()
    }

    /// The key that was asked for.
    #[must_use]
    pub const fn asked(&self) -> Key {
        self.asked
    }

    /// Its keys as they are stored, the primary key first. They are not checked: a subkey may be bound badly or not at
    /// all.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// What the certificate, the key and the user ids are worth at a time.
    #[must_use]
    pub fn verdict(&self, at: SystemTime) -> Verdict {
        match Block::read(&self.octets) {
            Ok(block) => judge::verdict(&block, self.primary(), self.asked.fingerprint(), at),
            Err(error) => Verdict::unusable(error.to_string()),
        }
    }

    /// The certificate in a form.
    ///
    /// The **full** form is what `gpg --export` gives: all stored packets but local signatures, signatures that name a
    /// revoker in confidence, and packets that are no part of a certificate. What it contains does not depend on the
    /// time.
    ///
    /// The **minimal** form is what `gpg --export-options export-minimal --export FINGERPRINT!` gives, and less where gpg
    /// keeps what no longer counts: the primary key with its newest direct-key signature; the user ids that are bound and not
    /// revoked at that time, each with its newest binding (if there is none such, the revoked ones with their revocations);
    /// the key that was asked for, if it is a subkey, with its newest binding. Revocations of the primary key and of that
    /// subkey come along. No user attributes, no other subkeys, nobody else's signatures.
    ///
    /// Either way the packets are the stored ones, octet for octet and in their order.
    ///
    /// # Errors
    /// [`NotJudged`] if the minimal form is wanted of a certificate that sequoia-openpgp does not understand, or that is
    /// not bound together at that time. The full form always succeeds.
    pub fn export(&self, form: Form, at: SystemTime) -> Result<Vec<u8>, NotJudged> {
        let block = Block::read(&self.octets)?;
        let octets = if form.minimal {
            minimal::minimal(&block, self.primary(), self.asked.fingerprint(), at)?
        } else {
            block.full()
        };
        Ok(if form.armored { armor::write(&octets, !block.is_v6()) } else { octets })
    }
}
