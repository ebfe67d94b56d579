//! What a key looks like to others.
//!
//! A [`PublicKey`] is made from numbers or octets and checked once; then it can be written in every form that somebody
//! on the other side of claviger speaks:
//!
//! ```text
//! gpg-agent, scdaemon   S-expression    gnupg    over sexp (canonical and advanced, for secret keys too)
//!                       keygrip         keygrip
//! gpg                   fingerprint     openpgp
//! ssh                   blob, line      ssh
//! OpenSSL, X.509        SPKI            spki    (read, too)
//! ```
//!
//! A certificate says whose key it is: [`x509`] reads and makes those of X.509, and [`keybox`] finds them, and OpenPGP
//! keyblocks, in the files of gpg and gpgsm.
//!
//! A [`SecretKey`] comes from gpg-agent, which hands it to scdaemon to be put on a card ([`keydata`]). Its numbers are
//! [`Secret`](claviger_secret::Secret)s.
//!
//! No IO, no runtime, no C library; nothing here signs, decrypts or verifies.

#![forbid(unsafe_code)]

pub mod ber;
pub mod curve;
pub mod digest;
pub mod gnupg;
pub mod keybox;
pub mod keydata;
pub mod keygrip;
pub mod openpgp;
pub mod padding;
pub mod pkcs11;
pub mod public;
pub mod secret;
pub mod sexp;
pub mod spki;
pub mod ssh;
pub mod x509;

pub use crate::curve::{Curve, CurveKind};
pub use crate::digest::{DigestInfo, Hash};
pub use crate::keydata::KeyDataError;
pub use crate::keygrip::Keygrip;
pub use crate::openpgp::{EcdhParams, Fingerprint, OpenPgpAlgorithm};
pub use crate::public::{EccPublic, KeyError, PublicKey, RsaPublic};
pub use crate::secret::{EccSecret, RsaCrt, RsaSecret, SecretKey, SecretKeyError, SecretMaterial};
pub use crate::sexp::{Sexp, SexpError};
