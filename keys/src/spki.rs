//! Public keys as X.509, PKCS#11 and OpenSSL have them: SubjectPublicKeyInfo in DER (RFC 3279, RFC 5480, RFC 8410).

use crate::ber::{BIT_STRING, BerError, INTEGER, OBJECT_IDENTIFIER, SEQUENCE};
use crate::curve::{Curve, CurveKind};
use crate::public::{EccPublic, KeyError, PublicKey, RsaPublic};

/// 1.2.840.113549.1.1.1.
const RSA_ENCRYPTION: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
/// 1.2.840.113549.1.1.10: a key that is for RSA-PSS alone.
const RSA_PSS: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a";
/// 1.2.840.10045.2.1.
const EC_PUBLIC_KEY: &[u8] = b"\x2a\x86\x48\xce\x3d\x02\x01";

/// Why octets are no public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpkiError {
    /// It has not the form.
    #[error(transparent)]
    Form(#[from] BerError),
    /// An algorithm, or a curve, that we do not have.
    #[error("a public key of an unknown algorithm or curve")]
    Unknown,
    /// What is there is no key of its algorithm.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl PublicKey {
    /// The SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki_der(&self) -> Vec<u8> {
        match self {
            Self::Rsa(key) => write::rsa(key),
            Self::Ecc(key) => write::ecc(key),
        }
    }

    /// The key of a SubjectPublicKeyInfo, in BER too.
    ///
    /// # Errors
    /// [`SpkiError`] if it is none, or one of a kind that we do not have.
    pub fn from_spki_der(spki: &[u8]) -> Result<Self, SpkiError> {
        read::key(spki)
    }
}

mod read {
    use super::*;
    use crate::ber::Reader;

    pub(super) fn key(spki: &[u8]) -> Result<PublicKey, SpkiError> {
        let mut info = Reader::new(spki).expect(SEQUENCE)?.inside();
        let mut algorithm = info.expect(SEQUENCE)?.inside();
        let key = info.expect(BIT_STRING)?.content;
        // The first octet says how many bits at the end do not count: none, in a key.
        let key = key.get(1..).unwrap_or_default();
        match algorithm.expect(OBJECT_IDENTIFIER)?.content {
            RSA_ENCRYPTION | RSA_PSS => rsa(key),
            EC_PUBLIC_KEY => {
                let curve = algorithm.expect(OBJECT_IDENTIFIER)?.content;
                ecc(curve, key, |kind| kind == CurveKind::Weierstrass)
            }
            curve => ecc(curve, key, |kind| kind != CurveKind::Weierstrass),
        }
    }

    fn rsa(key: &[u8]) -> Result<PublicKey, SpkiError> {
        let mut numbers = Reader::new(key).expect(SEQUENCE)?.inside();
        let (n, e) = (numbers.expect(INTEGER)?, numbers.expect(INTEGER)?);
        Ok(PublicKey::rsa(n.content, e.content)?)
    }

    fn ecc(curve: &[u8], key: &[u8], fits: impl Fn(CurveKind) -> bool) -> Result<PublicKey, SpkiError> {
        let curve = Curve::from_oid(curve).filter(|curve| fits(curve.kind())).ok_or(SpkiError::Unknown)?;
        Ok(PublicKey::ecc(curve, key)?)
    }
}

mod write {
    use super::*;
    use crate::ber::{NULL, element};
    use crate::public::signed;

    pub(super) fn rsa(key: &RsaPublic) -> Vec<u8> {
        let algorithm = [element(OBJECT_IDENTIFIER, RSA_ENCRYPTION), element(NULL, b"")].concat();
        let numbers = [key.n(), key.e()].map(|number| element(INTEGER, &signed(number)));
        info(&algorithm, &element(SEQUENCE, &numbers.concat()))
    }

    pub(super) fn ecc(key: &EccPublic) -> Vec<u8> {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_key_is_read_back() {
        let points = Curve::ALL.map(|curve| PublicKey::ecc(curve, &vec![4; curve.point_size()]));
        let rsa = PublicKey::rsa(&[0xc5; 256], b"\x01\0\x01");
        for key in points.into_iter().chain([rsa]).map(Result::unwrap) {
            assert_eq!(PublicKey::from_spki_der(&key.spki_der()).as_ref(), Ok(&key));
        }
    }

    #[test]
    fn a_curve_is_no_algorithm_and_the_other_way_round() {
        let p256 = b"\x30\x13\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x05\x00\x04\x04\x04\x04";
        assert_eq!(PublicKey::from_spki_der(p256), Err(SpkiError::Unknown));
        let ed25519 =
            b"\x30\x15\x30\x0e\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x03\x2b\x65\x70\x03\x03\x00\x04\x04";
        assert_eq!(PublicKey::from_spki_der(ed25519), Err(SpkiError::Unknown));
    }

    #[test]
    fn a_point_in_another_form_is_named() {
        let mut spki = PublicKey::ecc(Curve::NistP256, &[4; 65]).unwrap().spki_der();
        let form = spki.len() - 65;
        spki[form] = 6;
        let error = KeyError::PointForm { curve: Curve::NistP256 };
        assert_eq!(PublicKey::from_spki_der(&spki), Err(SpkiError::Key(error)));
    }

    #[test]
    fn what_is_cut_is_no_key() {
        let spki = PublicKey::ecc(Curve::Ed25519, &[7; 32]).unwrap().spki_der();
        for cut in 0..spki.len() {
            let error = PublicKey::from_spki_der(&spki[..cut]);
            assert!(matches!(error, Err(SpkiError::Form(BerError::Truncated { .. }))), "{cut}");
        }
    }
}
