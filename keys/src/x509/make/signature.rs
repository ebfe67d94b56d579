//! Which signature a key makes on a certificate, and in which form it stands there (RFC 4055, RFC 5758, RFC 8410).

use super::integer;
use crate::ber::{NULL, OBJECT_IDENTIFIER, SEQUENCE, element};
use crate::curve::{Curve, CurveKind};
use crate::digest::Hash;
use crate::public::PublicKey;

const SHA256_WITH_RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b";
const ECDSA_WITH_SHA256: &[u8] = b"\x2a\x86\x48\xce\x3d\x04\x03\x02";
const ECDSA_WITH_SHA384: &[u8] = b"\x2a\x86\x48\xce\x3d\x04\x03\x03";
const ECDSA_WITH_SHA512: &[u8] = b"\x2a\x86\x48\xce\x3d\x04\x03\x04";
const ED25519: &[u8] = b"\x2b\x65\x70";
const ED448: &[u8] = b"\x2b\x65\x71";

/// How a certificate or request is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// PKCS#1, version 1.5, over a SHA-256 digest, with a modulus of that many octets.
    RsaSha256 {
        /// Octets of the modulus, and of the signature.
        size: usize,
    },
    /// ECDSA over a digest that is as long as the curve's numbers.
    Ecdsa(Curve),
    /// EdDSA over the message itself.
    Eddsa(Curve),
}

/// The signature cannot be one of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a signature of {found} octets; the key makes such of {wanted}")]
pub struct CardSignatureError {
    /// How many octets it has to have.
    pub wanted: usize,
    /// How many it has.
    pub found: usize,
}

impl SignatureAlgorithm {
    /// The algorithm for a key; `None` if the key cannot sign.
    pub(super) fn of(key: &PublicKey) -> Option<Self> {
        match key.curve().map(|curve| (curve, curve.kind())) {
            None => Some(Self::RsaSha256 { size: key.bits().div_ceil(8) }),
            Some((curve, CurveKind::Weierstrass)) => Some(Self::Ecdsa(curve)),
            Some((curve, CurveKind::Edwards)) => Some(Self::Eddsa(curve)),
            Some((_, CurveKind::Montgomery)) => None,
        }
    }

    /// What is hashed with what before the key signs it; `None` if the key signs the message itself.
    #[must_use]
    pub const fn hash(self) -> Option<Hash> {
        match self {
            Self::RsaSha256 { .. } => Some(Hash::Sha256),
            Self::Ecdsa(curve) => Some(match curve.bits() {
                ..=256 => Hash::Sha256,
                257..=384 => Hash::Sha384,
                _ => Hash::Sha512,
            }),
            Self::Eddsa(_) => None,
        }
    }

    /// The AlgorithmIdentifier. That of RSA has a NULL (RFC 4055, section 5), the others nothing.
    pub(super) fn identifier(self) -> Vec<u8> {
        let content = match (self, self.hash()) {
            (Self::RsaSha256 { .. }, _) => {
                return element(SEQUENCE, &[identifier(SHA256_WITH_RSA), element(NULL, b"")].concat());
            }
            (Self::Ecdsa(_), Some(Hash::Sha256)) => ECDSA_WITH_SHA256,
            (Self::Ecdsa(_), Some(Hash::Sha384)) => ECDSA_WITH_SHA384,
            (Self::Ecdsa(_), _) => ECDSA_WITH_SHA512,
            (Self::Eddsa(Curve::Ed448), _) => ED448,
            (Self::Eddsa(_), _) => ED25519,
        };
        element(SEQUENCE, &identifier(content))
    }

    /// The signature as it stands in a certificate: ECDSA's two numbers in a SEQUENCE (RFC 3279, section 2.2.3).
    pub(super) fn of_card(self, signature: &[u8]) -> Result<Vec<u8>, CardSignatureError> {
        let (wanted, found) = (self.size(), signature.len());
        if found != wanted {
            return Err(CardSignatureError { wanted, found });
        }
        Ok(match self {
            Self::Ecdsa(_) => {
                let (r, s) = signature.split_at(wanted / 2);
                element(SEQUENCE, &[integer(r), integer(s)].concat())
            }
            Self::RsaSha256 { .. } | Self::Eddsa(_) => signature.to_vec(),
        })
    }

    const fn size(self) -> usize {
        match self {
            Self::RsaSha256 { size } => size,
            Self::Ecdsa(curve) | Self::Eddsa(curve) => 2 * curve.field_size(),
        }
    }
}

fn identifier(content: &[u8]) -> Vec<u8> {
    element(OBJECT_IDENTIFIER, content)
}
