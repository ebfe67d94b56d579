//! Files are read when they are new or changed, and not otherwise: what a listing costs is counted, not timed.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use super::{Home, many, sample, sample_path, text};

#[test]
fn each_file_is_read_once() {
    for count in [1, 10, 1000] {
        let home = Home::new();
        for (number, certificate) in many(count).iter().enumerate() {
            home.drop(&format!("{number}.crt"), text(certificate));
        }
        let files = u64::try_from(count).unwrap();
        assert_eq!((home.certificates().len(), home.store.files_read()), (count, files), "cold");
        let known = home.store.contents();
        for _ in 0..3 {
            assert!(Arc::ptr_eq(&home.store.contents(), &known), "nothing is made anew");
        }
        assert_eq!(home.store.files_read(), files, "warm");
        home.drop("one more.crt", text(&sample("root")));
        assert_eq!((home.certificates().len(), home.store.files_read()), (count + 1, files + 1));
    }
}

#[test]
fn a_file_that_is_changed_replaced_or_gone_is_noticed() {
    let home = Home::new();
    let path = home.drop("one.pem", text(&sample("leaf")));
    assert_eq!(home.certificates(), [sample("leaf")]);
    home.drop("one.pem", text(&sample("middle")));
    assert_eq!(home.certificates(), [sample("middle")], "written over");
    let new = home.drop(".new", text(&sample("root")));
    fs::rename(new, &path).unwrap();
    assert_eq!(home.certificates(), [sample("root")], "another in its place");
    fs::rename(&path, home.folder().join("other.pem")).unwrap();
    assert_eq!(home.certificates(), [sample("root")], "under another name");
    fs::remove_dir_all(home.folder()).unwrap();
    assert_eq!((home.certificates(), home.troubles()), (vec![], vec![]));
}

#[test]
fn a_change_that_hides_is_noticed() {
    let home = Home::new();
    let [before, after] = many(2).try_into().unwrap();
    let path = home.drop("one.pem", text(&before));
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    assert_eq!(home.certificates(), [before]);
    // The file system's clock is a coarse one.
    std::thread::sleep(std::time::Duration::from_millis(20));
    home.drop("one.pem", text(&after));
    fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    assert_eq!(home.certificates(), [after], "as long as before, and as old");
}

#[test]
fn a_link_is_what_it_leads_to() {
    let home = Home::new();
    home.drop("leaf.pem", text(&sample("leaf")));
    let (first, second) = (home.dir.path().join("first"), home.dir.path().join("second"));
    fs::copy(sample_path("middle"), &first).unwrap();
    fs::copy(sample_path("root"), &second).unwrap();
    let link = home.folder().join("link.pem");
    symlink(&first, &link).unwrap();
    assert_eq!(home.certificates(), ["leaf", "middle"].map(sample));
    fs::rename(&second, &first).unwrap();
    assert_eq!(home.certificates(), ["leaf", "root"].map(sample));
}

#[test]
fn a_certificate_in_several_files_is_there_once() {
    let home = Home::new();
    let leaf = sample("leaf");
    home.drop("a.pem", text(&leaf).repeat(2));
    home.drop("b.der", leaf.der());
    home.drop("c.pem", format!("Bag Attributes\r\n{}", text(&leaf)));
    assert_eq!((home.certificates(), home.troubles()), (vec![leaf], vec![]));
}
