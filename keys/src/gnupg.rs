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
        match key.name() {
            Some(b"rsa" | b"openpgp-rsa") => Ok(PublicKey::rsa(part(key, "n")?, part(key, "e")?)?),
            Some(b"ecc" | b"ecdsa" | b"ecdh" | b"eddsa") => Ok(PublicKey::ecc(curve(key)?, part(key, "q")?)?),
            _ => Err(PublicSexpError::UnknownAlgorithm),
        }
    }

    fn curve(key: &Sexp<'_>) -> Result<Curve, PublicSexpError> {
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
