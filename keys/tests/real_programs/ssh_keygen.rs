//! ssh lines and fingerprints as ssh-keygen has them. The numbers of its keys are read by openssl.

use std::path::Path;
use std::process::Command;

use claviger_keys::{Curve, PublicKey};

use super::openssl::number;
use super::{run, run_with_input, text};

fn generate(home: &Path, kind: &str, bits: &str) -> String {
    let file = home.join(format!("{kind}{bits}"));
    let mut command = Command::new("ssh-keygen");
    run(command.args(["-q", "-N", "", "-C", "jane's key", "-t", kind, "-b", bits, "-f"]).arg(&file));
    std::fs::read_to_string(file.with_extension("pub")).unwrap()
}

/// The key of a line, by way of PKCS#8 and openssl.
fn read_by_openssl(home: &Path, line: &str) -> PublicKey {
    let file = home.join("line");
    std::fs::write(&file, line).unwrap();
    let pem = run(Command::new("ssh-keygen").args(["-e", "-m", "PKCS8", "-f"]).arg(&file));
    let dump =
        text(run_with_input(Command::new("openssl").args(["pkey", "-pubin", "-noout", "-text"]), &pem));
    match dump.lines().find_map(|line| line.strip_prefix("NIST CURVE: ")) {
        Some("P-256") => PublicKey::ecc(Curve::NistP256, &number(&dump, "pub")),
        Some("P-384") => PublicKey::ecc(Curve::NistP384, &number(&dump, "pub")),
        Some("P-521") => PublicKey::ecc(Curve::NistP521, &number(&dump, "pub")),
        _ => PublicKey::rsa(&number(&dump, "Modulus"), &number(&dump, "Exponent")),
    }
    .unwrap()
}

#[test]
fn lines_and_fingerprints_are_those_of_ssh_keygen() {
    let home = tempfile::tempdir().unwrap();
    for (kind, bits) in
        [("rsa", "2048"), ("rsa", "3072"), ("ecdsa", "256"), ("ecdsa", "384"), ("ecdsa", "521")]
    {
        let line = generate(home.path(), kind, bits);
        let key = read_by_openssl(home.path(), &line);
        check(home.path(), &key, &line);
    }
}

/// ssh-keygen exports no Ed25519 key as PKCS#8, so the key is made by openssl, and ssh-keygen reads our line.
#[test]
fn ssh_keygen_reads_our_ed25519_line() {
    let home = tempfile::tempdir().unwrap();
    let secret = run(Command::new("openssl").args(["genpkey", "-algorithm", "Ed25519"]));
    let dump = text(run_with_input(Command::new("openssl").args(["pkey", "-noout", "-text"]), &secret));
    let key = PublicKey::ecc(Curve::Ed25519, &number(&dump, "pub")).unwrap();
    let line = key.ssh_line("jane's key").unwrap();
    check(home.path(), &key, &format!("{line}\n"));
}

fn check(home: &Path, key: &PublicKey, line: &str) {
    assert_eq!(format!("{}\n", key.ssh_line("jane's key").unwrap()), line);
    let file = home.join("line");
    std::fs::write(&file, line).unwrap();
    let listed = text(run(Command::new("ssh-keygen").args(["-l", "-f"]).arg(&file)));
    assert_eq!(listed.split(' ').nth(1), key.ssh_fingerprint().as_deref());
}
