//! The functions that are wrapped: all that a program needs to find keys and to use them.

#![allow(non_snake_case, reason = "names of the standard")]

use std::env;

use cryptoki_sys::*;

use crate::faults::{Spoil, scribble, spoil, strike, wrong_length};
use crate::plan;
use crate::real;

/// Defines functions that strike, or pass on to the real ones; and the list with them in it.
macro_rules! wrap {
    ($($function:ident($($argument:ident: $type:ty),*);)*) => {
        $(unsafe extern "C" fn $function($($argument: $type),*) -> CK_RV {
            let spoilt = match strike(stringify!($function)) {
                Ok(spoilt) => spoilt,
                Err(code) => return code,
            };
            let Some(entry) = real().$function else { return CKR_FUNCTION_NOT_SUPPORTED };
            // SAFETY: the caller's arguments, as they are.
            let code = unsafe { entry($($argument),*) };
            wrap!(@spoil spoilt, $function($($argument),*));
            code
        })*

        /// The real module's list with our functions in it.
        pub(crate) fn wrap(mut list: CK_FUNCTION_LIST) -> CK_FUNCTION_LIST {
            $(list.$function = Some($function);)*
            list.C_Initialize = Some(C_Initialize);
            list
        }
    };
    (@spoil $spoilt:ident, C_GetSlotList($present:ident, $slots:ident, $count:ident)) => {
        // SAFETY: the caller's arguments; a list without room is not touched.
        unsafe { spoil($spoilt, $slots, 1, $count) }
    };
    (@spoil $spoilt:ident, C_GetMechanismList($slot:ident, $list:ident, $count:ident)) => {
        // SAFETY: as above.
        unsafe { spoil($spoilt, $list, 1, $count) }
    };
    (@spoil $spoilt:ident, C_GetTokenInfo($slot:ident, $info:ident)) => {
        // SAFETY: the caller's place for the information; every pattern of bits is one.
        unsafe { spoil($spoilt, $info, 1, std::ptr::null_mut()) }
    };
    (@spoil $spoilt:ident, C_FindObjects($session:ident, $objects:ident, $room:ident, $count:ident)) => {
        // SAFETY: the caller's arguments.
        unsafe { spoil($spoilt, $objects, $room, $count) }
    };
    (@spoil $spoilt:ident, C_Sign($session:ident, $data:ident, $length:ident, $signature:ident, $room:ident)) => {
        // SAFETY: the caller's arguments: there is room for any signature.
        unsafe { spoil($spoilt, $signature, 16, $room) }
    };
    (@spoil $spoilt:ident, C_Decrypt($session:ident, $data:ident, $length:ident, $plaintext:ident, $room:ident)) => {
        // SAFETY: as above.
        unsafe { spoil($spoilt, $plaintext, 16, $room) }
    };
    (@spoil $spoilt:ident, C_GetAttributeValue($session:ident, $object:ident, $attributes:ident, $count:ident)) => {
        // SAFETY: the caller's arguments.
        unsafe { spoil_attributes($spoilt, $attributes, $count) }
    };
    (@spoil $spoilt:ident, $function:ident($($argument:ident),*)) => {
        let _ = $spoilt;
    };
}

wrap! {
    C_GetInfo(info: *mut CK_INFO);
    C_GetSlotList(present: CK_BBOOL, slots: *mut CK_SLOT_ID, count: *mut CK_ULONG);
    C_GetSlotInfo(slot: CK_SLOT_ID, info: *mut CK_SLOT_INFO);
    C_GetTokenInfo(slot: CK_SLOT_ID, info: *mut CK_TOKEN_INFO);
    C_GetMechanismList(slot: CK_SLOT_ID, list: *mut CK_MECHANISM_TYPE, count: *mut CK_ULONG);
    C_OpenSession(slot: CK_SLOT_ID, flags: CK_FLAGS, context: *mut std::ffi::c_void, notify: CK_NOTIFY, session: *mut CK_SESSION_HANDLE);
    C_CloseSession(session: CK_SESSION_HANDLE);
    C_GetSessionInfo(session: CK_SESSION_HANDLE, info: *mut CK_SESSION_INFO);
    C_Login(session: CK_SESSION_HANDLE, user: CK_USER_TYPE, pin: *mut CK_BYTE, length: CK_ULONG);
    C_Logout(session: CK_SESSION_HANDLE);
    C_FindObjectsInit(session: CK_SESSION_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG);
    C_FindObjects(session: CK_SESSION_HANDLE, objects: *mut CK_OBJECT_HANDLE, room: CK_ULONG, count: *mut CK_ULONG);
    C_FindObjectsFinal(session: CK_SESSION_HANDLE);
    C_GetAttributeValue(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, attributes: *mut CK_ATTRIBUTE, count: CK_ULONG);
    C_SignInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE);
    C_Sign(session: CK_SESSION_HANDLE, data: *mut CK_BYTE, length: CK_ULONG, signature: *mut CK_BYTE, room: *mut CK_ULONG);
    C_DecryptInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE);
    C_Decrypt(session: CK_SESSION_HANDLE, data: *mut CK_BYTE, length: CK_ULONG, plaintext: *mut CK_BYTE, room: *mut CK_ULONG);
    C_GenerateRandom(session: CK_SESSION_HANDLE, octets: *mut CK_BYTE, length: CK_ULONG);
}

/// Refuses to lock if it is told to.
unsafe extern "C" fn C_Initialize(arguments: *mut std::ffi::c_void) -> CK_RV {
    if let Err(code) = strike("C_Initialize") {
        return code;
    }
    // SAFETY: null, or the structure that the standard has here.
    let flags =
        unsafe { arguments.cast::<CK_C_INITIALIZE_ARGS>().as_ref() }.map_or(0, |arguments| arguments.flags);
    if flags & CKF_OS_LOCKING_OK != 0 && env::var("HOSTILE_LOCKS").is_ok_and(|locks| locks == "none") {
        return CKR_CANT_LOCK;
    }
    let Some(entry) = real().C_Initialize else { return CKR_FUNCTION_NOT_SUPPORTED };
    // SAFETY: the caller's argument, as it is.
    unsafe { entry(arguments) }
}

/// # Safety
/// There are `count` attributes, as the real module has filled them.
unsafe fn spoil_attributes(spoilt: Spoil, attributes: *mut CK_ATTRIBUTE, count: CK_ULONG) {
    let Ok(chosen) = usize::try_from(plan::random(count)) else { return };
    if spoilt == Spoil::Nothing || attributes.is_null() || count == 0 {
        return;
    }
    // SAFETY: it is one of the caller's.
    let attribute = unsafe { &mut *attributes.add(chosen) };
    match spoilt {
        Spoil::Lengths => attribute.ulValueLen = wrong_length(attribute.ulValueLen),
        Spoil::Garbage
            if !attribute.pValue.is_null() && attribute.ulValueLen != CK_UNAVAILABLE_INFORMATION =>
        {
            // SAFETY: the real module says that it has written so many.
            unsafe { scribble(attribute.pValue.cast(), attribute.ulValueLen, 1) };
        }
        _ => {}
    }
}
