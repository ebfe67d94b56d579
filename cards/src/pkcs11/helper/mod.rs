//! The process that loads one PKCS#11 module: the only place where foreign code runs.
//!
//! ```text
//!                     ┌── worker ──┐ each: takes a task off the socket, carries it out, answers
//!   daemon ══ socket ═┼── worker ──┼── sessions ── module
//!                     └── worker ──┘
//!                         watcher ──── looks for tokens, reads them, notices that the daemon is gone
//! ```
//!
//! - A *task* is carried out by the thread that read it, from the first octet to the answer. There is one worker more than
//!   tasks may run, so that a look is heard while all of them are busy.
//! - A *login* is one of the whole process with a token (PKCS#11, 5.6); it is kept until the daemon ends it. What a token
//!   has forgotten is answered [`Fault::LoginNeeded`](super::wire::Fault::LoginNeeded), and the daemon logs in again.
//! - A *look* compares slots and tokens with what was reported, without reading objects. A token's objects are read when it
//!   comes, and only those that are new after a login or a change.
//!
//! What the module says is not believed beyond its length, and means nothing here: the daemon has the parsers. A panic ends
//! the process, and so does the end of the socket; the daemon starts another one.

mod faults;
mod keys;
mod link;
mod login;
mod look;
mod memory;
mod objects;
mod opening;
mod pins;
mod seclusion;
mod sys;
mod tasks;
mod token;
mod writing;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;

use self::link::Link;
use self::sys::module::Module;
use self::token::{Identity, Token};
use super::wire::{Fault, FromHelper, Opening, ToHelper};

/// The most tasks that run at the same time, whatever is configured.
const MAX_THREADS: usize = 64;

/// What all threads share.
struct Helper {
    link: Link,
    module: Arc<Module>,
    opening: Opening,
    /// Whether the module wants one call at a time.
    serial: bool,
    /// Tasks hold it for reading, or for writing where the module is serial; whoever ends the module holds it for writing.
    gate: RwLock<()>,
    tokens: Mutex<BTreeMap<u64, Arc<Token>>>,
    /// Tokens that were there, and are not.
    missing: Mutex<Vec<Identity>>,
    /// Wakes the watcher: the number of a look.
    wake: Sender<u64>,
}

/// The helper's whole life: its socket is standard input. It ends with the socket.
#[must_use]
pub fn run() -> ExitCode {
    let link = match seclusion::enter() {
        Ok(socket) => Link::new(socket),
        Err(error) => {
            eprintln!("pkcs11-helper: {error}");
            return ExitCode::FAILURE;
        }
    };
    let Some((ToHelper::Open(opening), _)) = link.receive() else { return ExitCode::FAILURE };
    match opening::open(&opening) {
        Ok(opened) => serve(link, opening, opened),
        Err(fault) => refuse(&link, fault),
    }
}

fn refuse(link: &Link, fault: Fault) -> ExitCode {
    eprintln!("pkcs11-helper: {fault}");
    link.send(&FromHelper::Unusable(fault), &[]);
    ExitCode::FAILURE
}

fn serve(link: Link, opening: Opening, opened: opening::Opened) -> ExitCode {
    let threads = if opened.serial { 1 } else { opening.threads.clamp(1, MAX_THREADS) };
    link.send(&FromHelper::Ready { threads, library: opened.library }, &[]);
    let (wake, woken) = channel();
    let helper = Arc::new(Helper {
        link,
        module: opened.module,
        opening,
        serial: opened.serial,
        gate: RwLock::default(),
        tokens: Mutex::default(),
        missing: Mutex::default(),
        wake,
    });
    for _ in 0..threads {
        let helper = Arc::clone(&helper);
        thread::spawn(move || work(&helper));
    }
    watch(&helper, woken);
    work(&helper)
}

fn watch(helper: &Arc<Helper>, woken: Receiver<u64>) {
    let helper = Arc::clone(helper);
    thread::spawn(move || look::watch(&helper, &woken));
}

/// Takes messages off the socket until it ends, and with it the process.
fn work(helper: &Helper) -> ! {
    while let Some((message, secrets)) = helper.link.receive() {
        match message {
            ToHelper::Do { number, slot, login, task } => {
                let (result, secrets) = tasks::carry_out(helper, slot, login, task, secrets);
                helper.link.send(&FromHelper::Done { number, result }, &secrets);
            }
            // The watcher lives as long as the process.
            ToHelper::Look { number } => drop(helper.wake.send(number)),
            ToHelper::Open(_) => break,
        }
    }
    helper.end()
}

impl Helper {
    fn token(&self, slot: u64) -> Option<Arc<Token>> {
        hold(&self.tokens).get(&slot).cloned()
    }

    /// Gives the module the chance to end orderly, if nothing runs in it, and ends.
    fn end(&self) -> ! {
        if let Ok(_quiet) = self.gate.try_write() {
            hold(&self.tokens).clear();
            let _ = self.module.finalize();
        }
        sys::process::end(0)
    }
}

/// A lock that nobody can have left in disorder: a panic ends the process.
fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
