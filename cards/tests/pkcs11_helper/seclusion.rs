//! What the helper process has and may, and when it ends.

use std::fs;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::thread;

use claviger_cards::pkcs11::wire::{Fault, FromHelper, ToHelper};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, kill_process};

use crate::client::{Client, Lost, PATIENCE, command, opening};
use crate::softhsm::{MODULE, SoftHsm};

/// A file of the helper's in /proc.
fn proc(client: &Client, name: &str) -> String {
    fs::read_to_string(format!("/proc/{}/{name}", client.child.id())).unwrap()
}

fn pid(client: &Client) -> Pid {
    Pid::from_child(&client.child)
}

#[test]
fn it_inherits_no_descriptor_but_its_socket_and_standard_error() {
    let softhsm = SoftHsm::with(&["tls"]);
    let inherited = fs::File::open("/etc/passwd").unwrap();
    fcntl_setfd(inherited.as_fd(), FdFlags::empty()).unwrap();
    let client = softhsm.helper();
    let descriptors = fs::read_dir(format!("/proc/{}/fd", client.child.id())).unwrap();
    let mut links: Vec<PathBuf> =
        descriptors.map(|entry| fs::read_link(entry.unwrap().path()).unwrap()).collect();
    links.retain(|link| !link.to_string_lossy().starts_with("/dev/null"));
    let sockets = links.iter().filter(|link| link.to_string_lossy().starts_with("socket:")).count();
    assert_eq!(sockets, 1, "{links:?}");
    assert!(!links.contains(&PathBuf::from("/etc/passwd")), "{links:?}");
    assert!(links.iter().any(|link| link.starts_with(softhsm.tokens())) || links.len() <= 2, "{links:?}");
    let input = fs::read_link(format!("/proc/{}/fd/0", client.child.id())).unwrap();
    assert_eq!(input, PathBuf::from("/dev/null"));
}

#[test]
fn it_gains_no_privileges_and_leaves_no_dumps() {
    let softhsm = SoftHsm::with(&[]);
    let client = softhsm.helper();
    // The first thread of this program belongs to its tests; `claviger` has none before the helper's.
    let threads = fs::read_dir(format!("/proc/{}/task", client.child.id())).unwrap();
    let statuses = threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("status")).unwrap());
    let gaining = statuses.filter(|status| status.contains("NoNewPrivs:\t0")).count();
    assert!(gaining <= 1, "{gaining}");
    let limits = proc(&client, "limits");
    let dumps = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(dumps.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"]);
}

#[test]
fn it_ends_with_its_socket() {
    let softhsm = SoftHsm::with(&["tls"]);
    assert_eq!(softhsm.helper().hang_up().code(), Some(0));
}

#[test]
fn it_ends_with_the_thread_that_started_it() {
    let softhsm = SoftHsm::with(&["tls"]);
    let environment = softhsm.environment();
    let started = thread::spawn(move || Client::start(opening(MODULE), &environment));
    // The socket is still open.
    let mut client = started.join().unwrap();
    client.ended();
}

#[test]
fn signals_of_the_terminal_pass_by() {
    let softhsm = SoftHsm::with(&["tls"]);
    let mut client = softhsm.helper();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        kill_process(pid(&client), signal).unwrap();
    }
    client.look();
}

#[test]
fn what_cannot_be_loaded_is_unusable() {
    for module in ["/no/such/module.so", "/lib/x86_64-linux-gnu/libm.so.6"] {
        let mut client = Client::spawn(&mut command(&[]));
        client.say(&ToHelper::Open(opening(module)), &[]);
        let (heard, _) = client.hear(PATIENCE).unwrap();
        assert!(matches!(heard, FromHelper::Unusable(Fault::Loading(_))), "{heard:?}");
        assert_eq!(client.hear(PATIENCE).unwrap_err(), Lost::Closed);
        assert!(!client.ended().success());
    }
}

#[test]
fn a_module_that_does_not_start_says_why() {
    let mut client =
        Client::spawn(&mut command(&[crate::client::variable("SOFTHSM2_CONF", "/no/such/file")]));
    client.say(&ToHelper::Open(opening(MODULE)), &[]);
    let (heard, _) = client.hear(PATIENCE).unwrap();
    assert!(
        matches!(&heard, FromHelper::Unusable(Fault::Module { function, .. }) if function == "C_Initialize"),
        "{heard:?}"
    );
}

#[test]
fn a_second_opening_ends_it() {
    let softhsm = SoftHsm::with(&[]);
    let mut client = softhsm.helper();
    client.say(&ToHelper::Open(opening(MODULE)), &[]);
    client.ended();
}
