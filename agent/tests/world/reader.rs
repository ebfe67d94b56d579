//! A private pcscd whose reader is vpcd: the software end of a plug, where cards in software connect.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{repository, wait_for};

/// Runs until dropped. It has two slots, as vpcd always has.
pub(crate) struct Reader {
    pcscd: Child,
    /// Those that came after it.
    successor: Option<Child>,
    /// A process that sees what pcscd sees.
    inside: String,
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
        Self { pcscd, successor: None, inside: pid.to_owned(), socket, ports }
    }

    /// pcscd's socket, for the variable `PCSCLITE_CSOCK_NAME`.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Kills pcscd without a warning, and gives the words that it was started with.
    pub(crate) fn kill_pcscd(&mut self) -> Vec<String> {
        let file = self.socket.with_file_name("pcscd.pid");
        let number = fs::read_to_string(file).expect("pcscd wrote it");
        let number = number.trim_matches(|c: char| !c.is_ascii_digit());
        let words = fs::read_to_string(format!("/proc/{number}/cmdline")).expect("it runs");
        let killed = Command::new("kill").args(["-s", "KILL", number]).status().expect("kill runs");
        assert!(killed.success());
        // The next one believes in this one as long as nobody waited for it.
        if let Some(mut successor) = self.successor.take() {
            successor.wait().expect("the child is ours");
        }
        wait_for(
            "pcscd's end",
            || if Path::new("/proc").join(number).exists() { Err("alive") } else { Ok(()) },
        );
        words.split_terminator('\0').map(str::to_owned).collect()
    }

    /// Starts pcscd again, with these words; it listens when this returns.
    pub(crate) fn start_pcscd(&mut self, words: &[String]) {
        let mut enter = Command::new("nsenter");
        enter.args(["--target", &self.inside, "--mount"]);
        if !rustix::process::geteuid().is_root() {
            enter.args(["--user", "--preserve-credentials"]);
        }
        let quiet = || Stdio::null();
        let child = enter.arg("--").args(words).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn();
        self.successor = Some(child.expect("nsenter runs"));
        wait_for("pcscd to listen", || UnixStream::connect(&self.socket).map(drop));
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
        if let Some(mut successor) = self.successor.take() {
            successor.kill().expect("the child is ours");
            successor.wait().expect("the child is ours");
        }
        drop(self.pcscd.stdin.take());
        self.pcscd.wait().expect("the child is ours");
    }
}
