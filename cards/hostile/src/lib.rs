//! A PKCS#11 module that does its worst, for tests. It passes every call on to a real module, and at a random one it
//! crashes, sleeps for ever, exits, refuses, loses its session, gives wrong lengths or garbage, closes descriptors that it
//! does not own, or leaks. What it does, and with which seed, is said on standard error.
//!
//! | variable | says |
//! |---|---|
//! | `HOSTILE_MODULE` | the real module |
//! | `HOSTILE_SEED` | the seed; otherwise the time |
//! | `HOSTILE_FAULTS` | which of `crash sleep exit refuse lose lengths garbage descriptors leak`; otherwise all |
//! | `HOSTILE_FUNCTION` | only calls of this function count |
//! | `HOSTILE_CALL` | at the call with this number, counted from 1, and only once; otherwise at a random one, again and again; 0 is never |
//! | `HOSTILE_WITHIN` | a random one of so many calls; otherwise of 300 |
//! | `HOSTILE_LOCKS` | `none`: it says that it cannot be called by several threads |
//!
//! Functions without a wrapper here are the real module's own.
#![allow(unsafe_code, reason = "a module's functions are C functions")]

mod calls;
mod faults;
mod plan;

use std::env;
use std::ptr;
use std::sync::OnceLock;

use cryptoki_sys::*;

/// The real module, loaded once and never unloaded.
struct Real {
    list: CK_FUNCTION_LIST,
    _library: Pkcs11,
}

/// The real module's functions. A test without a real module is of no use.
fn real() -> &'static CK_FUNCTION_LIST {
    static REAL: OnceLock<Real> = OnceLock::new();
    &REAL.get_or_init(|| load().expect("HOSTILE_MODULE names a PKCS#11 module")).list
}

fn load() -> Option<Real> {
    // SAFETY: it is a module that the test trusts.
    let library = unsafe { Pkcs11::new(env::var_os("HOSTILE_MODULE")?) }.ok()?;
    let mut list = ptr::null_mut();
    // SAFETY: `list` lives through the call.
    let code = unsafe { (library.C_GetFunctionList.as_ref().ok()?)(&raw mut list) };
    if code != CKR_OK || list.is_null() {
        return None;
    }
    // SAFETY: a module's list stays where it is.
    let list = unsafe { list.read_unaligned() };
    Some(Real { list, _library: library })
}

/// `C_GetFunctionList` (PKCS#11, 5.4).
///
/// # Safety
/// As the standard has it: `list` is null or points to a pointer.
// SAFETY: no other function of the process has this name, and loaders look for it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn C_GetFunctionList(list: *mut *mut CK_FUNCTION_LIST) -> CK_RV {
    static LIST: OnceLock<CK_FUNCTION_LIST> = OnceLock::new();
    if list.is_null() {
        return CKR_ARGUMENTS_BAD;
    }
    let ours = LIST.get_or_init(|| calls::wrap(*real()));
    // SAFETY: the caller gives a place for a pointer. It reads from the list, and nobody writes there.
    unsafe { list.write(ptr::from_ref(ours).cast_mut()) };
    CKR_OK
}
