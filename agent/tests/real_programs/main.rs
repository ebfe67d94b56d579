//! Stock gpg, gpg-agent and ssh use a card through our scdaemon: the last word on whether it is a drop-in.
//!
//! One module per part of a card's life. With `CLAVIGER_TEST_SCDAEMON=stock` the same tests run with GnuPG's own
//! scdaemon in our place, which shows that they ask for nothing that the original does not do. Where 2.2.40 then fails,
//! more is wanted of us: `budgets`; `chains`; a KDF card (it leaves the PINs in the card as they were); decryption and log-in with
//! a card that is back (it learns of that one try later); a neighbour on the card; secrets, which it
//! logs when told to; the 448 curves, which it does not know; a card that comes unasked, a wait, an awaited touch; a second
//! reader; a hang-up signal; certificates on the card, which it tells nobody of (`gpgsm`).

#[path = "../world/mod.rs"]
mod world;

mod budgets;
mod called_off;
mod chains;
mod curves;
mod gpgsm;
mod life;
mod moved;
mod odd_certificates;
mod openpgp_certificates;
mod pins;
mod removal;
mod secrets;
mod twins;
mod watching;
