//! PKCS#11 tokens: SoftHSM, a YubiKey's PIV, an HSM, a TPM, GNOME's keyring, whatever has a module.
//!
//! ```text
//!   TokenHandle ── Job ──► provider ══ frames over a socketpair ══► helper (a process of its own) ── cryptoki ──► module
//!       ▲                     │                                        one per module
//!       └─── Facts ◄── pairing ◄── TokenReport ◄───────────────────────┘
//! ```
//!
//! - A *provider* is a PKCS#11 module with its configuration; its *helper* is the process that loads it, and the only place
//!   where foreign code runs. If the helper dies or hangs, its tokens are gone for the moment and nothing else is.
//! - A *slot* here is PKCS#11's; it says where a token is at the moment and nothing more. Tokens are recognised by
//!   manufacturer, model, serial number and label.
//! - A *key* is what private key, public key and certificate of one `CKA_ID` are together.
//!
//! Follows PKCS#11 3.1 (OASIS); functions are named as there.

pub mod config;
pub mod facts;
pub mod helper;
mod objects;
pub mod opensc;
mod outcome;
mod pairing;
mod pins;
mod plan;
pub(crate) mod provider;
pub mod request;
pub mod wire;

pub use self::config::{LoginMode, ProviderConfig, ProviderLimits};
pub use self::facts::{Certificate, CertificateNumber, Facts, Key, KeyKind, KeyNumber, Usage};
pub use self::provider::{ProviderPhase, ProviderState};
pub use self::request::{Cryptogram, NewKey, ObjectName, Request, SignScheme};
