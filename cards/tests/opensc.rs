//! OpenSC's own module leaves alone the readers that our configuration names, and no others.

#![allow(clippy::unwrap_used, reason = "helpers of tests may do what tests may")]

use std::path::{Path, PathBuf};
use std::process::Command;

use claviger_cards::pkcs11::opensc::opensc_conf;

/// What OpenSC writes while it lists slots beside two readers, with this configuration.
fn seen(configuration: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("opensc.conf");
    std::fs::write(&file, configuration).unwrap();
    let mut world = Command::new(repository("testdata/world/pcscd-vpcd"));
    world.arg("--").args(["pkcs11-tool", "--module", "opensc-pkcs11.so", "-L"]).env("OPENSC_CONF", file);
    let output = world.output().expect("bash is installed");
    // Without a reader that is left, listing fails.
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

#[test]
fn a_reader_that_we_serve_is_ignored_beside_those_that_the_person_ignores() {
    let persons = "app opensc-pkcs11 { }\n\
                   app default { debug = 9; debug_file = stderr; ignored_readers = \"Unheard of\"; }\n";
    let ignored = |number: u8| format!("Ignoring reader 'Virtual PCD 00 0{number}'");
    let text = seen(persons);
    assert!(!text.contains(&ignored(0)) && !text.contains(&ignored(1)), "{text}");
    let text = seen(&opensc_conf(persons, &["Virtual PCD 00 01".to_owned()]));
    assert!(!text.contains(&ignored(0)) && text.contains(&ignored(1)), "{text}");
}

#[test]
fn without_a_configuration_there_is_a_block_for_it() {
    let text = seen(
        &(opensc_conf("", &["Virtual PCD".to_owned()])
            + "app opensc-pkcs11 { debug = 9; debug_file = stderr; }\n"),
    );
    for number in 0..2 {
        assert!(text.contains(&format!("Ignoring reader 'Virtual PCD 00 0{number}'")), "{text}");
    }
}
