//! A private pcscd whose reader is vpcd: the software end of a plug, where cards in software connect.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::repository;

/// Runs until dropped. It has two slots, as vpcd always has.
pub(crate) struct Reader {
    pcscd: Child,
    socket: PathBuf,
    ports: Vec<u16>,
}

impl Reader {
    /// Starts one on free ports.
    pub(crate) fn start() -> Self {
        // The command says where it lives and waits for the end of its stdin, which comes when this value goes, or
        // when the test process dies in whatever way.
        let mut pcscd = Command::new(repository("testdata/world/pcscd-vpcd"))
            .args(["--", "sh", "-c", "echo $$ $VPCD_PORTS; cat >/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("testdata/world/pcscd-vpcd starts");
        let mut line = String::new();
        let stdout = pcscd.stdout.take().expect("stdout is a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("stdout is readable");
        let mut words = line.split_whitespace();
        let pid = words.next().expect("pcscd-vpcd said above what it lacks");
        // The mount on /run/pcscd is private to that process; this is the way in for everybody else.
        let socket = format!("/proc/{pid}/root/run/pcscd/pcscd.comm").into();
        let ports = words.map(|port| port.parse().expect("a port")).collect();
        Self { pcscd, socket, ports }
    }

    /// pcscd's socket, for the variable `PCSCLITE_CSOCK_NAME`.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Where a card for the first slot connects.
    pub(crate) fn slot(&self) -> String {
        self.slot_number(0)
    }

    /// Where a card for the slot connects that PC/SC lists as `Virtual PCD 00 0<number>`.
    pub(crate) fn slot_number(&self, number: usize) -> String {
        format!("127.0.0.1:{}", self.ports[number])
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        drop(self.pcscd.stdin.take());
        self.pcscd.wait().expect("the child is ours");
    }
}
