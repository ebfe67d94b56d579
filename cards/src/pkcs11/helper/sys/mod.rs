//! The only unsafe code of this crate: calls into a foreign module, and the system calls by which the helper shuts itself in.
//!
//! The functions here are safe to call: every pointer that they hand out is to memory that they own or borrow for the
//! call, with its true length, and what comes back is checked against that length. What the module does with its own
//! memory, or ours, nobody can check; that is why it is in a process of its own.
//!
//! It stands on `cryptoki-sys`, the raw half of cryptoki. The upper half cannot be had: it calls `C_Sign` twice for one
//! signature, takes no string for `pReserved`, no PIN that is typed at the token when it is changed, no key type or
//! mechanism that it does not know, and believes the lengths that a module gives.
#![allow(unsafe_code, reason = "a module's functions are C functions")]

pub(super) mod mechanism;
pub(super) mod module;
pub(super) mod process;
pub(super) mod session;
pub(super) mod template;
