//! Stock gpg, gpg-agent and ssh use a card through our scdaemon: the last word on whether it is a drop-in.
//!
//! One module per part of a card's life. With `CLAVIGER_TEST_SCDAEMON=stock` the same tests run with GnuPG's own
//! scdaemon in our place, which shows that they ask for nothing that the original does not do.

#[path = "../world/mod.rs"]
mod world;

mod budgets;
mod life;
mod pins;
