//! The answer to scdaemon's KEYDATA inquiry, by which gpg-agent hands over a secret key to be put on a card:
//! `(private-key (ecc (curve …) (q …) (d …)) (created-at …) (ecdh-params …))`.
//!
//! Only read here. The errors are as fine as GnuPG's scdaemon has codes for them.

use crate::gnupg::PublicSexpError;
use crate::gnupg::read::{Family, curve, family, parts};
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

/// That algorithm and curve are known, that the parts of the key are lists, and that no number is given twice.
///
/// scdaemon finds these faults before it misses the creation time, and those of the numbers after it.
fn check_parts(key: &Sexp<'_>) -> Result<(), KeyDataError> {
    let family = family(key).map_err(refine)?;
    let parts = key.arguments();
    check_lists(parts)?;
    for (index, part) in parts.iter().enumerate() {
        let name = part.name();
        let again = parts.iter().skip(index + 1).any(|later| later.name() == name);
        if again && matches!(name, Some(b"n" | b"e" | b"d" | b"p" | b"q" | b"curve")) {
            return Err(KeyDataError::Duplicate);
        }
    }
    if family == Family::Ecc {
        curve(key).map_err(refine)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    const Q: &str = "4141414141414141414141414141414141414141414141414141414141414141";

    fn read(advanced: &str) -> Result<SecretKey, KeyDataError> {
        SecretKey::from_keydata(&Sexp::from_advanced(advanced.as_bytes()).unwrap().to_canonical())
    }

    fn error_of(advanced: &str) -> KeyDataError {
        read(advanced).expect_err(advanced)
    }

    #[test]
    fn each_fault_is_named_for_its_own_code() {
        use KeyDataError as E;
        for (keydata, error) in [
            ("private-key", E::NotPrivateKey),
            ("(private-key)", E::NotPrivateKey),
            ("(public-key (ecc))", E::NotPrivateKey),
            ("(protected-private-key (ecc))", E::NotPrivateKey),
            ("(shadowed-private-key (ecc))", E::NotPrivateKey),
            ("(private-key (dsa (p a)))", E::UnknownAlgorithm),
            ("(private-key rsa)", E::UnknownAlgorithm),
            ("(private-key (rsa n))", E::Shape),
            ("(private-key (rsa (n a)) created-at)", E::Shape),
            ("(private-key (rsa (n a)(n b)))", E::Duplicate),
            ("(private-key (ecc (curve Ed25519)(d a)(d a)))", E::Duplicate),
            ("(private-key (ecc (q a)(d a)))", E::UnknownCurve),
            ("(private-key (ecc (curve P-1)(q a)(d a)))", E::UnknownCurve),
            ("(private-key (rsa (n a)))", E::NoCreationTime),
            ("(private-key (ecc (curve Ed25519))(created-at \"0\"))", E::NoCreationTime),
            ("(private-key (ecc (curve Ed25519))(created-at \"4294967296\"))", E::NoCreationTime),
            ("(private-key (ecc (curve Ed25519))(created-at \"1\")(ecdh-params a))", E::EcdhParams),
        ] {
            assert_eq!(error_of(keydata), error, "{keydata}");
        }
        assert_eq!(
            SecretKey::from_keydata(b"(11:private-key").expect_err("cut"),
            E::Sexp(SexpError::Truncated)
        );
    }

    #[test]
    fn faults_of_the_numbers_come_last() {
        let key = |parts: &str| format!("(private-key (ecc (curve Ed25519){parts})(created-at \"1\"))");
        let missing = |name| KeyDataError::Key(PublicSexpError::Missing { name });
        assert_eq!(error_of(&key("")), missing("q"));
        assert_eq!(error_of(&key(&format!("(q #{Q}#)"))), missing("d"));
        let octets = 33;
        let long = key(&format!("(q #{Q}#)(d #01{Q}#)"));
        assert_eq!(error_of(&long), KeyDataError::Secret(SecretKeyError::SecretSize { octets }));
    }

    #[test]
    fn what_follows_the_expression_does_not_matter() {
        let keydata = format!("(private-key (ecc (curve Ed25519)(q #{Q}#)(d #{Q}#))(created-at \"1\"))");
        let mut octets = Sexp::from_advanced(keydata.as_bytes()).unwrap().to_canonical();
        octets.push(0);
        assert_eq!(SecretKey::from_keydata(&octets).unwrap().created(), 1);
    }
}
