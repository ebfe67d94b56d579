//! Objects are put together as keys.

use super::sample::*;
use super::*;
use crate::pkcs11::facts::KeyKind;
use crate::pkcs11::wire::{KeyObject, TokenFlags};

fn pair_with(config: &ProviderConfig, before: Option<Arc<Known>>, report: TokenReport) -> Option<Known> {
    Pairing::new("test".into(), "library".to_owned(), config, before).pair(report)
}

fn pair(report: TokenReport) -> Known {
    pair_with(&ProviderConfig::new("test", "/module.so"), None, report).unwrap()
}

fn grips(known: &Known) -> Vec<Option<claviger_keys::Keygrip>> {
    known.facts.keys.iter().map(Key::grip).collect()
}

#[test]
fn private_key_public_key_and_certificates_of_one_id_are_one_key() {
    let keys = vec![object("leaf", b"\x01", true), object("leaf", b"\x01", false)];
    let known = pair(report(keys, vec![certificate("leaf", b"\x01"), certificate("root", b"\x02")]));
    let [key] = known.facts.keys.as_slice() else { panic!("{:?}", known.facts.keys) };
    assert_eq!(key.public(), Some(&public("leaf")), "the point comes from the public key");
    assert_eq!((key.certificates.len(), known.facts.certificates.len()), (1, 2));
    assert!(key.private_seen && key.usage.sign);
    let (same, reference) = known.key(key.number).unwrap();
    assert_eq!((same.number, reference.handle), (key.number, Some(1001)));
    assert_eq!(known.facts.key_of(&public("leaf").keygrip()).map(|key| key.number), Some(key.number));
}

#[test]
fn different_keys_with_one_id_stay_apart() {
    let keys = vec![
        object("rsa2048", b"\x01", true),
        object("rsa2048", b"\x01", false),
        object("leaf", b"\x01", false),
    ];
    let known = pair(report(keys, vec![certificate("leaf", b"\x01")]));
    let expected = ["rsa2048", "leaf"].map(|name| Some(public(name).keygrip()));
    assert_eq!(grips(&known), expected);
    assert_eq!(known.facts.keys.iter().map(|key| key.certificates.len()).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn without_ids_the_same_key_belongs_together() {
    let keys = vec![object("rsa2048", b"", true), object("rsa2048", b"", false)];
    let known = pair(report(keys, vec![certificate("rsa2048", b"\x05")]));
    let [key] = known.facts.keys.as_slice() else { panic!("{:?}", known.facts.keys) };
    assert_eq!(key.certificates.len(), 1);
}

#[test]
fn before_a_login_public_keys_and_certificates_stand_for_what_is_hidden() {
    let objects = || vec![object("rsa2048", b"\x01", false)];
    let certificates = || vec![certificate("leaf", b"\x02"), certificate("root", b"\x03")];
    let hidden = pair(report(objects(), certificates()));
    let expected = ["rsa2048", "leaf"].map(|name| Some(public(name).keygrip()));
    assert_eq!(grips(&hidden), expected, "an authority's certificate is nobody's key here");
    assert!(hidden.facts.keys.iter().all(|key| !key.private_seen));
    let seen = TokenReport { seen_private: true, logged_in: true, ..report(objects(), certificates()) };
    assert_eq!(grips(&pair(seen)), []);
    let open = TokenReport { flags: TokenFlags(0), ..report(objects(), certificates()) };
    assert_eq!(grips(&pair(open)), [], "where no login is wanted, nothing is hidden");
}

#[test]
fn a_private_key_that_shows_nothing_is_a_key_all_the_same() {
    let known = pair(report(vec![object("leaf", b"\x01", true)], Vec::new()));
    let [key] = known.facts.keys.as_slice() else { panic!("{:?}", known.facts.keys) };
    assert_eq!((&key.kind, key.grip()), (&KeyKind::Other("ec".to_owned()), None));
}

#[test]
fn what_was_known_keeps_its_number_and_is_not_read_twice() {
    let config = ProviderConfig::new("test", "/module.so");
    let keys = vec![object("leaf", b"\x01", false), object("rsa2048", b"\x02", false)];
    let before = Arc::new(pair(report(keys, vec![certificate("leaf", b"\x01")])));
    let keys = vec![
        object("rsa2048", b"\x02", true),
        object("rsa2048", b"\x02", false),
        object("ed25519", b"\x03", true),
        object("ed25519", b"\x03", false),
        object("leaf", b"\x01", true),
        object("leaf", b"\x01", false),
    ];
    let again = TokenReport { seen_private: true, ..report(keys, vec![certificate("leaf", b"\x01")]) };
    let known = pair_with(&config, Some(Arc::clone(&before)), again).unwrap();
    for name in ["leaf", "rsa2048"] {
        let number = |known: &Known| known.facts.key_of(&public(name).keygrip()).map(|key| key.number);
        assert_eq!(number(&before), number(&known), "{name}");
    }
    let new = known.facts.key_of(&public("ed25519").keygrip()).unwrap().number;
    assert!(before.facts.keys.iter().all(|key| key.number != new));
    let certificates = [&before, &known].map(|known| Arc::clone(&known.facts.certificates[0].octets));
    assert!(Arc::ptr_eq(&certificates[0], &certificates[1]));
}

#[test]
fn what_was_seen_before_a_logout_is_there_all_the_same() {
    let config = ProviderConfig::new("test", "/module.so");
    let pair = |object: &dyn Fn() -> Vec<KeyObject>, logged_in, before| {
        let report = TokenReport { seen_private: true, logged_in, ..report(object(), Vec::new()) };
        pair_with(&config, before, report).unwrap()
    };
    let others = || object("ed25519", b"\x03", false);
    let all = || {
        let mut lone = object("leaf", b"\x02", true);
        lone.public_key_info = public("leaf").spki_der();
        vec![object("rsa2048", b"\x01", true), lone, object("rsa2048", b"\x01", false), others()]
    };
    let seen = Arc::new(pair(&all, true, None));
    let left = pair(&|| vec![object("rsa2048", b"\x01", false), others()], false, Some(Arc::clone(&seen)));
    let grips_of = |names: [&str; 2]| names.map(|name| Some(public(name).keygrip()));
    assert_eq!(grips(&seen), grips_of(["rsa2048", "leaf"]), "nobody here has the other's private key");
    assert_eq!(grips(&left), grips(&seen));
    for key in &left.facts.keys {
        let (_, reference) = left.key(key.number).unwrap();
        assert!(key.private_seen && reference.handle.is_none());
    }
}

#[test]
fn the_configuration_chooses_tokens_keys_and_certificates() {
    let uri = |text: &str| text.parse().unwrap();
    let whole = || {
        let keys = vec![object("leaf", b"\x01", false), object("rsa2048", b"\x02", false)];
        report(keys, vec![certificate("leaf", b"\x01"), certificate("rsa2048", b"\x02")])
    };
    let mut config = ProviderConfig::new("test", "/module.so");
    config.tokens = vec![uri("pkcs11:token=other")];
    assert!(pair_with(&config, None, whole()).is_none());
    config.tokens.push(uri("pkcs11:token=tls"));
    config.keys = vec![uri("pkcs11:id=%02")];
    config.certificates = vec![uri("pkcs11:object=leaf")];
    let known = pair_with(&config, None, whole()).unwrap();
    assert_eq!(grips(&known), [Some(public("rsa2048").keygrip())]);
    assert_eq!(known.facts.certificates.len(), 1);
    config.without_tokens = vec![uri("pkcs11:serial=4dd5289f1942f77a")];
    assert!(pair_with(&config, None, whole()).is_none());
}
