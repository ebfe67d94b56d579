//! The elliptic curves of OpenPGP cards, and what each program calls them.
//!
//! Domain parameters, which only keygrips need, are in [`crate::keygrip`].

/// A curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Curve {
    /// NIST P-256, also prime256v1 and secp256r1.
    NistP256,
    /// NIST P-384, also secp384r1.
    NistP384,
    /// NIST P-521, also secp521r1.
    NistP521,
    /// Brainpool, 256 bits (RFC 5639).
    BrainpoolP256r1,
    /// Brainpool, 384 bits.
    BrainpoolP384r1,
    /// Brainpool, 512 bits.
    BrainpoolP512r1,
    /// The Koblitz curve of 256 bits (SEC 2).
    Secp256k1,
    /// Edwards form of Curve25519, for signatures (RFC 8032).
    Ed25519,
    /// Curve25519 in Montgomery form, for key agreement: X25519 (RFC 7748).
    Curve25519,
    /// Edwards form of Curve448, for signatures (RFC 8032).
    Ed448,
    /// Curve448 in Montgomery form, for key agreement (RFC 7748). GnuPG names the curve by its function.
    X448,
}

/// The shape of a curve's equation, which decides how points are written and what they are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CurveKind {
    /// Points are 04‖x‖y, big endian; serves ECDSA and ECDH.
    Weierstrass,
    /// Points are octets of RFC 8032; serves EdDSA.
    Edwards,
    /// Points are octets of RFC 7748; serves ECDH.
    Montgomery,
}

impl Curve {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::NistP256,
        Self::NistP384,
        Self::NistP521,
        Self::BrainpoolP256r1,
        Self::BrainpoolP384r1,
        Self::BrainpoolP512r1,
        Self::Secp256k1,
        Self::Ed25519,
        Self::Curve25519,
        Self::Ed448,
        Self::X448,
    ];

    /// The curve of an object identifier, given as DER content (no tag, no length), as in the algorithm attributes of a
    /// card. Both identifiers of Ed25519 and Curve25519 are known: GnuPG's and that of RFC 8410.
    #[must_use]
    pub fn from_oid(oid: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|curve| curve.oid() == oid || curve.spki_oid() == oid)
    }

    /// The curve of a name: libgcrypt's, OpenPGP's, ssh's, a standard's, or a dotted identifier; letters of either case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|curve| curve.row().names.iter().any(|known| known.eq_ignore_ascii_case(name)))
    }

    /// The object identifier that OpenPGP uses, as DER content.
    #[must_use]
    pub const fn oid(self) -> &'static [u8] {
        self.row().oid
    }

    /// The identifier with its length in front: a field of key packets, and the value of `KEY-DATA curve`.
    #[must_use]
    pub fn oid_field(self) -> Vec<u8> {
        // No identifier in the table is longer than ten octets.
        [&[self.oid().len() as u8], self.oid()].concat()
    }

    /// The name in S-expressions and in `KEY-ATTR`: `NIST P-256`, `Ed25519`, `Curve25519`.
    #[must_use]
    pub fn libgcrypt_name(self) -> &'static str {
        self.row().names[0]
    }

    /// The name in `KEYPAIRINFO` and on gpg's command line: `nistp256`, `ed25519`, `cv25519`.
    #[must_use]
    pub fn openpgp_name(self) -> &'static str {
        self.row().names[1]
    }

    /// The size that GnuPG counts keys of this curve with: 255 for Curve25519, 521 for NIST P-521, 456 for Ed448.
    #[must_use]
    pub const fn bits(self) -> usize {
        self.row().bits
    }

    /// Octets of a coordinate, a shared secret and a secret number: 32, 48, 64, 66; 57 for Ed448, 56 for X448.
    #[must_use]
    pub const fn field_size(self) -> usize {
        self.row().bits.div_ceil(8)
    }

    /// Octets of a point: 04‖x‖y, or the native form without GnuPG's prefix 40.
    #[must_use]
    pub const fn point_size(self) -> usize {
        match self.kind() {
            CurveKind::Weierstrass => 1 + 2 * self.field_size(),
            CurveKind::Edwards | CurveKind::Montgomery => self.field_size(),
        }
    }

    /// The shape.
    #[must_use]
    pub const fn kind(self) -> CurveKind {
        match self {
            Self::Ed25519 | Self::Ed448 => CurveKind::Edwards,
            Self::Curve25519 | Self::X448 => CurveKind::Montgomery,
            _ => CurveKind::Weierstrass,
        }
    }

    /// The identifier in SPKI and PKCS#8 (RFC 5480, RFC 8410), as DER content.
    pub(crate) const fn spki_oid(self) -> &'static [u8] {
        match self {
            Self::Ed25519 => b"\x2b\x65\x70",
            Self::Curve25519 => b"\x2b\x65\x6e",
            _ => self.row().oid,
        }
    }

    const fn row(self) -> &'static Row {
        match self {
            Self::NistP256 => &NIST_P256,
            Self::NistP384 => &NIST_P384,
            Self::NistP521 => &NIST_P521,
            Self::BrainpoolP256r1 => &BRAINPOOL_P256R1,
            Self::BrainpoolP384r1 => &BRAINPOOL_P384R1,
            Self::BrainpoolP512r1 => &BRAINPOOL_P512R1,
            Self::Secp256k1 => &SECP256K1,
            Self::Ed25519 => &ED25519,
            Self::Curve25519 => &CURVE25519,
            Self::Ed448 => &ED448,
            Self::X448 => &X448,
        }
    }
}

/// What is known of a curve. The first name is libgcrypt's, the second OpenPGP's; the others are read only.
struct Row {
    names: &'static [&'static str],
    oid: &'static [u8],
    bits: usize,
}

static NIST_P256: Row = Row {
    names: &["NIST P-256", "nistp256", "prime256v1", "secp256r1", "1.2.840.10045.3.1.7"],
    oid: b"\x2a\x86\x48\xce\x3d\x03\x01\x07",
    bits: 256,
};
static NIST_P384: Row = Row {
    names: &["NIST P-384", "nistp384", "secp384r1", "1.3.132.0.34"],
    oid: b"\x2b\x81\x04\x00\x22",
    bits: 384,
};
static NIST_P521: Row = Row {
    names: &["NIST P-521", "nistp521", "secp521r1", "1.3.132.0.35"],
    oid: b"\x2b\x81\x04\x00\x23",
    bits: 521,
};
static BRAINPOOL_P256R1: Row = Row {
    names: &["brainpoolP256r1", "brainpoolP256r1", "1.3.36.3.3.2.8.1.1.7"],
    oid: b"\x2b\x24\x03\x03\x02\x08\x01\x01\x07",
    bits: 256,
};
static BRAINPOOL_P384R1: Row = Row {
    names: &["brainpoolP384r1", "brainpoolP384r1", "1.3.36.3.3.2.8.1.1.11"],
    oid: b"\x2b\x24\x03\x03\x02\x08\x01\x01\x0b",
    bits: 384,
};
static BRAINPOOL_P512R1: Row = Row {
    names: &["brainpoolP512r1", "brainpoolP512r1", "1.3.36.3.3.2.8.1.1.13"],
    oid: b"\x2b\x24\x03\x03\x02\x08\x01\x01\x0d",
    bits: 512,
};
static SECP256K1: Row =
    Row { names: &["secp256k1", "secp256k1", "1.3.132.0.10"], oid: b"\x2b\x81\x04\x00\x0a", bits: 256 };
static ED25519: Row = Row {
    names: &["Ed25519", "ed25519", "1.3.6.1.4.1.11591.15.1", "1.3.101.112"],
    oid: b"\x2b\x06\x01\x04\x01\xda\x47\x0f\x01",
    bits: 255,
};
static CURVE25519: Row = Row {
    names: &["Curve25519", "cv25519", "X25519", "1.3.6.1.4.1.3029.1.5.1", "1.3.101.110"],
    oid: b"\x2b\x06\x01\x04\x01\x97\x55\x01\x05\x01",
    bits: 255,
};
static ED448: Row = Row { names: &["Ed448", "ed448", "1.3.101.113"], oid: b"\x2b\x65\x71", bits: 456 };
static X448: Row = Row { names: &["X448", "cv448", "1.3.101.111"], oid: b"\x2b\x65\x6f", bits: 448 };

#[cfg(test)]
mod tests {
    use super::*;

    /// The DER content of a dotted identifier.
    fn encode(dotted: &str) -> Vec<u8> {
        let arcs: Vec<u32> = dotted.split('.').map(|arc| arc.parse().unwrap()).collect();
        let mut numbers = vec![arcs[0] * 40 + arcs[1]];
        numbers.extend(&arcs[2..]);
        let groups = |number: u32| {
            (0..5).rev().map(move |i| (i, number >> (7 * i))).skip_while(|&(i, n)| i > 0 && n == 0)
        };
        let octet = |(i, n): (u32, u32)| (n & 0x7f) as u8 | if i > 0 { 0x80 } else { 0 };
        numbers.into_iter().flat_map(groups).map(octet).collect()
    }

    #[test]
    fn every_dotted_name_is_the_identifier_in_octets() {
        for curve in Curve::ALL {
            let dotted = curve.row().names.iter().filter(|name| name.starts_with("1."));
            assert!(dotted.clone().any(|name| encode(name) == curve.oid()), "{curve:?}");
            assert!(dotted.clone().all(|name| Curve::from_oid(&encode(name)) == Some(curve)), "{curve:?}");
        }
    }

    #[test]
    fn no_name_is_claimed_twice() {
        for curve in Curve::ALL {
            for name in curve.row().names {
                assert_eq!(Curve::from_name(name), Some(curve));
                assert_eq!(Curve::from_name(&name.to_uppercase()), Some(curve));
            }
            assert_eq!(Curve::from_oid(curve.spki_oid()), Some(curve));
        }
    }

    #[test]
    fn the_field_of_a_key_packet_begins_with_its_length() {
        assert_eq!(Curve::Ed25519.oid_field(), b"\x09\x2b\x06\x01\x04\x01\xda\x47\x0f\x01");
        assert!(Curve::ALL.iter().all(|curve| curve.oid().len() <= 10));
    }

    #[test]
    fn unknown_curves_have_no_value() {
        assert_eq!(Curve::from_name("brainpoolP320r1"), None);
        assert_eq!(Curve::from_name(""), None);
        assert_eq!(Curve::from_oid(b""), None);
        assert_eq!(Curve::from_oid(b"\x2b\x81\x04\x00"), None);
    }

    #[test]
    fn sizes_are_those_of_the_standards() {
        let sizes = Curve::ALL.map(|curve| (curve.field_size(), curve.point_size()));
        let expected = [
            (32, 65),
            (48, 97),
            (66, 133),
            (32, 65),
            (48, 97),
            (64, 129),
            (32, 65),
            (32, 32),
            (32, 32),
            (57, 57),
            (56, 56),
        ];
        assert_eq!(sizes, expected);
    }
}
