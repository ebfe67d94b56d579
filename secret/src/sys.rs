//! Anonymous memory pages, locked and left out of dumps: the only unsafe code beside that which calls PKCS#11 modules, or
//! is one.
#![allow(unsafe_code)]

use std::ptr::NonNull;

/// A private anonymous mapping of whole pages, of which the first `len` octets are used.
pub(crate) struct Pages {
    start: NonNull<u8>,
    len: usize,
    locked: bool,
}

impl Pages {
    /// Maps room for `len` octets, all zero. No page is mapped for none.
    ///
    /// # Panics
    /// When the system has no memory left, as `Vec` does.
    pub(crate) fn new(len: usize) -> Self {
        if len == 0 {
            return Self { start: NonNull::dangling(), len, locked: true };
        }
        // SAFETY: a new anonymous mapping touches no memory that exists; the result is checked before use.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert!(start != libc::MAP_FAILED, "out of memory: {len} octets for a secret");
        // SAFETY: `start` and `len` are the mapping made above; both calls change its treatment, not its content.
        let locked = unsafe {
            #[cfg(target_os = "linux")]
            libc::madvise(start, len, libc::MADV_DONTDUMP);
            libc::mlock(start, len) == 0
        };
        let start = NonNull::new(start.cast()).expect("mmap never maps page zero here");
        Self { start, len, locked }
    }

    pub(crate) fn is_locked(&self) -> bool {
        self.locked
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        // SAFETY: `len` octets from `start` are mapped and initialised (zero pages) as long as `self` lives; for
        // `len` 0 the pointer is dangling but aligned, as slices allow.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as in `as_slice`; `&mut self` makes the borrow unique.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        if self.len > 0 {
            // SAFETY: the mapping was made by `new` and nothing borrows it any more. Unmapping also unlocks.
            unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
        }
    }
}

// SAFETY: the pages belong to one `Pages`, and access goes through its borrows; nothing is tied to a thread.
unsafe impl Send for Pages {}
// SAFETY: shared access only reads.
unsafe impl Sync for Pages {}
