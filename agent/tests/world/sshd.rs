//! A throw-away sshd on loopback that lets one key in.

use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command};

use tempfile::TempDir;

use super::{Home, Seen, wait_for};

/// Runs until dropped.
pub(crate) struct Sshd {
    dir: TempDir,
    server: Child,
    port: u16,
}

impl Sshd {
    /// Starts one that lets in whoever has the private key to `public_key`, a line of `ssh-add -L`.
    pub(crate) fn for_key(public_key: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = |name: &str| dir.path().join(name).display().to_string();
        let keygen = ["-q", "-t", "ed25519", "-N", "", "-f", &path("host_key")];
        assert!(Command::new("ssh-keygen").args(keygen).status().expect("ssh-keygen runs").success());
        fs::write(path("authorized_keys"), public_key).expect("the folder is ours");
        let port = free_port();
        let config = [
            format!("ListenAddress 127.0.0.1:{port}"),
            format!("HostKey {}", path("host_key")),
            format!("AuthorizedKeysFile {}", path("authorized_keys")),
            "AuthenticationMethods publickey".to_owned(),
            "StrictModes no".to_owned(),
            "UsePAM no".to_owned(),
            "PidFile none".to_owned(),
        ];
        fs::write(path("sshd_config"), config.join("\n") + "\n").expect("the folder is ours");
        // Root's sshd locks its helper away there; Debian's service file makes it. Others need it not, and cannot.
        drop(fs::create_dir_all("/run/sshd"));
        let server = Command::new("/usr/sbin/sshd")
            .args(["-D", "-f", &path("sshd_config"), "-E", &path("log")])
            .spawn()
            .expect("/usr/sbin/sshd starts");
        wait_for("sshd", || {
            let log = fs::read_to_string(path("log")).unwrap_or_default();
            if log.contains("listening") { Ok(()) } else { Err(log) }
        });
        let host_key = fs::read_to_string(path("host_key.pub")).expect("ssh-keygen wrote it");
        fs::write(path("known_hosts"), format!("[127.0.0.1]:{port} {host_key}")).expect("the folder is ours");
        Self { dir, server, port }
    }

    /// Logs in from `home`, with the keys of its agent and nothing else.
    pub(crate) fn log_in(&self, home: &Home) -> Seen {
        let known_hosts = format!("UserKnownHostsFile={}", self.dir.path().join("known_hosts").display());
        let port = self.port.to_string();
        let options =
            ["-F", "/dev/null", "-o", &known_hosts, "-o", "PreferredAuthentications=publickey", "-p", &port];
        let user = Seen::of(Command::new("id").arg("-un"), b"").ok().text();
        let there = format!("{}@127.0.0.1", user.trim());
        Seen::of(home.command("ssh").args(options).args([&there, "echo logged in"]), b"")
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.server.kill().expect("the child is ours");
        self.server.wait().expect("the child is ours");
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("loopback is up")
        .port()
}
