//! A private GNUPGHOME, and the gpg of this system in it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use claviger_keys::Keygrip;
use claviger_openpgp::{Fingerprint, Stores};
use tempfile::TempDir;

/// When keys of the tests are made, unless a test says otherwise: gpg's form, and in seconds.
pub(crate) const MADE: &str = "20240101T000000";
const MADE_SECONDS: u64 = 1_704_067_200;

/// An hour after that.
pub(crate) const LATER: &str = "20240101T010000";

/// That many days after [`MADE`].
pub(crate) fn days(count: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(MADE_SECONDS + count * 86400)
}

/// Where a home keeps its certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `pubring.kbx`
    Keybox,
    /// `pubring.gpg`
    Keyring,
    /// `public-keys.d/pubring.db`
    Keyboxd,
}

/// A home; its daemons end when it is dropped.
pub(crate) struct Home {
    dir: TempDir,
    kind: Kind,
}

impl Home {
    pub(crate) fn new(kind: Kind) -> Self {
        // Sockets live in it, and their paths may have 107 octets: no deep folder.
        let private = fs::Permissions::from_mode(0o700);
        let dir = tempfile::Builder::new().prefix("co").permissions(private).tempdir_in("/tmp").unwrap();
        if kind == Kind::Keyboxd {
            write(dir.path(), "common.conf", b"use-keyboxd\n");
        }
        Self { dir, kind }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Where gpg keeps the certificates.
    pub(crate) fn store(&self) -> PathBuf {
        self.path(match self.kind {
            Kind::Keybox => "pubring.kbx",
            Kind::Keyring => "pubring.gpg",
            Kind::Keyboxd => "public-keys.d/pubring.db",
        })
    }

    pub(crate) fn stores(&self) -> Stores {
        Stores::of_home(self.dir.path(), &[])
    }

    /// Runs gpg when keys are made; it must succeed.
    pub(crate) fn gpg(&self, args: &[&str]) -> Vec<u8> {
        self.gpg_at(MADE, args)
    }

    /// Runs gpg at a time.
    pub(crate) fn gpg_at(&self, time: &str, args: &[&str]) -> Vec<u8> {
        let output = self.run(time, args);
        assert!(output.status.success(), "gpg {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn run(&self, time: &str, args: &[&str]) -> Output {
        let mut gpg = Command::new("gpg");
        gpg.arg("--homedir").arg(self.dir.path()).args(["--batch", "--yes", "--no-tty", "--quiet"]);
        gpg.args(["--pinentry-mode", "loopback", "--passphrase", "", "--faked-system-time"])
            .arg(format!("{time}!"));
        if self.kind == Kind::Keyring {
            gpg.args(["--no-default-keyring", "--keyring"])
                .arg(format!("gnupg-ring:{}", self.store().display()));
        }
        gpg.args(args).output().expect("gpg is installed")
    }

    /// Makes a certificate whose primary key signs, with an encryption and an authentication key; its fingerprint.
    pub(crate) fn make(&self, user: &str) -> Fingerprint {
        self.gpg(&["--quick-gen-key", user, "ed25519", "cert,sign", "never"]);
        let primary = self.listed(user)[0].0;
        for (algorithm, usage) in [("cv25519", "encr"), ("ed25519", "auth")] {
            self.gpg(&["--quick-add-key", &primary.to_string(), algorithm, usage, "never"]);
        }
        primary
    }

    /// Fingerprint and keygrip of each key of a user, as gpg lists them.
    pub(crate) fn listed(&self, user: &str) -> Vec<(Fingerprint, Keygrip)> {
        let list = self.gpg(&["--with-colons", "--with-keygrip", "--list-keys", user]);
        let list = String::from_utf8_lossy(&list);
        let field = |record: &'static str| {
            list.lines()
                .filter(move |line| line.starts_with(record))
                .filter_map(|line| line.split(':').nth(9))
        };
        let grips = field("grp:").map(|grip| grip.parse().unwrap());
        field("fpr:").map(|fingerprint| fingerprint.parse().unwrap()).zip(grips).collect()
    }

    /// What `gpg --export` gives.
    pub(crate) fn export(&self, user: &str) -> Vec<u8> {
        self.gpg(&["--export", user])
    }

    /// Imports what was exported.
    pub(crate) fn import(&self, octets: &[u8]) {
        let file = write(self.dir.path(), "import", octets);
        self.gpg_at(LATER, &["--import", file.to_str().unwrap()]);
    }

    /// Revokes a user's primary key, an hour after it was made.
    pub(crate) fn revoke(&self, user: &str) {
        let revocation = self.dialogue(&["y", "1", "lost it", "", "y"], &["--gen-revoke", user]);
        self.import(&revocation);
    }

    /// Feeds a dialogue to `gpg --edit-key`.
    pub(crate) fn edit(&self, user: &str, answers: &[&str]) {
        self.dialogue(answers, &["--edit-key", user]);
    }

    /// Runs gpg an hour later, with answers to its questions.
    fn dialogue(&self, answers: &[&str], args: &[&str]) -> Vec<u8> {
        let file = write(self.dir.path(), "answers", (answers.join("\n") + "\n").as_bytes());
        self.gpg_at(LATER, &[&["--no-batch", "--command-file", file.to_str().unwrap()], args].concat())
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ =
            Command::new("gpgconf").arg("--homedir").arg(self.dir.path()).args(["--kill", "all"]).status();
    }
}

/// A file with that content in a directory, named so.
pub(crate) fn write(directory: &Path, name: &str, octets: &[u8]) -> PathBuf {
    let path = directory.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, octets).unwrap();
    path
}
