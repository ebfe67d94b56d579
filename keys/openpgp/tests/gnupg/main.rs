//! Stores that the real gpg filled, and what it says of their certificates: the gpg of this system, 2.2.40 or 2.4.7.
//!
//! Whatever gpg exports, we hand out octet for octet. Homes are private and gone when the tests end.
#![allow(clippy::unwrap_used, reason = "helpers of tests may do what tests may")]

mod forms;
mod home;
mod keyboxd;
mod stores;
mod validity;
