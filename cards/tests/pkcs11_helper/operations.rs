//! Every operation with every kind of key, checked by OpenSSL.

use claviger_cards::pkcs11::wire::{Answer, DecryptMechanism, KeyObject, SignMechanism, Task};
use cryptoki_sys::*;
use openssl::bn::{BigNum, BigNumContext};
use openssl::derive::Deriver;
use openssl::ec::{EcGroup, EcKey, EcPoint};
use openssl::ecdsa::EcdsaSig;
use openssl::hash::{MessageDigest, hash};
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Public};
use openssl::rsa::{Padding, Rsa};
use openssl::sign::{RsaPssSaltlen, Verifier};

use crate::client::Client;
use crate::softhsm::{ED25519, Kind, P256, P384, P521, SoftHsm, X25519, generate, refer};

const MESSAGE: &[u8] = b"a message";

/// DER in front of a SHA-256 digest.
const DIGEST_INFO: &[u8] = b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";

fn digest() -> Vec<u8> {
    hash(MessageDigest::sha256(), MESSAGE).unwrap().to_vec()
}

fn sign(client: &mut Client, slot: u64, key: &KeyObject, mechanism: SignMechanism, data: Vec<u8>) -> Vec<u8> {
    match client.task(slot, Task::Sign { key: refer(key), mechanism, data }) {
        Ok((Answer::Signature(signature), _)) => signature,
        other => panic!("{other:?}"),
    }
}

fn rsa(public: &KeyObject) -> Rsa<Public> {
    let number = |octets: &[u8]| BigNum::from_slice(octets).unwrap();
    Rsa::from_public_components(number(&public.modulus), number(&public.exponent)).unwrap()
}

/// The point in its OCTET STRING, whose length takes one octet, or two.
fn point(public: &KeyObject) -> &[u8] {
    let header = if public.ec_point[1] == 0x81 { 3 } else { 2 };
    &public.ec_point[header..]
}

fn on_curve(nid: Nid, point: &[u8]) -> EcKey<Public> {
    let group = EcGroup::from_curve_name(nid).unwrap();
    let point = EcPoint::from_bytes(&group, point, &mut BigNumContext::new().unwrap()).unwrap();
    EcKey::from_public_key(&group, &point).unwrap()
}

#[test]
fn rsa_keys_of_all_sizes_sign_with_every_padding() {
    let softhsm = SoftHsm::with(&["tls"]);
    let mut client = softhsm.helper();
    let slot = client.slot("tls");
    for bits in [2048, 3072, 4096] {
        let (private, public) = generate(&mut client, slot, Kind::Rsa(bits), 1);
        let rsa = rsa(&public);
        let info = [DIGEST_INFO, &digest()].concat();
        let signature = sign(&mut client, slot, &private, SignMechanism::RsaPkcs, info.clone());
        let pkey = PKey::from_rsa(rsa.clone()).unwrap();
        let mut verifier = Verifier::new(MessageDigest::sha256(), &pkey).unwrap();
        assert!(verifier.verify_oneshot(&signature, MESSAGE).unwrap(), "PKCS#1, {bits}");

        let mut padded = vec![0xff; signature.len()];
        padded[..2].copy_from_slice(&[0, 1]);
        let from = signature.len() - info.len();
        padded[from - 1] = 0;
        padded[from..].copy_from_slice(&info);
        assert_eq!(sign(&mut client, slot, &private, SignMechanism::RsaRaw, padded), signature);

        let pss = SignMechanism::RsaPss { hash: CKM_SHA256, salt: 32 };
        let signature = sign(&mut client, slot, &private, pss, digest());
        let mut verifier = Verifier::new(MessageDigest::sha256(), &pkey).unwrap();
        verifier.set_rsa_padding(Padding::PKCS1_PSS).unwrap();
        verifier.set_rsa_pss_saltlen(RsaPssSaltlen::custom(32)).unwrap();
        assert!(verifier.verify_oneshot(&signature, MESSAGE).unwrap(), "PSS, {bits}");
    }
}

#[test]
fn rsa_keys_decrypt_with_every_padding() {
    let softhsm = SoftHsm::with(&["tls"]);
    let mut client = softhsm.helper();
    let slot = client.slot("tls");
    let (private, public) = generate(&mut client, slot, Kind::Rsa(2048), 1);
    let rsa = rsa(&public);
    let rows = [
        (Padding::PKCS1, DecryptMechanism::RsaPkcs),
        (Padding::PKCS1_OAEP, DecryptMechanism::RsaOaep { hash: CKM_SHA_1 }),
    ];
    for (padding, mechanism) in rows {
        let mut data = vec![0; 256];
        rsa.public_encrypt(MESSAGE, &mut data, padding).unwrap();
        let (_, secrets) =
            client.task(slot, Task::Decrypt { key: refer(&private), mechanism, data }).unwrap();
        assert_eq!(secrets[0].as_bytes(), MESSAGE);
    }
    let mut plain = vec![7; 256];
    plain[0] = 0;
    let mut data = vec![0; 256];
    rsa.public_encrypt(&plain, &mut data, Padding::NONE).unwrap();
    let mechanism = DecryptMechanism::RsaRaw;
    let (_, secrets) = client.task(slot, Task::Decrypt { key: refer(&private), mechanism, data }).unwrap();
    assert_eq!(secrets[0].as_bytes(), plain);
}

#[test]
fn keys_on_curves_sign() {
    let softhsm = SoftHsm::with(&["tls"]);
    let mut client = softhsm.helper();
    let slot = client.slot("tls");
    for (kind, nid) in [(P256, Nid::X9_62_PRIME256V1), (P384, Nid::SECP384R1), (P521, Nid::SECP521R1)] {
        let (private, public) = generate(&mut client, slot, kind, 1);
        let signature = sign(&mut client, slot, &private, SignMechanism::Ecdsa, digest());
        let (r, s) = signature.split_at(signature.len() / 2);
        let parsed =
            EcdsaSig::from_private_components(BigNum::from_slice(r).unwrap(), BigNum::from_slice(s).unwrap());
        assert!(parsed.unwrap().verify(&digest(), &on_curve(nid, point(&public))).unwrap(), "{nid:?}");
    }
    let (private, public) = generate(&mut client, slot, ED25519, 1);
    let signature = sign(&mut client, slot, &private, SignMechanism::EdDsa, MESSAGE.to_vec());
    let key = PKey::public_key_from_raw_bytes(point(&public), Id::ED25519).unwrap();
    assert!(Verifier::new_without_digest(&key).unwrap().verify_oneshot(&signature, MESSAGE).unwrap());
}

#[test]
fn keys_on_curves_agree() {
    let softhsm = SoftHsm::with(&["tls"]);
    let mut client = softhsm.helper();
    let slot = client.slot("tls");
    let rows = [(P256, Nid::X9_62_PRIME256V1, 32), (P384, Nid::SECP384R1, 48), (P521, Nid::SECP521R1, 66)];
    for (kind, nid, length) in rows {
        let (private, public) = generate(&mut client, slot, kind, 1);
        let group = EcGroup::from_curve_name(nid).unwrap();
        let ours = EcKey::generate(&group).unwrap();
        let form = openssl::ec::PointConversionForm::UNCOMPRESSED;
        let point_of_ours =
            ours.public_key().to_bytes(&group, form, &mut BigNumContext::new().unwrap()).unwrap();
        let theirs = PKey::from_ec_key(on_curve(nid, point(&public))).unwrap();
        let ours = PKey::from_ec_key(ours).unwrap();
        let mut deriver = Deriver::new(&ours).unwrap();
        deriver.set_peer(&theirs).unwrap();
        let task = Task::Derive { key: refer(&private), point: point_of_ours, length };
        let (_, secrets) = client.task(slot, task).unwrap();
        assert_eq!(secrets[0].as_bytes(), deriver.derive_to_vec().unwrap(), "{nid:?}");
    }
    let (private, public) = generate(&mut client, slot, X25519, 1);
    let ours = PKey::generate_x25519().unwrap();
    let theirs = PKey::public_key_from_raw_bytes(point(&public), Id::X25519).unwrap();
    let mut deriver = Deriver::new(&ours).unwrap();
    deriver.set_peer(&theirs).unwrap();
    let task = Task::Derive { key: refer(&private), point: ours.raw_public_key().unwrap(), length: 32 };
    let (_, secrets) = client.task(slot, task).unwrap();
    assert_eq!(secrets[0].as_bytes(), deriver.derive_to_vec().unwrap());
}

#[test]
fn random_octets_need_no_login() {
    let softhsm = SoftHsm::with(&["tls"]);
    let mut client = softhsm.helper();
    let slot = client.slot("tls");
    let mut draw = || match client.task(slot, Task::Random { length: 32 }) {
        Ok((Answer::Random(octets), _)) => octets,
        other => panic!("{other:?}"),
    };
    let (first, second) = (draw(), draw());
    assert_eq!((first.len(), second.len()), (32, 32));
    assert_ne!(first, second);
}
