//! The database of GnuPG 2.4's keyboxd: a sample, what others may do to it, and keyboxd at work.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use claviger_keys::Keygrip;
use claviger_openpgp::stores::{DatabaseError, Trouble};
use claviger_openpgp::{Fingerprint, Form, Stores};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::home::{Home, Kind, days, write};
use crate::stores::check;

fn sample(name: &str) -> Vec<u8> {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/openpgp");
    fs::read(samples.join(name)).unwrap()
}

/// Fingerprint and keygrip of each key of a user.
fn keys(user: &str) -> Vec<(Fingerprint, Keygrip)> {
    let keys = String::from_utf8(sample(&format!("{user}.keys"))).unwrap();
    let lines: Vec<_> = keys.lines().collect();
    lines.chunks_exact(2).map(|pair| (pair[0].parse().unwrap(), pair[1].parse().unwrap())).collect()
}

/// A home with the sample, and where it is; of a name that is not for URIs.
fn home() -> (TempDir, PathBuf) {
    let dir = tempfile::Builder::new().prefix("a ?#%41é&").tempdir().unwrap();
    let path = write(dir.path(), "public-keys.d/pubring.db", &sample("pubring.db"));
    (dir, path)
}

fn trouble(home: &TempDir) -> Trouble {
    let mary = keys("mary")[0].0;
    Stores::of_home(home.path(), &[]).find(mary).unwrap_err().unread[0].trouble.clone()
}

/// What is in the way after some statements.
fn trouble_after(sql: &str) -> Trouble {
    let (home, path) = home();
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
    trouble(&home)
}

#[test]
fn every_key_of_the_sample_is_found() {
    let (home, path) = home();
    let stores = Stores::of_home(home.path(), &[]);
    for user in ["mary", "five"] {
        let keys = keys(user);
        for (fingerprint, grip) in &keys {
            for found in [stores.find(*fingerprint).unwrap(), stores.find(*grip).unwrap()] {
                assert_eq!(found.export(Form::default(), days(1)).unwrap(), sample(&format!("{user}.gpg")));
                assert_eq!(found.path(), path);
                let seen: Vec<_> =
                    found.keys().iter().map(|key| (key.fingerprint(), key.keygrip().unwrap())).collect();
                assert_eq!(seen, keys);
            }
        }
    }
    assert!(stores.find("00".repeat(32).parse::<Fingerprint>().unwrap()).unwrap_err().unread.is_empty());
}

#[test]
fn keys_of_gnupgs_own_version_5_are_handed_out_but_not_judged() {
    let (home, _) = home();
    let found = Stores::of_home(home.path(), &[]).find(keys("five")[1].0).unwrap();
    assert_eq!(found.verdict(days(1)).of_both().word(), "unusable");
    assert!(found.export(Form { minimal: true, armored: false }, days(1)).is_err());
    assert!(found.export(Form { minimal: false, armored: true }, days(1)).is_ok());
}

#[test]
fn the_database_comes_first_where_keyboxd_is_used() {
    let (home, database) = home();
    let keyring = write(home.path(), "pubring.gpg", &sample("mary.gpg"));
    let first = || Stores::of_home(home.path(), &[]).find(keys("mary")[2].0).unwrap().path().to_owned();
    assert_eq!(first(), keyring);
    write(home.path(), "common.conf", b"# since 2.4\nuse-keyboxd\n");
    assert_eq!(first(), database);
}

#[test]
fn a_change_is_waited_for_and_one_that_never_ends_is_told() {
    let (home, path) = home();
    let journal = write(home.path(), "public-keys.d/pubring.db-journal", b"");
    assert_eq!(trouble(&home), Trouble::Database(DatabaseError::Unfinished));
    let (stores, mary) = (Stores::of_home(home.path(), &[]), keys("mary")[0].0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(200));
            fs::remove_file(&journal).unwrap();
        });
        assert_eq!(stores.find(mary).unwrap().path(), path);
    });
}

/// keyboxd waits for no lock: what it could not write at once would be lost.
#[test]
fn who_writes_is_never_kept_waiting() {
    let (home, path) = home();
    let (stores, mary) = (Stores::of_home(home.path(), &[]), keys("mary")[0].0);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let writer = Connection::open(&path).unwrap();
            writer.busy_timeout(Duration::ZERO).unwrap();
            writer.execute_batch("PRAGMA synchronous = OFF").unwrap();
            for i in 0..300 {
                let keyblob = if i % 2 == 0 { "zeroblob(100000)" } else { "x'00'" };
                writer.execute_batch(&format!("UPDATE pubkey SET keyblob = {keyblob} WHERE ubid = (SELECT ubid FROM fingerprint WHERE length(fpr) = 32)")).unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
        while !done.load(Ordering::Relaxed) {
            match stores.find(mary) {
                Ok(found) => assert_eq!(found.export(Form::default(), days(1)).unwrap(), sample("mary.gpg")),
                Err(error) => {
                    assert_eq!(error.unread[0].trouble, Trouble::Database(DatabaseError::Unfinished))
                }
            }
        }
    });
}

#[test]
fn what_the_format_does_not_allow_is_said() {
    let database = |error| Trouble::Database(error);
    assert_eq!(trouble_after("PRAGMA journal_mode = WAL"), database(DatabaseError::WriteAhead));
    let version = "UPDATE config SET value = 2 WHERE name = 'dbversion'";
    assert_eq!(trouble_after(version), database(DatabaseError::Version("2".to_owned())));
    assert!(matches!(trouble_after("DROP TABLE fingerprint"), Trouble::Database(DatabaseError::Broken(_))));
}

#[test]
fn tables_that_are_programs_do_not_run_on() {
    let endless = "DROP TABLE fingerprint; CREATE VIEW fingerprint AS
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS fpr, i AS ubid FROM n";
    assert_eq!(trouble_after(endless), Trouble::Database(DatabaseError::Endless));
}

#[test]
fn a_certificate_beyond_the_limit_is_not_read() {
    let large = "UPDATE pubkey SET keyblob = zeroblob(100000000)";
    assert!(matches!(trouble_after(large), Trouble::Database(DatabaseError::Broken(_))));
}

/// Whatever is broken: what is handed out is that certificate, or nothing.
#[test]
fn broken_databases_are_refused_or_do_not_matter() {
    let (home, path) = home();
    let (stores, mary, whole) = (Stores::of_home(home.path(), &[]), keys("mary")[0].0, sample("pubring.db"));
    let is_found = || stores.find(mary).is_ok_and(|found| found.primary() == mary);
    let found_cut = (16..whole.len()).step_by(1021).filter(|len| {
        fs::write(&path, &whole[..*len]).unwrap();
        is_found()
    });
    assert!(found_cut.count() < 10, "only the last pages do not matter");
    fs::write(&path, &whole).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    let found_broken = (100..whole.len()).step_by(97).filter(|at| {
        file.write_all_at(&[!whole[*at]], *at as u64).unwrap();
        let found = stores.find(mary);
        file.write_all_at(&whole[*at..=*at], *at as u64).unwrap();
        found.map(|found| assert_eq!(found.primary(), mary)).is_ok()
    });
    assert!(found_broken.count() > 100, "much of it is empty");
    assert!(is_found());
}

#[test]
#[ignore = "needs keyboxd of GnuPG 2.4: make check-debian13 has it"]
fn keyboxd_at_work_gives_what_gpg_exports() {
    let home = Home::new(Kind::Keyboxd);
    let stores = home.stores();
    for user in ["mary", "john"] {
        home.make(user);
        check(&home, &stores, user, &home.store());
    }
    home.gpg(&["--quick-add-uid", "mary", "mary at work"]);
    check(&home, &stores, "mary", &home.store());
    let lock = home.path("public-keys.d/pubring.db.lock");
    assert!(lock.exists(), "keyboxd runs and holds the database");
}
