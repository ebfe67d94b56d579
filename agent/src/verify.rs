//! Checks a card's signature under its public key, before it leaves the house: a fault in a card or in transit must not
//! give a key away.
//!
//! OpenSSL does the arithmetic; the key reaches it as SubjectPublicKeyInfo.

use claviger_keys::{CurveKind, EccPublic, PublicKey};
use openssl::bn::BigNum;
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Public};
use openssl::rsa::Padding;
use openssl::sign::Verifier;

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

/// Checks `signature`, in the card's raw form, over `input`: exactly the octets that were given to the card.
///
/// # Errors
/// [`VerifyError`] unless it is right.
pub(crate) fn signature(key: &PublicKey, input: &[u8], signature: &[u8]) -> Result<(), VerifyError> {
    let pkey = PKey::public_key_from_der(&key.spki_der())?;
    let right = match key {
        PublicKey::Rsa(_) => rsa(&pkey, input, signature)?,
        PublicKey::Ecc(ecc) => match ecc.curve().kind() {
            CurveKind::Weierstrass => ecdsa(ecc, &pkey, input, signature)?,
            CurveKind::Edwards | CurveKind::Montgomery => eddsa(&pkey, input, signature)?,
        },
    };
    if right { Ok(()) } else { Err(VerifyError::Wrong) }
}

/// PKCS#1 v1.5: what the signature opens to is the DigestInfo itself.
fn rsa(key: &PKey<Public>, input: &[u8], signature: &[u8]) -> Result<bool, VerifyError> {
    let key = key.rsa()?;
    let mut opened = vec![0; usize::try_from(key.size()).unwrap_or(0)];
    if signature.len() != opened.len() {
        return Err(VerifyError::Form { octets: signature.len() });
    }
    // An error here means that the padding is wrong, as it is in a false signature.
    let length = key.public_decrypt(signature, &mut opened, Padding::PKCS1).unwrap_or(0);
    Ok(opened.get(..length) == Some(input))
}

/// ECDSA: r and s, each as long as the field.
fn ecdsa(ecc: &EccPublic, key: &PKey<Public>, digest: &[u8], signature: &[u8]) -> Result<bool, VerifyError> {
    let half = ecc.curve().field_size();
    match signature.split_at_checked(half) {
        Some((r, s)) if s.len() == half => {
            let parsed = EcdsaSig::from_private_components(BigNum::from_slice(r)?, BigNum::from_slice(s)?)?;
            // As above: numbers out of range are a false signature, not a failure.
            Ok(parsed.verify(digest, &*key.ec_key()?).unwrap_or(false))
        }
        _ => Err(VerifyError::Form { octets: signature.len() }),
    }
}

/// Ed25519 and Ed448, over the octets as they are.
fn eddsa(key: &PKey<Public>, message: &[u8], signature: &[u8]) -> Result<bool, VerifyError> {
    let mut verifier = Verifier::new_without_digest(key)?;
    Ok(verifier.verify_oneshot(signature, message).unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use claviger_keys::Curve;
    use openssl::ec::{EcGroup, EcKey, PointConversionForm};
    use openssl::nid::Nid;
    use openssl::pkey::Private;
    use openssl::rsa::Rsa;
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
