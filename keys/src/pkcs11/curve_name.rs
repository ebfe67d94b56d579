//! `CKA_EC_PARAMS`: on which curve a key is (PKCS#11 3.1, section 6.3).
//!
//! The standard has three ways to say it, and modules have more: an object identifier, with or without its header; the
//! curve's name as a string, under the names of RFC 8032 and RFC 7748; explicit parameters, of which only those of a known
//! curve are taken; nothing at all.

use super::attributes::AttributeError;
use crate::ber::{BerError, INTEGER, NULL, OBJECT_IDENTIFIER, OCTET_STRING, Reader, SEQUENCE, element};
use crate::curve::Curve;
use crate::keygrip::curve_of;
use crate::x509::dotted;

/// The longest `CKA_EC_PARAMS` that is read.
pub const MAX_EC_PARAMS: usize = 4096;

const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;

/// The names of curves as PKCS#11 3.0 has them.
const NAMES: [(&str, Curve); 4] = [
    ("edwards25519", Curve::Ed25519),
    ("curve25519", Curve::Curve25519),
    ("edwards448", Curve::Ed448),
    ("curve448", Curve::X448),
];

/// What is said of the curve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CurveName {
    /// One that we know.
    Known(Curve),
    /// Another: its dotted object identifier, or its name.
    Other(String),
    /// Nothing.
    Missing,
}

/// Reads `CKA_EC_PARAMS`.
pub(super) fn read(params: &[u8]) -> Result<CurveName, AttributeError> {
    if params.len() > MAX_EC_PARAMS {
        return Err(AttributeError::TooLong { octets: params.len() });
    }
    if let Some(curve) = Curve::from_oid(params).filter(|_| !params.is_empty()) {
        return Ok(CurveName::Known(curve));
    }
    if params.is_empty() {
        return Ok(CurveName::Missing);
    }
    let whole = Reader::new(params).element()?;
    match whole.tag {
        NULL => Ok(CurveName::Missing),
        OBJECT_IDENTIFIER => {
            let known = Curve::from_oid(whole.content).map(CurveName::Known);
            Ok(known.unwrap_or_else(|| CurveName::Other(dotted(whole.content))))
        }
        PRINTABLE_STRING | UTF8_STRING | IA5_STRING => Ok(by_name(&String::from_utf8_lossy(whole.content))),
        SEQUENCE => explicit(whole.inside())?.map(CurveName::Known).ok_or(AttributeError::ExplicitCurve),
        found => Err(BerError::Tag { at: 0, wanted: OBJECT_IDENTIFIER, found }.into()),
    }
}

fn by_name(name: &str) -> CurveName {
    let standard = NAMES.iter().find(|(known, _)| *known == name).map(|(_, curve)| *curve);
    let curve = standard.or_else(|| Curve::from_name(name));
    curve.map_or_else(|| CurveName::Other(name.to_owned()), CurveName::Known)
}

/// ECParameters (X9.62): version, field, coefficients, base point, order.
fn explicit(mut params: Reader<'_>) -> Result<Option<Curve>, BerError> {
    params.expect(INTEGER)?;
    let mut field = params.expect(SEQUENCE)?.inside();
    field.expect(OBJECT_IDENTIFIER)?;
    let p = field.element()?;
    let mut coefficients = params.expect(SEQUENCE)?.inside();
    let (a, b) = (coefficients.expect(OCTET_STRING)?, coefficients.expect(OCTET_STRING)?);
    let (g, n) = (params.expect(OCTET_STRING)?, params.expect(INTEGER)?);
    Ok(curve_of(p.content, a.content, b.content, g.content, n.content))
}

/// How a curve is named to a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CurveSpelling {
    /// By name where PKCS#11 has one, else by object identifier: what SoftHSM and OpenSC take both.
    Name,
    /// By the object identifier of RFC 5480 and RFC 8410.
    Identifier,
    /// By OpenPGP's object identifier.
    OpenPgp,
}

impl CurveSpelling {
    /// All of them, in the order in which they are worth trying.
    pub const ALL: [Self; 3] = [Self::Name, Self::Identifier, Self::OpenPgp];

    /// The value of `CKA_EC_PARAMS`.
    #[must_use]
    pub fn params(self, curve: Curve) -> Vec<u8> {
        let name = NAMES.iter().find(|(_, named)| *named == curve);
        match (self, name) {
            (Self::Name, Some((name, _))) => element(PRINTABLE_STRING, name.as_bytes()),
            (Self::OpenPgp, _) => element(OBJECT_IDENTIFIER, curve.oid()),
            (Self::Name | Self::Identifier, _) => element(OBJECT_IDENTIFIER, curve.spki_oid()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_read_back() {
        for curve in Curve::ALL {
            for spelling in CurveSpelling::ALL {
                assert_eq!(read(&spelling.params(curve)), Ok(CurveName::Known(curve)), "{spelling:?}");
            }
        }
        assert_eq!(CurveSpelling::Name.params(Curve::Ed25519), b"\x13\x0cedwards25519");
        assert_eq!(CurveSpelling::Identifier.params(Curve::Curve25519), b"\x06\x03\x2b\x65\x6e");
    }

    #[test]
    fn what_modules_say_in_other_ways_is_read() {
        for (params, curve) in [
            (b"\x0c\x0aprime256v1".as_slice(), Curve::NistP256),
            (b"\x13\x09secp384r1", Curve::NistP384),
            (b"\x2a\x86\x48\xce\x3d\x03\x01\x07", Curve::NistP256),
            (b"\x06\x03\x2b\x65\x70behind", Curve::Ed25519),
        ] {
            assert_eq!(read(params), Ok(CurveName::Known(curve)), "{params:02x?}");
        }
        for nothing in [b"".as_slice(), b"\x05\x00"] {
            assert_eq!(read(nothing), Ok(CurveName::Missing));
        }
    }

    #[test]
    fn an_unknown_curve_has_its_own_name() {
        assert_eq!(read(b"\x06\x05\x2b\x81\x04\x00\x21"), Ok(CurveName::Other("1.3.132.0.33".to_owned())));
        assert_eq!(read(b"\x13\x05E-521"), Ok(CurveName::Other("E-521".to_owned())));
    }

    #[test]
    fn what_is_no_curve_is_refused() {
        assert!(matches!(read(b"\x06\x05\x2b"), Err(AttributeError::Form(BerError::Truncated { at: 0 }))));
        assert!(matches!(read(b"\x04\x01\x2b"), Err(AttributeError::Form(BerError::Tag { .. }))));
        let long = vec![0; MAX_EC_PARAMS + 1];
        assert_eq!(read(&long), Err(AttributeError::TooLong { octets: MAX_EC_PARAMS + 1 }));
    }
}
