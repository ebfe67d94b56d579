//! The module that does its worst (`cards/hostile`), built when a test needs it.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// Its shared object, beside this program's directory. Where there is no cargo, it has to be there already.
pub(crate) fn path() -> PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(built).clone()
}

fn built() -> PathBuf {
    let program = std::env::current_exe().expect("this program has a name");
    let profile = program.parent().and_then(|deps| deps.parent()).expect("the directory of a profile");
    let module = profile.join("libhostile_pkcs11.so");
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "build",
        "--quiet",
        "--locked",
        "--package",
        "claviger-hostile-module",
        "--manifest-path",
        manifest,
    ]);
    cargo.arg("--target-dir").arg(profile.parent().expect("the target directory"));
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    match cargo.status() {
        Ok(status) => assert!(status.success(), "the hostile module builds"),
        Err(_) => assert!(module.exists(), "{} is missing", module.display()),
    }
    module
}
