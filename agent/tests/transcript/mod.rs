//! The transcript player: reads a behaviour from a file, plays it at several heights, and says where the reply is
//! another one. The file format is described in `testdata/transcripts/README.md`.
//!
//! `script` turns a file into steps, `pattern` compares a line, `play` walks the steps on a stage. `rehearsal` is the
//! stage without programs, on which the player itself is tested; `theatre` is the one with real programs: `reader` a
//! private pcscd, `card` the virtual card, `peer` GnuPG's scdaemon or ours. `coverage` is the table test.

mod card;
pub(crate) mod coverage;
pub(crate) mod pattern;
pub(crate) mod play;
mod reader;
mod record;
pub(crate) mod rehearsal;
pub(crate) mod script;
pub(crate) mod season;
pub(crate) mod theatre;
mod wire;
mod worlds;
