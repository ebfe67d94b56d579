//! Whatever lies in the folder: what cannot be read is named, the rest is served, and nothing makes us wait or grow.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::Command;

use claviger::store::{AddError, MAX_FILES, MAX_KEYBOX, MAX_OCTETS, MAX_STORED, Trouble};
use claviger_keys::keybox::KeyboxError;
use claviger_keys::x509::{Certificate, FileError, MAX_FILE, X509Error, pem};

use super::{Home, many, sample, sample_path, text};

#[test]
fn broken_files_are_named_and_the_others_served() {
    let home = Home::new();
    let leaf = sample("leaf");
    home.drop("1 good.pem", text(&leaf));
    home.drop("2 empty.pem", "");
    home.drop("3 truncated.der", &leaf.der()[..200]);
    home.drop("4 truncated.pem", &text(&leaf)[..200]);
    home.drop("5 letter.txt", "Dear Zoë,");
    home.drop("6 key.pub", pem::write(pem::PUBLIC_KEY, leaf.fields().unwrap().spki()));
    home.drop("7 huge.pem", vec![b'A'; MAX_FILE + 1]);
    let inner = pem::write(pem::CERTIFICATE, b"\x30\x03\x02\x01\x00");
    home.drop(
        "8 in between.pem",
        [&text(&sample("middle")), inner.as_str(), &text(&sample("root"))].concat(),
    );
    assert_eq!(home.certificates(), ["leaf", "middle", "root"].map(sample));
    let troubles = home.troubles();
    let names: String = troubles.iter().map(|(name, _)| &name[..1]).collect();
    assert_eq!(names, "2345678");
    assert_eq!(troubles[0].1, Trouble::File(FileError::None));
    assert!(matches!(troubles[1].1, Trouble::File(FileError::Form(_))));
    assert!(matches!(troubles[2].1, Trouble::File(FileError::Pem(_))));
    assert!(matches!(troubles[3].1, Trouble::File(FileError::Form(_))));
    assert_eq!(troubles[4].1, Trouble::File(FileError::None));
    assert_eq!(troubles[5].1, Trouble::TooLong { most: MAX_FILE.try_into().unwrap() });
    assert!(matches!(troubles[6].1, Trouble::Certificate { number: 2, error: X509Error::Form(_) }));
}

/// The same certificate with an outer length that is indefinite, and one as large as a card can be asked to hold.
#[test]
fn odd_certificates_are_served_as_they_are() {
    let home = Home::new();
    let leaf = sample("leaf");
    let indefinite = Certificate::new([b"\x30\x80", &leaf.der()[4..], b"\0\0"].concat());
    home.drop("indefinite.der", indefinite.der());
    let large = with_padding_inside(&leaf, 64 * 1024);
    home.drop("large.der", large.der());
    assert_eq!((home.certificates(), home.troubles()), (vec![indefinite, large], vec![]));
}

/// A certificate whose last element, behind the signature, is long.
fn with_padding_inside(certificate: &Certificate, octets: usize) -> Certificate {
    let header = |tag: u8, len: usize| {
        let [.., a, b, c] = len.to_be_bytes();
        vec![tag, 0x83, a, b, c]
    };
    let padding = [header(0x04, octets), vec![0; octets]].concat();
    let inside = [&certificate.der()[4..], &padding].concat();
    Certificate::new([header(0x30, inside.len()), inside].concat())
}

#[test]
fn what_is_no_file_is_not_opened() {
    let home = Home::new();
    home.drop("leaf.pem", text(&sample("leaf")));
    let pipe = home.folder().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let _socket = UnixListener::bind(home.folder().join("socket")).unwrap();
    symlink("/dev/zero", home.folder().join("zero")).unwrap();
    symlink("nowhere", home.folder().join("to nowhere")).unwrap();
    symlink("round", home.folder().join("round")).unwrap();
    symlink("/etc", home.folder().join("to a folder")).unwrap();
    fs::create_dir(home.folder().join("a folder")).unwrap();
    home.drop(".hidden", "not looked at");
    assert_eq!(home.certificates(), [sample("leaf")]);
    let names: Vec<_> = home.troubles().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["pipe", "round", "socket", "to a folder", "to nowhere", "zero"]);
    let known = home.store.contents();
    assert!(std::sync::Arc::ptr_eq(&known, &home.store.contents()), "it is no news the second time");
    assert_eq!(home.store.files_read(), 1);
}

/// Such a file says that it is empty, and has no end that one could know before.
#[test]
fn a_file_without_a_length_is_read_to_its_limit() {
    let home = Home::new();
    home.drop("leaf.pem", text(&sample("leaf")));
    symlink("/proc/cpuinfo", home.folder().join("cpuinfo")).unwrap();
    symlink("/proc/kcore", home.folder().join("kcore")).unwrap();
    assert_eq!(home.certificates(), [sample("leaf")]);
    assert_eq!(home.troubles().len(), 2);
}

#[test]
fn a_private_key_makes_a_file_one_that_does_not_belong_here() {
    let home = Home::new();
    for kind in ["", "RSA ", "EC ", "ENCRYPTED ", "OPENSSH "] {
        let key = pem::write(&format!("{kind}PRIVATE KEY"), b"\x30\x03\x02\x01\x00");
        home.drop("server.pem", text(&sample("leaf")) + &key);
        assert_eq!(home.troubles(), [("server.pem".to_owned(), Trouble::PrivateKey)], "{kind}");
    }
    assert_eq!(home.certificates(), []);
    let secret =
        b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20abcdefghijklmnopqrstuvwxyz012345";
    home.drop("server.pem", secret);
    assert_eq!(home.certificates(), [], "in DER");
}

#[test]
fn a_folder_that_is_none_is_named() {
    let home = Home::new();
    fs::write(home.folder(), "no folder").unwrap();
    assert!(matches!(&home.troubles()[..], [(name, Trouble::Io(_))] if name == claviger::store::FOLDER));
    assert!(matches!(home.store.add(&sample("leaf")), Err(AddError::Folder(_))));
}

#[test]
fn more_files_than_there_may_be_are_not_read() {
    let home = Home::new();
    for number in 0..=MAX_FILES {
        home.drop(&number.to_string(), "");
    }
    home.gpgsm(&["--import", &sample_path("root")]);
    assert_eq!(home.troubles(), [(claviger::store::FOLDER.to_owned(), Trouble::TooManyFiles)]);
    assert_eq!(home.store.files_read(), 1, "the keybox");
    assert_eq!(home.store.add(&sample("leaf")), Err(AddError::Full));
}

#[test]
fn what_has_no_room_beside_others_waits_until_there_is() {
    let home = Home::new();
    let certificates = many(MAX_STORED);
    for (number, part) in certificates.chunks(4000).enumerate() {
        home.drop(&format!("{number}.pem"), part.iter().map(text).collect::<String>());
    }
    home.drop("last.pem", text(&sample("root")));
    assert_eq!(home.certificates().len(), MAX_STORED);
    assert_eq!(home.troubles(), [("last.pem".to_owned(), Trouble::Full)]);
    assert_eq!(home.store.add(&sample("middle")), Err(AddError::Full));
    assert_eq!(home.store.files_read(), 4, "the one without room is not read again and again");
    fs::remove_file(home.folder().join("0.pem")).unwrap();
    assert_eq!((home.certificates().len(), home.troubles()), (MAX_STORED - 4000 + 1, vec![]));
}

#[test]
fn octets_are_limited_as_certificates_are() {
    let home = Home::new();
    let large = with_padding_inside(&sample("leaf"), 120 * 1024);
    let one_file = large.der().repeat(30);
    for number in 0..10 {
        home.drop(&format!("{number}.der"), &one_file);
    }
    let troubles = home.troubles();
    let fitting = MAX_OCTETS / one_file.len();
    assert_eq!(troubles.len(), 10 - fitting);
    assert!(troubles.iter().all(|(_, trouble)| *trouble == Trouble::Full), "{troubles:?}");
}

#[test]
fn a_broken_keybox_gives_what_can_be_read() {
    let home = Home::new();
    home.gpgsm(&["--import", &sample_path("root"), &sample_path("middle")]);
    let path = home.dir.path().join("pubring.kbx");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert_eq!(home.certificates(), [sample("root")]);
    assert!(matches!(&home.troubles()[..], [(_, Trouble::Keybox(KeyboxError::Broken { .. }))]));
    fs::write(&path, "something else").unwrap();
    assert_eq!(home.troubles(), [("pubring.kbx".to_owned(), Trouble::Keybox(KeyboxError::NotKeybox))]);
    fs::File::create(&path).unwrap().set_len(MAX_KEYBOX + 1).unwrap();
    assert_eq!(home.troubles(), [("pubring.kbx".to_owned(), Trouble::TooLong { most: MAX_KEYBOX })]);
    fs::write(&path, "").unwrap();
    assert_eq!((home.certificates(), home.troubles()), (vec![], vec![]));
}
