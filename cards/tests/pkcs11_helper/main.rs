//! The helper process as the daemon sees it, with SoftHSM behind it. This program is the helper too: it starts itself.

#![allow(clippy::unwrap_used, reason = "helpers of tests may do what tests may")]

mod client;
#[path = "../common/mod.rs"]
mod common;
mod hostile;
#[path = "../common/hostile_module.rs"]
mod hostile_module;
mod logins;
mod objects;
mod opensc;
mod operations;
mod seclusion;
mod softhsm;
#[path = "../common/softhsm.rs"]
mod softhsm_tokens;
mod watching;
#[path = "../world/mod.rs"]
mod world;

/// Where a helper is asked for, this is its whole life.
#[test]
fn this_program_is_the_helper_too() {
    client::be_helper_if_asked();
}
