//! What is read of key packets: fingerprint, keygrip and time of making (RFC 9580, sections 5.5.2 and 5.5.5; GnuPG's version 5).

use claviger_keys::{Curve, Keygrip, PublicKey};

use crate::Fingerprint;

/// A key of a certificate: the primary key or a subkey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    fingerprint: Fingerprint,
    keygrip: Option<Keygrip>,
    created: u32,
}

impl Key {
    /// Reads the body of a key packet; nothing if the version has no fingerprint.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let fingerprint = Fingerprint::of_key(body)?;
        let created =
            body.get(1..5).and_then(<[u8]>::first_chunk).map_or(0, |time| u32::from_be_bytes(*time));
        Some(Self { fingerprint, keygrip: public_key(body).map(|key| key.keygrip()), created })
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

    /// When it was made, in seconds since 1970; 0 if that is cut off.
    #[must_use]
    pub const fn created(&self) -> u32 {
        self.created
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The key packet of RFC 9580, appendix A.3: an Ed25519 key of version 6.
    const V6: &[u8] =
        b"\x06\x63\x87\x7f\xe3\x1b\0\0\0\x20\xf9\x4d\xa7\xbb\x48\xd6\x0a\x61\xe5\x67\x70\x6a\x65\x87\
        \xd0\x33\x19\x99\xbb\x9d\x89\x1a\x08\x24\x2e\xad\x84\x54\x3d\xf8\x95\xa3";

    #[test]
    fn a_key_of_version_6_has_the_fingerprint_of_the_standard_and_a_keygrip() {
        let key = Key::read(V6).unwrap();
        let fingerprint = "CB186C4F0609A697E4D52DFA6C722B0C1F1E27C18A56708F6525EC27BAD9ACC9";
        assert_eq!(key.fingerprint().to_string(), fingerprint);
        let point = PublicKey::ecc(Curve::Ed25519, &V6[10..]).unwrap();
        assert_eq!(key.keygrip(), Some(point.keygrip()));
        assert_eq!(key.created(), 0x6387_7fe3);
    }

    #[test]
    fn the_same_key_has_one_keygrip_in_every_form() {
        let native = Key::read(V6).unwrap().keygrip();
        let prefixed =
            [b"\x04\0\0\0\0\x16", &*Curve::Ed25519.oid_field(), b"\x01\x07\x40", &V6[10..]].concat();
        assert_eq!(Key::read(&prefixed).unwrap().keygrip(), native);
        let counted = [b"\x05\0\0\0\0\x16\0\0\0\x2d", &prefixed[6..]].concat();
        assert_eq!(Key::read(&counted).unwrap().keygrip(), native);
    }

    #[test]
    fn keys_that_cards_have_not_or_that_are_cut_off_have_no_keygrip() {
        let dsa = b"\x04\0\0\0\0\x11\0\x08\xff";
        assert_eq!(Key::read(dsa).unwrap().keygrip(), None);
        for end in 1..V6.len() {
            assert_eq!(Key::read(&V6[..end]).unwrap().keygrip(), None);
        }
        assert_eq!(Key::read(b""), None);
    }
}
