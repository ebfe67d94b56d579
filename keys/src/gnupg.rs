//! Public keys as GnuPG's S-expressions: `(public-key (ecc (curve "NIST P-256") (q #04…#)))`.
//!
//! Written is what scdaemon answers READKEY with; read is what any GnuPG program writes.

use crate::curve::Curve;
use crate::public::{EccPublic, KeyError, PublicKey, RsaPublic, signed};
use crate::sexp::{Sexp, SexpError};

impl PublicKey {
    /// The canonical S-expression, as READKEY gives it.
    #[must_use]
    pub fn to_sexp(&self) -> Vec<u8> {
        write::with(self, |sexp| sexp.to_canonical())
    }

    /// The S-expression for people, as `READKEY --advanced` gives it.
    #[must_use]
    pub fn to_sexp_advanced(&self) -> Vec<u8> {
        write::with(self, |sexp| sexp.to_advanced())
    }

    /// Reads a canonical `public-key` expression; nothing may follow it.
    ///
    /// # Errors
    /// [`PublicSexpError`]
    pub fn from_sexp(canonical: &[u8]) -> Result<Self, PublicSexpError> {
        read::public_key(&Sexp::from_canonical(canonical)?)
    }
}

/// Why octets are no `public-key` expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublicSexpError {
    /// They are no S-expression.
    #[error(transparent)]
    Sexp(#[from] SexpError),
    /// It is something else than a public key.
    #[error("not a public key")]
    NotPublicKey,
    /// The algorithm is not RSA, nor one on elliptic curves.
    #[error("unknown algorithm")]
    UnknownAlgorithm,
    /// The curve is unknown.
    #[error("unknown curve")]
    UnknownCurve,
    /// A part is not there.
    #[error("the {name} of the key is missing")]
    Missing {
        /// Which part.
        name: &'static str,
    },
    /// The parts make no key.
    #[error(transparent)]
    Key(#[from] KeyError),
}

pub(crate) mod read {
    use super::{Curve, PublicKey, PublicSexpError, Sexp};

    pub(crate) fn public_key(sexp: &Sexp<'_>) -> Result<PublicKey, PublicSexpError> {
        match (sexp.name(), sexp.arguments()) {
            (Some(b"public-key"), [key, ..]) => parts(key),
            _ => Err(PublicSexpError::NotPublicKey),
        }
    }

    /// The key of `(rsa (n …) (e …) …)` or `(ecc (curve …) (q …) …)`; other parts are not looked at.
    pub(crate) fn parts(key: &Sexp<'_>) -> Result<PublicKey, PublicSexpError> {
        match family(key)? {
            Family::Rsa => Ok(PublicKey::rsa(part(key, "n")?, part(key, "e")?)?),
            Family::Ecc => Ok(PublicKey::ecc(curve(key)?, part(key, "q")?)?),
        }
    }

    /// What the parts of a key depend on.
    #[derive(PartialEq, Eq)]
    pub(crate) enum Family {
        Rsa,
        Ecc,
    }

    pub(crate) fn family(key: &Sexp<'_>) -> Result<Family, PublicSexpError> {
        match key.name() {
            Some(b"rsa" | b"openpgp-rsa") => Ok(Family::Rsa),
            Some(b"ecc" | b"ecdsa" | b"ecdh" | b"eddsa") => Ok(Family::Ecc),
            _ => Err(PublicSexpError::UnknownAlgorithm),
        }
    }

    pub(crate) fn curve(key: &Sexp<'_>) -> Result<Curve, PublicSexpError> {
        let name = std::str::from_utf8(part(key, "curve")?).map_err(|_| PublicSexpError::UnknownCurve)?;
        Curve::from_name(name).ok_or(PublicSexpError::UnknownCurve)
    }

    fn part<'k>(key: &'k Sexp<'_>, name: &'static str) -> Result<&'k [u8], PublicSexpError> {
        key.value(name).ok_or(PublicSexpError::Missing { name })
    }
}

mod write {
    use super::{Curve, EccPublic, PublicKey, RsaPublic, Sexp, signed};

    /// Builds the expression and has it written: it borrows from parts that live here only.
    pub(super) fn with<T>(key: &PublicKey, written: impl FnOnce(&Sexp<'_>) -> T) -> T {
        match key {
            PublicKey::Rsa(key) => rsa(key, written),
            PublicKey::Ecc(key) => ecc(key, written),
        }
    }

    fn rsa<T>(key: &RsaPublic, written: impl FnOnce(&Sexp<'_>) -> T) -> T {
        let (n, e) = (signed(key.n()), signed(key.e()));
        written(&public_key("rsa", vec![Sexp::pair("n", &n), Sexp::pair("e", &e)]))
    }

    fn ecc<T>(key: &EccPublic, written: impl FnOnce(&Sexp<'_>) -> T) -> T {
        let q = key.q();
        let mut parts = vec![Sexp::pair("curve", key.curve().libgcrypt_name().as_bytes())];
        parts.extend(flag(key.curve()).map(|flag| Sexp::pair("flags", flag)));
        parts.push(Sexp::pair("q", &q));
        written(&public_key("ecc", parts))
    }

    /// What tells libgcrypt 1.6 to 1.10 how to compute. It needs none for the newer curves.
    fn flag(curve: Curve) -> Option<&'static [u8]> {
        match curve {
            Curve::Ed25519 => Some(b"eddsa"),
            Curve::Curve25519 => Some(b"djb-tweak"),
            _ => None,
        }
    }

    fn public_key<'k>(algorithm: &'k str, parts: Vec<Sexp<'k>>) -> Sexp<'k> {
        Sexp::named("public-key", [Sexp::named(algorithm, parts)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(sexp: &str) -> Result<PublicKey, PublicSexpError> {
        PublicKey::from_sexp(&Sexp::from_advanced(sexp.as_bytes()).unwrap().to_canonical())
    }

    #[test]
    fn each_fault_of_an_expression_is_named() {
        let missing = |name| PublicSexpError::Missing { name };
        let size = KeyError::PointSize { curve: Curve::Ed25519, octets: 2 };
        for (sexp, error) in [
            ("public-key", PublicSexpError::NotPublicKey),
            ("(public-key)", PublicSexpError::NotPublicKey),
            ("(private-key (rsa (n #03#)(e #03#)))", PublicSexpError::NotPublicKey),
            ("(public-key rsa)", PublicSexpError::UnknownAlgorithm),
            ("(public-key (dsa (p #03#)))", PublicSexpError::UnknownAlgorithm),
            ("(public-key (rsa (e #03#)))", missing("n")),
            ("(public-key (rsa (n (a))(e #03#)))", missing("n")),
            ("(public-key (ecc (q #04#)))", missing("curve")),
            ("(public-key (ecc (curve Ed25519)))", missing("q")),
            ("(public-key (ecc (curve #FF#)(q #04#)))", PublicSexpError::UnknownCurve),
            ("(public-key (ecc (curve P-1)(q #04#)))", PublicSexpError::UnknownCurve),
            ("(public-key (ecc (curve Ed25519)(q #0404#)))", PublicSexpError::Key(size)),
        ] {
            assert_eq!(read(sexp), Err(error), "{sexp}");
        }
        let cut = PublicSexpError::Sexp(SexpError::Truncated);
        assert_eq!(PublicKey::from_sexp(b"(10:public-key"), Err(cut));
    }

    #[test]
    fn a_key_of_any_spelling_is_written_as_scdaemon_does() {
        let q = "41".repeat(32);
        let key = read(&format!("(public-key (eddsa (comment x)(curve \"1.3.101.112\")(q #{q}#)))")).unwrap();
        let expected =
            format!("(10:public-key(3:ecc(5:curve7:Ed25519)(5:flags5:eddsa)(1:q33:@{})))", "A".repeat(32));
        assert_eq!(String::from_utf8(key.to_sexp()).unwrap(), expected);
        let expected = format!(
            "(public-key \n (ecc \n  (curve Ed25519)\n  (flags eddsa)\n  (q \"@{}\")\n  )\n )\n",
            "A".repeat(32)
        );
        assert_eq!(String::from_utf8(key.to_sexp_advanced()).unwrap(), expected);
    }
}
