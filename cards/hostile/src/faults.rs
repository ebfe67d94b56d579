//! The faults.

use std::ptr;
use std::thread::sleep;
use std::time::Duration;

use cryptoki_sys::{CK_BYTE, CK_RV, CK_ULONG, CKR_DEVICE_ERROR, CKR_SESSION_HANDLE_INVALID};

use crate::plan::{self, Fault};

/// Octets that are leaked at once.
const LEAK: usize = 64 << 20;

/// Descriptors that are closed: all that a process like this has.
const DESCRIPTORS: std::ops::Range<i32> = 3..64;

/// What remains to be spoilt in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spoil {
    Nothing,
    Lengths,
    Garbage,
}

/// Does what is planned for this call; a code if the real module is not to be called.
pub(crate) fn strike(function: &str) -> Result<Spoil, CK_RV> {
    match plan::next(function) {
        None => return Ok(Spoil::Nothing),
        Some(Fault::Crash) => crash(),
        Some(Fault::Sleep) => loop {
            sleep(Duration::from_secs(3600));
        },
        Some(Fault::Exit) => std::process::exit(0),
        Some(Fault::Refuse) => return Err(CKR_DEVICE_ERROR),
        Some(Fault::Lose) => return Err(CKR_SESSION_HANDLE_INVALID),
        Some(Fault::Lengths) => return Ok(Spoil::Lengths),
        Some(Fault::Garbage) => return Ok(Spoil::Garbage),
        Some(Fault::Descriptors) => close_all(),
        Some(Fault::Leak) => vec![1_u8; LEAK].leak().fill(2),
    }
    Ok(Spoil::Nothing)
}

fn crash() {
    // SAFETY: none. A crash is what is asked for; the process ends here.
    unsafe { ptr::null_mut::<u8>().write_volatile(1) };
}

fn close_all() {
    for descriptor in DESCRIPTORS {
        // SAFETY: none. They belong to others, which is what is asked for; it is a system call and touches no memory.
        unsafe { libc::close(descriptor) };
    }
}

/// Spoils an answer of `capacity` entries of which the length says how many are used.
///
/// # Safety
/// Both pointers are null or good for what they say.
pub(crate) unsafe fn spoil<T>(spoil: Spoil, entries: *mut T, capacity: CK_ULONG, length: *mut CK_ULONG) {
    match spoil {
        // SAFETY: the caller's promise.
        Spoil::Lengths if !length.is_null() => unsafe { length.write(wrong_length(length.read())) },
        // SAFETY: the caller's promise.
        Spoil::Garbage if !entries.is_null() => unsafe { scribble(entries.cast(), capacity, size_of::<T>()) },
        _ => {}
    }
}

/// A length that is not the true one.
pub(crate) fn wrong_length(length: CK_ULONG) -> CK_ULONG {
    match plan::random(5) {
        0 => 0,
        1 => length.wrapping_sub(1),
        2 => length.wrapping_add(1),
        3 => length.wrapping_mul(1000).wrapping_add(7),
        _ => CK_ULONG::MAX - plan::random(3),
    }
}

/// # Safety
/// There are `entries` of `size` octets.
pub(crate) unsafe fn scribble(octets: *mut CK_BYTE, entries: CK_ULONG, size: usize) {
    for octet in 0..usize::try_from(entries).unwrap_or_default() * size {
        let noise = plan::random(256).to_le_bytes()[0];
        // SAFETY: within what the caller promises.
        unsafe { octets.add(octet).write(noise) };
    }
}
