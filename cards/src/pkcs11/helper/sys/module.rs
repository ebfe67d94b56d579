//! A loaded module: its start and its end, its slots and tokens (PKCS#11, 5.4 and 5.5).

use std::ffi::CStr;
use std::path::Path;
use std::ptr;

use cryptoki_sys::*;

/// The most slots and mechanisms that a module may list.
const MAX_LIST: CK_ULONG = 4096;

/// Room in a list for what came since it was counted.
const SPARE: CK_ULONG = 8;

/// A module whose functions can be called.
pub(in crate::pkcs11::helper) struct Module {
    pub(super) functions: CK_FUNCTION_LIST,
    /// Keeps it loaded.
    _library: Pkcs11,
}

/// What a function of the module said other than `CKR_OK`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pkcs11::helper) enum Refusal {
    /// A `CKR_`.
    Code {
        /// Of which function.
        function: &'static str,
        /// Which.
        code: CK_RV,
    },
    /// It said `CKR_OK`, and its answer cannot be.
    Malformed {
        /// Which function.
        function: &'static str,
    },
}

impl Refusal {
    /// The `CKR_`, if it is one.
    pub(in crate::pkcs11::helper) fn code(&self) -> Option<CK_RV> {
        match self {
            Self::Code { code, .. } => Some(*code),
            Self::Malformed { .. } => None,
        }
    }

    /// Whether it is one of these `CKR_`.
    pub(in crate::pkcs11::helper) fn is_any(&self, codes: &[CK_RV]) -> bool {
        self.code().is_some_and(|code| codes.contains(&code))
    }

    pub(super) fn check(function: &'static str, code: CK_RV) -> Result<(), Self> {
        if code == CKR_OK { Ok(()) } else { Err(Self::Code { function, code }) }
    }
}

/// Calls a function of the module by its name in PKCS#11.
macro_rules! call {
    ($module:expr, $function:ident($($argument:expr),* $(,)?)) => {{
        let function = stringify!($function);
        match $module.functions.$function {
            Some(entry) => {
                // SAFETY: the entry is the module's, of the type that the standard gives it. Pointers among the arguments
                // are null where the standard allows it, or to memory that lives through the call and has the length
                // that goes with it.
                $crate::pkcs11::helper::sys::module::Refusal::check(function, unsafe { entry($($argument),*) })
            }
            None => Err($crate::pkcs11::helper::sys::module::Refusal::Code {
                function,
                code: cryptoki_sys::CKR_FUNCTION_NOT_SUPPORTED,
            }),
        }
    }};
}
pub(super) use call;

impl Module {
    /// Loads it and asks for its functions.
    ///
    /// # Errors
    /// What the loader says, or that it is no PKCS#11 module.
    pub(in crate::pkcs11::helper) fn load(path: &Path) -> Result<Self, String> {
        // SAFETY: what a library does while it is loaded is foreign code, as all of it: see the room's label.
        let library = unsafe { Pkcs11::new(path) }.map_err(|error| error.to_string())?;
        let Ok(entry) = &library.C_GetFunctionList else {
            return Err("no C_GetFunctionList in it".to_owned());
        };
        let mut list = ptr::null_mut();
        // SAFETY: `list` lives through the call.
        let code = unsafe { entry(&raw mut list) };
        if code != CKR_OK || list.is_null() {
            return Err(format!("C_GetFunctionList gives none ({code:#x})"));
        }
        // SAFETY: the module promises a list that stays where it is; it is copied, unaligned or not.
        let functions = unsafe { list.read_unaligned() };
        Ok(Self { functions, _library: library })
    }

    /// `C_Initialize`, with locks of the system's or none, and p11-kit's string.
    pub(in crate::pkcs11::helper) fn initialize(
        &self,
        locks: bool,
        reserved: Option<&CStr>,
    ) -> Result<(), Refusal> {
        let mut arguments = CK_C_INITIALIZE_ARGS {
            CreateMutex: None,
            DestroyMutex: None,
            LockMutex: None,
            UnlockMutex: None,
            flags: if locks { CKF_OS_LOCKING_OK } else { 0 },
            pReserved: reserved.map_or(ptr::null_mut(), |text| text.as_ptr().cast_mut().cast()),
        };
        call!(self, C_Initialize((&raw mut arguments).cast()))
    }

    /// `C_Finalize`.
    pub(in crate::pkcs11::helper) fn finalize(&self) -> Result<(), Refusal> {
        call!(self, C_Finalize(ptr::null_mut()))
    }

    /// `C_GetInfo`.
    pub(in crate::pkcs11::helper) fn info(&self) -> Result<CK_INFO, Refusal> {
        let mut info = CK_INFO::default();
        call!(self, C_GetInfo(&raw mut info))?;
        Ok(info)
    }

    /// `C_GetSlotList`: those with a token.
    pub(in crate::pkcs11::helper) fn slots(&self) -> Result<Vec<CK_SLOT_ID>, Refusal> {
        list("C_GetSlotList", |entries, count| call!(self, C_GetSlotList(CK_TRUE, entries, count)))
    }

    /// `C_GetMechanismList`.
    pub(in crate::pkcs11::helper) fn mechanisms(
        &self,
        slot: CK_SLOT_ID,
    ) -> Result<Vec<CK_MECHANISM_TYPE>, Refusal> {
        list("C_GetMechanismList", |entries, count| call!(self, C_GetMechanismList(slot, entries, count)))
    }

    /// `C_GetSlotInfo`.
    pub(in crate::pkcs11::helper) fn slot(&self, slot: CK_SLOT_ID) -> Result<CK_SLOT_INFO, Refusal> {
        let mut info = CK_SLOT_INFO::default();
        call!(self, C_GetSlotInfo(slot, &raw mut info))?;
        Ok(info)
    }

    /// `C_GetTokenInfo`.
    pub(in crate::pkcs11::helper) fn token(&self, slot: CK_SLOT_ID) -> Result<CK_TOKEN_INFO, Refusal> {
        let mut info = CK_TOKEN_INFO::default();
        call!(self, C_GetTokenInfo(slot, &raw mut info))?;
        Ok(info)
    }

    /// `C_WaitForSlotEvent` without waiting: whether there was one.
    pub(in crate::pkcs11::helper) fn slot_event(&self) -> Result<bool, Refusal> {
        let mut slot = 0;
        match call!(self, C_WaitForSlotEvent(CKF_DONT_BLOCK, &raw mut slot, ptr::null_mut())) {
            Ok(()) => Ok(true),
            Err(refusal) if refusal.code() == Some(CKR_NO_EVENT) => Ok(false),
            Err(refusal) => Err(refusal),
        }
    }
}

/// A list that is counted first and then fetched.
fn list(
    function: &'static str,
    fetch: impl Fn(*mut CK_ULONG, *mut CK_ULONG) -> Result<(), Refusal>,
) -> Result<Vec<CK_ULONG>, Refusal> {
    let mut count = 0;
    fetch(ptr::null_mut(), &raw mut count)?;
    let mut entries = vec![0; usize::try_from(count.min(MAX_LIST) + SPARE).unwrap_or_default()];
    count = entries.len() as CK_ULONG;
    fetch(entries.as_mut_ptr(), &raw mut count)?;
    let count = usize::try_from(count).ok().filter(|count| *count <= entries.len());
    entries.truncate(count.ok_or(Refusal::Malformed { function })?);
    Ok(entries)
}
