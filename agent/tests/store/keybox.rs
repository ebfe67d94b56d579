//! gpgsm's keybox, filled by gpgsm.

use std::fs;

use claviger::store::{Added, Origin, RemoveError, Removed};

use super::{Home, sample, sample_path, text};

#[test]
fn what_gpgsm_imports_is_in_the_store_behind_the_folder() {
    let home = Home::new();
    home.gpgsm(&["--import", &sample_path("root"), &sample_path("middle")]);
    home.drop("leaf.crt", text(&sample("leaf")));
    assert_eq!(home.certificates(), ["leaf", "root", "middle"].map(sample));
    let keybox = home.dir.path().join("pubring.kbx");
    let origins: Vec<_> =
        home.store.contents().certificates.iter().map(|stored| stored.origin.clone()).collect();
    let in_keybox = Origin::Keybox(keybox);
    assert_eq!(origins, [Origin::File(home.folder().join("leaf.crt")), in_keybox.clone(), in_keybox]);
    home.gpgsm(&["--delete-keys", "/CN=Middle,O=Example"]);
    assert_eq!(home.certificates(), ["leaf", "root"].map(sample));
    assert_eq!(home.troubles(), []);
}

#[test]
fn only_our_own_copy_is_removed() {
    let home = Home::new();
    home.gpgsm(&["--import", &sample_path("root")]);
    let keybox = home.dir.path().join("pubring.kbx");
    let before = fs::read(&keybox).unwrap();
    let root = sample("root");
    assert_eq!(
        home.store.remove(&root.sha256()),
        Err(RemoveError::OnlyInKeybox { path: keybox.clone() }),
        "gpgsm's"
    );
    assert_eq!(home.store.add(&root), Ok(Added::New));
    assert_eq!(home.certificates(), std::slice::from_ref(&root), "in both places, but once");
    assert_eq!(home.store.remove(&root.sha256()), Ok(Removed::StillInKeybox));
    assert_eq!(home.certificates(), [root]);
    assert_eq!(fs::read(&keybox).unwrap(), before);
}
