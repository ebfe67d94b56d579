//! Secret keys on their way to a card: the numbers that an OpenPGP card takes (OpenPGP card 3.4, section 4.4.3.12).
//!
//! Every secret number is a [`Secret`]. The arithmetic for the Chinese remainder theorem wipes its operands and results;
//! what the big-number crate keeps in between while it inverts is beyond our reach.

use claviger_secret::Secret;
use crypto_bigint::{BoxedUint, ConcatenatingMul as _, NonZero};
use zeroize::Zeroizing;

use crate::curve::Curve;
use crate::openpgp::EcdhParams;
use crate::public::{EccPublic, PublicKey, RsaPublic, without_zeros};

/// A secret key with what OpenPGP knows of it.
#[derive(Debug)]
pub struct SecretKey {
    material: SecretMaterial,
    created: u32,
    ecdh: Option<EcdhParams>,
}

/// The numbers of a secret key.
#[derive(Debug)]
pub enum SecretMaterial {
    /// RSA.
    Rsa(RsaSecret),
    /// On an elliptic curve.
    Ecc(EccSecret),
}

impl SecretKey {
    /// A key made at `created`, seconds since 1970; `ecdh` where the parameters of its public key are known.
    #[must_use]
    pub const fn new(material: SecretMaterial, created: u32, ecdh: Option<EcdhParams>) -> Self {
        Self { material, created, ecdh }
    }

    /// The same key; where its ECDH parameters were not given, they are those that `default` has for its curve.
    #[must_use]
    pub fn with_default_ecdh(mut self, default: fn(Curve) -> EcdhParams) -> Self {
        if let (None, SecretMaterial::Ecc(key)) = (self.ecdh, &self.material) {
            self.ecdh = Some(default(key.curve()));
        }
        self
    }

    /// The numbers.
    #[must_use]
    pub const fn material(&self) -> &SecretMaterial {
        &self.material
    }

    /// When the key was made, in seconds since 1970.
    #[must_use]
    pub const fn created(&self) -> u32 {
        self.created
    }

    /// The ECDH parameters of the public key, if they were given.
    #[must_use]
    pub const fn ecdh(&self) -> Option<EcdhParams> {
        self.ecdh
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        match &self.material {
            SecretMaterial::Rsa(key) => PublicKey::Rsa(key.public.clone()),
            SecretMaterial::Ecc(key) => PublicKey::Ecc(key.public.clone()),
        }
    }
}

/// An RSA secret key. All numbers are big endian without zeros in front.
#[derive(Debug)]
pub struct RsaSecret {
    public: RsaPublic,
    d: Secret,
    p: Secret,
    q: Secret,
}

/// What the Chinese remainder theorem wants to know of an RSA key; the formats 3 and 4 of a card's algorithm attributes.
#[derive(Debug)]
pub struct RsaCrt {
    /// q⁻¹ mod p.
    pub u: Secret,
    /// e⁻¹ mod (p − 1).
    pub dp: Secret,
    /// e⁻¹ mod (q − 1).
    pub dq: Secret,
}

impl RsaSecret {
    /// A key of its numbers, big endian; zeros in front do not matter.
    ///
    /// # Errors
    /// [`SecretKeyError`] if the primes do not make the modulus.
    pub fn new(public: RsaPublic, d: &[u8], p: &[u8], q: &[u8]) -> Result<Self, SecretKeyError> {
        let [d, p, q] = [d, p, q].map(without_zeros);
        if d.len() > public.n().len() || d.is_empty() {
            return Err(SecretKeyError::SecretSize { octets: d.len() });
        }
        if p == [1] || q == [1] || !is_product(p, q, public.n()) {
            return Err(SecretKeyError::Primes);
        }
        let [d, p, q] = [d, p, q].map(Secret::copy_of);
        Ok(Self { public, d, p, q })
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> &RsaPublic {
        &self.public
    }

    /// The secret exponent.
    #[must_use]
    pub const fn d(&self) -> &Secret {
        &self.d
    }

    /// The first prime.
    #[must_use]
    pub const fn p(&self) -> &Secret {
        &self.p
    }

    /// The second prime.
    #[must_use]
    pub const fn q(&self) -> &Secret {
        &self.q
    }

    /// The numbers for the Chinese remainder theorem, computed afresh as GnuPG does: its own u is p⁻¹ mod q.
    ///
    /// # Errors
    /// [`SecretKeyError::Primes`] if p, q or e have a divisor in common that they must not have.
    pub fn crt(&self) -> Result<RsaCrt, SecretKeyError> {
        let [e, p, q] = [self.public.e(), self.p.as_bytes(), self.q.as_bytes()];
        Ok(RsaCrt { u: inverse(q, p, 0)?, dp: inverse(e, p, 1)?, dq: inverse(e, q, 1)? })
    }
}

/// Whether p · q = n. Numbers too long for that are not multiplied first.
fn is_product(p: &[u8], q: &[u8], n: &[u8]) -> bool {
    if p.len() + q.len() > n.len() + 1 {
        return false;
    }
    let [p, q] = [p, q].map(|factor| number(factor, factor.len()));
    let product = Zeroizing::new(p.concatenating_mul(&*q));
    without_zeros(&Zeroizing::new(product.to_be_bytes())) == n
}

/// x⁻¹ mod (m − less).
fn inverse(x: &[u8], m: &[u8], less: u8) -> Result<Secret, SecretKeyError> {
    let size = x.len().max(m.len());
    let modulus = NonZero::new(number(m, size).wrapping_sub(&*number(&[less], size))).into_option();
    let modulus = Zeroizing::new(modulus.ok_or(SecretKeyError::Primes)?);
    let inverse = number(x, size).invert_mod(&modulus).into_option();
    let inverse = Zeroizing::new(inverse.ok_or(SecretKeyError::Primes)?);
    Ok(Secret::copy_of(without_zeros(&Zeroizing::new(inverse.to_be_bytes()))))
}

fn number(octets: &[u8], size: usize) -> Zeroizing<BoxedUint> {
    // No number here is longer than a modulus of MAX_RSA_BITS.
    let bits = u32::try_from(size.saturating_mul(8)).unwrap_or(u32::MAX);
    Zeroizing::new(BoxedUint::from_be_slice_truncated(octets, bits))
}

/// A secret key on an elliptic curve.
#[derive(Debug)]
pub struct EccSecret {
    public: EccPublic,
    d: Secret,
}

impl EccSecret {
    /// A key of its numbers; zeros before `d` do not matter.
    ///
    /// # Errors
    /// [`SecretKeyError::SecretSize`] if `d` is zero or longer than numbers of the curve are.
    pub fn new(public: EccPublic, d: &[u8]) -> Result<Self, SecretKeyError> {
        let (d, size) = (without_zeros(d), public.curve().field_size());
        if d.is_empty() || d.len() > size {
            return Err(SecretKeyError::SecretSize { octets: d.len() });
        }
        let padded = [vec![0; size - d.len()].as_slice(), d].concat();
        Ok(Self { public, d: Secret::take(padded) })
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> &EccPublic {
        &self.public
    }

    /// The curve.
    #[must_use]
    pub const fn curve(&self) -> Curve {
        self.public.curve()
    }

    /// The secret number in as many octets as a card takes, [`Curve::field_size`]: for Edwards curves the seed, for
    /// Curve25519 big endian as in OpenPGP.
    #[must_use]
    pub const fn d(&self) -> &Secret {
        &self.d
    }
}

/// Why numbers are no secret key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretKeyError {
    /// The primes do not make the modulus, or the exponent has no inverse.
    #[error("the primes do not fit the RSA key")]
    Primes,
    /// The secret number is zero or too long.
    #[error("a secret number of {octets} octets does not fit the key")]
    SecretSize {
        /// Its size without zeros in front.
        octets: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key of two primes: 2⁵²¹ − 1 and 2⁶⁰⁷ − 1.
    fn mersenne() -> (Vec<u8>, Vec<u8>, RsaPublic) {
        let prime = |bits: usize| [vec![(1u16 << (bits % 8)) as u8 - 1], vec![0xff; bits / 8]].concat();
        let (p, q) = (prime(521), prime(607));
        let n = number(&p, p.len()).concatenating_mul(&*number(&q, q.len())).to_be_bytes();
        let PublicKey::Rsa(public) = PublicKey::rsa(&n, b"\x01\0\x01").unwrap() else { panic!("not RSA") };
        (p, q, public)
    }

    #[test]
    fn primes_must_make_the_modulus() {
        let (p, q, public) = mersenne();
        let padded = [&[0, 0], p.as_slice()].concat();
        assert!(RsaSecret::new(public.clone(), b"\x07", &padded, &q).is_ok());
        let one_and_all = [[1].as_slice(), public.n()];
        for [p, q] in [
            [&p[..], &p[..]],
            [&p, b""],
            [&[], &q],
            [&p, &[0xff; 65536]],
            one_and_all,
            [one_and_all[1], one_and_all[0]],
        ] {
            let error = RsaSecret::new(public.clone(), b"\x07", p, q).expect_err("wrong primes");
            assert_eq!(error, SecretKeyError::Primes);
        }
        for d in [vec![], vec![0], vec![1; 200]] {
            let octets = without_zeros(&d).len();
            let error = RsaSecret::new(public.clone(), &d, &p, &q).expect_err("wrong exponent");
            assert_eq!(error, SecretKeyError::SecretSize { octets });
        }
    }

    #[test]
    fn an_exponent_without_inverse_is_an_error_and_no_panic() {
        let (p, q, public) = mersenne();
        // 2⁶⁰⁷ − 2 is divisible by 3.
        let PublicKey::Rsa(public) = PublicKey::rsa(public.n(), b"\x03").unwrap() else { panic!("not RSA") };
        let key = RsaSecret::new(public, b"\x07", &p, &q).unwrap();
        assert_eq!(key.crt().expect_err("no inverse"), SecretKeyError::Primes);
    }

    #[test]
    fn a_secret_number_is_as_long_as_a_card_takes_it() {
        let PublicKey::Ecc(public) = PublicKey::ecc(Curve::NistP521, &[4; 133]).unwrap() else {
            panic!("not on a curve")
        };
        let key = EccSecret::new(public.clone(), b"\0\x01\x02").unwrap();
        assert_eq!(key.d().as_bytes(), [vec![0; 64], vec![1, 2]].concat());
        for (d, octets) in [(vec![0; 66], 0), (vec![1; 67], 67)] {
            let error = EccSecret::new(public.clone(), &d).expect_err("not a number of the curve");
            assert_eq!(error, SecretKeyError::SecretSize { octets });
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let (p, q, public) = mersenne();
        let key = SecretMaterial::Rsa(RsaSecret::new(public, b"\x07", &p, &q).unwrap());
        let shown = format!("{:?}", SecretKey::new(key, 1, None));
        assert!(shown.contains("d: Secret(..), p: Secret(..), q: Secret(..)"), "{shown}");
    }
}
