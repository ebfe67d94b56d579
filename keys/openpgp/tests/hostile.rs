//! What strangers can put into a store: nothing of it keeps us waiting or is taken for something else.
#![allow(clippy::unwrap_used, reason = "helpers of tests may do what tests may")]

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use claviger_openpgp::stores::{MAX_FILE, MAX_FILES, Trouble, certificates};
use claviger_openpgp::{BlockError, Fingerprint, Form, Found, Stores};
use openpgp::Cert;
use openpgp::cert::CertBuilder;
use openpgp::packet::signature::SignatureBuilder;
use openpgp::packet::{Packet, UserID};
use openpgp::serialize::SerializeInto as _;
use openpgp::types::SignatureType;
use sequoia_openpgp as openpgp;
use tempfile::TempDir;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(10);

fn make(profile: openpgp::Profile) -> Cert {
    let builder = CertBuilder::new().set_profile(profile).unwrap();
    builder.add_userid("mary").add_signing_subkey().add_storage_encryption_subkey().generate().unwrap().0
}

fn usual() -> Cert {
    make(openpgp::Profile::RFC4880)
}

fn fingerprint(cert: &Cert) -> Fingerprint {
    cert.fingerprint().to_hex().parse().unwrap()
}

fn only(path: &Path) -> Stores {
    Stores::of_home(Path::new("/nonexistent"), &[path.to_owned()])
}

fn trouble(path: &Path, cert: &Cert) -> Trouble {
    only(path).find(fingerprint(cert)).unwrap_err().unread[0].trouble.clone()
}

/// The certificate of some octets.
fn read(octets: &[u8]) -> Found {
    certificates(Path::new("file"), octets).unwrap().remove(0)
}

/// Everything that can be done with a certificate, within the time.
#[track_caller]
fn use_it(found: &Found) -> &'static str {
    let start = Instant::now();
    let now = SystemTime::now();
    let _ = found.export(Form { minimal: true, armored: true }, now);
    let word = found.verdict(now).of_both().word();
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    word
}

#[test]
fn version_6_is_found_and_judged_like_version_4() {
    for profile in [openpgp::Profile::RFC4880, openpgp::Profile::RFC9580] {
        let (cert, dir) = (make(profile), TempDir::new().unwrap());
        let digits = cert.fingerprint().to_hex().to_lowercase();
        let shelf = dir.path().join(&digits[..2]);
        fs::create_dir(&shelf).unwrap();
        fs::write(shelf.join(&digits[2..]), cert.to_vec().unwrap()).unwrap();
        for key in cert.keys() {
            let found = only(dir.path())
                .find(key.key().fingerprint().to_hex().parse::<Fingerprint>().unwrap())
                .unwrap();
            assert_eq!(found.primary(), fingerprint(&cert));
            assert_eq!(use_it(&found), "valid");
            let text = found.export(Form { minimal: false, armored: true }, SystemTime::now()).unwrap();
            let has_checksum = String::from_utf8(text).unwrap().contains("\n=");
            assert_eq!(has_checksum, profile == openpgp::Profile::RFC4880);
        }
    }
}

#[test]
fn what_is_no_file_is_not_opened() {
    let (cert, dir) = (usual(), TempDir::new().unwrap());
    let pipe = dir.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    symlink(".", dir.path().join("aa")).unwrap();
    symlink("loop", dir.path().join("loop")).unwrap();
    assert_eq!(trouble(&pipe, &cert), Trouble::NotFile);
    fs::write(dir.path().join("zz"), cert.to_vec().unwrap()).unwrap();
    assert!(only(dir.path()).find(fingerprint(&cert)).is_ok());
    for hidden in [".zz", "_zz"] {
        fs::rename(dir.path().join("zz"), dir.path().join(hidden)).unwrap();
        assert!(only(dir.path()).find(fingerprint(&cert)).is_err());
        fs::rename(dir.path().join(hidden), dir.path().join("zz")).unwrap();
    }
}

#[test]
fn files_and_directories_have_limits() {
    let (cert, dir) = (usual(), TempDir::new().unwrap());
    let huge = dir.path().join("huge");
    File::create(&huge).unwrap().set_len(MAX_FILE + 1).unwrap();
    assert_eq!(trouble(&huge, &cert), Trouble::TooLarge { octets: MAX_FILE + 1 });
    let many = dir.path().join("many");
    fs::create_dir(&many).unwrap();
    for number in 0..=MAX_FILES {
        File::create(many.join(number.to_string())).unwrap();
    }
    assert_eq!(trouble(&many, &cert), Trouble::TooManyFiles);
    fs::remove_file(many.join("0")).unwrap();
    assert!(only(&many).find(fingerprint(&cert)).unwrap_err().unread.is_empty());
}

#[test]
fn a_certificate_beyond_the_limit_does_not_hide_its_neighbours() {
    let (large, usual, dir) = (usual(), usual(), TempDir::new().unwrap());
    let path = dir.path().join("ring");
    // A user attribute without length limits, and a packet that says so.
    let attribute = [b"\xd1\xff\x00\x60\x00\x00".as_slice(), &vec![0; 0x60_0000]].concat();
    fs::write(&path, [large.to_vec().unwrap(), attribute, usual.to_vec().unwrap()].concat()).unwrap();
    assert!(matches!(trouble(&path, &large), Trouble::Block(BlockError::TooLarge { .. })));
    assert!(only(&path).find(fingerprint(&usual)).is_ok());
}

/// Of each signature that is not where it belongs, sequoia finds out where that may be.
#[test]
fn floods_of_signatures_and_user_ids_are_worked_through_or_refused() {
    let cert = usual();
    let mut signer = cert.primary_key().key().clone().parts_into_secret().unwrap().into_keypair().unwrap();
    let stray = SignatureBuilder::new(SignatureType::PositiveCertification);
    let stray = stray.sign_userid_binding(&mut signer, None, &UserID::from("somebody else")).unwrap();
    let stray = Packet::from(stray).to_vec().unwrap();
    let user_id =
        |number: usize| Packet::from(UserID::from(format!("{number}{}", "x".repeat(2000)))).to_vec().unwrap();
    for (user_ids, signatures, word) in [
        (250, 250, "valid"),
        (60, 1000, "valid"),
        (250, 300, "unusable"),
        (0, 1100, "unusable"),
        (300, 0, "unusable"),
    ] {
        let user_ids: Vec<u8> = (0..user_ids).flat_map(user_id).collect();
        // Each is another one: sequoia puts equal ones together.
        let signatures = (0..signatures).flat_map(|number: u16| {
            let mut stray = stray.clone();
            let end = stray.len();
            stray[end - 2..].copy_from_slice(&number.to_be_bytes());
            stray
        });
        let octets: Vec<u8> = cert.to_vec().unwrap().into_iter().chain(user_ids).chain(signatures).collect();
        let found = read(&octets);
        assert_eq!(use_it(&found), word);
        assert_eq!(
            found.export(Form::default(), SystemTime::now()).unwrap(),
            octets,
            "and yet it is handed out"
        );
    }
}

/// Nothing that is changed or cut in a certificate makes a panic, or something out of nothing.
#[test]
fn broken_certificates_are_used_without_harm() {
    for profile in [openpgp::Profile::RFC4880, openpgp::Profile::RFC9580] {
        let whole = make(profile).to_vec().unwrap();
        let mut broken = whole.clone();
        for at in 0..whole.len() {
            broken[at] ^= 1 << (at % 8);
            for found in certificates(Path::new("file"), &broken).unwrap_or_default() {
                use_it(&found);
            }
            broken[at] = whole[at];
            for found in certificates(Path::new("file"), &whole[..at]).unwrap_or_default() {
                assert!(whole[..at].starts_with(&found.export(Form::default(), SystemTime::now()).unwrap()));
            }
        }
    }
}
