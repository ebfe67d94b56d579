//! What the helper gives up before it loads the module: descriptors, dumps, privileges, and a life after its parent's.

use std::io;
use std::os::unix::net::UnixStream;

use rustix::process::{self, DumpableBehavior, Resource, Rlimit, Signal};
use rustix::{stdio, thread};

use super::sys::process::{close_others, end, ignore_terminal};

/// Shuts the process in and takes the socket away from standard input, where modules might look for a person.
pub(super) fn enter() -> io::Result<UnixStream> {
    end_with_parent()?;
    ignore_terminal();
    let socket = rustix::io::fcntl_dupfd_cloexec(stdio::stdin(), 3)?;
    close_others(std::os::fd::AsFd::as_fd(&socket))?;
    let nothing = std::fs::File::open("/dev/null")?;
    stdio::dup2_stdin(&nothing)?;
    stay_unseen()?;
    end_at_panics();
    Ok(UnixStream::from(socket))
}

/// The signal goes with the thread that started us; should it have ended before we asked, we have a new parent already.
fn end_with_parent() -> io::Result<()> {
    let parent = process::getppid();
    process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if process::getppid() == parent { Ok(()) } else { Err(io::Error::other("the daemon is gone")) }
}

fn stay_unseen() -> io::Result<()> {
    thread::set_no_new_privs(true)?;
    process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?)
}

/// A thread that is lost would hold its sessions and locks for ever; a new process has a clean start.
fn end_at_panics() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        end(101);
    }));
}
