//! PINs of tokens: which login a job has with it, and what is asked for when it has none.
//!
//! PKCS#11 counts no tries; a token's flags say that few are left, that the next is the last, or that there are none.

use claviger_secret::Secret;

use super::wire::{Login, TokenFlags, User};
use crate::token::{Job, NeedsPin, Outcome, PinPurpose, PinRef, Progress};

impl TokenFlags {
    const RANDOM: u64 = 0x0000_0001;
    const WRITE_PROTECTED: u64 = 0x0000_0002;
    const LOGIN_REQUIRED: u64 = 0x0000_0004;
    const PROTECTED_PATH: u64 = 0x0000_0100;
    const USER_COUNT_LOW: u64 = 0x0001_0000;
    const USER_FINAL_TRY: u64 = 0x0002_0000;
    const USER_LOCKED: u64 = 0x0004_0000;
    const OFFICER_COUNT_LOW: u64 = 0x0010_0000;
    const OFFICER_FINAL_TRY: u64 = 0x0020_0000;
    const OFFICER_LOCKED: u64 = 0x0040_0000;

    /// `CKF_RNG`.
    #[must_use]
    pub fn has_random(self) -> bool {
        self.has(Self::RANDOM)
    }

    /// `CKF_WRITE_PROTECTED`.
    #[must_use]
    pub fn is_write_protected(self) -> bool {
        self.has(Self::WRITE_PROTECTED)
    }

    /// `CKF_LOGIN_REQUIRED`.
    #[must_use]
    pub fn login_required(self) -> bool {
        self.has(Self::LOGIN_REQUIRED)
    }

    /// `CKF_PROTECTED_AUTHENTICATION_PATH`: PINs are typed at the token.
    #[must_use]
    pub fn protected_path(self) -> bool {
        self.has(Self::PROTECTED_PATH)
    }

    /// How many tries are left, as far as the flags tell: none, one, or unknown.
    #[must_use]
    pub fn tries(self, pin: PinRef) -> Option<u8> {
        let (last, locked) = match pin {
            PinRef::Admin => (Self::OFFICER_FINAL_TRY, Self::OFFICER_LOCKED),
            PinRef::Sign | PinRef::User | PinRef::ResetCode => (Self::USER_FINAL_TRY, Self::USER_LOCKED),
        };
        match (self.has(locked), self.has(last)) {
            (true, _) => Some(0),
            (false, true) => Some(1),
            (false, false) => None,
        }
    }

    /// Whether some tries are lost (`CKF_USER_PIN_COUNT_LOW`, `CKF_SO_PIN_COUNT_LOW`).
    #[must_use]
    pub fn few_tries(self, pin: PinRef) -> bool {
        self.has(if pin == PinRef::Admin { Self::OFFICER_COUNT_LOW } else { Self::USER_COUNT_LOW })
    }

    fn has(self, flag: u64) -> bool {
        self.0 & flag != 0
    }
}

/// A question that a job has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asking {
    pub(super) purpose: PinPurpose,
    pub(super) memory_failed: bool,
}

impl Asking {
    /// For the PIN with which somebody logs in.
    pub(super) fn unlock(user: User) -> Self {
        Self::new(PinPurpose::Unlock(pin_of(user)))
    }

    pub(super) fn new(purpose: PinPurpose) -> Self {
        Self { purpose, memory_failed: false }
    }
}

/// The job waits for a PIN. Only the user's may come out of somebody's memory, and not for the last try.
pub(super) fn ask(job: Job, asking: Asking, flags: TokenFlags) -> Outcome {
    let Asking { purpose, memory_failed } = asking;
    let (PinPurpose::Unlock(pin) | PinPurpose::Old(pin) | PinPurpose::New(pin)) = purpose;
    let tries_left = flags.tries(pin);
    Outcome::NeedsPin(NeedsPin {
        purpose,
        tries_left,
        may_use_cache: purpose == PinPurpose::Unlock(PinRef::User) && tries_left.is_none(),
        memory_failed,
        on_pinpad: flags.protected_path(),
        job,
    })
}

/// The login that a job has the PIN for, or that is made at the token.
pub(super) fn login(progress: &mut Progress, user: User) -> Option<(Login, Option<Secret>)> {
    let purpose = PinPurpose::Unlock(pin_of(user));
    if progress.typed_on_pinpad == Some(purpose) {
        progress.typed_on_pinpad = None;
        return Some((Login { user, at_token: true }, None));
    }
    progress.take_pin(purpose).map(|pin| (Login { user, at_token: false }, Some(pin)))
}

/// Whether a PIN was given for a purpose.
pub(super) fn has(progress: &Progress, purpose: PinPurpose) -> bool {
    progress.pins.iter().any(|(of, _)| *of == purpose)
}

/// Whether the PIN for a purpose came out of somebody's memory.
pub(super) fn is_remembered(progress: &Progress, purpose: PinPurpose) -> bool {
    progress.remembered == Some(purpose)
}

/// Whose PIN it is.
pub(super) fn user_of(pin: PinRef) -> User {
    match pin {
        PinRef::Sign | PinRef::User | PinRef::ResetCode => User::User,
        PinRef::Admin => User::SecurityOfficer,
    }
}

/// The PIN of a login.
pub(super) fn pin_of(user: User) -> PinRef {
    match user {
        User::User => PinRef::User,
        User::SecurityOfficer => PinRef::Admin,
        User::ContextSpecific => PinRef::Sign,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Request;

    fn asked(purpose: PinPurpose, flags: u64) -> NeedsPin {
        let job = Job::new(Request::Random(1));
        match ask(job, Asking::new(purpose), TokenFlags(flags)) {
            Outcome::NeedsPin(need) => need,
            Outcome::Done(_) => panic!("nothing was asked"),
        }
    }

    #[test]
    fn flags_tell_of_no_try_of_the_last_and_of_nothing_else() {
        for (flags, user, officer) in [
            (0, None, None),
            (TokenFlags::USER_COUNT_LOW, None, None),
            (TokenFlags::USER_FINAL_TRY | TokenFlags::OFFICER_LOCKED, Some(1), Some(0)),
            (TokenFlags::USER_FINAL_TRY | TokenFlags::USER_LOCKED, Some(0), None),
            (TokenFlags::OFFICER_FINAL_TRY, None, Some(1)),
        ] {
            let flags = TokenFlags(flags);
            assert_eq!((flags.tries(PinRef::User), flags.tries(PinRef::Admin)), (user, officer), "{flags:?}");
            assert_eq!(flags.tries(PinRef::Sign), user);
        }
    }

    #[test]
    fn only_the_user_s_pin_may_be_remembered_and_not_for_the_last_try() {
        assert!(asked(PinPurpose::Unlock(PinRef::User), 0).may_use_cache);
        assert!(!asked(PinPurpose::Unlock(PinRef::User), TokenFlags::USER_FINAL_TRY).may_use_cache);
        for purpose in [
            PinPurpose::Unlock(PinRef::Sign),
            PinPurpose::Unlock(PinRef::Admin),
            PinPurpose::Old(PinRef::User),
        ] {
            assert!(!asked(purpose, 0).may_use_cache, "{purpose:?}");
        }
    }

    #[test]
    fn a_pin_is_used_once_and_one_typed_at_the_token_is_none_of_ours() {
        let unlock = PinPurpose::Unlock(PinRef::User);
        let mut job = asked(unlock, 0).with_pin(Secret::copy_of(b"1234"));
        let (login_with, pin) = login(&mut job.progress, User::User).unwrap();
        assert_eq!((login_with.at_token, pin.unwrap().as_bytes()), (false, &b"1234"[..]));
        assert!(login(&mut job.progress, User::User).is_none());
        let mut job = asked(unlock, TokenFlags::PROTECTED_PATH).typed_on_pinpad();
        let (login_with, pin) = login(&mut job.progress, User::User).unwrap();
        assert!(login_with.at_token && pin.is_none());
    }
}
