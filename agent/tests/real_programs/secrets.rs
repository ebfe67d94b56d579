//! Nothing secret reaches a log, at the noisiest setting, or what every process may read of another.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::world::jobs::{decrypts, import_rsa, signs};
use crate::world::token::SoftHsm;
use crate::world::{Card, Home, Reader, Scdaemon};

/// PINs that occur nowhere by chance.
const USER: &str = "Kopfsalat77";
const ADMIN: &str = "Rapunzel8899";

#[test]
fn no_pin_and_no_private_key_is_logged_or_shown_to_other_processes() {
    let reader = Reader::start();
    let _card = Card::insert(&reader.slot(), &[]);
    let home = Home::new(&reader, Scdaemon::under_test());
    let log = noisy(&home);
    home.wait_for_card();
    let new = format!("user 123456\nnew {USER}\nadmin 12345678\nnewadmin {ADMIN}\n");
    home.answers(&new);
    home.card_edit(&["admin", "passwd", "1", "3", "q", "quit"]).ok();
    home.answers(&format!("user {USER}\nadmin {ADMIN}\n"));
    let prime = import_rsa(&home, 2048);
    signs(&home);
    decrypts(&home);

    let pid = home.agent(&["SCD GETINFO pid"]).ok().line("D ");
    shows_none(&log, &[pid], &[USER.as_bytes(), ADMIN.as_bytes(), &prime]);
    let logged = fs::read_to_string(&log).expect("it can be read");
    assert!(logged.contains("APDU"), "the log was to be noisy:\n{logged}");
}

#[test]
fn no_pin_of_a_token_is_logged_or_shown_to_other_processes() {
    let hsm = SoftHsm::with("token office\nkey rsa2048 id=01");
    let home = Home::with_tokens(&hsm, Scdaemon::under_test());
    let log = noisy(&home);
    home.answers(&format!("user 123456\nnew {USER}\n"));
    home.agent(&["SCD SERIALNO", "SCD PASSWD 1"]).ok();
    home.answers(&format!("user {USER}\n"));
    let grip = home.agent(&["SCD KEYINFO --list"]).ok().line("S KEYINFO ")[..40].to_owned();
    let data = format!("SCD SETDATA {}", "07".repeat(32));
    home.agent(&["SCD PASSWD --clear 1", &data, &format!("SCD PKSIGN --hash=sha256 {grip}")]).ok();

    let pid = home.agent(&["SCD GETINFO pid"]).ok().line("D ");
    let helpers = children_of(&pid);
    assert_eq!(helpers.len(), 1, "{helpers:?}");
    shows_none(&log, &[vec![pid], helpers].concat(), &[USER.as_bytes()]);
    let logged = fs::read_to_string(&log).expect("it can be read");
    assert!(logged.contains("PKSIGN"), "the log was to be noisy:\n{logged}");
}

/// Has the daemon log all that it can; where.
fn noisy(home: &Home) -> PathBuf {
    let log = home.path("scdaemon.log");
    let noisy =
        "disable-ccid\nverbose\nverbose\nverbose\ndebug-all\ndebug-level guru\ndebug-assuan-log-cats 65535\n";
    home.write("scdaemon.conf", &format!("{noisy}log-file {}\n", log.display()));
    log
}

/// The processes that this one has started.
fn children_of(pid: &str) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs").flatten();
    let started = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let lines: Vec<_> = started.collect();
    lines.iter().flat_map(|line| line.split_whitespace()).map(str::to_owned).collect()
}

/// Nothing of the secrets is in the log, or in what others may read of the processes.
fn shows_none(log: &Path, pids: &[String], secrets: &[&[u8]]) {
    let of_processes =
        pids.iter().flat_map(|pid| ["cmdline", "environ"].map(|what| format!("/proc/{pid}/{what}")));
    for place in of_processes.chain([log.display().to_string()]) {
        let text = match fs::read(&place) {
            Ok(text) => text,
            // The process may be closed to its own user; then nothing is shown.
            Err(refusal) if refusal.kind() == ErrorKind::PermissionDenied => continue,
            Err(other) => panic!("{place}: {other}"),
        };
        for secret in secrets {
            assert!(!shows(&text, secret), "{place} shows a secret:\n{}", String::from_utf8_lossy(&text));
        }
    }
}

/// Whether `secret`, or eight octets of it, stands in `text` raw or in hexadecimal, with or without blanks or colons.
fn shows(text: &[u8], secret: &[u8]) -> bool {
    let piece = &secret[..secret.len().min(8)];
    let squeezed: Vec<u8> = text.iter().filter(|c| !b" :".contains(c)).map(u8::to_ascii_lowercase).collect();
    let hex: String = piece.iter().map(|octet| format!("{octet:02x}")).collect();
    contains(text, piece) || contains(&squeezed, hex.as_bytes())
}

fn contains(text: &[u8], piece: &[u8]) -> bool {
    text.windows(piece.len()).any(|window| window == piece)
}
