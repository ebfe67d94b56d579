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
