//! What is asked of a PKCS#11 token beyond what every token understands. PINs, random octets and verifications are asked
//! for as of any token ([`crate::token::Request`]): there `User` is the user's PIN (`CKU_USER`), `Sign` the one for a single
//! use of a key (`CKU_CONTEXT_SPECIFIC`), `Admin` the security officer's (`CKU_SO`).

use claviger_keys::{Curve, Hash, SecretKey};

use super::facts::{CertificateNumber, KeyNumber};

/// A request to a PKCS#11 token.
#[derive(Debug)]
pub enum Request {
    /// Signs with a key. → [`crate::token::Reply::Signature`].
    Sign {
        /// With which key.
        key: KeyNumber,
        /// How.
        scheme: SignScheme,
        /// What: a DigestInfo, a digest, or a message, as the scheme says.
        data: Vec<u8>,
    },
    /// Deciphers with a key, or agrees on a secret. → [`crate::token::Reply::Plaintext`].
    Decipher {
        /// With which key.
        key: KeyNumber,
        /// What.
        cryptogram: Cryptogram,
    },
    /// Looks at the token anew. → [`crate::token::Reply::Done`], see the facts.
    Enumerate,
    /// Makes a key pair. → [`crate::token::Reply::PublicKey`].
    Generate {
        /// Of which kind.
        kind: NewKey,
        /// `CKA_ID` and `CKA_LABEL`.
        name: ObjectName,
        /// What it is to be used for.
        usage: super::facts::Usage,
    },
    /// Writes a key pair (`C_CreateObject`). → [`crate::token::Reply::Done`].
    Import {
        /// The key.
        key: Box<SecretKey>,
        /// `CKA_ID` and `CKA_LABEL`.
        name: ObjectName,
        /// What it is to be used for.
        usage: super::facts::Usage,
    },
    /// Writes a certificate. → [`crate::token::Reply::Done`].
    PutCertificate {
        /// Its octets; subject, issuer and serial number are taken from them.
        octets: Vec<u8>,
        /// `CKA_ID` and `CKA_LABEL`.
        name: ObjectName,
    },
    /// Removes a certificate. → [`crate::token::Reply::Done`].
    RemoveCertificate(CertificateNumber),
}

impl Request {
    /// Its kind, for logs: nothing of its content.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Sign { .. } => "sign",
            Self::Decipher { .. } => "decipher",
            Self::Enumerate => "enumerate",
            Self::Generate { .. } => "generate",
            Self::Import { .. } => "import",
            Self::PutCertificate { .. } => "write certificate",
            Self::RemoveCertificate(_) => "remove certificate",
        }
    }
}

/// How a signature is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignScheme {
    /// RSASSA-PKCS1-v1_5 over a DigestInfo (or other octets that fit): `CKM_RSA_PKCS`, else raw RSA with padding made here.
    RsaPkcs1,
    /// RSASSA-PSS over a digest, MGF1 with the same hash: `CKM_RSA_PKCS_PSS`, else raw RSA with padding made here.
    RsaPss {
        /// Which hash made the digest.
        hash: Hash,
        /// Octets of salt.
        salt: usize,
    },
    /// ECDSA over a digest: r‖s, each as long as the group's order.
    Ecdsa,
    /// EdDSA over a message: R‖S.
    EdDsa,
}

/// What is to be deciphered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cryptogram {
    /// RSAES-PKCS1-v1_5, exactly as many octets as the modulus.
    RsaPkcs1(Vec<u8>),
    /// RSAES-OAEP, exactly as many octets as the modulus; MGF1 with the same hash, no label.
    RsaOaep {
        /// The octets.
        octets: Vec<u8>,
        /// Which hash.
        hash: Hash,
    },
    /// The other side's point: 04‖x‖y, or the native octets of a Montgomery curve. The shared x comes back, or the native octets.
    Ecdh(Vec<u8>),
}

/// What a new key is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewKey {
    /// RSA with so many bits, and the exponent 65537.
    Rsa(usize),
    /// On a curve.
    Ecc(Curve),
}

/// How an object is named on its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectName {
    /// `CKA_ID`.
    pub id: Vec<u8>,
    /// `CKA_LABEL`.
    pub label: String,
}
