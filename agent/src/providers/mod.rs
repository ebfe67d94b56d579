//! Where PKCS#11 providers come from.
//!
//! ```text
//!   claviger.toml (user's, then system's) ──┐
//!   gnupg-pkcs11-scd.conf ── if none there ─┼──► Found: ProviderConfig…, complaints, notes
//!   p11-kit's *.module ── if none there ────┘
//! ```
//!
//! - A *provider* is a PKCS#11 module with its configuration; `claviger-cards` loads it, in a process of its own.
//! - A provider of the user's file takes the place of one of the same name in the system's, and both that of p11-kit's module
//!   of that name, or with that shared object.
//! - A [`Complaint`] is about something wrong. If it is about a `claviger.toml`, there are no providers at all: half of what
//!   somebody wrote is not what was meant. A [`Note`] is about something left out, which nobody has to mend.
//!
//! Files are read, nothing is loaded. Formats: docs/claviger.toml.md; pkcs11.conf(5); gnupg-pkcs11-scd(1).

mod file;
pub mod gnupg_pkcs11_scd;
mod module;
pub mod p11_kit;
mod places;
pub mod reference;
mod remark;
mod schema;
mod search;
mod value;

use std::fmt;
use std::path::PathBuf;

use claviger_cards::pkcs11::ProviderConfig;

pub(crate) use self::gnupg_pkcs11_scd::Habits;
pub use self::module::Refusal;
pub(crate) use self::places::Places;
pub use self::remark::{Complaint, Note, Problem};
pub(crate) use self::schema::OpenPgpKeys;
use self::search::Search;

/// Providers, and what is to be said of how they were found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The providers, each with a name of its own, in the order in which they were found.
    pub(crate) providers: Vec<Provider>,
    /// Keys for GnuPG's purposes.
    pub(crate) openpgp_keys: OpenPgpKeys,
    /// What else gnupg-pkcs11-scd's file says.
    pub(crate) habits: Habits,
    /// What is wrong.
    pub(crate) complaints: Vec<Complaint>,
    /// What is left out.
    pub(crate) notes: Vec<Note>,
}

/// A provider and where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Provider {
    /// Its configuration.
    pub(crate) config: ProviderConfig,
    /// The file that says so.
    pub(crate) file: PathBuf,
}

/// Looks for providers.
pub(crate) fn find(places: &Places) -> Found {
    let user = file::read(&places.user_file, places.user_file_is_named);
    match (user, file::read(&places.system_file, false)) {
        (Ok(user), Ok(system)) => Search::new(places, &user, &system).all(user, system),
        (user, system) => {
            let complaints = [user.err(), system.err()].into_iter().flatten().flatten().collect();
            Found { complaints, ..Found::default() }
        }
    }
}

impl Found {
    /// The providers for the deck.
    pub(crate) fn configs(&self) -> Vec<ProviderConfig> {
        self.providers.iter().map(|provider| provider.config.clone()).collect()
    }

    /// Says it in the log.
    pub(crate) fn log(&self) {
        for complaint in &self.complaints {
            tracing::error!("{complaint}");
        }
        for note in &self.notes {
            tracing::info!("{note}");
        }
        for Provider { config, file } in &self.providers {
            tracing::info!(module = %config.module.display(), file = %file.display(), "PKCS#11 provider {}", config.name);
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Provider { config, file } in &self.providers {
            writeln!(f, "{}: {} ({})", config.name, config.module.display(), file.display())?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "{note}"))
    }
}
