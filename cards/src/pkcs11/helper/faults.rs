//! What a module said, as the daemon is told.

use cryptoki_sys::*;

use super::sys::module::Refusal;
use crate::pkcs11::wire::{Fault, TokenFlags, User};

/// The token is not in its slot any more.
pub(super) const REMOVED: [CK_RV; 4] =
    [CKR_DEVICE_REMOVED, CKR_TOKEN_NOT_PRESENT, CKR_TOKEN_NOT_RECOGNIZED, CKR_SLOT_ID_INVALID];

/// The session ended without us: the token was away, or the module began anew.
pub(super) const SESSION_LOST: [CK_RV; 3] =
    [CKR_SESSION_HANDLE_INVALID, CKR_SESSION_CLOSED, CKR_CRYPTOKI_NOT_INITIALIZED];

/// There is no such object (any more).
pub(super) const NO_OBJECT: [CK_RV; 2] = [CKR_OBJECT_HANDLE_INVALID, CKR_KEY_HANDLE_INVALID];

/// What a module that lost its token says instead of saying so.
pub(super) const DOUBTFUL: [CK_RV; 5] =
    [CKR_DEVICE_ERROR, CKR_GENERAL_ERROR, CKR_FUNCTION_FAILED, CKR_DEVICE_MEMORY, CKR_OBJECT_HANDLE_INVALID];

/// The PIN is not the one.
const WRONG_PIN: [CK_RV; 1] = [CKR_PIN_INCORRECT];

/// The token takes no such PIN.
const PIN_REFUSED: [CK_RV; 4] = [CKR_PIN_LEN_RANGE, CKR_PIN_INVALID, CKR_PIN_TOO_WEAK, CKR_PIN_EXPIRED];

/// The person changed their mind.
const CANCELLED: [CK_RV; 2] = [CKR_FUNCTION_CANCELED, CKR_CANCEL];

/// Token or key cannot do it.
const NOT_SUPPORTED: [CK_RV; 9] = [
    CKR_FUNCTION_NOT_SUPPORTED,
    CKR_MECHANISM_INVALID,
    CKR_MECHANISM_PARAM_INVALID,
    CKR_KEY_FUNCTION_NOT_PERMITTED,
    CKR_KEY_TYPE_INCONSISTENT,
    CKR_KEY_SIZE_RANGE,
    CKR_CURVE_NOT_SUPPORTED,
    CKR_RANDOM_NO_RNG,
    CKR_TOKEN_WRITE_PROTECTED,
];

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Malformed { function } => Self::Malformed { function: function.to_owned() },
            Refusal::Code { code, .. } if REMOVED.contains(&code) => Self::Gone,
            Refusal::Code { code, .. } if NO_OBJECT.contains(&code) => Self::NoObject,
            Refusal::Code { code, .. } if CANCELLED.contains(&code) => Self::Cancelled,
            Refusal::Code { function, code } if NOT_SUPPORTED.contains(&code) => {
                Self::NotSupported { function: function.to_owned(), code }
            }
            Refusal::Code { function, code } => Self::Module { function: function.to_owned(), code },
        }
    }
}

/// What a function said that was given a PIN of this user. The flags are asked for where they matter.
pub(super) fn of_pin(refusal: Refusal, user: User, flags: impl FnOnce() -> TokenFlags) -> Fault {
    match refusal.code() {
        Some(code) if WRONG_PIN.contains(&code) => Fault::WrongPin { user, flags: flags() },
        Some(code) if code == CKR_PIN_LOCKED => Fault::PinLocked(user),
        Some(code) if PIN_REFUSED.contains(&code) => Fault::PinRefused(user),
        _ => refusal.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: CK_RV) -> Refusal {
        Refusal::Code { function: "C_Sign", code }
    }

    #[test]
    fn codes_become_faults() {
        let rows: [(CK_RV, Fault); 6] = [
            (CKR_DEVICE_REMOVED, Fault::Gone),
            (CKR_KEY_HANDLE_INVALID, Fault::NoObject),
            (CKR_FUNCTION_CANCELED, Fault::Cancelled),
            (CKR_MECHANISM_INVALID, Fault::NotSupported { function: "C_Sign".to_owned(), code: 0x70 }),
            (CKR_DEVICE_ERROR, Fault::Module { function: "C_Sign".to_owned(), code: 0x30 }),
            (CKR_VENDOR_DEFINED + 5, Fault::Module { function: "C_Sign".to_owned(), code: 0x8000_0005 }),
        ];
        for (code, fault) in rows {
            assert_eq!(Fault::from(said(code)), fault);
        }
    }

    #[test]
    fn flags_are_asked_for_after_a_wrong_pin_only() {
        let flags = || TokenFlags(7);
        let wrong = Fault::WrongPin { user: User::User, flags: TokenFlags(7) };
        assert_eq!(of_pin(said(CKR_PIN_INCORRECT), User::User, flags), wrong);
        let unasked = || unreachable!("no wrong PIN");
        assert_eq!(of_pin(said(CKR_PIN_LOCKED), User::User, unasked), Fault::PinLocked(User::User));
        let user = User::SecurityOfficer;
        assert_eq!(of_pin(said(CKR_PIN_LEN_RANGE), user, unasked), Fault::PinRefused(user));
        assert_eq!(of_pin(said(CKR_DEVICE_REMOVED), user, unasked), Fault::Gone);
    }
}
