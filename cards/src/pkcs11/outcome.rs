//! From a module's answer to what every token gives: signatures in the card's raw form, plaintexts without padding. What has
//! not the length that it must have is refused here.

use claviger_keys::{CurveKind, Hash, PublicKey, padding};
use claviger_secret::Secret;

use super::wire::Answer;
use crate::token::{Reply, TokenError};

/// What becomes of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Done,
    Random {
        length: usize,
    },
    Signature(SignatureForm),
    Plaintext(Unpad),
    /// The new key is read from the facts.
    NewKey,
}

/// How long a signature is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignatureForm {
    /// RSA: as many octets as the modulus.
    Modulus(usize),
    /// ECDSA: r‖s of so many octets each.
    Pair(usize),
    /// EdDSA: R‖S.
    Exactly(usize),
}

/// What is done to a plaintext.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unpad {
    Nothing,
    /// EME-PKCS1-v1_5.
    Pkcs1,
    /// EME-OAEP.
    Oaep(Hash),
    /// A shared x coordinate: the zeros that it lost are put back.
    Shared {
        size: usize,
    },
}

impl SignatureForm {
    /// That of a key's signatures.
    pub(super) fn of(key: &PublicKey) -> Self {
        match key {
            PublicKey::Rsa(rsa) => Self::Modulus(rsa.n().len()),
            PublicKey::Ecc(ecc) => match ecc.curve().kind() {
                CurveKind::Weierstrass => Self::Pair(ecc.curve().field_size()),
                _ => Self::Exactly(ecc.curve().point_size().saturating_mul(2)),
            },
        }
    }

    fn normalise(self, octets: Vec<u8>) -> Option<Vec<u8>> {
        match self {
            Self::Modulus(size) => padded(&octets, size),
            Self::Pair(size) => pair(&octets, size),
            Self::Exactly(size) => (octets.len() == size).then_some(octets),
        }
    }
}

/// What a token's reply is, for this answer and its secret.
pub(super) fn reply(ending: Ending, answer: Answer, secret: Option<Secret>) -> Result<Reply, TokenError> {
    match (ending, answer) {
        (Ending::Done, Answer::Done | Answer::Created(_)) => Ok(Reply::Done),
        (Ending::Random { length }, Answer::Random(octets)) if octets.len() == length => {
            Ok(Reply::Random(octets))
        }
        (Ending::Signature(form), Answer::Signature(octets)) => form
            .normalise(octets)
            .map(Reply::Signature)
            .ok_or_else(|| malformed("C_Sign", "a signature of a wrong length")),
        (Ending::Plaintext(unpad), Answer::Secret) => {
            let secret = secret.ok_or_else(|| malformed("C_Decrypt", "nothing"))?;
            unpadded(unpad, secret).map(Reply::Plaintext)
        }
        _ => Err(malformed("the helper", "an answer of another kind")),
    }
}

fn malformed(operation: &'static str, message: &str) -> TokenError {
    TokenError::Malformed { operation, message: message.to_owned() }
}

fn unpadded(unpad: Unpad, secret: Secret) -> Result<Secret, TokenError> {
    let wrong = || TokenError::BadValue("the octets cannot be deciphered with this key");
    match unpad {
        Unpad::Nothing => Ok(secret),
        Unpad::Pkcs1 => padding::eme_pkcs1_v1_5(&secret).map_err(|_| wrong()),
        Unpad::Oaep(hash) => padding::eme_oaep(&secret, hash).map_err(|_| wrong()),
        Unpad::Shared { size } => shared(secret, size),
    }
}

fn shared(secret: Secret, size: usize) -> Result<Secret, TokenError> {
    match size.checked_sub(secret.len()) {
        Some(0) => Ok(secret),
        Some(lost) if !secret.is_empty() => {
            let mut whole = Secret::with_capacity(size);
            let put = whole.extend(&vec![0; lost]).and_then(|()| whole.extend(secret.as_bytes()));
            put.map(|()| whole).map_err(|_| malformed("C_DeriveKey", "a secret of a wrong length"))
        }
        _ => Err(malformed("C_DeriveKey", "a secret of a wrong length")),
    }
}

/// r‖s, from two halves of any equal length that can be the same numbers: some modules drop or add zeros.
fn pair(octets: &[u8], size: usize) -> Option<Vec<u8>> {
    let (r, s) = octets.split_at_checked(octets.len() / 2)?;
    let halves = r.len() == s.len();
    halves.then(|| Some([padded(r, size)?, padded(s, size)?].concat()))?
}

/// The number in exactly so many octets.
fn padded(octets: &[u8], size: usize) -> Option<Vec<u8>> {
    let zeros = octets.iter().take_while(|octet| **octet == 0).count();
    let number = octets.get(zeros..).filter(|number| !number.is_empty())?;
    let missing = size.checked_sub(number.len())?;
    Some([vec![0; missing].as_slice(), number].concat())
}

#[cfg(test)]
mod tests {
    use claviger_keys::Curve;

    use super::*;

    fn signature(form: SignatureForm, octets: &[u8]) -> Option<Vec<u8>> {
        match reply(Ending::Signature(form), Answer::Signature(octets.to_vec()), None) {
            Ok(Reply::Signature(signature)) => Some(signature),
            Ok(other) => panic!("{other:?}"),
            Err(error) => {
                assert!(matches!(error, TokenError::Malformed { .. }), "{error}");
                None
            }
        }
    }

    #[test]
    fn rsa_signatures_get_the_zeros_back_that_they_lost() {
        assert_eq!(signature(SignatureForm::Modulus(4), &[1, 2, 3, 4]), Some(vec![1, 2, 3, 4]));
        assert_eq!(signature(SignatureForm::Modulus(4), &[2, 3, 4]), Some(vec![0, 2, 3, 4]));
        assert_eq!(signature(SignatureForm::Modulus(4), &[0, 1, 2, 3, 4]), Some(vec![1, 2, 3, 4]));
        for wrong in [&[1, 2, 3, 4, 5][..], &[], &[0, 0]] {
            assert_eq!(signature(SignatureForm::Modulus(4), wrong), None);
        }
    }

    #[test]
    fn both_halves_of_an_ecdsa_signature_have_the_length_of_the_order() {
        let form = SignatureForm::Pair(3);
        assert_eq!(signature(form, &[1, 2, 3, 4, 5, 6]), Some(vec![1, 2, 3, 4, 5, 6]));
        assert_eq!(signature(form, &[2, 3, 5, 6]), Some(vec![0, 2, 3, 0, 5, 6]));
        assert_eq!(signature(form, &[0, 1, 2, 3, 0, 4, 5, 6]), Some(vec![1, 2, 3, 4, 5, 6]));
        for wrong in [&[1, 2, 3, 4, 5][..], &[], &[1; 8], &[0; 6]] {
            assert_eq!(signature(form, wrong), None);
        }
    }

    #[test]
    fn each_kind_of_key_has_its_form() {
        let form = |curve: Curve, q: &[u8]| SignatureForm::of(&PublicKey::ecc(curve, q).unwrap());
        assert_eq!(form(Curve::NistP521, &[4; 133]), SignatureForm::Pair(66));
        assert_eq!(form(Curve::Ed25519, &[7; 32]), SignatureForm::Exactly(64));
        assert_eq!(form(Curve::Ed448, &[7; 57]), SignatureForm::Exactly(114));
    }

    #[test]
    fn a_shared_secret_gets_its_zeros_back() {
        let shared = |octets: &[u8]| {
            let ending = Ending::Plaintext(Unpad::Shared { size: 4 });
            let plaintext = reply(ending, Answer::Secret, Some(Secret::copy_of(octets)));
            plaintext.map(|reply| match reply {
                Reply::Plaintext(secret) => secret.as_bytes().to_vec(),
                other => panic!("{other:?}"),
            })
        };
        assert_eq!(shared(&[1, 2, 3, 4]).unwrap(), [1, 2, 3, 4]);
        assert_eq!(shared(&[3, 4]).unwrap(), [0, 0, 3, 4]);
        assert!(shared(&[1, 2, 3, 4, 5]).is_err() && shared(&[]).is_err());
    }

    #[test]
    fn padding_is_taken_off_where_the_token_did_not() {
        let mut block = vec![0, 2];
        block.extend([7; 10]);
        block.extend(b"\0plain");
        let unpad = |block: &[u8]| {
            reply(Ending::Plaintext(Unpad::Pkcs1), Answer::Secret, Some(Secret::copy_of(block)))
        };
        let Ok(Reply::Plaintext(plaintext)) = unpad(&block) else { panic!("no plaintext") };
        assert_eq!(plaintext.as_bytes(), b"plain");
        block[1] = 1;
        assert!(matches!(unpad(&block), Err(TokenError::BadValue(_))));
    }

    #[test]
    fn an_answer_of_another_kind_or_length_is_refused() {
        let random =
            |length, octets: &[u8]| reply(Ending::Random { length }, Answer::Random(octets.to_vec()), None);
        assert!(random(3, &[1, 2, 3]).is_ok() && random(3, &[1, 2]).is_err());
        assert!(reply(Ending::Done, Answer::Random(Vec::new()), None).is_err());
        assert!(reply(Ending::Plaintext(Unpad::Nothing), Answer::Secret, None).is_err());
    }
}
