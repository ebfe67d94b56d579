//! The finger on the card's button, played from a script.

use std::{
    str::FromStr,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// What the finger does when the card asks for a touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    /// Touches at once.
    Granted,
    /// Stays away; the card gives up after its own time (opcard: 15 seconds, then 6982).
    Withheld,
    /// Touches after this long.
    Delayed(Duration),
}

/// The text names no such behaviour.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no kind of touch; say granted, withheld or delayed=SECONDS")]
pub struct UnknownTouch(String);

impl FromStr for Touch {
    type Err = UnknownTouch;

    fn from_str(text: &str) -> Result<Self, UnknownTouch> {
        let unknown = || UnknownTouch(text.to_owned());
        match text.split_once('=') {
            None if text == "granted" => Ok(Self::Granted),
            None if text == "withheld" => Ok(Self::Withheld),
            Some(("delayed", seconds)) => seconds
                .parse()
                .ok()
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                .map(Self::Delayed)
                .ok_or_else(unknown),
            _ => Err(unknown()),
        }
    }
}

/// The finger, shared by the card that waits for it and those who direct it.
#[derive(Debug)]
pub struct Finger {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    mode: Touch,
    /// Since when the card waits.
    wanted: Option<Instant>,
    /// One touch was given by hand.
    pressed: bool,
    /// The card was pulled out; nothing it waits for comes any more.
    pulled: bool,
}

impl Finger {
    /// A finger that does as told.
    #[must_use]
    pub fn new(mode: Touch) -> Self {
        let state = State { mode, wanted: None, pressed: false, pulled: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// What the finger does from now on, for a wait that is under way too.
    pub fn set(&self, mode: Touch) {
        self.lock().mode = mode;
    }

    /// Touches once, if the card waits for it now. Says whether it did.
    pub fn press(&self) -> bool {
        let mut state = self.lock();
        state.pressed = state.wanted.is_some();
        state.pressed
    }

    /// Whether the card waits for a touch, after waiting up to `patience` for that.
    #[must_use]
    pub fn awaited_within(&self, patience: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), patience, |state| state.wanted.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.wanted.is_some()
    }

    /// The card was pulled (or put back).
    pub fn set_pulled(&self, pulled: bool) {
        self.lock().pulled = pulled;
    }

    pub(crate) fn touches(&self) -> bool {
        let state = self.lock();
        state.pressed
            || match state.mode {
                Touch::Granted => true,
                Touch::Withheld => false,
                Touch::Delayed(delay) => state.wanted.is_some_and(|since| since.elapsed() >= delay),
            }
    }

    pub(crate) fn pulled(&self) -> bool {
        self.lock().pulled
    }

    pub(crate) fn wanted(&self) {
        self.lock().wanted = Some(Instant::now());
        self.changed.notify_all();
    }

    pub(crate) fn unwanted(&self) {
        let mut state = self.lock();
        state.wanted = None;
        state.pressed = false;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_of_touch_is_read_from_its_name() {
        assert_eq!("granted".parse(), Ok(Touch::Granted));
        assert_eq!("withheld".parse(), Ok(Touch::Withheld));
        assert_eq!("delayed=0.5".parse(), Ok(Touch::Delayed(Duration::from_millis(500))));
        for text in ["", "delayed", "delayed=", "delayed=-1", "delayed=NaN", "granted=1"] {
            assert!(text.parse::<Touch>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_withheld_finger_touches_only_when_pressed() {
        let finger = Finger::new(Touch::Withheld);
        assert!(!finger.press(), "nobody waits yet");
        finger.wanted();
        assert!(finger.awaited_within(Duration::ZERO));
        assert!(!finger.touches());
        assert!(finger.press());
        assert!(finger.touches());
        finger.unwanted();
        assert!(!finger.touches(), "a press serves one wait");
    }
}
