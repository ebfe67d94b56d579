//! The helper's own process: what it gives up before the module is loaded, and how it ends.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Closes every descriptor above standard error but one.
pub(in crate::pkcs11::helper) fn close_others(keep: BorrowedFd<'_>) -> io::Result<()> {
    let keep = keep.as_raw_fd().cast_unsigned();
    if let Some(last) = keep.checked_sub(1).filter(|last| *last > 2) {
        close_range(3, last)?;
    }
    close_range(keep.saturating_add(1).max(3), u32::MAX)
}

fn close_range(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: this is done before anything else in the process has opened a descriptor; nobody owns what is closed.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    match io::Error::last_os_error() {
        _ if result == 0 => Ok(()),
        // An old kernel, or a sandbox that is older than the call.
        error if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => close_each(first, last),
        error => Err(error),
    }
}

/// One after the other, as far as a process usually gets.
fn close_each(first: u32, last: u32) -> io::Result<()> {
    for descriptor in first..=last.min(4095) {
        // SAFETY: as above; one that is not open is an error and no more.
        unsafe { libc::close(descriptor.cast_signed()) };
    }
    Ok(())
}

/// Lets the terminal's signals pass: the daemon decides when its helper ends.
pub(in crate::pkcs11::helper) fn ignore_terminal() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGPIPE] {
        // SAFETY: `SIG_IGN` runs no code of ours.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Ends the process here and now: other threads may be inside the module, whose own ending would trip over them.
pub(in crate::pkcs11::helper) fn end(code: u8) -> ! {
    // SAFETY: it does not return, and runs nothing on its way.
    unsafe { libc::_exit(code.into()) }
}
