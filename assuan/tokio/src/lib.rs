//! The async shell around `claviger-assuan`: it moves octets and waits; what they mean is decided in the core.
//!
//! [`codec`] cuts a stream into frames for tokio-util, [`server`] drives one client's session over any pair of byte
//! streams, [`client`] talks to a server over a socket or a child's pipes. Section 2 of the scdaemon reference; no command, key or card is here.

#![forbid(unsafe_code)]

pub mod client;
pub mod codec;
pub mod server;
mod wire;

pub use server::{Connection, Service, serve};
