//! The local certificate store: folder and keybox together, what people may drop, what gpgsm puts in, what changes, and
//! what it costs, counted in files that are read.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod changes;
mod hostile;
mod keybox;
mod writers;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use claviger::store::{FOLDER, Store, Trouble};
use claviger_keys::x509::{Certificate, pem, read_file};
use tempfile::TempDir;

/// A GnuPG home and its store.
struct Home {
    dir: TempDir,
    store: Store,
}

impl Home {
    fn new() -> Self {
        let private = fs::Permissions::from_mode(0o700);
        let dir = tempfile::Builder::new().prefix("cv").permissions(private).tempdir_in("/tmp").unwrap();
        let store = Store::open(dir.path());
        Self { dir, store }
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join(FOLDER)
    }

    /// Puts a file into the folder.
    fn drop(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        fs::create_dir_all(self.folder()).unwrap();
        let path = self.folder().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// Certificates in the store, in order.
    fn certificates(&self) -> Vec<Certificate> {
        self.store.contents().certificates.iter().map(|stored| stored.certificate.clone()).collect()
    }

    /// What could not be read, by the names of the files.
    fn troubles(&self) -> Vec<(String, Trouble)> {
        let contents = self.store.contents();
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        contents.troubles.iter().map(|error| (name(&error.path), error.trouble.clone())).collect()
    }

    fn gpgsm(&self, arguments: &[&str]) {
        let mut command = Command::new("gpgsm");
        command.args(["--batch", "--yes", "--quiet", "--disable-dirmngr", "--homedir"]).arg(self.dir.path());
        let seen = command.args(arguments).output().unwrap();
        assert!(seen.status.success(), "{seen:?}");
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ =
            Command::new("gpgconf").arg("--homedir").arg(self.dir.path()).args(["--kill", "all"]).output();
    }
}

fn sample_path(name: &str) -> String {
    format!("{}/../testdata/certificates/{name}.pem", env!("CARGO_MANIFEST_DIR"))
}

fn sample(name: &str) -> Certificate {
    read_file(&fs::read(sample_path(name)).unwrap()).unwrap().remove(0)
}

fn text(certificate: &Certificate) -> String {
    pem::write(pem::CERTIFICATE, certificate.der())
}

/// Certificates like the sample, each with a serial number of its own.
fn many(count: usize) -> Vec<Certificate> {
    let leaf = sample("leaf");
    let serial = leaf.fields().unwrap().serial().to_vec();
    let at = leaf.der().windows(serial.len()).position(|part| part == serial).unwrap();
    (0..count)
        .map(|number| {
            let mut der = leaf.der().to_vec();
            der[at + 1..at + 9].copy_from_slice(&number.to_be_bytes());
            Certificate::new(der)
        })
        .collect()
}
