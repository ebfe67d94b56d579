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
            fs::write(dir.path().join("common.conf"), "use-keyboxd\n").unwrap();
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

    /// Makes a certificate for a user, which signs, and further keys of that algorithm and use; the primary key's
    /// fingerprint.
    pub(crate) fn make(&self, user: &str, subkeys: &[(&str, &str)]) -> String {
        self.gpg(&["--quick-gen-key", user, "ed25519", "cert,sign", "never"]);
        let primary = self.listed(user)[0].0.to_string();
        for (algorithm, usage) in subkeys {
            self.gpg(&["--quick-add-key", &primary, algorithm, usage, "never"]);
        }
        primary
    }

    /// A certificate with an encryption and an authentication key.
    pub(crate) fn make_usual(&self, user: &str) -> String {
        self.make(user, &[("cv25519", "encr"), ("ed25519", "auth")])
    }

    /// Makes a usual certificate; the primary key's fingerprint.
    pub(crate) fn listed_primary(&self, user: &str) -> Fingerprint {
        self.make_usual(user).parse().unwrap()
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

    /// Feeds a dialogue to `gpg --edit-key`.
    pub(crate) fn edit(&self, user: &str, answers: &[&str]) {
        let file = self.path("answers");
        fs::write(&file, answers.join("\n") + "\n").unwrap();
        let file = file.to_str().unwrap();
        self.gpg(&["--no-batch", "--command-file", file, "--edit-key", user]);
    }

    /// Imports a file that was exported.
    pub(crate) fn import(&self, octets: &[u8]) {
        let file = self.path("import");
        fs::write(&file, octets).unwrap();
        self.gpg(&["--import", file.to_str().unwrap()]);
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
