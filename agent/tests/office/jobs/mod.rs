//! The jobs, by what they are about.

pub(crate) mod import;
pub(crate) mod kdf;
pub(crate) mod keys;
pub(crate) mod newer;
pub(crate) mod objects;
pub(crate) mod person;
pub(crate) mod pins;

use super::{Job, gnupg_release};
use crate::world::Home;

/// All that this machine's GnuPG can do.
pub(crate) fn all() -> impl Iterator<Item = &'static Job> {
    let families: [&'static [Job]; 7] =
        [person::JOBS, objects::JOBS, pins::JOBS, keys::JOBS, kdf::JOBS, import::JOBS, newer::JOBS];
    families.into_iter().flatten().filter(|job| job.since <= gnupg_release())
}

/// Nothing has to be looked at by use.
fn nothing(_: &Home) {}

/// The PINs of a new card, once, as often as they are asked for.
const USUAL: &str = "user 123456\nadmin 12345678\n";
