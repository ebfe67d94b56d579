//! Certificates that gpg made, revoked and let expire, and what sequoia's policy makes of them.

use std::time::{Duration, SystemTime};

use claviger_openpgp::{Fingerprint, Validity, Verdict};

use crate::home::{Home, Kind, LATER, days};

fn verdict(home: &Home, fingerprint: Fingerprint, at: SystemTime) -> Verdict {
    home.stores().find(fingerprint).unwrap().verdict(at)
}

/// The key of the test that has expired, and one that has not.
fn subkeys(home: &Home) -> (Fingerprint, Fingerprint) {
    let listed = home.listed("mary");
    (listed[1].0, listed[2].0)
}

const SECOND: Duration = Duration::from_secs(1);
const FOREVER: Validity = Validity::Valid { until: None };

#[test]
fn a_usual_certificate_is_valid_and_so_are_its_keys() {
    let home = Home::new(Kind::Keybox);
    home.make("mary");
    for (fingerprint, _) in home.listed("mary") {
        let expected = Verdict { certificate: FOREVER, key: FOREVER, user_ids: vec!["mary".to_owned()] };
        assert_eq!(verdict(&home, fingerprint, days(1)), expected);
    }
}

#[test]
fn before_it_was_made_a_certificate_is_not_yet_valid() {
    let home = Home::new(Kind::Keybox);
    let mary = home.make("mary");
    let not_yet = Validity::NotYet { from: days(0) };
    assert_eq!(verdict(&home, mary, days(0) - SECOND).of_both(), &not_yet);
    assert_eq!(verdict(&home, subkeys(&home).0, days(0) - SECOND).key, not_yet);
    assert!(verdict(&home, mary, days(0)).of_both().is_valid());
}

#[test]
fn an_expired_certificate_says_since_when() {
    let home = Home::new(Kind::Keybox);
    home.gpg(&["--quick-gen-key", "mary", "ed25519", "cert,sign", "20d"]);
    let mary = home.listed("mary")[0].0;
    assert_eq!(*verdict(&home, mary, days(19)).of_both(), Validity::Valid { until: Some(days(20)) });
    let after = verdict(&home, mary, days(20));
    assert_eq!(*after.of_both(), Validity::Expired { since: days(20) });
    assert_eq!(after.user_ids, ["mary"], "it is still known whose it was");
}

#[test]
fn an_expired_subkey_does_not_take_the_others_with_it() {
    let home = Home::new(Kind::Keybox);
    let mary = home.make("mary");
    let (expires, stays) = subkeys(&home);
    let end = "20240121T000000";
    home.gpg_at(LATER, &["--quick-set-expire", &mary.to_string(), end, &expires.to_string()]);
    let after = verdict(&home, expires, days(21));
    assert_eq!((after.certificate, after.key), (FOREVER, Validity::Expired { since: days(20) }));
    assert_eq!(*verdict(&home, stays, days(21)).of_both(), FOREVER);
}

#[test]
fn a_revoked_certificate_says_so_with_the_owners_reason() {
    let home = Home::new(Kind::Keybox);
    let mary = home.make("mary");
    home.revoke("mary");
    let reason = "Key material has been compromised: lost it".to_owned();
    let revoked = Validity::Revoked { reason };
    for fingerprint in [mary, subkeys(&home).0] {
        assert_eq!(*verdict(&home, fingerprint, days(1)).of_both(), revoked);
        assert_eq!(*verdict(&home, fingerprint, days(0)).of_both(), revoked, "a lost key was never good");
    }
}

#[test]
fn a_revoked_subkey_is_revoked_alone() {
    let home = Home::new(Kind::Keybox);
    home.make("mary");
    let (revoked, stays) = subkeys(&home);
    home.edit("mary", &["key 1", "revkey", "y", "2", "", "y", "save"]);
    let after = verdict(&home, revoked, days(1));
    assert_eq!((after.certificate, after.key.word()), (FOREVER, "revoked"));
    assert_eq!(after.key.reason(), Some("Key is superseded"));
    assert_eq!(*verdict(&home, stays, days(1)).of_both(), FOREVER);
}

#[test]
fn revoked_user_ids_are_not_told_and_the_primary_one_is_first() {
    let home = Home::new(Kind::Keybox);
    let mary = home.make("mary");
    for (time, id) in [("20240101T000100", "maiden name"), ("20240101T000200", "mary at work")] {
        home.gpg_at(time, &["--quick-add-uid", &mary.to_string(), id]);
    }
    home.gpg_at("20240101T000300", &["--quick-set-primary-uid", &mary.to_string(), "mary at work"]);
    home.gpg_at("20240101T000400", &["--quick-revoke-uid", &mary.to_string(), "maiden name"]);
    assert_eq!(verdict(&home, mary, days(1)).user_ids, ["mary at work", "mary"]);
}

#[test]
fn bindings_by_sha1_do_not_count_any_more() {
    let home = Home::new(Kind::Keybox);
    home.gpg(&["--cert-digest-algo", "SHA1", "--quick-gen-key", "mary", "rsa2048", "cert,sign", "never"]);
    let mary = home.listed("mary")[0].0;
    let validity = verdict(&home, mary, days(1)).of_both().clone();
    assert_eq!(validity.word(), "unusable");
    assert!(validity.reason().unwrap().contains("SHA1"), "{validity:?}");
}
