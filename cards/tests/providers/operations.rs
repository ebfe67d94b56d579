//! What a token does for the agent, with every kind of key, and whose PIN it wants for it.

use claviger_cards::pkcs11::{Cryptogram, NewKey, Request, SignScheme};
use claviger_cards::token::{PinPurpose, PinRef, Reply, Request as TokenRequest, TokenError};
use claviger_keys::{Curve, DigestInfo, Hash, PublicKey};
use openssl::bn::BigNum;
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Public};
use openssl::rsa::Padding;
use openssl::sign::Verifier;

use crate::world::{
    MODULE, OFFICERS_PIN, P256, PIN, SoftHsm, UNLOCK, deck, generate, number, token, unlock, with_pins,
    without_pin,
};

fn key_of(key: &PublicKey) -> PKey<Public> {
    PKey::public_key_from_der(&key.spki_der()).unwrap()
}

async fn signed(softhsm: &SoftHsm, kind: NewKey, scheme: SignScheme, data: &[u8]) -> (PublicKey, Vec<u8>) {
    let deck = deck(vec![softhsm.provider(MODULE)]);
    let token = token(&deck, "one").await;
    unlock(&token).await;
    let key = generate(&token, kind, 1).await;
    let sign = Request::Sign { key: number(&token, &key), scheme, data: data.to_vec() };
    let Reply::Signature(signature) = without_pin(&token, sign).await.unwrap() else {
        panic!("no signature")
    };
    (key, signature)
}

#[tokio::test]
async fn rsa_signs_a_digest_info() {
    let digest = openssl::sha::sha256(b"text");
    let info = DigestInfo { hash: Hash::Sha256, digest: &digest }.join();
    let softhsm = SoftHsm::with(&["one"]);
    let (key, signature) = signed(&softhsm, NewKey::Rsa(2048), SignScheme::RsaPkcs1, &info).await;
    let key = key_of(&key);
    let mut verifier = Verifier::new(MessageDigest::sha256(), &key).unwrap();
    assert!(verifier.verify_oneshot(&signature, b"text").unwrap());
}

#[tokio::test]
async fn rsa_signs_with_pss() {
    let digest = openssl::sha::sha256(b"text");
    let softhsm = SoftHsm::with(&["one"]);
    let scheme = SignScheme::RsaPss { hash: Hash::Sha256, salt: 32 };
    let (key, signature) = signed(&softhsm, NewKey::Rsa(2048), scheme, &digest).await;
    let key = key_of(&key);
    let mut verifier = Verifier::new(MessageDigest::sha256(), &key).unwrap();
    verifier.set_rsa_padding(Padding::PKCS1_PSS).unwrap();
    assert!(verifier.verify_oneshot(&signature, b"text").unwrap());
}

#[tokio::test]
async fn curves_of_weierstrass_sign_a_digest() {
    let softhsm = SoftHsm::with(&["one"]);
    for (curve, size) in [(Curve::NistP256, 32), (Curve::NistP384, 48), (Curve::NistP521, 66)] {
        let digest = openssl::sha::sha512(b"text");
        let (key, signature) = signed(&softhsm, NewKey::Ecc(curve), SignScheme::Ecdsa, &digest).await;
        assert_eq!(signature.len(), 2 * size);
        let [r, s] = [&signature[..size], &signature[size..]].map(|half| BigNum::from_slice(half).unwrap());
        let signature = EcdsaSig::from_private_components(r, s).unwrap();
        let cut = &digest[..size.min(digest.len())];
        assert!(signature.verify(cut, &key_of(&key).ec_key().unwrap()).unwrap(), "{curve:?}");
    }
}

#[tokio::test]
async fn ed25519_signs_a_message() {
    let softhsm = SoftHsm::with(&["one"]);
    let (key, signature) =
        signed(&softhsm, NewKey::Ecc(Curve::Ed25519), SignScheme::EdDsa, b"a message").await;
    let key = key_of(&key);
    assert!(Verifier::new_without_digest(&key).unwrap().verify_oneshot(&signature, b"a message").unwrap());
}

#[tokio::test]
async fn rsa_deciphers() {
    let softhsm = SoftHsm::with(&["one"]);
    let deck = deck(vec![softhsm.provider(MODULE)]);
    let token = token(&deck, "one").await;
    unlock(&token).await;
    let key = generate(&token, NewKey::Rsa(2048), 1).await;
    let rsa = key_of(&key).rsa().unwrap();
    for (padding, oaep) in [(Padding::PKCS1, false), (Padding::PKCS1_OAEP, true)] {
        let mut octets = vec![0; 256];
        rsa.public_encrypt(b"session key", &mut octets, padding).unwrap();
        let cryptogram = match oaep {
            true => Cryptogram::RsaOaep { octets, hash: Hash::Sha1 },
            false => Cryptogram::RsaPkcs1(octets),
        };
        let request = Request::Decipher { key: number(&token, &key), cryptogram };
        let Reply::Plaintext(plaintext) = without_pin(&token, request).await.unwrap() else {
            panic!("no plaintext")
        };
        assert_eq!(plaintext.as_bytes(), b"session key", "OAEP: {oaep}");
    }
}

#[tokio::test]
async fn both_sides_of_a_key_agreement_have_the_same_secret() {
    let softhsm = SoftHsm::with(&["one"]);
    let deck = deck(vec![softhsm.provider(MODULE)]);
    let token = token(&deck, "one").await;
    unlock(&token).await;
    for (curve, id) in [(Curve::NistP256, 1), (Curve::NistP521, 3), (Curve::Curve25519, 5)] {
        let (one, other) = (
            generate(&token, NewKey::Ecc(curve), id).await,
            generate(&token, NewKey::Ecc(curve), id + 1).await,
        );
        let mut secrets = Vec::new();
        for (own, theirs) in [(&one, &other), (&other, &one)] {
            let PublicKey::Ecc(point) = theirs else { panic!("not on a curve") };
            let cryptogram = Cryptogram::Ecdh(point.point().to_vec());
            let request = Request::Decipher { key: number(&token, own), cryptogram };
            let Reply::Plaintext(secret) = without_pin(&token, request).await.unwrap() else {
                panic!("no secret")
            };
            secrets.push(secret.as_bytes().to_vec());
        }
        assert_eq!(secrets[0], secrets[1], "{curve:?}");
        assert_eq!(secrets[0].len(), curve.field_size());
    }
}

#[tokio::test]
async fn a_pin_is_asked_for_once_and_a_wrong_one_is_said() {
    let softhsm = SoftHsm::with(&["one"]);
    let deck = deck(vec![softhsm.provider(MODULE)]);
    let token = token(&deck, "one").await;
    unlock(&token).await;
    let key = generate(&token, P256, 1).await;
    let sign = || {
        let key = number(&token, &key);
        TokenRequest::Pkcs11(Request::Sign { key, scheme: SignScheme::Ecdsa, data: vec![7; 32] })
    };
    with_pins(&token, TokenRequest::Lapse(vec![PinRef::User]), &[]).await.unwrap();
    let wrong = [(PinPurpose::Unlock(PinRef::User), "000000")];
    let error = with_pins(&token, sign(), &wrong).await.unwrap_err();
    assert!(matches!(error, TokenError::WrongPin { pin: PinRef::User, .. }), "{error}");
    with_pins(&token, sign(), &[UNLOCK]).await.unwrap();
    with_pins(&token, sign(), &[]).await.unwrap();
    assert!(token.pkcs11().unwrap().logged_in);
}

#[tokio::test]
async fn pins_are_changed_and_unblocked() {
    let softhsm = SoftHsm::with(&["one"]);
    let deck = deck(vec![softhsm.provider(MODULE)]);
    let token = token(&deck, "one").await;
    let (old, new) = (PinPurpose::Old(PinRef::User), PinPurpose::New(PinRef::User));
    with_pins(&token, TokenRequest::ChangePin(PinRef::User), &[(old, PIN), (new, "234567")]).await.unwrap();
    let unlock = PinPurpose::Unlock(PinRef::User);
    with_pins(&token, TokenRequest::Verify(PinRef::User), &[(unlock, "234567")]).await.unwrap();
    let officer = PinPurpose::Unlock(PinRef::Admin);
    let pins = [(officer, OFFICERS_PIN), (new, "345678")];
    with_pins(&token, TokenRequest::UnblockAsAdmin, &pins).await.unwrap();
    with_pins(&token, TokenRequest::Verify(PinRef::User), &[(unlock, "345678")]).await.unwrap();
    let (old, new) = (PinPurpose::Old(PinRef::Admin), PinPurpose::New(PinRef::Admin));
    let pins = [(old, OFFICERS_PIN), (new, "98765432")];
    with_pins(&token, TokenRequest::ChangePin(PinRef::Admin), &pins).await.unwrap();
    with_pins(&token, TokenRequest::Verify(PinRef::Admin), &[(officer, "98765432")]).await.unwrap();
}

#[tokio::test]
async fn random_octets_are_as_many_as_were_asked_for() {
    let softhsm = SoftHsm::with(&["one"]);
    let deck = deck(vec![softhsm.provider(MODULE)]);
    let token = token(&deck, "one").await;
    let Reply::Random(octets) = with_pins(&token, TokenRequest::Random(100), &[]).await.unwrap() else {
        panic!("nothing random")
    };
    assert_eq!(octets.len(), 100);
    assert!(matches!(
        with_pins(&token, TokenRequest::SignatureCounter, &[]).await,
        Err(TokenError::NotSupported(_))
    ));
}
