//! Where configuration of PKCS#11 providers lies. Everything that comes from the environment comes in here.
//!
//! p11-kit's variables are honoured under its names (`P11_SYSTEM_CONFIG_FILE` and its like), so that whoever moves its
//! folders, for a test say, moves them for both.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The system's `claviger.toml`, unless `CLAVIGER_SYSTEM_CONFIG` names another.
const SYSTEM_FILE: &str = "/etc/claviger/claviger.toml";

/// The system's `gnupg-pkcs11-scd.conf`, unless `CLAVIGER_GNUPG_PKCS11_SCD_CONFIG` names another.
const SYSTEM_GNUPG_PKCS11_SCD: &str = "/etc/gnupg-pkcs11-scd.conf";

/// Files and folders that are looked at.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// The user's `claviger.toml`.
    pub(super) user_file: PathBuf,
    /// Whether the command line or `scdaemon.conf` names it, so that it has to be there.
    pub(super) user_file_is_named: bool,
    /// The system's `claviger.toml`.
    pub(super) system_file: PathBuf,
    /// gnupg-pkcs11-scd's file: the first that is there.
    pub(super) gnupg_pkcs11_scd: [PathBuf; 2],
    /// p11-kit's folders.
    pub(super) p11_kit: P11KitPlaces,
    /// Where modules without a path are.
    pub(super) module_folders: Vec<PathBuf>,
    /// The user's home, for `~`.
    pub(super) user_home: Option<PathBuf>,
}

/// Where p11-kit's configuration lies (pkcs11.conf(5)).
#[derive(Debug, Clone)]
pub(super) struct P11KitPlaces {
    /// The system's `pkcs11.conf`.
    pub(super) system_file: PathBuf,
    /// Modules that packages have registered.
    pub(super) package_modules: PathBuf,
    /// Modules that the administrator has registered.
    pub(super) system_modules: PathBuf,
    /// The user's own; the superuser has none.
    pub(super) user: Option<P11KitUserPlaces>,
}

/// A user's own part of it.
#[derive(Debug, Clone)]
pub(super) struct P11KitUserPlaces {
    /// The user's `pkcs11.conf`.
    pub(super) file: PathBuf,
    /// Modules that the user has registered.
    pub(super) modules: PathBuf,
}

impl Places {
    /// The places of this process: GnuPG's home, the user's `claviger.toml` if it is elsewhere, and the environment.
    pub(crate) fn new(home: &Path, user_file: Option<PathBuf>) -> Self {
        let user_home = variable("HOME").map(PathBuf::from);
        Self {
            user_file_is_named: user_file.is_some(),
            user_file: user_file.unwrap_or_else(|| home.join("claviger.toml")),
            system_file: path("CLAVIGER_SYSTEM_CONFIG", SYSTEM_FILE),
            gnupg_pkcs11_scd: [
                home.join("gnupg-pkcs11-scd.conf"),
                path("CLAVIGER_GNUPG_PKCS11_SCD_CONFIG", SYSTEM_GNUPG_PKCS11_SCD),
            ],
            p11_kit: P11KitPlaces::new(user_home.as_deref()),
            module_folders: match variable("P11_MODULE_PATH") {
                Some(folder) => vec![folder.into()],
                None => usual_module_folders(),
            },
            user_home,
        }
    }

    /// Nothing but a home.
    #[cfg(test)]
    pub(super) fn bare(home: &Path) -> Self {
        Self {
            user_file: home.join("claviger.toml"),
            user_file_is_named: false,
            system_file: home.join("system.toml"),
            gnupg_pkcs11_scd: [home.join("gnupg-pkcs11-scd.conf"), home.join("etc-gnupg-pkcs11-scd.conf")],
            p11_kit: P11KitPlaces {
                system_file: home.join("pkcs11.conf"),
                package_modules: home.join("package"),
                system_modules: home.join("system"),
                user: Some(P11KitUserPlaces {
                    file: home.join("user-pkcs11.conf"),
                    modules: home.join("user"),
                }),
            },
            module_folders: vec![home.to_owned()],
            user_home: Some(home.to_owned()),
        }
    }

    /// A path in which a leading `~/` is the user's home.
    pub(super) fn without_tilde(&self, path: &Path) -> PathBuf {
        match (path.strip_prefix("~"), &self.user_home) {
            (Ok(rest), Some(home)) => home.join(rest),
            _ => path.to_owned(),
        }
    }
}

impl P11KitPlaces {
    fn new(user_home: Option<&Path>) -> Self {
        // As p11-kit does: a program of the superuser does not follow a file in somebody's home.
        let has_own = !rustix::process::getuid().is_root() && variable("P11_KIT_NO_USER_CONFIG").is_none();
        Self {
            system_file: path("P11_SYSTEM_CONFIG_FILE", "/etc/pkcs11/pkcs11.conf"),
            package_modules: path("P11_PACKAGE_CONFIG_MODULES", "/usr/share/p11-kit/modules"),
            system_modules: path("P11_SYSTEM_CONFIG_MODULES", "/etc/pkcs11/modules"),
            user: has_own.then(|| P11KitUserPlaces::new(user_home)).flatten(),
        }
    }
}

impl P11KitUserPlaces {
    fn new(user_home: Option<&Path>) -> Option<Self> {
        let folder = match variable("XDG_CONFIG_HOME") {
            Some(folder) => PathBuf::from(folder),
            None => user_home?.join(".config"),
        };
        let folder = folder.join("pkcs11");
        Some(Self {
            file: variable("P11_USER_CONFIG_FILE").map_or_else(|| folder.join("pkcs11.conf"), PathBuf::from),
            modules: variable("P11_USER_CONFIG_MODULES")
                .map_or_else(|| folder.join("modules"), PathBuf::from),
        })
    }
}

/// Where distributions have p11-kit's `p11_module_path`.
fn usual_module_folders() -> Vec<PathBuf> {
    let multiarch = format!("/usr/lib/{}-linux-gnu/pkcs11", std::env::consts::ARCH);
    let rest = ["/usr/lib64/pkcs11", "/usr/lib/pkcs11", "/usr/local/lib/pkcs11"];
    std::iter::once(multiarch.into()).chain(rest.map(PathBuf::from)).collect()
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn path(variable_name: &str, usual: &str) -> PathBuf {
    variable(variable_name).map_or_else(|| usual.into(), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tilde_is_the_users_home_only_at_the_beginning() {
        let places = Places::bare(Path::new("/h"));
        assert_eq!(places.without_tilde(Path::new("~/m.so")), Path::new("/h/m.so"));
        assert_eq!(places.without_tilde(Path::new("/a/~/m.so")), Path::new("/a/~/m.so"));
        assert_eq!(places.without_tilde(Path::new("~other/m.so")), Path::new("~other/m.so"));
    }
}
