//! What OpenPGP knows a public key by: algorithm numbers, ECDH parameters, version 4 fingerprints (RFC 4880, RFC 6637).

use sha1::{Digest as _, Sha1};

use crate::curve::{Curve, CurveKind};
use crate::public::{EccPublic, PublicKey, RsaPublic, bits};

/// A version 4 fingerprint.
pub type Fingerprint = [u8; 20];

/// A public key algorithm of OpenPGP, as far as cards have it (RFC 4880, section 9.1; RFC 6637, section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum OpenPgpAlgorithm {
    /// RSA, for signatures and encryption.
    Rsa = 1,
    /// Key agreement on an elliptic curve.
    Ecdh = 18,
    /// Signatures on a Weierstrass curve.
    Ecdsa = 19,
    /// Signatures on an Edwards curve, with GnuPG's form of points.
    Eddsa = 22,
}

impl OpenPgpAlgorithm {
    /// The algorithm of a number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Rsa),
            18 => Some(Self::Ecdh),
            19 => Some(Self::Ecdsa),
            22 => Some(Self::Eddsa),
            _ => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// What a key derivation for ECDH is made with: a hash and a cipher, by OpenPGP's numbers (RFC 6637, section 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EcdhParams {
    hash: u8,
    cipher: u8,
}

const SHA256: u8 = 8;
const SHA384: u8 = 9;
const SHA512: u8 = 10;
const AES128: u8 = 7;
const AES192: u8 = 8;
const AES256: u8 = 9;

impl EcdhParams {
    /// What gpg 2.4 uses for new keys of that curve.
    #[must_use]
    pub const fn default_for(curve: Curve) -> Self {
        match curve.bits() {
            ..=256 => Self { hash: SHA256, cipher: AES128 },
            257..=384 => Self { hash: SHA384, cipher: AES256 },
            _ => Self { hash: SHA512, cipher: AES256 },
        }
    }

    /// What gpg 2.2 uses: another cipher with curves of 384 bits. It computes fingerprints with these whatever scdaemon
    /// says in `KEY-DATA kdf/kek`, and its agent sends no `ecdh-params` with a key to import.
    #[must_use]
    pub const fn of_gpg_2_2(curve: Curve) -> Self {
        match curve.bits() {
            257..=384 => Self { hash: SHA384, cipher: AES192 },
            _ => Self::default_for(curve),
        }
    }

    /// Reads the field as it stands in a key packet: 03 01 hash cipher.
    #[must_use]
    pub const fn from_bytes(field: &[u8]) -> Option<Self> {
        match field {
            [3, 1, hash, cipher] => Some(Self { hash: *hash, cipher: *cipher }),
            _ => None,
        }
    }

    /// The field as it stands in a key packet and in `KEY-DATA kdf/kek`.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 4] {
        [3, 1, self.hash, self.cipher]
    }
}

impl PublicKey {
    /// The algorithm under which OpenPGP has this key, given whether it is to sign or to decrypt.
    #[must_use]
    pub fn openpgp_algorithm(&self, decrypts: bool) -> OpenPgpAlgorithm {
        match self.curve().map(Curve::kind) {
            None => OpenPgpAlgorithm::Rsa,
            Some(_) if decrypts => OpenPgpAlgorithm::Ecdh,
            Some(CurveKind::Edwards) => OpenPgpAlgorithm::Eddsa,
            Some(_) => OpenPgpAlgorithm::Ecdsa,
        }
    }

    /// The version 4 fingerprint of a key made at `created`, seconds since 1970.
    ///
    /// `ecdh` matters for [`OpenPgpAlgorithm::Ecdh`] only; without it, [`EcdhParams::default_for`] the curve is taken.
    #[must_use]
    pub fn fingerprint(
        &self,
        created: u32,
        algorithm: OpenPgpAlgorithm,
        ecdh: Option<EcdhParams>,
    ) -> Fingerprint {
        let mut body = vec![4];
        body.extend(created.to_be_bytes());
        body.push(algorithm.number());
        match self {
            Self::Rsa(key) => rsa_fields(key, &mut body),
            Self::Ecc(key) => ecc_fields(key, &mut body),
        }
        if let (OpenPgpAlgorithm::Ecdh, Some(curve)) = (algorithm, self.curve()) {
            body.extend(ecdh.unwrap_or(EcdhParams::default_for(curve)).to_bytes());
        }
        // A body is some kilobytes at most: MAX_RSA_BITS.
        let len = u16::try_from(body.len()).unwrap_or(u16::MAX);
        Sha1::new().chain_update([0x99]).chain_update(len.to_be_bytes()).chain_update(&body).finalize().into()
    }
}

fn rsa_fields(key: &RsaPublic, body: &mut Vec<u8>) {
    for number in [key.n(), key.e()] {
        append_mpi(number, body);
    }
}

fn ecc_fields(key: &EccPublic, body: &mut Vec<u8>) {
    body.extend(key.curve().oid_field());
    append_mpi(&key.q(), body);
}

/// A multiprecision integer; octets that only look like a number (a native point of the 448 curves that begins with a
/// zero) are written whole, with their full length, as gpg 2.4 does.
fn append_mpi(octets: &[u8], body: &mut Vec<u8>) {
    let size = match octets.first() {
        Some(0) => octets.len() * 8,
        _ => bits(octets),
    };
    body.extend(u16::try_from(size).unwrap_or(u16::MAX).to_be_bytes());
    body.extend(octets);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_four_octets() {
        let params = EcdhParams::from_bytes(b"\x03\x01\x0a\x09").unwrap();
        assert_eq!(params.to_bytes(), *b"\x03\x01\x0a\x09");
        for field in [b"".as_slice(), b"\x03\x01\x0a", b"\x03\x02\x0a\x09", b"\x04\x01\x0a\x09\x01"] {
            assert_eq!(EcdhParams::from_bytes(field), None);
        }
    }

    #[test]
    fn gpg_2_2_differs_for_curves_of_384_bits_alone() {
        for curve in Curve::ALL {
            let same = EcdhParams::of_gpg_2_2(curve) == EcdhParams::default_for(curve);
            assert_eq!(same, curve.bits() != 384, "{curve:?}");
        }
        assert_eq!(EcdhParams::default_for(Curve::NistP384).to_bytes(), [3, 1, 9, 9]);
        assert_eq!(EcdhParams::of_gpg_2_2(Curve::NistP384).to_bytes(), [3, 1, 9, 8]);
        assert_eq!(EcdhParams::default_for(Curve::Curve25519).to_bytes(), [3, 1, 8, 7]);
        assert_eq!(EcdhParams::default_for(Curve::X448).to_bytes(), [3, 1, 10, 9]);
    }

    #[test]
    fn numbers_of_algorithms_are_inverse_to_their_names() {
        let known = (0..=255).filter_map(OpenPgpAlgorithm::from_number).map(OpenPgpAlgorithm::number);
        assert_eq!(known.collect::<Vec<_>>(), [1, 18, 19, 22]);
    }

    #[test]
    fn a_native_point_that_begins_with_zero_keeps_its_length() {
        let mpi = |octets: &[u8]| {
            let mut body = Vec::new();
            append_mpi(octets, &mut body);
            body
        };
        assert_eq!(mpi(&[0, 0x80]), [0, 16, 0, 0x80]);
        assert_eq!(mpi(&[0x01, 0x80]), [0, 9, 0x01, 0x80]);
    }
}
