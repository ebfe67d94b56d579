//! Every kind of store, found in by every key.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use claviger_openpgp::stores::Trouble;
use claviger_openpgp::{BlockError, Fingerprint, Form, Found, Stores};
use tempfile::TempDir;

use crate::home::{Home, Kind, days, write};

/// Stores that consist of one path alone.
fn only(path: &Path) -> Stores {
    Stores::of_home(Path::new("/nonexistent"), &[path.to_owned()])
}

fn full(found: &Found) -> Vec<u8> {
    found.export(Form::default(), days(1)).unwrap()
}

/// What gpg lists, found by every fingerprint and keygrip, is what gpg exports.
pub(crate) fn check(home: &Home, stores: &Stores, user: &str, path: &Path) {
    let (listed, exported) = (home.listed(user), home.export(user));
    assert!(!listed.is_empty());
    for (fingerprint, grip) in &listed {
        for found in [stores.find(*fingerprint).unwrap(), stores.find(*grip).unwrap()] {
            assert_eq!(full(&found), exported);
            assert_eq!((found.path(), found.passed_over()), (path, [].as_slice()));
            assert_eq!((found.primary(), found.asked().fingerprint()), (listed[0].0, *fingerprint));
            let keys: Vec<_> =
                found.keys().iter().map(|key| (key.fingerprint(), key.keygrip().unwrap())).collect();
            assert_eq!(keys, listed);
        }
    }
}

#[test]
fn a_home_gives_what_gpg_exports() {
    for kind in [Kind::Keybox, Kind::Keyring] {
        let home = Home::new(kind);
        for user in ["mary", "john", "anne"] {
            home.make(&format!("{user} <{user}@example.org>"));
        }
        let stores = home.stores();
        for user in ["john", "mary", "anne"] {
            check(&home, &stores, user, &home.store());
        }
    }
}

#[test]
fn keys_of_every_algorithm_are_known_by_fingerprint_and_keygrip() {
    let home = Home::new(Kind::Keybox);
    for algorithm in ["rsa2048", "nistp256", "nistp384", "nistp521", "brainpoolP256r1", "secp256k1"] {
        home.gpg(&["--quick-gen-key", algorithm, algorithm, "sign", "never"]);
        let primary = home.listed(algorithm)[0].0.to_string();
        home.gpg(&["--quick-add-key", &primary, algorithm, "encr", "never"]);
        check(&home, &home.stores(), algorithm, &home.store());
    }
}

#[test]
fn exported_files_and_directories_of_them_give_the_same() {
    let (home, dir) = (Home::new(Kind::Keybox), TempDir::new().unwrap());
    for user in ["mary", "john"] {
        home.make(user);
    }
    let binary = write(dir.path(), "all/keys.gpg", &home.gpg(&["--export"]));
    let armored = write(dir.path(), "text/keys.asc", &home.gpg(&["--armor", "--export"]));
    write(dir.path(), "text/README", b"Our keys.\n");
    for user in ["mary", "john"] {
        check(&home, &only(&binary), user, &binary);
        check(&home, &only(&armored), user, &armored);
        check(&home, &only(armored.parent().unwrap()), user, &armored);
        let one = write(dir.path(), &format!("one/{user}"), &home.gpg(&["--armor", "--export", user]));
        check(&home, &only(one.parent().unwrap()), user, &one);
    }
}

#[test]
fn a_certificate_directory_is_asked_last() {
    let (home, dir) = (Home::new(Kind::Keybox), TempDir::new().unwrap());
    let primary = home.make("mary");
    let digits = primary.to_string().to_lowercase();
    let path = write(dir.path(), &format!("{}/{}", &digits[..2], &digits[2..]), &home.export("mary"));
    write(dir.path(), "trust-root", b"");
    let nowhere = Stores::of_home(Path::new("/nonexistent"), &[]);
    check(&home, &nowhere.and_certificate_directory(dir.path().to_owned()), "mary", &path);
    check(&home, &home.stores().and_certificate_directory(dir.path().to_owned()), "mary", &home.store());
}

#[test]
fn the_first_store_in_order_answers_with_its_copy() {
    let (home, dir) = (Home::new(Kind::Keybox), TempDir::new().unwrap());
    let mary = home.make("mary");
    let older = write(dir.path(), "older.gpg", &home.export("mary"));
    home.gpg(&["--quick-add-uid", &mary.to_string(), "mary at work"]);
    let newer = write(dir.path(), "newer.gpg", &home.export("mary"));
    let with = |extra: &[&PathBuf]| {
        let extra: Vec<_> = extra.iter().copied().cloned().collect();
        let found = Stores::of_home(&home.path(""), &extra).find(mary).unwrap();
        (found.path().to_owned(), full(&found))
    };
    assert_eq!(with(&[]), (home.store(), home.export("mary")));
    assert_eq!(with(&[&older, &newer]), (older.clone(), fs::read(&older).unwrap()));
    assert_eq!(with(&[&newer, &older]), (newer.clone(), fs::read(&newer).unwrap()));
}

#[test]
fn a_store_that_cannot_be_read_is_told_and_hides_nothing() {
    let (home, dir) = (Home::new(Kind::Keybox), TempDir::new().unwrap());
    let mary = home.make("mary");
    let broken = write(dir.path(), "broken.asc", b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQ");
    let missing = dir.path().join("missing");
    let stores = Stores::of_home(&home.path(""), &[broken.clone(), missing.clone()]);
    let found = stores.find(mary).unwrap();
    assert_eq!((found.path(), full(&found)), (home.store().as_path(), home.export("mary")));
    let told: Vec<_> = found.passed_over().iter().map(ToString::to_string).collect();
    let expected = [
        format!("{}: an armored block without its END line", broken.display()),
        format!("{}: entity not found", missing.display()),
    ];
    assert_eq!(told, expected);
    let nobody = "0".repeat(40).parse::<Fingerprint>().unwrap();
    assert_eq!(stores.find(nobody).unwrap_err().unread, found.passed_over());
}

#[test]
fn a_file_is_read_again_when_it_changed() {
    let home = Home::new(Kind::Keybox);
    let stores = home.stores();
    let mary = home.make("mary");
    let before = full(&stores.find(mary).unwrap());
    home.gpg(&["--quick-add-uid", &mary.to_string(), "mary at work"]);
    let after = full(&stores.find(mary).unwrap());
    assert_ne!(before, after);
    assert_eq!(after, home.export("mary"));
    home.gpg(&["--delete-secret-and-public-key", &mary.to_string()]);
    assert!(stores.find(mary).unwrap_err().unread.is_empty());
}

#[test]
fn secret_keys_are_never_handed_out() {
    let (home, dir) = (Home::new(Kind::Keybox), TempDir::new().unwrap());
    let mary = home.make("mary");
    let secret = home.gpg(&["--export-secret-keys", "mary"]);
    let binary = write(dir.path(), "secret.gpg", &[home.export("mary"), secret].concat());
    let text = home.gpg(&["--armor", "--export-secret-keys", "mary"]);
    let armored = write(dir.path(), "secret.asc", &text);
    let trouble = |path: &Path| only(path).find(mary).unwrap_err().unread[0].trouble.clone();
    assert_eq!(trouble(&binary), Trouble::Block(BlockError::SecretKey));
    assert!(matches!(trouble(&armored), Trouble::Armor(_)));
}

/// The environment names the test what to look for; without it the test calls itself with an empty environment, in
/// which no program is found.
#[test]
fn no_program_is_run() {
    const WANTED: &str = "CLAVIGER_TEST_WANTED";
    if let Ok(wanted) = std::env::var(WANTED) {
        let (home, fingerprint) = wanted.split_once(' ').unwrap();
        let found =
            Stores::of_home(Path::new(home), &[]).find(fingerprint.parse::<Fingerprint>().unwrap()).unwrap();
        assert!(Command::new("gpg").arg("--version").output().is_err(), "gpg is within reach");
        assert!(found.verdict(days(1)).of_both().is_valid());
        return assert!(found.export(Form { minimal: true, armored: true }, days(1)).is_ok());
    }
    let home = Home::new(Kind::Keybox);
    let mary = home.make("mary");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "stores::no_program_is_run", "--nocapture"])
        .env_clear()
        .env("PATH", "/nonexistent")
        .env(WANTED, format!("{} {mary}", home.path("").display()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}
