//! Stock gpg, gpgsm and ssh use PKCS#11 tokens through our scdaemon: the last word on whether tokens are cards.
//!
//! `matrix` has every kind of key at work with every program; what of it works is the table of `docs/tokens.md`, which
//! `kinds` holds. A [`desk::Desk`] is a token with a home beside it.

#[path = "../world/mod.rs"]
mod world;

mod crowd;
mod desk;
mod incumbent;
mod kinds;
mod matrix;
mod neighbours;
mod pulled;
mod ways;
