//! Keyboxes that gpg and gpgsm fill while we look, and a stored one of 2.4.7 (`testdata/keyboxes/`).

use std::path::PathBuf;
use std::process::Command;

use claviger_keys::keybox::{Entry, entries};
use claviger_keys::x509::read_file;

use super::gpg::Home;
use super::run;

fn testdata(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testdata").join(path)
}

fn certificate_file(name: &str) -> PathBuf {
    testdata("certificates").join(name).with_extension("pem")
}

fn der(name: &str) -> Vec<u8> {
    read_file(&std::fs::read(certificate_file(name)).unwrap()).unwrap()[0].der().to_vec()
}

fn gpgsm(home: &Home) -> Command {
    let mut command = home.command("gpgsm");
    command.args(["--batch", "--yes", "--quiet", "--disable-dirmngr"]);
    command
}

/// With the packets that gpg keeps for itself, which are in a keybox, too.
fn export(home: &Home) -> Vec<u8> {
    home.gpg(&["--export-options", "backup", "--export"])
}

/// Keyblocks one behind the other, and certificates.
fn parts(keybox: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let (mut keyblocks, mut certificates) = (Vec::new(), Vec::new());
    for entry in entries(keybox) {
        match entry.unwrap() {
            Entry::OpenPgp(keyblock) => keyblocks.extend(keyblock),
            Entry::X509(der) => certificates.push(der.to_vec()),
            Entry::EphemeralX509(_) => panic!("nothing was looked up"),
            Entry::Other => {}
        }
    }
    (keyblocks, certificates)
}

#[test]
fn what_gpg_and_gpgsm_put_in_comes_out() {
    let home = Home::new();
    let keybox = || parts(&std::fs::read(home.path().join("pubring.kbx")).unwrap());
    for key in ["rsa2048", "ed25519", "nistp256"] {
        home.gpg(&["--quick-generate-key", &format!("{key}@example.org"), key, "sign", "never"]);
    }
    let names = ["root", "middle", "leaf", "names", "rsa2048"];
    run(gpgsm(&home).arg("--import").args(names.map(certificate_file)));
    assert_eq!(keybox(), (export(&home), names.map(der).to_vec()));

    run(gpgsm(&home).args(["--delete-keys", "/CN=rsa2048"]));
    let listed = home.listed();
    home.gpg(&["--yes", "--delete-secret-and-public-key", &listed[1].fingerprint]);
    assert_eq!(keybox(), (export(&home), names[..4].iter().map(|name| der(name)).collect()));
}

#[test]
fn a_keybox_of_2_4_7_is_read() {
    let (keyblocks, certificates) = parts(&std::fs::read(testdata("keyboxes/gnupg-2.4.7.kbx")).unwrap());
    assert_eq!(keyblocks, std::fs::read(testdata("keyboxes/gnupg-2.4.7.export")).unwrap());
    assert_eq!(certificates, ["root", "middle", "leaf", "P-384", "names"].map(der));
}
