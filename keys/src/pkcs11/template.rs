//! Attributes of new objects: what `C_GenerateKeyPair` and `C_CreateObject` are told of the key or certificate itself
//! (PKCS#11 3.1, sections 4.6, 6.1 and 6.3). What every object has, its label, `CKA_ID` and uses, is added by the caller.

use claviger_secret::Secret;
use zeroize::Zeroizing;

use super::attributes::CurveSpelling;
use super::numbers::*;
use crate::ber::{INTEGER, OCTET_STRING, element};
use crate::curve::{Curve, CurveKind};
use crate::public::PublicKey;
use crate::secret::{EccSecret, RsaSecret, SecretKey, SecretKeyError, SecretMaterial};
use crate::x509::{Certificate, X509Error};

/// The public exponent of new RSA keys, 65537.
const EXPONENT: &[u8] = &[1, 0, 1];

/// An attribute.
#[derive(Debug)]
pub struct Attribute {
    /// `CKA_`.
    pub kind: u64,
    /// Its value.
    pub value: Value,
}

/// The value of an attribute.
#[derive(Debug)]
pub enum Value {
    /// A `CK_ULONG`.
    Number(u64),
    /// Octets.
    Octets(Vec<u8>),
    /// Octets that nobody may see.
    Secret(Secret),
}

impl Attribute {
    const fn number(kind: u64, value: u64) -> Self {
        Self { kind, value: Value::Number(value) }
    }

    fn octets(kind: u64, value: impl Into<Vec<u8>>) -> Self {
        Self { kind, value: Value::Octets(value.into()) }
    }

    const fn secret(kind: u64, value: Secret) -> Self {
        Self { kind, value: Value::Secret(value) }
    }
}

/// How a key pair is made.
#[derive(Debug)]
pub struct Generation {
    /// `CKM_`.
    pub mechanism: u64,
    /// `CKA_KEY_TYPE` of both halves.
    pub key_type: u64,
    /// Attributes of the public key.
    pub public: Vec<Attribute>,
}

/// An RSA key pair of so many bits.
#[must_use]
pub fn generate_rsa(bits: u64) -> Generation {
    Generation {
        mechanism: CKM_RSA_PKCS_KEY_PAIR_GEN,
        key_type: CKK_RSA,
        public: vec![
            Attribute::number(CKA_MODULUS_BITS, bits),
            Attribute::octets(CKA_PUBLIC_EXPONENT, EXPONENT),
        ],
    }
}

/// A key pair on a curve, for a token with these mechanisms. Modules take different spellings: [`CurveSpelling::ALL`].
#[must_use]
pub fn generate_ecc(
    curve: Curve,
    spelling: CurveSpelling,
    has_mechanism: impl Fn(u64) -> bool,
) -> Generation {
    let key_type = key_type(curve, has_mechanism);
    Generation {
        mechanism: match key_type {
            CKK_EC_EDWARDS => CKM_EC_EDWARDS_KEY_PAIR_GEN,
            CKK_EC_MONTGOMERY => CKM_EC_MONTGOMERY_KEY_PAIR_GEN,
            _ => CKM_EC_KEY_PAIR_GEN,
        },
        key_type,
        public: vec![Attribute::octets(CKA_EC_PARAMS, spelling.params(curve))],
    }
}

/// `CKA_KEY_TYPE` of keys on a curve, for a token with these mechanisms. SoftHSM has X25519, and calls it an Edwards curve.
fn key_type(curve: Curve, has_mechanism: impl Fn(u64) -> bool) -> u64 {
    match curve.kind() {
        CurveKind::Weierstrass => CKK_EC,
        CurveKind::Montgomery
            if has_mechanism(CKM_EC_MONTGOMERY_KEY_PAIR_GEN)
                || !has_mechanism(CKM_EC_EDWARDS_KEY_PAIR_GEN) =>
        {
            CKK_EC_MONTGOMERY
        }
        CurveKind::Montgomery | CurveKind::Edwards => CKK_EC_EDWARDS,
    }
}

/// A private key, `CKA_KEY_TYPE` included.
///
/// # Errors
/// [`SecretKeyError`] if an RSA key's numbers do not fit each other.
pub fn private_key(
    key: &SecretKey,
    spelling: CurveSpelling,
    has_mechanism: impl Fn(u64) -> bool,
) -> Result<Vec<Attribute>, SecretKeyError> {
    let mut attributes = public_part(&key.public(), spelling, has_mechanism);
    match key.material() {
        SecretMaterial::Rsa(key) => attributes.extend(secret_numbers(key)?),
        SecretMaterial::Ecc(key) => attributes.push(Attribute::secret(CKA_VALUE, secret_octets(key))),
    }
    Ok(attributes)
}

/// A public key, `CKA_KEY_TYPE` included.
#[must_use]
pub fn public_key(
    key: &PublicKey,
    spelling: CurveSpelling,
    has_mechanism: impl Fn(u64) -> bool,
) -> Vec<Attribute> {
    let mut attributes = public_part(key, spelling, has_mechanism);
    if let PublicKey::Ecc(key) = key {
        attributes.push(Attribute::octets(CKA_EC_POINT, element(OCTET_STRING, key.point())));
    }
    attributes
}

/// What both halves say.
fn public_part(
    key: &PublicKey,
    spelling: CurveSpelling,
    has_mechanism: impl Fn(u64) -> bool,
) -> Vec<Attribute> {
    match key {
        PublicKey::Rsa(key) => vec![
            Attribute::number(CKA_KEY_TYPE, CKK_RSA),
            Attribute::octets(CKA_MODULUS, key.n()),
            Attribute::octets(CKA_PUBLIC_EXPONENT, key.e()),
        ],
        PublicKey::Ecc(key) => vec![
            Attribute::number(CKA_KEY_TYPE, key_type(key.curve(), has_mechanism)),
            Attribute::octets(CKA_EC_PARAMS, spelling.params(key.curve())),
        ],
    }
}

fn secret_numbers(key: &RsaSecret) -> Result<[Attribute; 6], SecretKeyError> {
    let crt = key.crt()?;
    Ok([
        Attribute::secret(CKA_PRIVATE_EXPONENT, key.d().duplicate()),
        Attribute::secret(CKA_PRIME_1, key.p().duplicate()),
        Attribute::secret(CKA_PRIME_2, key.q().duplicate()),
        Attribute::secret(CKA_EXPONENT_1, crt.dp),
        Attribute::secret(CKA_EXPONENT_2, crt.dq),
        Attribute::secret(CKA_COEFFICIENT, crt.u),
    ])
}

/// A secret number as PKCS#11 has it: OpenPGP's of Curve25519 is the wrong way round.
fn secret_octets(key: &EccSecret) -> Secret {
    if key.curve() != Curve::Curve25519 {
        return key.d().duplicate();
    }
    let mut octets = Zeroizing::new(key.d().as_bytes().to_vec());
    octets.reverse();
    Secret::copy_of(&octets)
}

/// A certificate.
///
/// # Errors
/// [`X509Error`] if the octets are none: subject, issuer and serial number have to be told.
pub fn certificate(octets: &[u8]) -> Result<Vec<Attribute>, X509Error> {
    let certificate = Certificate::new(octets);
    let fields = certificate.fields().map_err(Clone::clone)?;
    Ok(vec![
        Attribute::number(CKA_CLASS, CKO_CERTIFICATE),
        Attribute::number(CKA_CERTIFICATE_TYPE, CKC_X_509),
        Attribute::octets(CKA_SUBJECT, fields.subject().der()),
        Attribute::octets(CKA_ISSUER, fields.issuer().der()),
        Attribute::octets(CKA_SERIAL_NUMBER, element(INTEGER, fields.serial())),
        Attribute::octets(CKA_VALUE, certificate.bare()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pkcs11::attributes::{Described, KeyAttributes};

    const SOFTHSM: fn(u64) -> bool = |mechanism| mechanism == CKM_EC_EDWARDS_KEY_PAIR_GEN;
    const STANDARD: fn(u64) -> bool = |mechanism| mechanism >= CKM_EC_EDWARDS_KEY_PAIR_GEN;

    fn octets(attributes: &[Attribute], kind: u64) -> &[u8] {
        let attribute = attributes.iter().find(|attribute| attribute.kind == kind).unwrap();
        match &attribute.value {
            Value::Octets(octets) => octets,
            Value::Secret(secret) => secret.as_bytes(),
            Value::Number(number) => panic!("{number}"),
        }
    }

    fn number(attributes: &[Attribute], kind: u64) -> u64 {
        match attributes.iter().find(|attribute| attribute.kind == kind).unwrap().value {
            Value::Number(number) => number,
            _ => panic!("{kind:x} is no number"),
        }
    }

    #[test]
    fn what_is_written_of_a_public_key_describes_it() {
        let points = Curve::ALL.map(|curve| PublicKey::ecc(curve, &vec![4; curve.point_size()]));
        let rsa = PublicKey::rsa(&[0xc5; 256], b"\x01\0\x01");
        for key in points.into_iter().chain([rsa]).map(Result::unwrap) {
            for spelling in CurveSpelling::ALL {
                let written = public_key(&key, spelling, SOFTHSM);
                let key_type = number(&written, CKA_KEY_TYPE);
                let described = if key.curve().is_some() {
                    let (ec_params, ec_point) =
                        (octets(&written, CKA_EC_PARAMS), octets(&written, CKA_EC_POINT));
                    KeyAttributes { key_type, ec_params, ec_point, ..KeyAttributes::default() }.describe()
                } else {
                    let (modulus, exponent) =
                        (octets(&written, CKA_MODULUS), octets(&written, CKA_PUBLIC_EXPONENT));
                    KeyAttributes { key_type, modulus, exponent, ..KeyAttributes::default() }.describe()
                };
                assert_eq!(described, Ok(Described::Key(key.clone())));
            }
        }
    }

    #[test]
    fn x25519_is_what_the_token_calls_it() {
        let made = |curve, has: fn(u64) -> bool| {
            let made = generate_ecc(curve, CurveSpelling::Name, has);
            (made.mechanism, made.key_type)
        };
        let (edwards, montgomery) = (
            (CKM_EC_EDWARDS_KEY_PAIR_GEN, CKK_EC_EDWARDS),
            (CKM_EC_MONTGOMERY_KEY_PAIR_GEN, CKK_EC_MONTGOMERY),
        );
        assert_eq!(made(Curve::Curve25519, SOFTHSM), edwards);
        assert_eq!(made(Curve::Curve25519, STANDARD), montgomery);
        assert_eq!(made(Curve::Curve25519, |_| false), montgomery);
        assert_eq!(made(Curve::Ed25519, |_| false), edwards);
        assert_eq!(made(Curve::NistP256, |_| false), (CKM_EC_KEY_PAIR_GEN, CKK_EC));
        let rsa = generate_rsa(3072);
        assert_eq!(number(&rsa.public, CKA_MODULUS_BITS), 3072);
    }

    #[test]
    fn a_secret_number_of_curve25519_is_turned_round() {
        for (curve, first) in [(Curve::Curve25519, 1), (Curve::Ed25519, 9)] {
            let PublicKey::Ecc(public) = PublicKey::ecc(curve, &[7; 32]).unwrap() else { panic!() };
            let mut d = [9; 32];
            d[31] = 1;
            let key = EccSecret::new(public, &d).unwrap();
            let key = SecretKey::new(SecretMaterial::Ecc(key), 0, None);
            let written = private_key(&key, CurveSpelling::Name, SOFTHSM).unwrap();
            assert_eq!(octets(&written, CKA_VALUE)[0], first);
            assert!(written.iter().any(|attribute| matches!(attribute.value, Value::Secret(_))));
        }
    }

    #[test]
    fn what_is_no_certificate_is_not_written() {
        assert!(certificate(b"\x30\x03\x02\x01\x07").is_err());
    }
}
