//! Private data objects, the certificate, and what SETATTR writes that gpg has no menu for.

use super::{USUAL, nothing};
use crate::office::contents::NEW;
use crate::office::{Job, Start};
use crate::world::{Home, Seen};

const fn job(name: &'static str, act: fn(&Home) -> Vec<Seen>) -> Job {
    Job { name, since: "2.2", start: Start::New, answers: USUAL, act, check: nothing, pins: NEW, varies: &[] }
}

/// Through the agent, in one session.
fn scd(home: &Home, lines: &[&str]) -> Vec<Seen> {
    let lines: Vec<_> = lines.iter().map(|line| format!("SCD {line}")).collect();
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    vec![home.agent(&lines)]
}

/// DER of this length, as far as a card can tell.
const CERTIFICATE: usize = 1500;

pub(crate) static JOBS: &[Job] = &[
    job("privatedo", |home| {
        let words =
            ["privatedo 1", "one", "privatedo 2", "two", "privatedo 3", "three", "privatedo 4", "four"];
        vec![home.card_edit(&[&["admin"], &words[..], &["quit"]].concat())]
    }),
    job("privatedo from a file", |home| {
        let file = home.write("private", "a line\r\nand % + another\n\u{1}").display().to_string();
        vec![home.card_edit(&["admin", &format!("privatedo 2 < {file}"), "quit"])]
    }),
    job("writecert, readcert", |home| {
        let octets: Vec<u8> = (0..CERTIFICATE).map(|n| u8::try_from(n % 251).expect("a remainder")).collect();
        let certificate = home.path("certificate");
        std::fs::write(&certificate, &octets).expect("the folder is ours");
        let back = home.path("back").display().to_string();
        let write = format!("writecert 3 < {}", certificate.display());
        let seen = home.card_edit(&["admin", &write, &format!("readcert 3 > {back}"), "quit"]).ok();
        assert_eq!(std::fs::read(back).expect("gpg wrote it"), octets);
        vec![seen]
    }),
    job("readcert of none", |home| {
        let back = home.path("back").display().to_string();
        vec![home.card_edit(&["admin", &format!("readcert 3 > {back}"), "quit"])]
    }),
    job("SETATTR of everything", |home| {
        let lines = [
            "SERIALNO",
            "SETATTR DISP-NAME Doe<<Jane",
            "SETATTR DISP-LANG en",
            "SETATTR DISP-SEX 9",
            "SETATTR PUBKEY-URL https://example.org/%25+x",
            "SETATTR LOGIN-DATA jane%0A%14F%3D0",
            "SETATTR CHV-STATUS-1 %01",
            "SETATTR CA-FPR-2 ABCDEFGHIJKLMNOPQRST",
            "SETATTR PRIVATE-DO-1 one",
            "SETATTR PRIVATE-DO-2 two",
            "SETATTR PRIVATE-DO-3 three",
            "SETATTR PRIVATE-DO-4 four",
            "SETATTR CERT-3 %30%03%02%01%01",
            "SETATTR KEY-ATTR --force+1+22+ed25519",
            "SETATTR NONSENSE x",
            "SETATTR",
        ];
        scd(home, &lines)
    }),
    job("SETATTR of the card's own keys", |home| {
        let keys = "0123456789ABCDEF";
        let lines = [
            format!("SETATTR AESKEY {keys}"),
            format!("SETATTR SM-KEY-ENC {keys}"),
            format!("SETATTR SM-KEY-MAC {keys}"),
        ];
        scd(home, &["SERIALNO", &lines[0], &lines[1], &lines[2]])
    }),
];
