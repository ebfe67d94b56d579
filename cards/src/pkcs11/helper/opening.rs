//! Loading and initialising a module, and initialising it once more.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use cryptoki_sys::{
    CKR_ARGUMENTS_BAD, CKR_CANT_LOCK, CKR_CRYPTOKI_ALREADY_INITIALIZED, CKR_NEED_TO_CREATE_THREADS,
};

use super::sys::module::{Module, Refusal};
use super::token::text;
use crate::pkcs11::wire::{Fault, Opening};

/// A module that is ready.
pub(super) struct Opened {
    pub(super) module: Arc<Module>,
    /// Whether it wants one call at a time.
    pub(super) serial: bool,
    /// `libraryDescription`.
    pub(super) library: String,
}

/// Loads the module and initialises it.
///
/// # Errors
/// That it cannot be loaded, or what it says to `C_Initialize`.
pub(super) fn open(opening: &Opening) -> Result<Opened, Fault> {
    let path = Path::new(OsStr::from_bytes(&opening.module));
    let module = Arc::new(Module::load(path).map_err(Fault::Loading)?);
    let serial = initialize(&module, opening)?;
    // Some modules have no description; that is no reason to do without them.
    let library = module.info().map(|info| text(&info.libraryDescription)).unwrap_or_default();
    Ok(Opened { module, serial, library })
}

/// Initialises a loaded module: with locks, or else without, and then it is serial.
pub(super) fn initialize(module: &Module, opening: &Opening) -> Result<bool, Refusal> {
    let reserved = opening.init_reserved.as_deref().and_then(|text| CString::new(text).ok());
    let reserved = reserved.as_deref();
    match module.initialize(true, reserved) {
        Ok(()) => Ok(false),
        Err(refusal) if refusal.code() == Some(CKR_CRYPTOKI_ALREADY_INITIALIZED) => Ok(false),
        Err(refusal) if refusal.is_any(&[CKR_CANT_LOCK, CKR_NEED_TO_CREATE_THREADS, CKR_ARGUMENTS_BAD]) => {
            module.initialize(false, reserved).map(|()| true)
        }
        Err(refusal) => Err(refusal),
    }
}
