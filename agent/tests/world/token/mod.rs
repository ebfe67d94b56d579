//! PKCS#11 tokens in software: SoftHSM with a directory of the test's own, filled as a recipe says.
//!
//! `recipe` is the text, `material` keys and certificates outside of a token, `maker` writes them.

pub(crate) mod maker;
pub(crate) mod material;
pub(crate) mod recipe;

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// SoftHSM, as Debian installs it.
pub(crate) const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
/// The user's PIN, where a recipe has no other.
pub(crate) const PIN: &str = "123456";
/// The security officer's PIN of every token.
pub(crate) const SO_PIN: &str = "87654321";

/// A SoftHSM with its tokens; gone when it is dropped.
pub(crate) struct SoftHsm {
    dir: TempDir,
}

impl SoftHsm {
    /// One with the tokens of a recipe; see [`recipe`].
    pub(crate) fn with(recipe: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("hsm").tempdir_in(place()).expect("a temporary directory");
        prepare(dir.path());
        maker::make(dir.path(), recipe);
        Self { dir }
    }

    /// Its configuration file, for the variable `SOFTHSM2_CONF`.
    pub(crate) fn configuration(&self) -> PathBuf {
        self.dir.path().join("softhsm2.conf")
    }

    /// Takes all tokens away.
    pub(crate) fn pull(&self) {
        fs::rename(self.dir.path().join("tokens"), self.dir.path().join("away")).expect("they are there");
    }

    /// Puts them back.
    pub(crate) fn put_back(&self) {
        fs::rename(self.dir.path().join("away"), self.dir.path().join("tokens")).expect("they are away");
    }
}

/// In memory where that is a folder: SoftHSM writes an object's file anew for each of its attributes.
fn place() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

/// Makes a directory what SoftHSM wants.
pub(crate) fn prepare(dir: &Path) {
    let tokens = dir.join("tokens");
    fs::create_dir_all(&tokens).expect("the folder is ours");
    let text = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
        tokens.display()
    );
    fs::write(dir.join("softhsm2.conf"), text).expect("the folder is ours");
}

fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}
