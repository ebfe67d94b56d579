//! Which shared object a module is, and which modules are never loaded.
//!
//! Names are looked at and so is what symbolic links lead to: `p11-kit-proxy.so` is p11-kit's own library under another name.

use std::path::{Path, PathBuf};

use super::places::Places;

/// Modules that lead back to us or are none, by their files' names up to `.so`.
const NEVER: [(&str, Refusal); 8] = [
    ("libclaviger_pkcs11", Refusal::OurOwn),
    ("claviger_pkcs11", Refusal::OurOwn),
    ("claviger-pkcs11", Refusal::OurOwn),
    ("p11-kit-proxy", Refusal::Proxy),
    ("libp11-kit", Refusal::Proxy),
    ("libp11-kit-proxy", Refusal::Proxy),
    ("scute", Refusal::AsksAgent),
    ("libscute", Refusal::AsksAgent),
];

/// Modules that hold no keys.
const TRUST: [&str; 3] = ["p11-kit-trust", "libnssckbi", "libnssckbi-testlib"];

/// OpenSC's.
const OPENSC: [&str; 4] = ["opensc-pkcs11", "onepin-opensc-pkcs11", "opensc_pkcs11", "libopensc-pkcs11"];

/// Why a module is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is our own: it would ask us.
    #[error("it is claviger's own")]
    OurOwn,
    /// It brings together all modules, our own among them.
    #[error("it brings together modules that are loaded one by one")]
    Proxy,
    /// It asks gpg-agent, which asks us.
    #[error("it asks gpg-agent, which would ask claviger")]
    AsksAgent,
    /// It holds certificates of authorities and no keys.
    #[error("it holds trust, no keys")]
    Trust,
    /// p11-kit runs it by a command.
    #[error("p11-kit runs it by a command (\"remote\"); name p11-kit-client.so as a provider to reach it")]
    Remote,
    /// It is meant for other programs.
    #[error("it is for other programs (\"enable-in\", \"disable-in\")")]
    OtherPrograms,
    /// `claviger.toml` excludes it.
    #[error("claviger.toml excludes it")]
    Excluded,
    /// `claviger.toml` has a provider of that name or with that module.
    #[error("claviger.toml has a provider in its place")]
    Replaced,
    /// No shared object is named: so a user switches off what the system has registered.
    #[error("no shared object is named")]
    Unnamed,
    /// There is no such file.
    #[error("there is no {}", .0.display())]
    Missing(PathBuf),
}

/// The file of a module: as given if absolute, below the user's home if it begins with `~/`, else in one of p11-kit's folders.
///
/// # Errors
/// [`Refusal::Missing`] if there is none.
pub(super) fn locate(written: &Path, places: &Places) -> Result<PathBuf, Refusal> {
    let written = places.without_tilde(written);
    let missing = || Refusal::Missing(written.clone());
    if written.is_absolute() {
        return written.is_file().then(|| written.clone()).ok_or_else(missing);
    }
    let candidates = places.module_folders.iter().map(|folder| folder.join(&written));
    candidates.into_iter().find(|path| path.is_file()).ok_or_else(missing)
}

/// Whether a module leads back to us.
///
/// # Errors
/// If it does.
pub(super) fn leads_elsewhere(module: &Path) -> Result<(), Refusal> {
    let stems = stems(module);
    match NEVER.iter().find(|(stem, _)| stems.iter().any(|own| own == stem)) {
        Some((_, refusal)) => Err(refusal.clone()),
        None => Ok(()),
    }
}

/// Whether a module is known to hold trust only.
pub(super) fn is_trust(module: &Path) -> bool {
    stems(module).iter().any(|stem| TRUST.contains(&stem.as_str()))
}

/// Whether a module is OpenSC's.
pub(super) fn is_opensc(module: &Path) -> bool {
    stems(module).iter().any(|stem| OPENSC.contains(&stem.as_str()))
}

/// Whether two paths are the same file.
pub(super) fn same_file(one: &Path, other: &Path) -> bool {
    one == other || matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// The names of a file and of what it leads to, up to `.so`.
fn stems(module: &Path) -> Vec<String> {
    let target = module.canonicalize().ok();
    let paths = [Some(module), target.as_deref()];
    let names = paths.into_iter().flatten().filter_map(|path| path.file_name()?.to_str());
    names.map(|name| name.split_once(".so").map_or(name, |(stem, _)| stem).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_that_lead_back_to_us_are_known_by_name_and_by_link() {
        for (name, refusal) in [
            ("/x/libclaviger_pkcs11.so", Err(Refusal::OurOwn)),
            ("/x/p11-kit-proxy.so", Err(Refusal::Proxy)),
            ("/x/libp11-kit.so.0.3.0", Err(Refusal::Proxy)),
            ("/x/scute.so", Err(Refusal::AsksAgent)),
            ("/x/p11-kit-client.so", Ok(())),
            ("/x/libsofthsm2.so", Ok(())),
        ] {
            assert_eq!(leads_elsewhere(Path::new(name)), refusal, "{name}");
        }
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("scute.so");
        std::fs::write(&target, "").unwrap();
        let link = folder.path().join("innocent.so");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert_eq!(leads_elsewhere(&link), Err(Refusal::AsksAgent));
        assert!(same_file(&link, &target) && !same_file(&link, folder.path()));
    }

    #[test]
    fn openscs_and_trust_modules_are_known() {
        assert!(
            is_opensc(Path::new("/x/onepin-opensc-pkcs11.so")) && !is_opensc(Path::new("/x/pkcs11-spy.so"))
        );
        assert!(is_trust(Path::new("/x/p11-kit-trust.so")) && !is_trust(Path::new("/x/opensc-pkcs11.so")));
    }

    #[test]
    fn a_relative_module_is_in_one_of_the_folders_and_a_tilde_is_the_users_home() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("m.so"), "").unwrap();
        let mut places = Places::bare(folder.path());
        places.module_folders = vec!["/nonexistent".into(), folder.path().to_owned()];
        places.user_home = Some(folder.path().to_owned());
        let there = Ok(folder.path().join("m.so"));
        for written in ["m.so", "~/m.so", &folder.path().join("m.so").to_string_lossy()] {
            assert_eq!(locate(Path::new(written), &places), there, "{written}");
        }
        assert_eq!(locate(Path::new("n.so"), &places), Err(Refusal::Missing("n.so".into())));
    }
}
