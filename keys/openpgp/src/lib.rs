//! OpenPGP certificates that belong to keys: found in local stores, judged, minimised, exported.
//!
//! A certificate (RFC 9580 also calls it a transferable public key) is a primary key, subkeys, user ids and the signatures
//! that bind them. Here it is looked for by the fingerprint or keygrip of any of its keys, in the places where the
//! programs of the user keep theirs ([`stores`]), and handed out as it is stored:
//!
//! ```text
//! Stores ── find ──► Found ── export ──► octets    full: the packets that `gpg --export` gives
//!  cheap: only        │                            minimal: one key, the bound user ids, the newest signatures
//!  packets are        └───── verdict ─► Verdict    valid, expired, revoked … under sequoia's standard policy
//!  cut and hashed
//! ```
//!
//! *Find* reads no signature and knows no policy. *Verdict* and the minimal form verify, with sequoia-openpgp on OpenSSL,
//! what the owner of the primary key signed: a time is handed in, and what others certified is not looked at. So a
//! revocation by another key that the owner appointed for it is not seen.
//!
//! ```no_run
//! # use std::{env, path::Path, time::SystemTime};
//! use claviger_openpgp::{Fingerprint, Form, Stores, stores::certificate_directory};
//!
//! let mut stores = Stores::of_home(Path::new("/home/mary/.gnupg"), &[]);
//! if let Some(shared) = certificate_directory(|name| env::var_os(name)) {
//!     stores = stores.and_certificate_directory(shared);
//! }
//! let fingerprint: Fingerprint = "6C5B317F36DF2722F542BF8EDFC176E0C8ECE1FE".parse()?;
//! let found = stores.find(fingerprint)?;
//! let now = SystemTime::now();
//! println!("{} {}", found.path().display(), found.verdict(now).of_both().word());
//! let octets = found.export(Form { minimal: true, armored: false }, now)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! GnuPG is never run, secret keys are never read, nothing is ever written or fetched, and nothing at all happens before
//! something is looked for.

#![forbid(unsafe_code)]

mod armor;
mod block;
mod fingerprint;
mod found;
mod judge;
mod key;
mod minimal;
mod packet;
mod signature;
pub mod stores;

pub use crate::armor::ArmorError;
pub use crate::block::{BlockError, MAX_CERTIFICATE, MAX_KEYS, MAX_PACKETS};
pub use crate::fingerprint::{Fingerprint, NotFingerprint};
pub use crate::found::{Form, Found};
pub use crate::judge::{NotJudged, Validity, Verdict};
pub use crate::key::Key;
pub use crate::packet::PacketError;
pub use crate::stores::{NotFound, StoreError, Stores, Wanted};
