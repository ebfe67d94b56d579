//! Public keys: what they consist of, and what is checked when one is made.
//!
//! Checked are sizes and forms, so that every key can be written in every form. Whether a point is on its curve is for
//! those to find out who compute with it.
//!
//! The forms are in rooms of their own: [`gnupg`](crate::gnupg), [`keygrip`](crate::keygrip),
//! [`openpgp`](crate::openpgp), [`ssh`](crate::ssh), [`spki`](crate::spki).

use crate::curve::{Curve, CurveKind};

/// The smallest RSA modulus, in bits: what GnuPG lets a card have.
pub const MIN_RSA_BITS: usize = 1024;

/// The largest RSA modulus, in bits.
pub const MAX_RSA_BITS: usize = 16384;

/// The largest public exponent, in bits. OpenPGP cards have 17 or 32.
pub const MAX_RSA_EXPONENT_BITS: usize = 64;

/// The octet that GnuPG puts before points of Ed25519 and Curve25519.
pub(crate) const NATIVE_POINT: u8 = 0x40;

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PublicKey {
    /// RSA.
    Rsa(RsaPublic),
    /// On an elliptic curve.
    Ecc(EccPublic),
}

impl PublicKey {
    /// An RSA key of modulus and exponent, both big endian; zeros in front do not matter.
    ///
    /// # Errors
    /// [`KeyError`] if the numbers cannot be an RSA key.
    pub fn rsa(n: &[u8], e: &[u8]) -> Result<Self, KeyError> {
        RsaPublic::new(n, e).map(Self::Rsa)
    }

    /// A key of a curve and a point as a card, OpenPGP or GnuPG gives it: 04‖x‖y, or the native octets, with or without
    /// GnuPG's 40 in front.
    ///
    /// # Errors
    /// [`KeyError`] if the octets have not the form of a point of that curve.
    pub fn ecc(curve: Curve, q: &[u8]) -> Result<Self, KeyError> {
        EccPublic::new(curve, q).map(Self::Ecc)
    }

    /// The curve, for keys that have one.
    #[must_use]
    pub const fn curve(&self) -> Option<Curve> {
        match self {
            Self::Rsa(_) => None,
            Self::Ecc(key) => Some(key.curve),
        }
    }

    /// The size of the key in bits.
    #[must_use]
    pub fn bits(&self) -> usize {
        match self {
            Self::Rsa(key) => key.bits(),
            Self::Ecc(key) => key.curve.bits(),
        }
    }

    /// The name that GnuPG gives keys of this kind: `rsa2048`, `ed25519`, `cv25519`, `nistp256`.
    #[must_use]
    pub fn algorithm_name(&self) -> String {
        match self {
            Self::Rsa(key) => format!("rsa{}", key.bits()),
            Self::Ecc(key) => key.curve.openpgp_name().to_owned(),
        }
    }
}

/// An RSA public key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RsaPublic {
    n: Vec<u8>,
    e: Vec<u8>,
}

impl RsaPublic {
    fn new(n: &[u8], e: &[u8]) -> Result<Self, KeyError> {
        let (n, e) = (without_zeros(n), without_zeros(e));
        let bits = bits(n);
        if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) {
            return Err(KeyError::ModulusSize { bits });
        }
        if !is_odd(n) {
            return Err(KeyError::EvenModulus);
        }
        if !is_odd(e) || e == [1] || self::bits(e) > MAX_RSA_EXPONENT_BITS {
            return Err(KeyError::Exponent { bits: self::bits(e) });
        }
        Ok(Self { n: n.to_vec(), e: e.to_vec() })
    }

    /// The modulus, big endian, without zeros in front.
    #[must_use]
    pub fn n(&self) -> &[u8] {
        &self.n
    }

    /// The public exponent, big endian, without zeros in front.
    #[must_use]
    pub fn e(&self) -> &[u8] {
        &self.e
    }

    /// The size of the modulus in bits.
    #[must_use]
    pub fn bits(&self) -> usize {
        bits(&self.n)
    }
}

/// A public key on an elliptic curve.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EccPublic {
    curve: Curve,
    point: Vec<u8>,
}

impl EccPublic {
    fn new(curve: Curve, q: &[u8]) -> Result<Self, KeyError> {
        let point = match (curve.kind(), q) {
            (CurveKind::Edwards | CurveKind::Montgomery, [NATIVE_POINT, native @ ..])
                if native.len() == curve.point_size() =>
            {
                native
            }
            _ => q,
        };
        if point.len() != curve.point_size() {
            return Err(KeyError::PointSize { curve, octets: q.len() });
        }
        if curve.kind() == CurveKind::Weierstrass && point.first() != Some(&4) {
            return Err(KeyError::PointForm { curve });
        }
        Ok(Self { curve, point: point.to_vec() })
    }

    /// The curve.
    #[must_use]
    pub const fn curve(&self) -> Curve {
        self.curve
    }

    /// The point: 04‖x‖y, or the native octets without GnuPG's 40.
    #[must_use]
    pub fn point(&self) -> &[u8] {
        &self.point
    }

    /// The point as GnuPG and OpenPGP write it: with 40 before points of Ed25519 and Curve25519.
    #[must_use]
    pub fn q(&self) -> Vec<u8> {
        match self.curve {
            Curve::Ed25519 | Curve::Curve25519 => [&[NATIVE_POINT], self.point.as_slice()].concat(),
            _ => self.point.clone(),
        }
    }
}

/// Why numbers or octets are no public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The modulus is too small or too large.
    #[error("an RSA modulus of {bits} bits; {MIN_RSA_BITS} to {MAX_RSA_BITS} are possible")]
    ModulusSize {
        /// Its size.
        bits: usize,
    },
    /// The modulus is even.
    #[error("the RSA modulus is even")]
    EvenModulus,
    /// The exponent is even, one, or too large.
    #[error("an impossible RSA exponent of {bits} bits")]
    Exponent {
        /// Its size.
        bits: usize,
    },
    /// The point has another size than points of the curve have.
    #[error("{octets} octets are no point of {}", curve.libgcrypt_name())]
    PointSize {
        /// The curve.
        curve: Curve,
        /// How many there are.
        octets: usize,
    },
    /// The point does not begin with 04. Compressed points occur neither on cards nor in GnuPG.
    #[error("a point of {} that is not in uncompressed form", curve.libgcrypt_name())]
    PointForm {
        /// The curve.
        curve: Curve,
    },
}

/// A number without the zeros in front.
pub(crate) fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|octet| **octet == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// The size of a big-endian number in bits, zeros in front not counted.
pub(crate) fn bits(number: &[u8]) -> usize {
    let number = without_zeros(number);
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

/// A number in two's complement, that is with a zero in front if the top bit is set (S-expressions, ssh, DER).
pub(crate) fn signed(number: &[u8]) -> Vec<u8> {
    let number = without_zeros(number);
    match number.first() {
        Some(first) if *first < 0x80 => number.to_vec(),
        _ => [&[0], number].concat(),
    }
}

fn is_odd(number: &[u8]) -> bool {
    number.last().is_some_and(|last| last & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modulus(octets: usize) -> Vec<u8> {
        let mut n = vec![0xc5; octets];
        n.insert(0, 0);
        n
    }

    #[test]
    fn zeros_in_front_do_not_make_another_key() {
        let key = PublicKey::rsa(&modulus(256), b"\0\x01\0\x01").unwrap();
        assert_eq!(key, PublicKey::rsa(&modulus(256)[1..], b"\x01\0\x01").unwrap());
        assert_eq!((key.bits(), key.algorithm_name()), (2048, "rsa2048".to_owned()));
    }

    #[test]
    fn impossible_rsa_keys_are_refused() {
        let mut even = modulus(256);
        even[256] = 0xc4;
        assert_eq!(PublicKey::rsa(&[], b"\x03"), Err(KeyError::ModulusSize { bits: 0 }));
        assert_eq!(PublicKey::rsa(&modulus(127), b"\x03"), Err(KeyError::ModulusSize { bits: 1016 }));
        assert_eq!(PublicKey::rsa(&modulus(2049), b"\x03"), Err(KeyError::ModulusSize { bits: 16392 }));
        assert_eq!(PublicKey::rsa(&even, b"\x03"), Err(KeyError::EvenModulus));
        for (e, bits) in [(b"".as_slice(), 0), (b"\0", 0), (b"\x01", 1), (b"\x01\0\0", 17), (&[0xff; 9], 72)]
        {
            assert_eq!(PublicKey::rsa(&modulus(256), e), Err(KeyError::Exponent { bits }));
        }
    }

    #[test]
    fn a_point_is_the_same_with_and_without_its_prefix() {
        for curve in [Curve::Ed25519, Curve::Curve25519, Curve::Ed448, Curve::X448] {
            let native = vec![0x40; curve.point_size()];
            let prefixed = [&[0x40], native.as_slice()].concat();
            assert_eq!(PublicKey::ecc(curve, &native), PublicKey::ecc(curve, &prefixed));
        }
    }

    #[test]
    fn octets_of_another_form_are_no_points() {
        for curve in Curve::ALL {
            for octets in [0, curve.point_size() - 1, curve.point_size() + 1] {
                assert_eq!(
                    PublicKey::ecc(curve, &vec![4; octets]),
                    Err(KeyError::PointSize { curve, octets })
                );
            }
        }
        let curve = Curve::NistP256;
        assert_eq!(PublicKey::ecc(curve, &[2; 65]), Err(KeyError::PointForm { curve }));
    }
}
