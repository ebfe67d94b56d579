//! The forms that a certificate leaves in, beside what gpg makes of it.

use claviger_openpgp::{Fingerprint, Form};

use crate::home::{Home, Kind, LATER, days};

const FULL: Form = Form { minimal: false, armored: false };
const MINIMAL: Form = Form { minimal: true, armored: false };

fn export(home: &Home, fingerprint: Fingerprint, form: Form) -> Vec<u8> {
    home.stores().find(fingerprint).unwrap().export(form, days(1)).unwrap()
}

/// What gpg takes for the smallest certificate with that key.
fn minimal(home: &Home, fingerprint: Fingerprint) -> Vec<u8> {
    home.gpg(&["--export-options", "export-minimal", "--export", &format!("{fingerprint}!")])
}

fn check_minimal(home: &Home, user: &str) {
    for (fingerprint, _) in home.listed(user) {
        assert_eq!(export(home, fingerprint, MINIMAL), minimal(home, fingerprint), "{fingerprint}");
    }
}

/// A certificate that John and Anne signed, John so that it should not leave.
fn signed(kind: Kind) -> (Home, Fingerprint) {
    let home = Home::new(kind);
    let mary = home.make("mary");
    for (user, sign) in [("john", "--quick-lsign-key"), ("anne", "--quick-sign-key")] {
        home.make(user);
        home.gpg(&["--local-user", user, sign, &mary.to_string()]);
    }
    (home, mary)
}

#[test]
fn armor_is_that_of_gpg() {
    let home = Home::new(Kind::Keybox);
    let mary = home.make("mary");
    let text = home.gpg(&["--armor", "--export", "mary"]);
    let ours = export(&home, mary, Form { minimal: false, armored: true });
    assert_eq!(String::from_utf8(ours).unwrap(), String::from_utf8(text).unwrap());
}

#[test]
fn local_signatures_and_trust_packets_stay() {
    for kind in [Kind::Keybox, Kind::Keyring] {
        let (home, mary) = signed(kind);
        let stored = home.gpg(&["--export-options", "export-local-sigs", "--export", "mary"]);
        let full = export(&home, mary, FULL);
        assert!(full.len() < stored.len(), "John's signature is there, and is local");
        assert_eq!(full, home.export("mary"));
    }
}

#[test]
fn revokers_named_in_confidence_stay() {
    let home = Home::new(Kind::Keybox);
    let (mary, john) = (home.make("mary"), home.make("john"));
    home.edit("mary", &["addrevoker sensitive", &john.to_string(), "y", "save"]);
    let stored = home.gpg(&["--export-options", "export-sensitive-revkeys", "--export", "mary"]);
    assert!(export(&home, mary, FULL).len() < stored.len());
    assert_eq!(export(&home, mary, FULL), home.export("mary"));
    check_minimal(&home, "mary");
}

#[test]
fn the_minimal_form_has_the_key_that_was_asked_for_and_no_foreign_signature() {
    let (home, mary) = signed(Kind::Keybox);
    assert!(export(&home, mary, MINIMAL).len() < export(&home, mary, FULL).len());
    check_minimal(&home, "mary");
}

#[test]
fn the_minimal_form_has_the_newest_bindings() {
    let home = Home::new(Kind::Keybox);
    let mary = home.make("mary").to_string();
    home.gpg(&["--quick-add-uid", &mary, "mary at work"]);
    for (hour, expires) in [("01", "2030-01-01"), ("02", "2031-01-01")] {
        let (time, before) = (format!("20240101T{hour}0000"), home.export("mary"));
        home.gpg_at(&time, &["--quick-set-expire", &mary, expires]);
        home.gpg_at(&time, &["--quick-set-expire", &mary, expires, "*"]);
        home.import(&before);
    }
    let octets = |form| export(&home, mary.parse().unwrap(), form).len();
    assert!(octets(FULL) > 3 * octets(MINIMAL), "gpg keeps the older signatures");
    check_minimal(&home, "mary");
}

#[test]
fn the_minimal_form_has_the_revocation_of_its_key() {
    let home = Home::new(Kind::Keybox);
    home.make("mary");
    home.edit("mary", &["key 1", "revkey", "y", "1", "lost", "", "y", "save"]);
    check_minimal(&home, "mary");
    home.revoke("mary");
    check_minimal(&home, "mary");
}

#[test]
fn the_minimal_form_leaves_out_a_user_id_that_gpg_keeps_with_its_revocation() {
    let home = Home::new(Kind::Keybox);
    let mary = home.make("mary");
    let before = export(&home, mary, MINIMAL);
    home.gpg(&["--quick-add-uid", &mary.to_string(), "maiden name"]);
    assert!(export(&home, mary, MINIMAL).len() > before.len());
    home.gpg_at(LATER, &["--quick-revoke-uid", &mary.to_string(), "maiden name"]);
    assert_eq!(export(&home, mary, MINIMAL), before);
}
