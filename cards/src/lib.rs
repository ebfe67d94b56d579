//! What holds keys: OpenPGP cards and PKCS#11 tokens. Knows no Assuan and asks no person.
//!
//! ```text
//!   agent ── submit(Job) ──► TokenHandle ── bounded queue ──► worker thread ── Token ──► reader
//!         ◄── Outcome ──────                                   one per card             PC/SC | socket
//! ```
//!
//! - The [`deck`] is the one register of what is present; tokens come and go there.
//! - A [`token::Job`] goes into a token's queue and comes back as an [`token::Outcome`]: done, or a PIN is needed. No
//!   callback leads out of the worker and no worker waits for a PIN.
//! - An *insertion* is one stay of one card in one reader. A PIN belongs to an insertion, never to a serial number.
//! - *Slots* are the three keys of an OpenPGP card: signing, decryption, authentication.

// Not `forbid`: pkcs11/helper/sys calls C functions, in a process that does nothing else.
#![deny(unsafe_code)]

pub mod atr;
pub mod deck;
pub mod facts;
pub mod finger;
pub mod openpgp;
pub mod pkcs11;
pub mod reader;
pub mod token;
mod worker;
