//! Bytes that must not be seen: PINs, private keys, plaintexts.
//!
//! A [`Secret`] lives in memory pages of its own, which are locked (never swapped), left out of core dumps, and wiped
//! when the value is dropped. It cannot be cloned, and its `Debug` prints a placeholder, so deriving `Debug` on a
//! request that carries one stays safe. Its capacity is fixed when it is made: growing would leave copies behind.
//!
//! Where the system refuses to lock a page (`RLIMIT_MEMLOCK`), the secret is still wiped; [`Secret::is_locked`] tells.

mod sys;

use std::fmt;

use zeroize::Zeroize;

use crate::sys::Pages;

/// A secret of at most a fixed number of octets.
pub struct Secret {
    pages: Pages,
    len: usize,
}

/// More octets were added to a [`Secret`] than it was made for. The octets that did not fit were not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full {
    /// How many octets the secret can hold.
    pub capacity: usize,
}

impl Secret {
    /// An empty secret that can hold `capacity` octets.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { pages: Pages::new(capacity), len: 0 }
    }

    /// Takes a copy of `source`; the caller's own copy is the caller's to wipe.
    #[must_use]
    pub fn copy_of(source: &[u8]) -> Self {
        let mut secret = Self::with_capacity(source.len());
        secret.append(source);
        secret
    }

    /// Moves the octets of `source` into a secret and wipes `source`.
    #[must_use]
    pub fn take(mut source: Vec<u8>) -> Self {
        let secret = Self::copy_of(&source);
        source.zeroize();
        secret
    }

    /// Adds octets at the end.
    ///
    /// # Errors
    /// [`Full`] when they do not all fit; then none is added.
    pub fn extend(&mut self, octets: &[u8]) -> Result<(), Full> {
        if octets.len() > self.capacity() - self.len {
            return Err(Full { capacity: self.capacity() });
        }
        self.append(octets);
        Ok(())
    }

    /// How many octets it can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.pages.as_slice().len()
    }

    /// The octets.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.pages.as_slice()[..self.len]
    }

    /// How many octets there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Keeps the first `len` octets and wipes the others; does nothing if there are no more than that.
    pub fn truncate(&mut self, len: usize) {
        if len < self.len {
            self.pages.as_mut_slice()[len..self.len].zeroize();
            self.len = len;
        }
    }

    /// A second copy, asked for by name: there is no `Clone`, so that no copy is made in passing.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self::copy_of(self.as_bytes())
    }

    /// Whether the system keeps the pages in memory and out of swap.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.pages.is_locked()
    }

    fn append(&mut self, octets: &[u8]) {
        let end = self.len + octets.len();
        self.pages.as_mut_slice()[self.len..end].copy_from_slice(octets);
        self.len = end;
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.pages.as_mut_slice().zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_gives_back_what_was_put_in() {
        let mut secret = Secret::with_capacity(6);
        secret.extend(b"123").unwrap();
        secret.extend(b"456").unwrap();
        assert_eq!(secret.as_bytes(), b"123456");
        assert_eq!(secret.extend(b"7"), Err(Full { capacity: 6 }));
        assert_eq!(secret.as_bytes(), b"123456");
    }

    #[test]
    fn what_is_truncated_is_wiped() {
        let mut secret = Secret::copy_of(b"123456\0\0");
        secret.truncate(2);
        assert_eq!(secret.as_bytes(), b"12");
        assert_eq!(&secret.pages.as_slice()[..8], b"12\0\0\0\0\0\0");
    }

    #[test]
    fn debug_shows_nothing_of_it() {
        assert_eq!(format!("{:?}", Secret::copy_of(b"123456")), "Secret(..)");
    }

    #[test]
    fn an_empty_secret_needs_no_pages() {
        let secret = Secret::copy_of(b"");
        assert!(secret.is_empty());
        assert_eq!(secret.duplicate().as_bytes(), b"");
    }

    #[test]
    fn pages_are_locked_and_stay_out_of_dumps() {
        let secret = Secret::copy_of(b"123456");
        assert!(secret.is_locked());
        let address = format!("{:x}-", secret.as_bytes().as_ptr() as usize);
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let area = maps.split_once(&address).expect("a mapping of its own").1;
        let flags = area.lines().find(|line| line.starts_with("VmFlags:")).unwrap();
        assert!(flags.contains(" lo") && flags.contains(" dd"), "{flags}");
    }
}
