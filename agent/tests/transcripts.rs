//! Plays the transcripts of `testdata/transcripts/` against GnuPG's own scdaemon, or gnupg-pkcs11-scd where tokens are, and
//! against ours: over the pipe, over the socket, and as a library.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;

#[path = "world/token/mod.rs"]
#[allow(dead_code, reason = "others use the rest")]
mod token;
mod transcript;

use transcript::coverage::Since;
use transcript::script::{Side, Transcript};
use transcript::season::{Report, play_all, stock};
use transcript::theatre::Height;
use transcript::{coverage, pulled, season};

#[test]
fn gnupgs_own_scdaemon_says_what_the_transcripts_say() {
    all_played(stock());
}

#[test]
fn gnupg_pkcs11_scd_says_what_the_transcripts_of_tokens_say() {
    all_played(&play_all(Height::Incumbent));
}

#[test]
fn ours_says_it_over_the_pipe() {
    all_played(&play_all(Height::Pipe));
}

#[test]
fn ours_says_it_over_the_socket() {
    all_played(&play_all(Height::Socket));
}

#[test]
fn ours_says_it_without_a_process() {
    all_played(&play_all(Height::Core));
}

#[test]
fn ours_says_something_wherever_the_card_is_pulled() {
    let pulls = pulled::pull_everywhere();
    assert!(pulls.failures.is_empty(), "{pulls:#?}");
    assert!(pulls.transcripts > 50 && pulls.pulls > 300, "{pulls:?}");
}

#[test]
fn every_pair_of_command_and_error_is_covered_and_confirmed() {
    let original = Height::Stock.side();
    let table = coverage::table(original);
    let covered = coverage::pairs(&season::library(), original);
    let confirmed = stock().pairs();
    let without = |pairs: &BTreeSet<(String, u32)>| -> Vec<_> {
        table.iter().filter(|row| !pairs.contains(&row.pair())).map(|row| format!("{row:?}")).collect()
    };
    let (uncovered, unconfirmed) = (without(&covered), without(&confirmed));
    let count = table.len();
    let _ = writeln!(
        std::io::stderr(),
        "{count} pairs of command and error: {} covered, {} confirmed by GnuPG's scdaemon in this run",
        count - uncovered.len(),
        count - unconfirmed.len(),
    );
    assert!(uncovered.is_empty(), "no transcript covers\n{}", uncovered.join("\n"));
    assert!(unconfirmed.is_empty(), "GnuPG's scdaemon did not confirm\n{}", unconfirmed.join("\n"));
}

#[test]
fn every_error_of_what_is_our_own_is_covered() {
    let covered = coverage::pairs(&everything(), Side::Ours);
    let uncovered: Vec<_> =
        coverage::own().into_iter().filter(|row| !covered.contains(&row.pair())).collect();
    assert!(uncovered.is_empty(), "no transcript covers {uncovered:#?}");
}

#[test]
fn every_command_with_its_options_and_names_is_covered_and_confirmed() {
    let original = Height::Stock.side();
    let table = coverage::words();
    let covered = coverage::said(&everything());
    let confirmed = stock().words();
    let (known, unknown): (Vec<_>, Vec<_>) = table.iter().partition(|word| word.is_known_to(original));
    let count = |since| table.iter().filter(|word| word.since == since).count();
    let _ = writeln!(
        std::io::stderr(),
        "{} commands with their options and names: {} confirmed by GnuPG's scdaemon in this run, {} that it does not have; \
         of them {} known from source only, {} of our own",
        table.len(),
        known.iter().filter(|word| confirmed.contains(&word.pair())).count(),
        unknown.len(),
        count(Since::SourceOnly),
        count(Since::Ours),
    );
    let uncovered: Vec<_> = table.iter().filter(|word| !covered.contains(&word.pair())).collect();
    let unconfirmed: Vec<_> = known.iter().filter(|word| !confirmed.contains(&word.pair())).collect();
    assert!(uncovered.is_empty(), "no transcript covers {uncovered:#?}");
    assert!(unconfirmed.is_empty(), "GnuPG's scdaemon did not confirm {unconfirmed:#?}");
}

/// `CLAVIGER_DRAFTS` names a directory whose `*.draft` files are recorded: with GnuPG's scdaemon, or with the one that
/// `CLAVIGER_RECORD` names, `ours` or `gnupg-pkcs11-scd`.
#[test]
#[ignore = "a tool: see testdata/transcripts/README.md, \"Writing one\""]
fn record_drafts() {
    let directory = std::env::var_os("CLAVIGER_DRAFTS").expect("CLAVIGER_DRAFTS names a directory");
    let height = match std::env::var("CLAVIGER_RECORD").as_deref() {
        Ok("ours") => Height::Pipe,
        Ok("gnupg-pkcs11-scd") => Height::Incumbent,
        _ => Height::Stock,
    };
    let failures = season::record_all(Path::new(&directory), height);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn everything() -> Vec<Transcript> {
    season::library().into_iter().chain(season::library_of_tokens()).collect()
}

fn all_played(report: &Report) {
    let failures = report.failures();
    assert!(failures.is_empty(), "{}\n{}", report.summary(), failures.join("\n"));
}
