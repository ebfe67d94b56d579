//! Nothing secret reaches a log, at the noisiest setting, or what every process may read of another.

use std::fs;
use std::io::ErrorKind;

use crate::world::jobs::{decrypts, import_rsa, signs};
use crate::world::{Card, Home, Reader, Scdaemon};

/// PINs that occur nowhere by chance.
const USER: &str = "Kopfsalat77";
const ADMIN: &str = "Rapunzel8899";

#[test]
fn no_pin_and_no_private_key_is_logged_or_shown_to_other_processes() {
    let reader = Reader::start();
    let _card = Card::insert(&reader.slot(), &[]);
    let home = Home::new(&reader, Scdaemon::under_test());
    let log = home.path("scdaemon.log");
    let noisy =
        "disable-ccid\nverbose\nverbose\nverbose\ndebug-all\ndebug-level guru\ndebug-assuan-log-cats 65535\n";
    home.write("scdaemon.conf", &format!("{noisy}log-file {}\n", log.display()));
    home.wait_for_card();
    let new = format!("user 123456\nnew {USER}\nadmin 12345678\nnewadmin {ADMIN}\n");
    home.answers(&new);
    home.card_edit(&["admin", "passwd", "1", "3", "q", "quit"]).ok();
    home.answers(&format!("user {USER}\nadmin {ADMIN}\n"));
    let prime = import_rsa(&home, 2048);
    signs(&home);
    decrypts(&home);

    let pid = home.agent(&["SCD GETINFO pid"]).ok().line("D ");
    let places = [log.display().to_string(), format!("/proc/{pid}/cmdline"), format!("/proc/{pid}/environ")];
    for place in &places {
        let text = match fs::read(place) {
            Ok(text) => text,
            // The daemon may be closed to its own user; then nothing is shown.
            Err(refusal) if refusal.kind() == ErrorKind::PermissionDenied => continue,
            Err(other) => panic!("{place}: {other}"),
        };
        for secret in [USER.as_bytes(), ADMIN.as_bytes(), &prime] {
            assert!(!shows(&text, secret), "{place} shows a secret:\n{}", String::from_utf8_lossy(&text));
        }
    }
    let logged = fs::read_to_string(&log).expect("it can be read");
    assert!(logged.contains("APDU"), "the log was to be noisy:\n{logged}");
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
