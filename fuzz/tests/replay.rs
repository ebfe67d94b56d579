//! Replays every corpus through its target. A target without a corpus, or a corpus without a target, is a failure.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use claviger_fuzz::TARGETS;

#[test]
fn every_corpus_replays() {
    for (name, target) in TARGETS {
        let inputs = entries(&format!("corpus/{name}"));
        assert!(!inputs.is_empty(), "target {name} has no corpus");
        for input in inputs {
            println!("{}", input.display());
            target(&fs::read(&input).unwrap());
        }
    }
}

#[test]
fn every_target_has_its_program_and_its_corpus() {
    let targets: BTreeSet<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(stems("fuzz_targets"), targets);
    assert_eq!(stems("corpus"), targets);
    let manifest = fs::read_to_string(path("Cargo.toml")).unwrap();
    for name in targets {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name} is no [[bin]]");
    }
}

fn stems(directory: &str) -> BTreeSet<String> {
    entries(directory)
        .iter()
        .map(|path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned())
        .collect()
}

fn entries(directory: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(path(directory)).into_iter().flatten();
    entries.flatten().map(|entry| entry.path()).collect()
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}
