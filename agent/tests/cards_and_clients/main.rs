//! Cards in software at the reader socket, and clients of our scdaemon, without any other program: who is served by which
//! card, when, and who is asked for a PIN.

#[path = "../world/mod.rs"]
mod world;

mod lapse;
mod remembered;
mod same_key;
mod throughput;
mod touch;
