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
mod value;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use claviger_cards::pkcs11::ProviderConfig;

use self::file::File;
pub(crate) use self::gnupg_pkcs11_scd::Habits;
pub use self::module::Refusal;
pub(crate) use self::places::Places;
pub use self::remark::{Complaint, Note, Problem};
use self::schema::Draft;
pub(crate) use self::schema::OpenPgpKeys;

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

/// A search under way.
struct Search<'p> {
    places: &'p Places,
    p11_kit: Option<bool>,
    excluded: BTreeSet<String>,
    /// Names that claviger.toml has, of providers in use or not.
    taken: BTreeSet<String>,
    found: Found,
}

impl<'p> Search<'p> {
    fn new(places: &'p Places, user: &File, system: &File) -> Self {
        let excluded = [user, system].into_iter().flat_map(|file| file.top.exclude.iter().cloned());
        Self {
            places,
            p11_kit: user.top.p11_kit.or(system.top.p11_kit),
            excluded: excluded.collect(),
            taken: BTreeSet::new(),
            found: Found { openpgp_keys: user.openpgp_keys.or(system.openpgp_keys), ..Found::default() },
        }
    }

    fn all(mut self, user: File, system: File) -> Found {
        let mut is_named = false;
        for File { path, providers, .. } in [user, system] {
            for draft in providers {
                is_named |= self.named(draft, &path);
            }
        }
        if !is_named {
            is_named = self.of_gnupg_pkcs11_scd();
        }
        if self.p11_kit.unwrap_or(!is_named) {
            self.of_p11_kit();
        }
        self.found
    }

    /// Takes a provider of a `claviger.toml`, unless there is one of its name; whether it is to be used.
    fn named(&mut self, draft: Draft, file: &Path) -> bool {
        if !self.taken.insert(draft.config.name.clone()) || !draft.enabled {
            return false;
        }
        self.explicit(draft, file);
        true
    }

    /// gnupg-pkcs11-scd's providers; whether there are any.
    fn of_gnupg_pkcs11_scd(&mut self) -> bool {
        let Some(file) = self.places.gnupg_pkcs11_scd.iter().find(|path| path.is_file()) else {
            return false;
        };
        let conf = gnupg_pkcs11_scd::read(file);
        let is_named = !conf.providers.is_empty();
        self.found.complaints.extend(conf.complaints);
        self.found.notes.extend(conf.notes);
        self.found.habits = conf.habits;
        self.found.openpgp_keys = self.found.openpgp_keys.or(conf.openpgp_keys);
        for draft in conf.providers {
            self.taken.insert(draft.config.name.clone());
            self.explicit(draft, file);
        }
        is_named
    }

    /// A provider that somebody named: it is a complaint if its module cannot be used.
    fn explicit(&mut self, draft: Draft, file: &Path) {
        let written = draft.module.unwrap_or_default();
        match self.usable(&written) {
            Ok(module) => self.take(ProviderConfig { module, ..draft.config }, file),
            Err(refusal) => {
                let problem = Problem::Module { provider: draft.config.name, refusal };
                self.found.complaints.push(Complaint::of_file(file, problem));
            }
        }
    }

    fn of_p11_kit(&mut self) {
        let registry = p11_kit::read(&self.places.p11_kit);
        self.found.complaints.extend(registry.complaints);
        for registered in registry.modules {
            match self.registered(&registered) {
                Ok(config) => self.take(config, &registered.file),
                Err(refusal) => self.found.notes.push(Note::Skipped { name: registered.name, refusal }),
            }
        }
    }

    fn registered(&self, registered: &p11_kit::Registered) -> Result<ProviderConfig, Refusal> {
        let written = registered.module()?;
        if self.is_excluded(&registered.name, written) {
            return Err(Refusal::Excluded);
        }
        if self.taken.contains(&registered.name) {
            return Err(Refusal::Replaced);
        }
        let module = self.usable(written)?;
        if registered.is_trust() || module::is_trust(&module) {
            return Err(Refusal::Trust);
        }
        if self.found.providers.iter().any(|other| module::same_file(&other.config.module, &module)) {
            return Err(Refusal::Replaced);
        }
        let mut config = ProviderConfig::new(registered.name.clone(), module);
        config.init_reserved = registered.init_reserved();
        Ok(config)
    }

    fn is_excluded(&self, name: &str, module: &Path) -> bool {
        let file = module.file_name().and_then(|file| file.to_str());
        self.excluded.contains(name) || file.is_some_and(|file| self.excluded.contains(file))
    }

    fn usable(&self, written: &Path) -> Result<PathBuf, Refusal> {
        module::leads_elsewhere(written)?;
        let module = module::locate(written, self.places)?;
        module::leads_elsewhere(&module)?;
        Ok(module)
    }

    fn take(&mut self, mut config: ProviderConfig, file: &Path) {
        config.opensc = module::is_opensc(&config.module);
        self.found.providers.push(Provider { config, file: file.to_owned() });
    }
}
