//! Stores that the real gpg filled, and what it says of their certificates: the gpg of this system, 2.2.40 or 2.4.7.
//!
//! Whatever gpg exports, we hand out octet for octet. Homes are private and gone when the tests end.

mod forms;
mod home;
mod keyboxd;
mod stores;
mod validity;
