//! A card in software that plugs into a reader in software.
//!
//! ```text
//!  options ──► run ──► one thread per card:  reader ──► chip ──► openpgp   (opcard on trussed)
//!               │                              │  │        └───► neighbour (takes the card away)
//!               │                              │  └─────► script (exact commands and answers, instead of a chip)
//!               └──► control ──► seat ◄────────┘
//!                                (in or out, touch, latency, counts)
//! ```
//!
//! The *reader* is somebody else: vpcd behind pcscd, or claviger's daemon ([`link`]). A *seat* is a card's place before
//! it, shared with whoever directs the card. The [`framing`] resolves what travels into whole commands; the *chip* knows
//! which applet hears them.
//!
//! This is a test device. Its PINs and keys lie in plain memory and plain files; nothing in it is meant to keep a secret.

#![forbid(unsafe_code)]

pub mod apdu;
pub mod chip;
mod control;
pub mod framing;
pub mod hex;
pub mod instruction;
pub mod journal;
pub mod link;
pub mod neighbour;
pub mod openpgp;
pub mod options;
pub mod reader;
pub mod record;
pub mod run;
pub mod script;
pub mod seat;
pub mod touch;
