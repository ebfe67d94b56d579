//! Public keys as X.509, PKCS#11 and OpenSSL have them: SubjectPublicKeyInfo in DER (RFC 3279, RFC 5480, RFC 8410).

use crate::curve::CurveKind;
use crate::public::{EccPublic, PublicKey, RsaPublic, signed};

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const NULL: u8 = 0x05;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;

/// 1.2.840.113549.1.1.1.
const RSA_ENCRYPTION: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
/// 1.2.840.10045.2.1.
const EC_PUBLIC_KEY: &[u8] = b"\x2a\x86\x48\xce\x3d\x02\x01";

impl PublicKey {
    /// The SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki_der(&self) -> Vec<u8> {
        match self {
            Self::Rsa(key) => rsa(key),
            Self::Ecc(key) => ecc(key),
        }
    }
}

fn rsa(key: &RsaPublic) -> Vec<u8> {
    let algorithm = [element(OBJECT_IDENTIFIER, RSA_ENCRYPTION), element(NULL, b"")].concat();
    let numbers = [key.n(), key.e()].map(|number| element(INTEGER, &signed(number)));
    info(&algorithm, &element(SEQUENCE, &numbers.concat()))
}

fn ecc(key: &EccPublic) -> Vec<u8> {
    let curve = element(OBJECT_IDENTIFIER, key.curve().spki_oid());
    let algorithm = match key.curve().kind() {
        CurveKind::Weierstrass => [element(OBJECT_IDENTIFIER, EC_PUBLIC_KEY), curve].concat(),
        CurveKind::Edwards | CurveKind::Montgomery => curve,
    };
    info(&algorithm, key.point())
}

fn info(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    let unused_bits = [0];
    let key = element(BIT_STRING, &[&unused_bits, key].concat());
    element(SEQUENCE, &[element(SEQUENCE, algorithm), key].concat())
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let octets = content.len().to_be_bytes();
    let length = crate::public::without_zeros(&octets);
    let mut element = vec![tag];
    match *length {
        [] => element.push(0),
        [short @ ..=0x7f] => element.push(short),
        _ => {
            // The length of a length is at most eight.
            element.push(0x80 | length.len() as u8);
            element.extend(length);
        }
    }
    element.extend(content);
    element
}
