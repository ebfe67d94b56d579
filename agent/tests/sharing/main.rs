//! Our scdaemon shares a card: with a hostile neighbour, with a person who pulls it at any moment, with a pcscd that is
//! killed. Sessions speak to the daemon's socket, over a private pcscd, and every wait has an end.

#[path = "../world/mod.rs"]
mod world;

mod jobs;
mod killed;
mod neighbour;
mod pulled;
mod session;
