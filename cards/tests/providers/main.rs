//! PKCS#11 providers as the agent sees them: tokens in the deck, behind real helper processes with SoftHSM.

#![allow(clippy::unwrap_used, reason = "helpers of tests may do what tests may")]

mod hostile;
#[path = "../common/hostile_module.rs"]
mod hostile_module;
mod operations;
#[path = "../common/softhsm.rs"]
mod softhsm_tokens;
mod trouble;
mod world;

/// Where a helper is asked for, this is its whole life.
#[test]
fn this_program_is_the_helper_too() {
    world::be_helper_if_asked();
}
