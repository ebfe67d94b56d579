//! S-expressions, keygrips, fingerprints and names as gpg and gpg-agent have them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use claviger_keys::{Curve, EcdhParams, Keygrip, OpenPgpAlgorithm, PublicKey, Sexp};

use super::{run, run_with_input, text};

/// A private GNUPGHOME; its agent ends with it.
pub(super) struct Home(tempfile::TempDir);

impl Home {
    pub(super) fn new() -> Self {
        let private = std::fs::Permissions::from_mode(0o700);
        Self(tempfile::Builder::new().permissions(private).tempdir().unwrap())
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("GNUPGHOME", self.0.path());
        command
    }

    pub(super) fn gpg(&self, arguments: &[&str]) -> Vec<u8> {
        run(self.command("gpg").args(["--batch", "--quiet", "--passphrase", ""]).args(arguments))
    }

    /// What the agent answers READKEY with.
    fn read_key(&self, grip: &str) -> Vec<u8> {
        let file = self.0.path().join("key");
        let script = format!("/datafile {}\nREADKEY {grip}\n/bye\n", file.display());
        run_with_input(&mut self.command("gpg-connect-agent"), script.as_bytes());
        std::fs::read(file).unwrap()
    }

    /// The keys that gpg lists with secret parts.
    pub(super) fn listed(&self) -> Vec<Listed> {
        let listing = text(self.gpg(&["--with-colons", "--with-keygrip", "--list-secret-keys"]));
        let mut keys = Vec::new();
        let mut fields = Vec::new();
        let mut fingerprint = "";
        for line in listing.lines() {
            let row: Vec<&str> = line.split(':').collect();
            match row[0] {
                "sec" | "ssb" => fields = row,
                "fpr" => fingerprint = row[9],
                "grp" => keys.push(Listed {
                    algorithm: OpenPgpAlgorithm::from_number(fields[3].parse().unwrap()).unwrap(),
                    created: fields[5].parse().unwrap(),
                    curve: fields[16].to_owned(),
                    fingerprint: fingerprint.to_owned(),
                    grip: row[9].to_owned(),
                }),
                _ => {}
            }
        }
        keys
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = self.command("gpgconf").args(["--kill", "gpg-agent"]).status();
    }
}

/// A key as gpg lists it.
pub(super) struct Listed {
    algorithm: OpenPgpAlgorithm,
    created: u32,
    curve: String,
    pub(super) fingerprint: String,
    pub(super) grip: String,
}

/// gpg 2.2 and 2.4 differ in the ECDH parameters of their new keys.
fn ecdh_params_of(program: &str, curve: Curve) -> EcdhParams {
    if program.contains("gpg (GnuPG) 2.2.") {
        EcdhParams::of_gpg_2_2(curve)
    } else {
        EcdhParams::default_for(curve)
    }
}

#[test]
fn gpg_and_claviger_agree_on_every_key() {
    let home = Home::new();
    let version = text(home.gpg(&["--version"]));
    for (sign, decrypt) in [
        ("rsa2048", "rsa2048"),
        ("ed25519", "cv25519"),
        ("nistp256", "nistp256"),
        ("nistp384", "nistp384"),
        ("nistp521", "nistp521"),
        ("brainpoolP256r1", "brainpoolP256r1"),
        ("brainpoolP384r1", "brainpoolP384r1"),
        ("brainpoolP512r1", "brainpoolP512r1"),
        ("secp256k1", "secp256k1"),
    ] {
        home.gpg(&["--quick-generate-key", &format!("{sign}@example.org"), sign, "sign", "never"]);
        let fingerprint = home.listed().last().unwrap().fingerprint.clone();
        home.gpg(&["--quick-add-key", &fingerprint, decrypt, "encrypt", "never"]);
    }
    let listed = home.listed();
    assert_eq!(listed.len(), 18);
    for theirs in listed {
        let sexp = home.read_key(&theirs.grip);
        let key = PublicKey::from_sexp(&sexp).unwrap();
        assert_eq!(key.to_sexp(), sexp);
        assert_eq!(key.keygrip().to_string(), theirs.grip);
        let ecdh = key.curve().map(|curve| ecdh_params_of(&version, curve));
        let fingerprint = Keygrip(key.fingerprint(theirs.created, theirs.algorithm, ecdh));
        assert_eq!(fingerprint.to_string(), theirs.fingerprint, "{}", theirs.curve);
        if key.curve().is_some() {
            assert_eq!(key.algorithm_name(), theirs.curve);
        }
        if theirs.algorithm != OpenPgpAlgorithm::Ecdh {
            check_ssh_line(&home, &key, &theirs.fingerprint);
        }
    }
}

fn check_ssh_line(home: &Home, key: &PublicKey, fingerprint: &str) {
    let Some(ours) = key.ssh_line("") else { return };
    let exported = text(home.gpg(&["--export-ssh-key", &format!("{fingerprint}!")]));
    assert_eq!(exported.rsplit_once(' ').map(|(line, _comment)| line), Some(ours.trim_end()));
}

/// gpg-protect-tool prints what libgcrypt makes of an expression.
fn libgcrypt_advanced(home: &Path, sexp: &[u8]) -> Vec<u8> {
    let file = home.join("expression");
    std::fs::write(&file, sexp).unwrap();
    let directory = text(run(Command::new("gpgconf").args(["--list-dirs", "libexecdir"])));
    run(Command::new(Path::new(directory.trim_end()).join("gpg-protect-tool")).arg("--armor").arg(file))
}

#[test]
fn the_advanced_form_is_laid_out_as_libgcrypt_does() {
    let home = tempfile::tempdir().unwrap();
    let expressions: [&[u8]; 7] = [
        b"(10:public-key(3:ecc(5:curve10:NIST P-256)(1:q3:\x04\x01\x02)))",
        b"(10:public-key(3:ecc(5:curve7:Ed25519)(5:flags5:eddsa)(1:q3:@ab)))",
        b"(10:public-key(3:rsa(1:n3:\0\x81\x02)(1:e3:\x01\0\x01)))",
        b"(1:a1:b(3:cde(1:f)7:hello w)4:1abc(1:g)(1:h1:i)1:j)",
        b"(1:a9:\x08\t\x0b\n\x0c\r\"'\\4:caf\xe94:caf\x9f2:\xe9a1:\x7f3:-./5:_:*+=)",
        b"(1:a(1:b)3:c\"\n(1:d(1:e(1:f)))1:g)",
        b"(1:a (bc \"d\\x41\\101\\\n\\n\" |YWJj| #61 6 2# 3:x y)z)",
    ];
    for expression in expressions {
        let ours = Sexp::from_canonical(expression).or_else(|_| Sexp::from_advanced(expression)).unwrap();
        let theirs = libgcrypt_advanced(home.path(), expression);
        assert_eq!(
            String::from_utf8_lossy(&ours.to_advanced()),
            String::from_utf8_lossy(&theirs),
            "{}",
            expression.escape_ascii()
        );
        assert_eq!(Sexp::from_advanced(&theirs).unwrap(), ours);
    }
}
