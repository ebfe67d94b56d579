//! What is read of key packets: fingerprint and keygrip (RFC 9580, sections 5.5.2 and 5.5.5; GnuPG's version 5).

use claviger_keys::{Curve, Keygrip, PublicKey};

use crate::Fingerprint;

/// A key of a certificate: the primary key or a subkey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    fingerprint: Fingerprint,
    keygrip: Option<Keygrip>,
}

impl Key {
    /// Reads the body of a key packet; nothing if the version has no fingerprint.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let fingerprint = Fingerprint::of_key(body)?;
        Some(Self { fingerprint, keygrip: public_key(body).map(|key| key.keygrip()) })
    }

    /// The fingerprint.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The keygrip, if the key is of a kind that cards have.
    #[must_use]
    pub const fn keygrip(&self) -> Option<Keygrip> {
        self.keygrip
    }
}

/// The key itself, if it is RSA or on a curve that is known here.
fn public_key(body: &[u8]) -> Option<PublicKey> {
    let (version, behind) = body.split_first()?;
    let (algorithm, behind) = behind.get(4..)?.split_first()?; // the time of making is before it
    let numbers = match version {
        4 => behind,
        _ => behind.get(4..)?, // the octets of what follows are counted
    };
    match algorithm {
        1..=3 => {
            let (n, behind) = mpi(numbers)?;
            PublicKey::rsa(n, mpi(behind)?.0).ok()
        }
        18 | 19 | 22 => {
            let (oid, behind) = oid(numbers)?;
            PublicKey::ecc(Curve::from_oid(oid)?, mpi(behind)?.0).ok()
        }
        25..=28 => native(*algorithm, numbers),
        _ => None,
    }
}

/// A key whose algorithm says its curve: X25519, X448, Ed25519, Ed448.
fn native(algorithm: u8, point: &[u8]) -> Option<PublicKey> {
    let curve = match algorithm {
        25 => Curve::Curve25519,
        26 => Curve::X448,
        27 => Curve::Ed25519,
        _ => Curve::Ed448,
    };
    PublicKey::ecc(curve, point.get(..curve.point_size())?).ok()
}

/// A multiprecision integer and what is behind it.
fn mpi(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (bits, behind) = octets.split_first_chunk()?;
    behind.split_at_checked(usize::from(u16::from_be_bytes(*bits)).div_ceil(8))
}

/// The identifier of a curve and what is behind it.
fn oid(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, behind) = octets.split_first()?;
    behind.split_at_checked(usize::from(*len))
}
