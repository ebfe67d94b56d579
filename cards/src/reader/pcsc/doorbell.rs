//! How the thread that watches the readers hears of a service while there is none: by what happens in the directory of
//! its socket (inotify(7)). Nothing is tried, and so no service started by its socket, before something happened there.
//!
//! A service writes its process number into that directory and makes the socket, sets its mode when it listens, and
//! removes both at its end. What is removed rings no bell: a service that was stopped on purpose stays stopped.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use tracing::debug;

use crate::reader::pcsc::service_socket;

/// What may be the service's beginning.
const ARRIVALS: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::ONLYDIR);

/// The bell, and the way in for those who want the thread for something else.
pub(super) struct Doorbell {
    woken: UnixStream,
    directory: Option<OwnedFd>,
}

/// Wakes the thread at its doorbell; dropping it does so for good.
pub(super) struct Waker(UnixStream);

impl Waker {
    pub(super) fn wake(&self) {
        // A full pipe wakes as well as one more octet would.
        let _ = (&self.0).write(&[0]);
    }
}

impl Doorbell {
    pub(super) fn new() -> io::Result<(Self, Waker)> {
        let (waker, woken) = UnixStream::pair()?;
        waker.set_nonblocking(true)?;
        woken.set_nonblocking(true)?;
        Ok((Self { woken, directory: None }, Waker(waker)))
    }

    /// Forgets what was heard, and listens anew. Who then looks for the service misses nothing that happens later.
    pub(super) fn listen(&mut self) {
        self.is_open();
        self.directory = directory(&service_socket());
    }

    /// Waits until something happens or somebody wakes us; false when nobody can any more.
    pub(super) fn wait(&mut self) -> bool {
        let mut all = vec![PollFd::new(&self.woken, PollFlags::IN)];
        all.extend(self.directory.iter().map(|directory| PollFd::new(directory, PollFlags::IN)));
        match poll(&mut all, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => {
                debug!(%error, "nobody hears whether PC/SC comes back");
                return false;
            }
        }
        self.is_open()
    }

    /// Takes the wake-ups that were heard; whether there can be others.
    fn is_open(&mut self) -> bool {
        let mut octets = [0; 64];
        loop {
            match self.woken.read(&mut octets) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
    }
}

/// Listens at the socket's directory, or at the closest one above that exists: there it will be made.
fn directory(socket: &Path) -> Option<OwnedFd> {
    let changes = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK);
    let changes = changes.inspect_err(|error| debug!(%error, "PC/SC is not heard coming back")).ok()?;
    let above = socket.ancestors().skip(1);
    let heard = above.filter(|path| inotify::add_watch(&changes, *path, ARRIVALS).is_ok()).take(1).count();
    (heard > 0).then_some(changes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustix::event::Timespec;

    use super::*;

    fn rang(directory: &OwnedFd) -> bool {
        let mut one = [PollFd::new(directory, PollFlags::IN)];
        poll(&mut one, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() > 0
    }

    #[test]
    fn a_socket_that_appears_rings_and_one_that_goes_does_not() {
        let home = tempfile::tempdir().unwrap();
        let socket = home.path().join("pcscd.comm");
        let bell = directory(&socket).unwrap();
        assert!(!rang(&bell));
        fs::write(&socket, "").unwrap();
        assert!(rang(&bell));
        let bell = directory(&socket).unwrap();
        fs::remove_file(&socket).unwrap();
        assert!(!rang(&bell));
    }

    #[test]
    fn a_directory_that_is_made_first_rings() {
        let home = tempfile::tempdir().unwrap();
        let socket = home.path().join("run/pcscd/pcscd.comm");
        let bell = directory(&socket).unwrap();
        fs::create_dir(home.path().join("run")).unwrap();
        assert!(rang(&bell));
        let bell = directory(&socket).unwrap();
        fs::create_dir(home.path().join("run/pcscd")).unwrap();
        assert!(rang(&bell));
    }

    #[test]
    fn whoever_wakes_is_heard_and_the_last_one_to_leave_too() {
        let (mut bell, waker) = Doorbell::new().unwrap();
        waker.wake();
        assert!(bell.wait());
        drop(waker);
        assert!(!bell.wait());
    }
}
