//! A line on standard error when a card is slow.

use std::sync::mpsc;
use std::time::Duration;

/// How long nothing is said.
const SLOW: Duration = Duration::from_secs(1);

/// Does the work, and says what it waits for if that takes more than a second.
pub(super) fn told<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let (done, end) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if end.recv_timeout(SLOW) == Err(mpsc::RecvTimeoutError::Timeout) {
                say(what);
            }
        });
        let result = work();
        drop(done);
        result
    })
}

/// Says it at once.
pub(super) fn say(what: &str) {
    eprintln!("claviger: {what}");
}
