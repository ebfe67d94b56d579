//! SoftHSM with tokens of its own.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Where Debian has it.
pub(crate) const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// The PINs of all tokens.
pub(crate) const PIN: &str = "123456";
pub(crate) const OFFICERS_PIN: &str = "87654321";

/// A directory with tokens.
pub(crate) struct SoftHsm {
    pub(crate) dir: TempDir,
}

impl SoftHsm {
    /// Tokens with these labels.
    pub(crate) fn with(labels: &[&str]) -> Self {
        let softhsm = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(softhsm.tokens()).unwrap();
        let settings = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            softhsm.tokens().display()
        );
        fs::write(softhsm.conf(), settings).unwrap();
        for label in labels {
            softhsm.add(label);
        }
        softhsm
    }

    pub(crate) fn add(&self, label: &str) {
        let pins = ["--pin", PIN, "--so-pin", OFFICERS_PIN];
        let made = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", label])
            .args(pins)
            .env("SOFTHSM2_CONF", self.conf())
            .stdout(Stdio::null())
            .status();
        assert!(made.unwrap().success());
    }

    /// Where the tokens are.
    pub(crate) fn tokens(&self) -> PathBuf {
        self.dir.path().join("tokens")
    }

    /// Its configuration, for `SOFTHSM2_CONF`.
    pub(crate) fn conf(&self) -> PathBuf {
        self.dir.path().join("softhsm2.conf")
    }
}
