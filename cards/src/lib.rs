//! What holds keys: OpenPGP cards and PKCS#11 tokens. Knows no Assuan and asks no person.
//!
//! ```text
//!                                     ┌── bounded queue ──► worker thread ── Token ──► reader
//!   agent ── submit(Job) ──► TokenHandle                     one per card             PC/SC | socket
//!         ◄── Outcome ──────          └── frames ══► helper process ── PKCS#11 ──► module
//!                                                     one per provider
//! ```
//!
//! - The [`deck`] is the one register of what is present; tokens come and go there.
//! - A [`token::Job`] goes to a token and comes back as an [`token::Outcome`]: done, or a PIN is needed. No callback leads
//!   out of a worker or a helper, and neither waits for a PIN.
//! - An *insertion* is one stay of one card or token. A PIN belongs to an insertion, never to a serial number.
//! - *Slots* are the three keys of an OpenPGP card: signing, decryption, authentication. PKCS#11's slots are places for
//!   tokens and are met in [`pkcs11`] only.
//! - A *provider* is a PKCS#11 module, which is loaded by a *helper*: a process that does nothing else ([`pkcs11::helper`]).

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
