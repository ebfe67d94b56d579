//! What gpg said, in a form that two runs can be compared in.

use crate::world::{Home, Seen};

/// From this length on, hexadecimal digits are a fingerprint or a keygrip; the card's serial number has more.
const LONG: std::ops::RangeInclusive<usize> = 16..=40;

/// Exit code and both outputs by lines, with the home, the reader and process numbers left out. Fingerprints are those of
/// keys that were made a moment ago.
pub(crate) fn said(seen: &Seen, home: &Home) -> Vec<String> {
    let home = home.path("").display().to_string();
    let text = seen.text().replace(home.trim_end_matches('/'), "HOME");
    let text = text.replace("Virtual PCD 00 01", "READER").replace("Virtual PCD 00 00", "READER");
    let lines = text.lines().filter(|line| !is_noise(line)).map(without_fingerprints);
    lines.chain([format!("exit {}", seen.code.map_or(-1, |code| code))]).collect()
}

/// The lines of `these` that have no counterpart in `those`.
pub(crate) fn only_in(these: &[String], those: &[String]) -> Vec<String> {
    let mut those: Vec<_> = those.iter().collect();
    let mut has_counterpart = |line: &String| {
        let at = those.iter().position(|other| *other == line);
        at.map(|at| those.remove(at)).is_some()
    };
    these.iter().filter(|line| !has_counterpart(line)).cloned().collect()
}

fn is_noise(line: &str) -> bool {
    // The prompts are in the questions of the job; that a pinentry came is in those of pinentry.
    ["[GNUPG:] GET_", "[GNUPG:] GOT_IT", "[GNUPG:] PINENTRY_LAUNCHED"]
        .iter()
        .any(|start| line.starts_with(start))
}

fn without_fingerprints(line: &str) -> String {
    let mut text = String::new();
    let mut word = String::new();
    for c in line.chars().chain(['\n']) {
        if c.is_ascii_hexdigit() && !c.is_ascii_lowercase() {
            word.push(c);
            continue;
        }
        text.push_str(if LONG.contains(&word.len()) && !word.starts_with("D27600012401") {
            "FPR"
        } else {
            &word
        });
        word.clear();
        text.push(c);
    }
    text.trim_end().to_owned()
}
