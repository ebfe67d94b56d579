//! Checks the signature of a card or token under its public key, before it leaves the house: a fault in a card or in transit must not
//! give a key away.
//!
//! OpenSSL does the arithmetic. It is handed the numbers of the key: taking SubjectPublicKeyInfo apart would take it longer
//! than the check.

use claviger_keys::{Curve, CurveKind, EccPublic, Hash, PublicKey, RsaPublic};
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey, EcPoint};
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::md::{Md, MdRef};
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Public};
use openssl::pkey_ctx::PkeyCtx;
use openssl::rsa::{Padding, Rsa};
use openssl::sign::{RsaPssSaltlen, Verifier};

/// Why a signature is not passed on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VerifyError {
    /// It is not a signature of this input.
    #[error("it is wrong")]
    Wrong,
    /// It does not even have the form of one.
    #[error("it has {octets} octets")]
    Form {
        /// How long it is.
        octets: usize,
    },
    /// OpenSSL cannot use the key.
    #[error("the public key cannot be used: {0}")]
    Key(#[from] ErrorStack),
}

/// Checks `signature`, in the token's raw form, over `input`: exactly the octets that were given to the token. RSA's padding
/// is that of PKCS#1 v1.5.
///
/// # Errors
/// [`VerifyError`] unless it is right.
pub(crate) fn signature(key: &PublicKey, input: &[u8], signature: &[u8]) -> Result<(), VerifyError> {
    let right = match key {
        PublicKey::Rsa(key) => pkcs1(key, input, signature)?,
        PublicKey::Ecc(key) => match key.curve().kind() {
            CurveKind::Weierstrass => ecdsa(key, input, signature)?,
            CurveKind::Edwards | CurveKind::Montgomery => eddsa(key, input, signature)?,
        },
    };
    if right { Ok(()) } else { Err(VerifyError::Wrong) }
}

/// Checks an RSA signature with PSS padding over a digest: MGF1 with the same hash, and exactly so much salt.
///
/// # Errors
/// [`VerifyError`] unless it is right.
pub(crate) fn pss(
    key: &PublicKey,
    (hash, salt): (Hash, usize),
    digest: &[u8],
    signature: &[u8],
) -> Result<(), VerifyError> {
    let PublicKey::Rsa(key) = key else { return Err(VerifyError::Wrong) };
    let key = PKey::from_rsa(rsa(key)?)?;
    let mut context = PkeyCtx::new(&key)?;
    context.verify_init()?;
    context.set_rsa_padding(Padding::PKCS1_PSS)?;
    context.set_signature_md(md(hash))?;
    context.set_rsa_mgf1_md(md(hash))?;
    context.set_rsa_pss_saltlen(RsaPssSaltlen::custom(i32::try_from(salt).unwrap_or(i32::MAX)))?;
    // An error here means that the padding is wrong, as it is in a false signature.
    if context.verify(digest, signature).unwrap_or(false) { Ok(()) } else { Err(VerifyError::Wrong) }
}

fn rsa(key: &RsaPublic) -> Result<Rsa<Public>, ErrorStack> {
    Rsa::from_public_components(BigNum::from_slice(key.n())?, BigNum::from_slice(key.e())?)
}

fn md(hash: Hash) -> &'static MdRef {
    match hash {
        Hash::Md5 => Md::md5(),
        Hash::Sha1 => Md::sha1(),
        Hash::Rmd160 => Md::ripemd160(),
        Hash::Sha224 => Md::sha224(),
        Hash::Sha256 => Md::sha256(),
        Hash::Sha384 => Md::sha384(),
        Hash::Sha512 => Md::sha512(),
    }
}

/// PKCS#1 v1.5: what the signature opens to is the DigestInfo itself.
fn pkcs1(key: &RsaPublic, input: &[u8], signature: &[u8]) -> Result<bool, VerifyError> {
    let key = rsa(key)?;
    let mut opened = vec![0; usize::try_from(key.size()).unwrap_or(0)];
    if signature.len() != opened.len() {
        return Err(VerifyError::Form { octets: signature.len() });
    }
    // As above.
    let length = key.public_decrypt(signature, &mut opened, Padding::PKCS1).unwrap_or(0);
    Ok(opened.get(..length) == Some(input))
}

/// ECDSA: r and s, each as long as the field.
fn ecdsa(key: &EccPublic, digest: &[u8], signature: &[u8]) -> Result<bool, VerifyError> {
    let half = key.curve().field_size();
    match signature.split_at_checked(half) {
        Some((r, s)) if s.len() == half => {
            let parsed = EcdsaSig::from_private_components(BigNum::from_slice(r)?, BigNum::from_slice(s)?)?;
            // Numbers out of range are a false signature, not a failure.
            Ok(parsed.verify(digest, &*on_curve(key)?).unwrap_or(false))
        }
        _ => Err(VerifyError::Form { octets: signature.len() }),
    }
}

fn on_curve(key: &EccPublic) -> Result<EcKey<Public>, ErrorStack> {
    let group = EcGroup::from_curve_name(nid(key.curve()))?;
    let point = EcPoint::from_bytes(&group, key.point(), &mut *BigNumContext::new()?)?;
    EcKey::from_public_key(&group, &point)
}

/// OpenSSL's number of a curve; none for those that have no ECDSA.
fn nid(curve: Curve) -> Nid {
    match curve {
        Curve::NistP256 => Nid::X9_62_PRIME256V1,
        Curve::NistP384 => Nid::SECP384R1,
        Curve::NistP521 => Nid::SECP521R1,
        Curve::BrainpoolP256r1 => Nid::BRAINPOOL_P256R1,
        Curve::BrainpoolP384r1 => Nid::BRAINPOOL_P384R1,
        Curve::BrainpoolP512r1 => Nid::BRAINPOOL_P512R1,
        Curve::Secp256k1 => Nid::SECP256K1,
        Curve::Ed25519 | Curve::Ed448 | Curve::Curve25519 | Curve::X448 => Nid::UNDEF,
    }
}

/// Ed25519 and Ed448, over the octets as they are.
fn eddsa(key: &EccPublic, message: &[u8], signature: &[u8]) -> Result<bool, VerifyError> {
    let id = if key.curve() == Curve::Ed448 { Id::ED448 } else { Id::ED25519 };
    let key = PKey::public_key_from_raw_bytes(key.point(), id)?;
    let mut verifier = Verifier::new_without_digest(&key)?;
    Ok(verifier.verify_oneshot(signature, message).unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use openssl::ec::PointConversionForm;
    use openssl::pkey::Private;
    use openssl::sign::Signer;

    use super::*;

    /// The signature is taken; with any bit changed, or over another input, it is not.
    fn only_the_right_one_passes(key: &PublicKey, input: &[u8], right: &[u8]) {
        signature(key, input, right).unwrap();
        for at in [0, right.len() / 2, right.len() - 1] {
            let mut wrong = right.to_vec();
            wrong[at] ^= 1;
            assert!(signature(key, input, &wrong).is_err(), "octet {at}");
        }
        assert!(signature(key, &input[1..], right).is_err());
        assert!(signature(key, input, &right[1..]).is_err());
    }

    #[test]
    fn rsa_signatures_are_checked() {
        let secret = Rsa::generate(2048).unwrap();
        let key = PublicKey::rsa(&secret.n().to_vec(), &secret.e().to_vec()).unwrap();
        let input = claviger_keys::DigestInfo { hash: claviger_keys::Hash::Sha256, digest: &[7; 32] }.join();
        let mut right = vec![0; 256];
        secret.private_encrypt(&input, &mut right, Padding::PKCS1).unwrap();
        only_the_right_one_passes(&key, &input, &right);
    }

    #[test]
    fn pss_signatures_are_checked_with_their_hash_and_salt() {
        let secret = Rsa::generate(2048).unwrap();
        let key = PublicKey::rsa(&secret.n().to_vec(), &secret.e().to_vec()).unwrap();
        let (digest, signer) = ([7; 32], PKey::from_rsa(secret).unwrap());
        let mut context = PkeyCtx::new(&signer).unwrap();
        context.sign_init().unwrap();
        context.set_rsa_padding(Padding::PKCS1_PSS).unwrap();
        context.set_signature_md(Md::sha256()).unwrap();
        context.set_rsa_pss_saltlen(RsaPssSaltlen::custom(32)).unwrap();
        let mut right = Vec::new();
        context.sign_to_vec(&digest, &mut right).unwrap();
        let sha256 = Hash::Sha256;
        pss(&key, (sha256, 32), &digest, &right).unwrap();
        assert!(pss(&key, (sha256, 20), &digest, &right).is_err());
        assert!(pss(&key, (sha256, 32), &[8; 32], &right).is_err());
        assert!(pss(&key, (Hash::Sha512, 32), &digest, &right).is_err());
        assert!(signature(&key, &digest, &right).is_err());
        right[128] ^= 1;
        assert!(pss(&key, (sha256, 32), &digest, &right).is_err());
    }

    #[test]
    fn ecdsa_signatures_are_checked_on_every_curve() {
        for (nid, curve) in [
            (Nid::X9_62_PRIME256V1, Curve::NistP256),
            (Nid::SECP384R1, Curve::NistP384),
            (Nid::SECP521R1, Curve::NistP521),
            (Nid::BRAINPOOL_P256R1, Curve::BrainpoolP256r1),
            (Nid::BRAINPOOL_P384R1, Curve::BrainpoolP384r1),
            (Nid::BRAINPOOL_P512R1, Curve::BrainpoolP512r1),
            (Nid::SECP256K1, Curve::Secp256k1),
        ] {
            let (secret, key) = ec_key(nid, curve);
            let right = EcdsaSig::sign(&[7; 32], &secret).unwrap();
            let half = i32::try_from(curve.field_size()).unwrap();
            let raw = [right.r(), right.s()].map(|n| n.to_vec_padded(half).unwrap()).concat();
            only_the_right_one_passes(&key, &[7; 32], &raw);
        }
    }

    fn ec_key(nid: Nid, curve: Curve) -> (EcKey<Private>, PublicKey) {
        let group = EcGroup::from_curve_name(nid).unwrap();
        let secret = EcKey::generate(&group).unwrap();
        let mut context = openssl::bn::BigNumContext::new().unwrap();
        let form = PointConversionForm::UNCOMPRESSED;
        let point = secret.public_key().to_bytes(&group, form, &mut context).unwrap();
        (secret, PublicKey::ecc(curve, &point).unwrap())
    }

    #[test]
    fn eddsa_signatures_are_checked() {
        for (secret, curve) in [
            (PKey::generate_ed25519().unwrap(), Curve::Ed25519),
            (PKey::generate_ed448().unwrap(), Curve::Ed448),
        ] {
            let key = PublicKey::ecc(curve, &secret.raw_public_key().unwrap()).unwrap();
            let right = Signer::new_without_digest(&secret).unwrap().sign_oneshot_to_vec(b"message").unwrap();
            only_the_right_one_passes(&key, b"message", &right);
        }
    }
}
