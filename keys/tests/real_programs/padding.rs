//! RSA padding made here verifies at openssl, and what openssl encrypts is unpadded here; raw RSA is openssl's library's.

use claviger_keys::Hash;
use claviger_keys::padding::{BadPadding, PaddingError, eme_oaep, eme_pkcs1_v1_5, emsa_pkcs1_v1_5, emsa_pss};
use claviger_secret::Secret;
use openssl::encrypt::Encrypter;
use openssl::hash::{MessageDigest, hash};
use openssl::pkey::{PKey, Private};
use openssl::rsa::{Padding, Rsa};
use openssl::sign::{RsaPssSaltlen, Verifier};

const HASHES: [Hash; 5] = [Hash::Sha1, Hash::Sha224, Hash::Sha256, Hash::Sha384, Hash::Sha512];

fn theirs(hash: Hash) -> MessageDigest {
    MessageDigest::from_name(hash.name()).unwrap()
}

fn raw(key: &Rsa<Private>, block: &[u8]) -> Vec<u8> {
    let mut signature = vec![0; key.size() as usize];
    key.private_encrypt(block, &mut signature, Padding::NONE).unwrap();
    signature
}

fn decrypted(key: &Rsa<Private>, cryptogram: &[u8]) -> Secret {
    let mut block = vec![0; key.size() as usize];
    key.private_decrypt(cryptogram, &mut block, Padding::NONE).unwrap();
    Secret::take(block)
}

#[test]
fn signatures_over_our_padding_verify() {
    // A modulus of one bit more than whole octets has a block that is an octet shorter.
    for bits in [2048, 2049, 2047] {
        let rsa = Rsa::generate(bits).unwrap();
        let key = PKey::from_rsa(rsa.clone()).unwrap();
        let bits = usize::try_from(rsa.n().num_bits()).unwrap();
        for ours in HASHES {
            let digest = hash(theirs(ours), b"message").unwrap();
            let verifies = |padding, salt, signature: &[u8]| {
                let mut verifier = Verifier::new(theirs(ours), &key).unwrap();
                verifier.set_rsa_padding(padding).unwrap();
                if let Some(salt) = salt {
                    verifier.set_rsa_pss_saltlen(RsaPssSaltlen::custom(salt)).unwrap();
                }
                verifier.verify_oneshot(signature, b"message").unwrap()
            };
            let info = [ours.prefix(), &*digest].concat();
            let block = emsa_pkcs1_v1_5(&info, rsa.size() as usize).unwrap();
            assert!(verifies(Padding::PKCS1, None, &raw(&rsa, &block)), "{ours:?} {bits}");
            for salt in [0, ours.digest_len()] {
                let block = emsa_pss(ours, &digest, &vec![7; salt], bits).unwrap();
                assert!(
                    verifies(Padding::PKCS1_PSS, Some(salt as i32), &raw(&rsa, &block)),
                    "{ours:?} {bits}"
                );
            }
        }
    }
}

#[test]
fn messages_that_openssl_encrypts_are_found() {
    let rsa = Rsa::generate(2048).unwrap();
    let key = PKey::from_rsa(rsa.clone()).unwrap();
    for length in [0, 1, 100, 245] {
        let message = vec![0; length];
        let mut cryptogram = vec![0; 256];
        rsa.public_encrypt(&message, &mut cryptogram, Padding::PKCS1).unwrap();
        assert_eq!(eme_pkcs1_v1_5(&decrypted(&rsa, &cryptogram)).unwrap().as_bytes(), message);
    }
    for ours in HASHES {
        for length in [0, 1, 254 - 2 * ours.digest_len()] {
            let message = vec![1; length];
            let mut encrypter = Encrypter::new(&key).unwrap();
            encrypter.set_rsa_padding(Padding::PKCS1_OAEP).unwrap();
            encrypter.set_rsa_oaep_md(theirs(ours)).unwrap();
            encrypter.set_rsa_mgf1_md(theirs(ours)).unwrap();
            let mut cryptogram = vec![0; 256];
            encrypter.encrypt(&message, &mut cryptogram).unwrap();
            let block = decrypted(&rsa, &cryptogram);
            assert_eq!(eme_oaep(&block, ours).unwrap().as_bytes(), message, "{ours:?}");
            // Whatever is not as it was is the same fault.
            for at in (0..256).step_by(15) {
                let mut broken = block.as_bytes().to_vec();
                broken[at] ^= 1;
                assert_eq!(eme_oaep(&Secret::take(broken), ours).err(), Some(BadPadding), "{at}");
            }
        }
    }
}

#[test]
fn every_fault_of_pkcs1_padding_is_the_same() {
    let good = [&[0, 2], [7; 8].as_slice(), &[0], b"message"].concat();
    assert_eq!(eme_pkcs1_v1_5(&Secret::copy_of(&good)).unwrap().as_bytes(), b"message");
    let change = |at: usize, octet: u8| {
        let mut block = good.clone();
        block[at] = octet;
        block
    };
    // Another first or second octet, too little padding, no end, too short.
    for block in
        [change(0, 1), change(1, 1), change(9, 0), change(10, 7), vec![], vec![0], vec![0, 2], vec![0; 64]]
    {
        assert_eq!(eme_pkcs1_v1_5(&Secret::copy_of(&block)).err(), Some(BadPadding), "{block:?}");
    }
    assert_eq!(eme_oaep(&Secret::copy_of(&[0; 64]), Hash::Sha256).err(), Some(BadPadding));
    assert_eq!(eme_oaep(&Secret::copy_of(&[0; 256]), Hash::Md5).err(), Some(BadPadding));
}

#[test]
fn what_does_not_fit_the_key_is_named() {
    assert_eq!(emsa_pkcs1_v1_5(&[0; 118], 128), Err(PaddingError::TooSmall { octets: 128 }));
    assert!(emsa_pkcs1_v1_5(&[0; 117], 128).is_ok());
    let digest = [0; 64];
    assert_eq!(emsa_pss(Hash::Sha512, &digest, &digest, 1024), Err(PaddingError::TooSmall { octets: 128 }));
    assert!(emsa_pss(Hash::Sha512, &digest, &digest[..62], 1024).is_ok());
    let error = PaddingError::DigestSize { hash: Hash::Sha256, octets: 64 };
    assert_eq!(emsa_pss(Hash::Sha256, &digest, &[], 2048), Err(error));
    assert_eq!(emsa_pss(Hash::Md5, &digest[..16], &[], 2048), Err(PaddingError::Hash(Hash::Md5)));
}
