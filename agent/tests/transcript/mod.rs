//! The transcript player: reads a behaviour from a file, plays it at several heights, and says where the reply is
//! another one. The file format is described in `testdata/transcripts/README.md`.
//!
//! `script` turns a file into steps, `pattern` compares a line, `play` walks the steps on a stage. `rehearsal` is the
//! stage without a server, on which the player itself is tested. `theatre` sets the others: `programs` runs GnuPG's
//! scdaemon or ours with a private pcscd (`reader`, which `quiet` waits for), `embedded` ours as a library; `card` is the virtual card that both
//! have, `worlds` what is on it; `newer` is what GnuPG says from 2.3 on besides, `incumbent` what gnupg-pkcs11-scd says in other words. `season` plays all files, `coverage` is
//! the table test, `pulled` pulls the card everywhere, `record` writes new files.

mod card;
pub(crate) mod coverage;
mod embedded;
mod incumbent;
mod newer;
pub(crate) mod pattern;
pub(crate) mod play;
mod programs;
pub(crate) mod pulled;
mod quiet;
mod reader;
mod record;
pub(crate) mod rehearsal;
pub(crate) mod script;
pub(crate) mod season;
pub(crate) mod theatre;
mod wire;
mod worlds;
