//! The search for providers: which file's word counts, and which modules are used.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use claviger_cards::pkcs11::ProviderConfig;

use super::file::File;
use super::module::{self, Refusal};
use super::places::Places;
use super::remark::{Complaint, Note, Problem};
use super::schema::Draft;
use super::{Found, Provider, gnupg_pkcs11_scd, p11_kit};

/// A search under way.
pub(super) struct Search<'p> {
    places: &'p Places,
    p11_kit: Option<bool>,
    excluded: BTreeSet<String>,
    /// Names that claviger.toml has, of providers in use or not.
    taken: BTreeSet<String>,
    found: Found,
}

impl<'p> Search<'p> {
    pub(super) fn new(places: &'p Places, user: &File, system: &File) -> Self {
        let excluded = [user, system].into_iter().flat_map(|file| file.top.exclude.iter().cloned());
        Self {
            places,
            p11_kit: user.top.p11_kit.or(system.top.p11_kit),
            excluded: excluded.collect(),
            taken: BTreeSet::new(),
            found: Found { openpgp_keys: user.openpgp_keys.or(system.openpgp_keys), ..Found::default() },
        }
    }

    /// Looks everywhere.
    pub(super) fn all(mut self, user: File, system: File) -> Found {
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

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    /// A home with these files; those that end in `.so` are modules.
    fn home(files: &[(&str, &str)]) -> TempDir {
        let home = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = home.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        home
    }

    fn found(home: &TempDir) -> Found {
        super::super::find(&Places::bare(home.path()))
    }

    fn names(found: &Found) -> Vec<&str> {
        found.providers.iter().map(|provider| provider.config.name.as_str()).collect()
    }

    fn said<T: ToString>(home: &TempDir, remarks: &[T]) -> Vec<String> {
        let folder = format!("{}/", home.path().display());
        remarks.iter().map(|remark| remark.to_string().replace(&folder, "")).collect()
    }

    const P11_KIT: [(&str, &str); 4] = [
        ("package/soft.module", "module: soft.so\n"),
        ("package/opensc.module", "module: opensc-pkcs11.so\npriority: 1\n"),
        ("soft.so", ""),
        ("opensc-pkcs11.so", ""),
    ];

    #[test]
    fn where_nothing_is_there_nothing_is_found_and_nothing_said() {
        let found = found(&home(&[]));
        assert!(found.providers.is_empty() && found.complaints.is_empty() && found.notes.is_empty());
    }

    #[test]
    fn without_configuration_p11_kits_modules_are_used() {
        let home = home(&P11_KIT);
        let found = found(&home);
        assert_eq!(names(&found), ["opensc", "soft"]);
        let [opensc, soft] = &found.providers[..] else { panic!("{found:?}") };
        assert!(opensc.config.opensc && !soft.config.opensc);
        assert_eq!(soft.config.module, home.path().join("soft.so"));
        assert_eq!(soft.file, home.path().join("package/soft.module"));
    }

    #[test]
    fn a_file_with_a_provider_is_instead_of_p11_kits_unless_it_wants_both() {
        let provider = "[[provider]]\nname = \"mine\"\nmodule = \"mine.so\"\n";
        let more = ["p11-kit = true\n", "p11-kit = true\nexclude = [\"soft\"]\n", "p11-kit = false\n", ""];
        let expected: [&[&str]; 4] = [&["mine", "opensc", "soft"], &["mine", "opensc"], &["mine"], &["mine"]];
        for (top, expected) in more.into_iter().zip(expected) {
            let text = format!("{top}{provider}");
            let home = home(&[&P11_KIT[..], &[("claviger.toml", &text), ("mine.so", "")]].concat());
            assert_eq!(names(&found(&home)), expected, "{top}");
        }
    }

    #[test]
    fn the_users_file_goes_before_the_systems() {
        let home = home(&[
            (
                "claviger.toml",
                "[[provider]]\nname = \"a\"\nmodule = \"a.so\"\nthreads = 2\n\
                              [[provider]]\nname = \"b\"\nenabled = false\n",
            ),
            (
                "system.toml",
                "p11-kit = true\n[[provider]]\nname = \"a\"\nmodule = \"x.so\"\n\
                            [[provider]]\nname = \"b\"\nmodule = \"b.so\"\n\
                            [[provider]]\nname = \"c\"\nmodule = \"c.so\"\n",
            ),
            ("package/b.module", "module: b.so\n"),
            ("package/d.module", "module: c.so\n"),
            ("a.so", ""),
            ("b.so", ""),
            ("c.so", ""),
        ]);
        let found = found(&home);
        assert_eq!(names(&found), ["a", "c"]);
        assert_eq!(found.providers[0].config.threads, Some(2));
        assert_eq!(
            said(&home, &found.notes),
            [
                "p11-kit's module \"b\" is not used: claviger.toml has a provider in its place",
                "p11-kit's module \"d\" is not used: claviger.toml has a provider in its place",
            ]
        );
    }

    #[test]
    fn a_file_that_is_wrong_leaves_no_providers() {
        let home = home(&[&P11_KIT[..], &[("claviger.toml", "p11kit = false\n")]].concat());
        let found = found(&home);
        assert!(found.providers.is_empty());
        let complaint = "claviger.toml:1: unknown key \"p11kit\"; did you mean \"p11-kit\"?";
        assert_eq!(said(&home, &found.complaints), [complaint]);
    }

    #[test]
    fn modules_that_lead_back_to_us_are_never_used_wherever_they_are_named() {
        let home = home(&[
            (
                "claviger.toml",
                "p11-kit = true\n[[provider]]\nname = \"s\"\nmodule = \"scute.so\"\n\
                              [[provider]]\nname = \"m\"\nmodule = \"missing.so\"\n",
            ),
            ("package/a.module", "module: libclaviger_pkcs11.so\n"),
            ("package/b.module", "module: p11-kit-proxy.so\n"),
            ("package/c.module", "module: scute.so\n"),
            ("package/d.module", "module: p11-kit-trust.so\n"),
            ("package/e.module", "module: trusted.so\ntrust-policy: yes\n"),
            ("package/f.module", "module: missing.so\n"),
            ("libclaviger_pkcs11.so", ""),
            ("p11-kit-proxy.so", ""),
            ("p11-kit-trust.so", ""),
            ("scute.so", ""),
            ("trusted.so", ""),
        ]);
        let found = found(&home);
        assert_eq!(names(&found), [""; 0]);
        assert_eq!(
            said(&home, &found.complaints),
            [
                "claviger.toml: provider \"s\": it asks gpg-agent, which would ask claviger",
                "claviger.toml: provider \"m\": there is no missing.so",
            ]
        );
        assert_eq!(found.notes.len(), 6, "{:?}", found.notes);
    }

    #[test]
    fn gnupg_pkcs11_scds_file_counts_where_claviger_toml_names_no_provider() {
        let conf = "providers p\nprovider-p-library p.so\npin-cache 20\nprovider-p-cert-private\n";
        let files = [("gnupg-pkcs11-scd.conf", conf), ("p.so", "")];
        let without = home(&[&P11_KIT[..], &files].concat());
        let seen = found(&without);
        assert_eq!(names(&seen), ["p"]);
        assert_eq!((seen.habits.pin_cache, seen.notes.len()), (Some(20), 1));
        let provider = ("claviger.toml", "[[provider]]\nname = \"soft\"\nmodule = \"soft.so\"\n");
        let with = home(&[&P11_KIT[..], &files, &[provider]].concat());
        let seen = found(&with);
        assert_eq!(names(&seen), ["soft"]);
        assert_eq!(seen.habits.pin_cache, None);
    }
}
