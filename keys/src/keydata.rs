//! The answer to scdaemon's KEYDATA inquiry, by which gpg-agent hands over a secret key to be put on a card:
//! `(private-key (ecc (curve …) (q …) (d …)) (created-at …) (ecdh-params …))`.
//!
//! Only read here. The errors are as fine as GnuPG's scdaemon has codes for them.

use crate::gnupg::PublicSexpError;
use crate::gnupg::read::parts;
use crate::openpgp::EcdhParams;
use crate::public::PublicKey;
use crate::secret::{EccSecret, RsaSecret, SecretKey, SecretKeyError, SecretMaterial};
use crate::sexp::{Sexp, SexpError};

impl SecretKey {
    /// Reads the answer. What follows the expression does not matter: agents differ in whether they send a final NUL.
    ///
    /// # Errors
    /// [`KeyDataError`]
    pub fn from_keydata(octets: &[u8]) -> Result<Self, KeyDataError> {
        let (sexp, _) = Sexp::first_canonical(octets)?;
        let (Some(b"private-key"), [key, attributes @ ..]) = (sexp.name(), sexp.arguments()) else {
            return Err(KeyDataError::NotPrivateKey);
        };
        check_parts(key)?;
        check_lists(attributes)?;
        let attribute =
            |name| attributes.iter().find(|list| list.name() == Some(name)).and_then(first_argument);
        let created = attribute(b"created-at").and_then(seconds).ok_or(KeyDataError::NoCreationTime)?;
        let ecdh = match attribute(b"ecdh-params") {
            Some(field) => Some(EcdhParams::from_bytes(field).ok_or(KeyDataError::EcdhParams)?),
            None => None,
        };
        Ok(Self::new(material(key)?, created, ecdh))
    }
}

fn material(key: &Sexp<'_>) -> Result<SecretMaterial, KeyDataError> {
    let part = |name| key.value(name).ok_or(KeyDataError::Key(PublicSexpError::Missing { name }));
    match parts(key).map_err(refine)? {
        PublicKey::Rsa(public) => {
            Ok(SecretMaterial::Rsa(RsaSecret::new(public, part("d")?, part("p")?, part("q")?)?))
        }
        PublicKey::Ecc(public) => Ok(SecretMaterial::Ecc(EccSecret::new(public, part("d")?)?)),
    }
}

fn refine(error: PublicSexpError) -> KeyDataError {
    match error {
        PublicSexpError::UnknownAlgorithm => KeyDataError::UnknownAlgorithm,
        PublicSexpError::UnknownCurve | PublicSexpError::Missing { name: "curve" } => {
            KeyDataError::UnknownCurve
        }
        other => KeyDataError::Key(other),
    }
}

/// That the parts of a key are lists, and that no number is given twice.
fn check_parts(key: &Sexp<'_>) -> Result<(), KeyDataError> {
    let parts = key.arguments();
    check_lists(parts)?;
    for (index, part) in parts.iter().enumerate() {
        let name = part.name();
        let again = parts.iter().skip(index + 1).any(|later| later.name() == name);
        if again && matches!(name, Some(b"n" | b"e" | b"d" | b"p" | b"q" | b"curve")) {
            return Err(KeyDataError::Duplicate);
        }
    }
    Ok(())
}

fn check_lists(items: &[Sexp<'_>]) -> Result<(), KeyDataError> {
    if items.iter().all(|item| item.as_list().is_some()) { Ok(()) } else { Err(KeyDataError::Shape) }
}

fn first_argument<'s>(list: &'s Sexp<'_>) -> Option<&'s [u8]> {
    list.arguments().first()?.as_atom()
}

/// A time in decimal; zero is none.
fn seconds(decimal: &[u8]) -> Option<u32> {
    std::str::from_utf8(decimal).ok()?.parse().ok().filter(|seconds| *seconds != 0)
}

/// Why octets are no answer to a KEYDATA inquiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyDataError {
    /// They are no S-expression (GnuPG: Invalid S-expression).
    #[error(transparent)]
    Sexp(#[from] SexpError),
    /// Something else than a private key, or one that is protected or only a stub (Bad secret key).
    #[error("not an unprotected private key")]
    NotPrivateKey,
    /// Neither RSA nor on an elliptic curve (Wrong public key algorithm).
    #[error("the algorithm of the key is unknown")]
    UnknownAlgorithm,
    /// An atom stands where a list belongs (Unknown S-expression).
    #[error("the private key has not the form of a key")]
    Shape,
    /// A part is given twice (Duplicated value).
    #[error("a part of the private key is given twice")]
    Duplicate,
    /// No curve, or one that is unknown (Invalid value).
    #[error("the curve of the key is unknown")]
    UnknownCurve,
    /// No creation time, or one that does not fit 32 bits (Invalid value).
    #[error("the creation time of the key is missing")]
    NoCreationTime,
    /// The ECDH parameters are not of the form that OpenPGP has (Invalid value).
    #[error("the ECDH parameters of the key are malformed")]
    EcdhParams,
    /// The public numbers are missing or make no key (Bad secret key).
    #[error(transparent)]
    Key(PublicSexpError),
    /// The secret numbers do not fit (Bad secret key).
    #[error(transparent)]
    Secret(#[from] SecretKeyError),
}
