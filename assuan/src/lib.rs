//! The Assuan protocol, which GnuPG's programs speak to each other, as a core without IO.
//!
//! ```text
//!              frame            line              server             conversation
//!   octets ──▶ cut to ──▶ parsed by ──▶ session: states, ──▶ handlers, async over one port
//!              lines      grammar       table, inquiries
//!   octets ◀── output ◀─────────────────────┘
//! ```
//!
//! What lives here: the framing and its limits ([`frame`]), the grammar of every line in both directions
//! ([`mod@line`]), the escapes ([`escape`]), the command table ([`table`]), the arguments of commands ([`args`]), a
//! server's session ([`server`]), the port that handlers speak through ([`conversation`]), a small blocking client
//! ([`client`]), GnuPG's error numbers ([`error`]). What does not: any runtime, key, card or command of a particular
//! server. The async shell is `claviger-assuan-tokio`.
//!
//! The words: a *command* is what a client asks for; a *status line* (`S`) tells it something on the way; an *inquiry* is
//! a question back to the client within a command, its *answer* is data or `CAN`; *final line* is the one `OK` or `ERR`
//! that ends each command.
//!
//! On the wire everything is as libassuan 2.5.5 does it, which GnuPG 2.2 and 2.4 are linked with; the dialogues in
//! `tests/dialogues/` were recorded from it. Wanted differences:
//!
//! - a `%` without its digits at the end of an inquiry's data is an error, where libassuan loops for ever;
//! - data leaves before a status line that was written after it, where libassuan holds back what fills no line;
//! - descriptors that `INPUT` and `OUTPUT` name are never closed;
//! - the late answer to an inquiry whose command already ended is skipped (libassuan never ends one there).

#![forbid(unsafe_code)]

pub mod args;
pub mod client;
pub mod conversation;
pub mod error;
pub mod escape;
pub mod frame;
pub mod line;
pub mod output;
pub mod server;
pub mod table;
mod wiped;
