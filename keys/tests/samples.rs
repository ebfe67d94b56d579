//! Our forms of keys against samples that real programs made: `testdata/private-keys/`.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use claviger_keys::gnupg::PublicSexpError;
use claviger_keys::secret::SecretMaterial;
use claviger_keys::{EcdhParams, Keygrip, OpenPgpAlgorithm, PublicKey, SecretKey, Sexp};

fn samples(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testdata/private-keys").join(path)
}

fn from_hex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// The sample key of that keygrip, as KEYDATA would bring it, with attributes added.
fn keydata(grip: &str, attributes: &[(&'static str, &'static [u8])]) -> Vec<u8> {
    let file = fs::read_to_string(samples("unprotected").join(format!("{grip}.key"))).unwrap();
    let (_, key) = file.split_once("Key: ").unwrap();
    let Sexp::List(mut items) = Sexp::from_advanced(key.as_bytes()).unwrap() else { panic!("an atom") };
    items.extend(attributes.iter().map(|(name, value)| Sexp::pair(name, value)));
    Sexp::List(items).to_canonical()
}

fn grips() -> Vec<String> {
    let mut grips: Vec<_> = fs::read_dir(samples("unprotected"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    grips.sort();
    grips
}

#[test]
fn expressions_and_keygrips_are_those_of_libgcrypt() {
    let text = fs::read(samples("keygrip-vectors.json")).unwrap();
    let vectors: Vec<serde_json::Value> = serde_json::from_slice(&text).unwrap();
    let mut kinds = BTreeSet::new();
    for vector in &vectors {
        let sexp = from_hex(vector["public_key"].as_str().unwrap());
        match PublicKey::from_sexp(&sexp) {
            Ok(key) => {
                assert_eq!(key.keygrip().to_string(), vector["keygrip"].as_str().unwrap());
                assert_eq!(key.to_sexp(), sexp, "{}", sexp.escape_ascii());
                kinds.insert(key.algorithm_name());
            }
            Err(error) => {
                assert_eq!(error, PublicSexpError::UnknownAlgorithm);
                let known_not_to_be_ours = [b"3:dsa(".as_slice(), b"3:elg(", b"8:kyber768(", b"9:kyber1024("];
                assert!(known_not_to_be_ours.iter().any(|name| sexp[15..].starts_with(name)));
            }
        }
    }
    let every_kind = "brainpoolP256r1 brainpoolP384r1 brainpoolP512r1 cv25519 cv448 ed25519 ed448 \
                      nistp256 nistp384 nistp521 rsa2048 secp256k1";
    assert_eq!(kinds.iter().map(String::as_str).collect::<Vec<_>>().join(" "), every_kind);
}

#[test]
fn secret_keys_of_every_kind_are_read() {
    for grip in grips() {
        let key = SecretKey::from_keydata(&keydata(&grip, &[("created-at", b"1704067200")])).unwrap();
        assert_eq!(key.public().keygrip().to_string(), grip);
        assert_eq!((key.created(), key.ecdh()), (1_704_067_200, None));
        match key.material() {
            SecretMaterial::Rsa(rsa) => assert_eq!((rsa.p().len(), rsa.q().len()), (128, 128)),
            SecretMaterial::Ecc(ecc) => assert_eq!(ecc.d().len(), ecc.curve().field_size()),
        }
    }
}

#[test]
fn fingerprints_are_those_of_gpg() {
    let table = fs::read_to_string(samples("fingerprints.tsv")).unwrap();
    let rows: Vec<Vec<&str>> =
        table.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows.len(), 14);
    for row in rows {
        let [grip, fingerprint, created, algorithm] = row[..] else { panic!("{row:?}") };
        let algorithm = OpenPgpAlgorithm::from_number(algorithm.parse().unwrap()).unwrap();
        let key = SecretKey::from_keydata(&keydata(grip, &[("created-at", b"1704067200")])).unwrap().public();
        let ours = key.fingerprint(created.parse().unwrap(), algorithm, None);
        assert_eq!(Keygrip(ours).to_string(), fingerprint, "{grip}");
        assert_eq!(key.openpgp_algorithm(algorithm == OpenPgpAlgorithm::Ecdh), algorithm);
    }
}

#[test]
fn ecdh_parameters_come_with_the_key_when_the_agent_sends_them() {
    let attributes: [(&str, &[u8]); 2] =
        [("created-at", b"1704067200"), ("ecdh-params", b"\x03\x01\x0a\x09")];
    let key =
        SecretKey::from_keydata(&keydata("99AC0BF552FDD07CB2AC55FFFF4DA9B0E2CDC04C", &attributes)).unwrap();
    assert_eq!(key.ecdh(), EcdhParams::from_bytes(b"\x03\x01\x0a\x09"));
    let public = key.public();
    let with = |ecdh| public.fingerprint(key.created(), OpenPgpAlgorithm::Ecdh, ecdh);
    assert_ne!(with(key.ecdh()), with(None));
}
