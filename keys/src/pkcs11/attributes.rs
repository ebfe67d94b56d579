//! The attributes of a key object, and the public key in them (PKCS#11 3.1, sections 4.9, 6.1 and 6.3).
//!
//! Modules do not agree on how a key on a curve is written. `CKA_EC_POINT` may be raw or wrapped, once or twice, in an OCTET
//! STRING or a BIT STRING; it may lack its 04 or have GnuPG's 40; an Ed25519 key may be a `CKK_EC`, and an X25519 key a
//! `CKK_EC_EDWARDS`. The curve decides what it can be: octets that are as long as a point are one, though they may look
//! like something wrapped.

use super::curve_name::{self, CurveName};
pub use super::curve_name::{CurveSpelling, MAX_EC_PARAMS};
use super::numbers::{
    CKK_DH, CKK_DSA, CKK_EC, CKK_EC_EDWARDS, CKK_EC_MONTGOMERY, CKK_ML_DSA, CKK_ML_KEM, CKK_RSA, CKK_SLH_DSA,
};
use crate::ber::{BIT_STRING, BerError, OCTET_STRING, Reader, SEQUENCE};
use crate::curve::{Curve, CurveKind};
use crate::public::{KeyError, PublicKey};

/// How often a point may be wrapped.
const MAX_WRAPPINGS: usize = 2;

/// Kinds of keys that GnuPG has no name for.
const FAMILIES: [(u64, &str); 5] = [
    (CKK_DSA, "dsa"),
    (CKK_DH, "dh"),
    (CKK_ML_KEM, "ml-kem"),
    (CKK_ML_DSA, "ml-dsa"),
    (CKK_SLH_DSA, "slh-dsa"),
];

/// Their sizes: `CKP_ML_DSA_44` and the like.
const SETS: [(u64, u64, &str); 6] = [
    (CKK_ML_DSA, 1, "ml-dsa-44"),
    (CKK_ML_DSA, 2, "ml-dsa-65"),
    (CKK_ML_DSA, 3, "ml-dsa-87"),
    (CKK_ML_KEM, 1, "ml-kem-512"),
    (CKK_ML_KEM, 2, "ml-kem-768"),
    (CKK_ML_KEM, 3, "ml-kem-1024"),
];

/// What a module says of a key, private or public. What it does not say is empty or `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeyAttributes<'a> {
    /// `CKA_KEY_TYPE`.
    pub key_type: u64,
    /// `CKA_MODULUS`.
    pub modulus: &'a [u8],
    /// `CKA_PUBLIC_EXPONENT`.
    pub exponent: &'a [u8],
    /// `CKA_EC_PARAMS`.
    pub ec_params: &'a [u8],
    /// `CKA_EC_POINT`.
    pub ec_point: &'a [u8],
    /// `CKA_PUBLIC_KEY_INFO`.
    pub public_key_info: &'a [u8],
    /// `CKA_PARAMETER_SET`.
    pub parameter_set: Option<u64>,
}

/// What kind of key attributes describe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Described {
    /// One that GnuPG can name.
    Key(PublicKey),
    /// Another, by a name for people: `ml-dsa-65`, `ml-kem-768`, the object identifier of a curve.
    Other(String),
}

/// Why attributes describe no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AttributeError {
    /// An attribute that has to be there is not. Many modules show no public half in a private key.
    #[error("the key has no {0}")]
    Missing(&'static str),
    /// `CKA_EC_PARAMS` has explicit parameters, and not those of a curve that we know.
    #[error("explicit parameters of an unknown curve")]
    ExplicitCurve,
    /// `CKA_EC_PARAMS` is longer than [`MAX_EC_PARAMS`].
    #[error("{octets} octets of curve parameters; {MAX_EC_PARAMS} are read at most")]
    TooLong {
        /// How long.
        octets: usize,
    },
    /// An attribute has not its form.
    #[error(transparent)]
    Form(#[from] BerError),
    /// What is there is no key.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl KeyAttributes<'_> {
    /// What kind of key it is. `CKA_PUBLIC_KEY_INFO` is asked where the other attributes do not tell.
    ///
    /// # Errors
    /// [`AttributeError`] if they describe none.
    pub fn describe(&self) -> Result<Described, AttributeError> {
        let described = match self.key_type {
            CKK_RSA => self.rsa(),
            CKK_EC | CKK_EC_EDWARDS | CKK_EC_MONTGOMERY => self.ecc(),
            _ => return Ok(Described::Other(self.name())),
        };
        described.or_else(|error| {
            let info = PublicKey::from_spki_der(self.public_key_info);
            info.map(Described::Key).map_err(|_| error)
        })
    }

    fn rsa(&self) -> Result<Described, AttributeError> {
        let modulus = given(self.modulus, "CKA_MODULUS")?;
        let exponent = given(self.exponent, "CKA_PUBLIC_EXPONENT")?;
        Ok(Described::Key(PublicKey::rsa(modulus, exponent)?))
    }

    fn ecc(&self) -> Result<Described, AttributeError> {
        let curve = match curve_name::read(self.ec_params)? {
            CurveName::Other(name) => return Ok(Described::Other(name)),
            CurveName::Known(curve) => Some(curve),
            CurveName::Missing => None,
        };
        let octets = given(self.ec_point, "CKA_EC_POINT")?;
        let key = match curve {
            Some(curve) => point(curve, octets)?,
            None => self.of_length(octets).ok_or(AttributeError::Missing("CKA_EC_PARAMS"))?,
        };
        Ok(Described::Key(key))
    }

    /// The key on the curve of its type that has points of this length.
    fn of_length(&self, octets: &[u8]) -> Option<PublicKey> {
        let curves = match self.key_type {
            CKK_EC_EDWARDS => [Curve::Ed25519, Curve::Ed448],
            CKK_EC_MONTGOMERY => [Curve::Curve25519, Curve::X448],
            _ => return None,
        };
        curves.into_iter().find_map(|curve| point(curve, octets).ok())
    }

    /// What people call the key.
    fn name(&self) -> String {
        let set = SETS
            .iter()
            .find(|(key_type, set, _)| *key_type == self.key_type && Some(*set) == self.parameter_set);
        let family = FAMILIES.iter().find(|(key_type, _)| *key_type == self.key_type);
        let name = set.map(|(_, _, name)| name).or(family.map(|(_, name)| name));
        name.map_or_else(|| format!("key-type-{:#x}", self.key_type), |name| (*name).to_owned())
    }
}

fn given<'a>(octets: &'a [u8], name: &'static str) -> Result<&'a [u8], AttributeError> {
    if octets.is_empty() { Err(AttributeError::Missing(name)) } else { Ok(octets) }
}

/// The key of a point in any of its wrappings.
fn point(curve: Curve, octets: &[u8]) -> Result<PublicKey, KeyError> {
    let mut rest = octets;
    for _ in 0..=MAX_WRAPPINGS {
        if let Some(key) = bare(curve, rest) {
            return Ok(key);
        }
        let Some(inner) = unwrapped(rest) else { break };
        rest = inner;
    }
    PublicKey::ecc(curve, octets)
}

/// The key of a point, if it is one by its length and beginning. Some modules leave the 04 away.
fn bare(curve: Curve, octets: &[u8]) -> Option<PublicKey> {
    if curve.kind() == CurveKind::Weierstrass && octets.len() == 2 * curve.field_size() {
        return PublicKey::ecc(curve, &[&[4], octets].concat()).ok();
    }
    PublicKey::ecc(curve, octets).ok()
}

/// What is within an OCTET STRING, a BIT STRING or a SubjectPublicKeyInfo.
fn unwrapped(octets: &[u8]) -> Option<&[u8]> {
    let whole = Reader::new(octets).element().ok()?;
    match whole.tag {
        OCTET_STRING => Some(whole.content),
        // The first octet says how many bits at the end do not count.
        BIT_STRING => whole.content.strip_prefix(&[0]),
        SEQUENCE => {
            let mut info = whole.inside();
            info.expect(SEQUENCE).ok()?;
            info.expect(BIT_STRING).ok()?.content.strip_prefix(&[0])
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ber::element;

    const TYPE_OF: fn(Curve) -> u64 = |curve| match curve.kind() {
        CurveKind::Weierstrass => CKK_EC,
        CurveKind::Edwards => CKK_EC_EDWARDS,
        CurveKind::Montgomery => CKK_EC_MONTGOMERY,
    };

    /// A point whose octets look like an OCTET STRING, as far as they can.
    fn trap(curve: Curve) -> Vec<u8> {
        let mut point = vec![7; curve.point_size()];
        (point[0], point[1]) = (4, (curve.point_size() - 2) as u8);
        point
    }

    fn wrapped(tag: u8, octets: &[u8]) -> Vec<u8> {
        let unused_bits: &[u8] = if tag == BIT_STRING { &[0] } else { &[] };
        element(tag, &[unused_bits, octets].concat())
    }

    #[test]
    fn a_point_is_found_in_every_wrapping() {
        for curve in Curve::ALL {
            let raw = trap(curve);
            let key = PublicKey::ecc(curve, &raw).unwrap();
            let mut forms = vec![
                raw.clone(),
                wrapped(OCTET_STRING, &raw),
                wrapped(OCTET_STRING, &wrapped(OCTET_STRING, &raw)),
                wrapped(BIT_STRING, &raw),
                key.spki_der(),
            ];
            match curve.kind() {
                CurveKind::Weierstrass => forms.push(raw[1..].to_vec()),
                _ => forms.extend([
                    [&[0x40], raw.as_slice()].concat(),
                    wrapped(OCTET_STRING, &[&[0x40], raw.as_slice()].concat()),
                ]),
            }
            for ec_point in &forms {
                for spelling in CurveSpelling::ALL {
                    let ec_params = &spelling.params(curve);
                    for key_type in [CKK_EC, TYPE_OF(curve)] {
                        let attributes =
                            KeyAttributes { key_type, ec_params, ec_point, ..KeyAttributes::default() };
                        assert_eq!(attributes.describe(), Ok(Described::Key(key.clone())), "{ec_point:02x?}");
                    }
                }
            }
        }
    }

    #[test]
    fn without_parameters_the_type_and_the_length_tell_the_curve() {
        for curve in [Curve::Ed25519, Curve::Ed448, Curve::Curve25519, Curve::X448] {
            let raw = trap(curve);
            for ec_point in [raw.clone(), wrapped(OCTET_STRING, &raw)] {
                for ec_params in [b"".as_slice(), b"\x05\0"] {
                    let attributes = KeyAttributes {
                        key_type: TYPE_OF(curve),
                        ec_params,
                        ec_point: &ec_point,
                        ..KeyAttributes::default()
                    };
                    assert_eq!(
                        attributes.describe(),
                        Ok(Described::Key(PublicKey::ecc(curve, &raw).unwrap()))
                    );
                }
            }
        }
        let attributes = KeyAttributes { key_type: CKK_EC, ec_point: &[4; 65], ..KeyAttributes::default() };
        assert_eq!(attributes.describe(), Err(AttributeError::Missing("CKA_EC_PARAMS")));
    }

    #[test]
    fn rsa_is_modulus_and_exponent_or_else_the_public_key_info() {
        let key = PublicKey::rsa(&[0xc5; 256], b"\x01\0\x01").unwrap();
        let info = key.spki_der();
        let whole =
            KeyAttributes { modulus: &[0xc5; 256], exponent: b"\0\x01\0\x01", ..KeyAttributes::default() };
        assert_eq!(whole.describe(), Ok(Described::Key(key.clone())));
        let private = KeyAttributes { exponent: b"", ..whole };
        assert_eq!(private.describe(), Err(AttributeError::Missing("CKA_PUBLIC_EXPONENT")));
        assert_eq!(KeyAttributes { public_key_info: &info, ..private }.describe(), Ok(Described::Key(key)));
    }

    #[test]
    fn keys_that_gnupg_cannot_name_have_a_name_for_people() {
        for (key_type, parameter_set, name) in [
            (CKK_ML_DSA, Some(2), "ml-dsa-65"),
            (CKK_ML_DSA, None, "ml-dsa"),
            (CKK_ML_KEM, Some(3), "ml-kem-1024"),
            (CKK_ML_KEM, Some(9), "ml-kem"),
            (CKK_SLH_DSA, Some(1), "slh-dsa"),
            (CKK_DSA, None, "dsa"),
            (0x8000_0001, None, "key-type-0x80000001"),
        ] {
            let attributes = KeyAttributes { key_type, parameter_set, ..KeyAttributes::default() };
            assert_eq!(attributes.describe(), Ok(Described::Other(name.to_owned())));
        }
        let ec_params = b"\x06\x05\x2b\x81\x04\x00\x21";
        let p224 =
            KeyAttributes { key_type: CKK_EC, ec_params, ec_point: &[4; 57], ..KeyAttributes::default() };
        assert_eq!(p224.describe(), Ok(Described::Other("1.3.132.0.33".to_owned())));
    }

    #[test]
    fn what_is_no_point_is_refused() {
        let ec_params = &CurveSpelling::Identifier.params(Curve::NistP256);
        let curve = Curve::NistP256;
        for (ec_point, error) in [
            (b"".as_slice(), AttributeError::Missing("CKA_EC_POINT")),
            (&[2; 33], KeyError::PointSize { curve, octets: 33 }.into()),
            (&[6; 65], KeyError::PointForm { curve }.into()),
            (b"\x04\x41\x04", KeyError::PointSize { curve, octets: 3 }.into()),
        ] {
            let attributes =
                KeyAttributes { key_type: CKK_EC, ec_params, ec_point, ..KeyAttributes::default() };
            assert_eq!(attributes.describe(), Err(error));
        }
    }
}
