//! GnuPG's directories: where the home is and where sockets go (gpg(1) `--homedir`; `gpgconf --list-dirs`).

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use sha1::{Digest as _, Sha1};

/// Parents of the per-user run-time directory, in GnuPG's order.
const RUN_DIRECTORIES: [&str; 4] = ["/run/gnupg", "/run", "/var/run/gnupg", "/var/run"];

/// The alphabet of z-base-32 (the directory names of homes that are not the default one).
const ZBASE32: &[u8; 32] = b"ybndrfg8ejkmcpqxot1uwisza345h769";

/// How many octets of the home's hash make the name of its socket directory.
const HASHED_OCTETS: usize = 15;

/// GnuPG's home directory, absolute: as `given`, else `GNUPGHOME`, else `~/.gnupg`.
pub(crate) fn directory(given: Option<&Path>) -> PathBuf {
    let directory = given
        .map(Path::to_owned)
        .or_else(|| std::env::var_os("GNUPGHOME").filter(|home| !home.is_empty()).map(PathBuf::from))
        .unwrap_or_else(default_directory);
    without_trailing_slash(&std::path::absolute(&directory).unwrap_or(directory))
}

fn default_directory() -> PathBuf {
    Path::new(&std::env::var_os("HOME").unwrap_or_else(|| "/".into())).join(".gnupg")
}

fn without_trailing_slash(path: &Path) -> PathBuf {
    path.components().collect()
}

/// Where sockets of that home go: the user's run-time directory if the system has one that is safe to use, else the
/// home itself.
pub(crate) fn socket_directory(home: &Path) -> PathBuf {
    run_time_directory(home).unwrap_or_else(|| home.to_owned())
}

fn run_time_directory(home: &Path) -> Option<PathBuf> {
    let uid = rustix::process::getuid().as_raw();
    let user = RUN_DIRECTORIES
        .iter()
        .map(|parent| Path::new(parent).join("user").join(uid.to_string()))
        .find(|directory| is_private(directory, uid))?;
    let gnupg = user.join("gnupg");
    if !gnupg.exists() {
        use std::os::unix::fs::DirBuilderExt as _;
        std::fs::DirBuilder::new().mode(0o700).create(&gnupg).ok()?;
    }
    let directory = if home == without_trailing_slash(&default_directory()) {
        gnupg
    } else {
        gnupg.join(format!("d.{}", home_hash(home)))
    };
    is_private(&directory, uid).then_some(directory)
}

/// Whether a directory belongs to the user and to nobody else.
fn is_private(directory: &Path, uid: u32) -> bool {
    std::fs::metadata(directory)
        .is_ok_and(|found| found.is_dir() && found.uid() == uid && found.mode() & 0o077 == 0)
}

/// The name of a home's socket directory: z-base-32 of the first 15 octets of the SHA-1 of its path.
fn home_hash(home: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let digest = Sha1::digest(home.as_os_str().as_bytes());
    zbase32(&digest[..HASHED_OCTETS])
}

fn zbase32(octets: &[u8]) -> String {
    let bits = octets.iter().flat_map(|octet| (0..8).rev().map(move |n| octet >> n & 1));
    let bits: Vec<u8> = bits.collect();
    bits.chunks(5)
        .map(|five| five.iter().fold(0, |value, bit| value << 1 | usize::from(*bit)) << (5 - five.len()))
        .map(|index| char::from(ZBASE32[index]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_absolute_and_has_no_trailing_slash() {
        assert_eq!(directory(Some(Path::new("/tmp/h/"))), Path::new("/tmp/h"));
        assert!(directory(Some(Path::new("h"))).is_absolute());
    }

    #[test]
    fn socket_directories_are_named_as_gpgconf_names_them() {
        // As printed by gpgconf 2.2.40: gpgconf --homedir /tmp/h --create-socketdir
        assert_eq!(home_hash(Path::new("/tmp/h")), "mbhgw89f63w8318no56i98wz");
    }
}
