//! Adding and removing, also by several at once.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::thread;

use claviger::store::{AddError, Added, RemoveError, Removed, Store};
use claviger_keys::x509::{Certificate, X509Error};

use super::{Home, many, sample, sample_path, text};

fn names(home: &Home) -> Vec<String> {
    let entries = fs::read_dir(home.folder()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_is_added_is_there_until_it_is_removed() {
    let home = Home::new();
    let leaf = sample("leaf");
    assert_eq!(home.certificates(), [], "there is not even a folder");
    assert_eq!(home.store.add(&leaf), Ok(Added::New));
    assert_eq!(home.store.add(&leaf), Ok(Added::AlreadyThere));
    let digits: String = leaf.sha256().iter().map(|octet| format!("{octet:02X}")).collect();
    assert_eq!(names(&home), [".lock".to_owned(), format!("{digits}.crt")]);
    assert_eq!(
        fs::read(home.folder().join(digits + ".crt")).unwrap(),
        fs::read(sample_path("leaf")).unwrap()
    );
    assert_eq!(fs::metadata(home.folder()).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(Store::open(home.dir.path()).contents().certificates[0].certificate, leaf);
    assert_eq!(home.store.remove(&leaf.sha256()), Ok(Removed::Gone));
    assert_eq!(home.certificates(), []);
    assert_eq!(home.store.remove(&leaf.sha256()), Err(RemoveError::NotThere));
}

#[test]
fn what_is_stored_behind_a_certificate_is_not_kept() {
    let home = Home::new();
    let leaf = sample("leaf");
    let padded = Certificate::new([leaf.der(), &[0; 32][..]].concat());
    assert_eq!(home.store.add(&padded), Ok(Added::New));
    assert_eq!(home.store.add(&leaf), Ok(Added::AlreadyThere));
    assert_eq!(home.certificates(), [leaf]);
}

#[test]
fn what_is_no_certificate_is_not_added() {
    let home = Home::new();
    assert_eq!(home.store.add(&Certificate::new(&b""[..])), Err(AddError::Certificate(X509Error::Empty)));
    let leaf = sample("leaf");
    for octets in [&leaf.der()[..40], b"\x30\x80\0\0", &vec![0; 64 * 1024]] {
        let added = home.store.add(&Certificate::new(octets));
        assert!(matches!(added, Err(AddError::Certificate(_))), "{added:?}");
    }
    assert!(!home.folder().exists());
}

#[test]
fn a_file_that_holds_more_is_left_to_its_owner() {
    let home = Home::new();
    let path = home.drop("both.pem", ["leaf", "middle"].map(|name| text(&sample(name))).concat());
    home.store.add(&sample("root")).unwrap();
    assert_eq!(home.store.remove(&sample("leaf").sha256()), Err(RemoveError::Shared { path }));
    assert_eq!(home.certificates().len(), 3);
}

#[test]
fn of_a_link_the_link_is_removed() {
    let home = Home::new();
    home.store.add(&sample("leaf")).unwrap();
    let elsewhere = home.dir.path().join("elsewhere.pem");
    fs::copy(sample_path("leaf"), &elsewhere).unwrap();
    symlink(&elsewhere, home.folder().join("link.pem")).unwrap();
    assert_eq!(home.store.remove(&sample("leaf").sha256()), Ok(Removed::Gone), "file and link");
    assert_eq!(names(&home), [".lock"]);
    assert!(elsewhere.exists());
}

#[test]
fn what_a_broken_off_writer_left_is_in_nobodys_way() {
    let home = Home::new();
    home.drop(".new", "-----BEGIN CERTIFICATE-----\nMII");
    let digits: String = sample("leaf").sha256().iter().map(|octet| format!("{octet:02X}")).collect();
    home.drop(&format!("{digits}.crt"), "");
    assert_eq!(home.store.add(&sample("leaf")), Ok(Added::New));
    assert_eq!((home.certificates(), home.troubles()), (vec![sample("leaf")], vec![]));
}

#[test]
fn writers_take_turns_and_readers_see_whole_certificates() {
    let home = Home::new();
    let certificates = many(24);
    thread::scope(|scope| {
        let writers: Vec<_> = certificates
            .chunks(6)
            .map(|part| {
                let store = Store::open(home.dir.path());
                // Two of them write the same, too.
                let also = &certificates[..2];
                scope.spawn(move || {
                    part.iter().chain(also).map(|one| store.add(one).unwrap()).collect::<Vec<_>>()
                })
            })
            .collect();
        while !writers.iter().all(thread::ScopedJoinHandle::is_finished) {
            assert_eq!(home.troubles(), []);
        }
        let added: Vec<_> = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
        assert_eq!(added.iter().filter(|added| **added == Added::New).count(), 24);
    });
    assert_eq!(home.certificates().len(), 24);
}
