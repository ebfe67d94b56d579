//! Keygrips, the names by which GnuPG's agent and scdaemon speak of keys: SHA-1 over what makes the key, as libgcrypt's
//! `gcry_pk_get_keygrip` hashes it. No document but the source says how; scdaemon's protocol shows it.
//!
//! For RSA it is the modulus alone. On a curve it is each parameter of the curve, then the point, each in the canonical
//! form `(1:p32:…)`.

mod domain;

use std::fmt;
use std::str::FromStr;

use sha1::{Digest as _, Sha1};

use self::domain::Domain;
use crate::curve::{Curve, CurveKind};
use crate::public::{EccPublic, PublicKey, signed, without_zeros};

/// A keygrip. Written as 40 hexadecimal digits in upper case, and read in either case.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Keygrip(pub [u8; 20]);

impl PublicKey {
    /// The keygrip.
    #[must_use]
    pub fn keygrip(&self) -> Keygrip {
        let hash = match self {
            Self::Rsa(key) => Sha1::digest(signed(key.n())),
            Self::Ecc(key) => of_point(key).finalize(),
        };
        Keygrip(hash.into())
    }
}

/// The curve of these domain parameters: all must be the standard's, for whoever chooses the base point knows the key. The
/// base point may be compressed; numbers are big endian.
pub(crate) fn curve_of(p: &[u8], a: &[u8], b: &[u8], g: &[u8], n: &[u8]) -> Option<Curve> {
    let [p, a, b, n] = [p, a, b, n].map(without_zeros);
    let weierstrass = Curve::ALL.into_iter().filter(|curve| curve.kind() == CurveKind::Weierstrass);
    weierstrass.into_iter().find(|curve| {
        let domain = Domain::of(*curve);
        [domain.p, domain.a, domain.b, domain.n] == [p, a, b, n] && is_point(g, domain.g)
    })
}

/// Whether octets are a point that is given as 04‖x‖y, in this form or compressed.
fn is_point(octets: &[u8], point: &[u8]) -> bool {
    let odd = point.last().is_some_and(|last| last & 1 == 1);
    match octets {
        [2 | 3, x @ ..] => {
            octets.first() == Some(&(2 + u8::from(odd)))
                && point.get(1..=x.len()) == Some(x)
                && point.len() == 1 + 2 * x.len()
        }
        _ => octets == point,
    }
}

fn of_point(key: &EccPublic) -> Sha1 {
    let Domain { p, a, b, g, n } = *Domain::of(key.curve());
    [("p", p), ("a", a), ("b", b), ("g", g), ("n", n), ("q", key.point())].iter().fold(
        Sha1::new(),
        |hash, (name, value)| {
            hash.chain_update(format!("(1:{name}{}:", value.len())).chain_update(value).chain_update(")")
        },
    )
}

impl fmt::Display for Keygrip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02X}"))
    }
}

impl fmt::Debug for Keygrip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keygrip({self})")
    }
}

/// The text is not 40 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a keygrip has 40 hexadecimal digits")]
pub struct NotKeygrip;

impl FromStr for Keygrip {
    type Err = NotKeygrip;

    fn from_str(text: &str) -> Result<Self, NotKeygrip> {
        let digits: &[u8; 40] = text.as_bytes().try_into().map_err(|_| NotKeygrip)?;
        let mut grip = [0; 20];
        for (octet, pair) in grip.iter_mut().zip(digits.chunks_exact(2)) {
            let value = |digit: u8| char::from(digit).to_digit(16).ok_or(NotKeygrip);
            *octet = pair.iter().try_fold(0, |octet, digit| Ok((octet << 4) | value(*digit)? as u8))?;
        }
        Ok(Self(grip))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_octets_are_inverse() {
        let text = "21F046E16A0E6E684346062312193F629BFD8672";
        let grip: Keygrip = text.parse().unwrap();
        assert_eq!(grip.to_string(), text);
        assert_eq!(text.to_lowercase().parse(), Ok(grip));
        assert_eq!(format!("{grip:?}"), format!("Keygrip({text})"));
    }

    #[test]
    fn other_text_is_no_keygrip() {
        for text in [
            "",
            "21F0",
            "21F046E16A0E6E684346062312193F629BFD867200",
            "21F046E16A0E6E684346062312193F629BFD867G",
        ] {
            assert_eq!(text.parse::<Keygrip>(), Err(NotKeygrip));
        }
    }
}
