//! Whose card it is, and what the person wants of it.

use super::{USUAL, nothing};
use crate::office::contents::NEW;
use crate::office::{Job, Start};
use crate::world::Home;

const fn job(name: &'static str, act: fn(&Home) -> Vec<crate::world::Seen>) -> Job {
    Job { name, since: "2.2", start: Start::New, answers: USUAL, act, check: nothing, pins: NEW, varies: &[] }
}

pub(crate) static JOBS: &[Job] = &[
    job("name", |home| vec![home.card_edit(&["admin", "name", "Doe", "Jane Maria", "quit"]).ok()]),
    job("lang", |home| vec![home.card_edit(&["admin", "lang", "deen", "quit"]).ok()]),
    job("sex", |home| vec![home.card_edit(&["admin", "sex", "F", "quit"]).ok()]),
    job("url", |home| {
        vec![home.card_edit(&["admin", "url", "https://example.org/a%20b+c.asc", "quit"]).ok()]
    }),
    job("login", |home| vec![home.card_edit(&["admin", "login", "jane doe", "quit"]).ok()]),
    job("login from a file", |home| {
        let file = home.write("login", "jane\n\u{14}F=3\n").display().to_string();
        vec![home.card_edit(&["admin", &format!("login < {file}"), "quit"]).ok()]
    }),
    job("cafpr", |home| {
        let fingerprint = |n: u8| format!("{n}123456789ABCDEF0123456789ABCDEF01234567");
        let [first, second, third] = [1, 2, 3].map(fingerprint);
        let words = ["admin", "cafpr 1", &first, "cafpr 2", &second, "cafpr 3", &third, "quit"];
        vec![home.card_edit(&words).ok()]
    }),
    job("forcesig", |home| vec![home.card_edit(&["admin", "forcesig", "quit"]).ok()]),
    job("forcesig twice", |home| vec![home.card_edit(&["admin", "forcesig", "forcesig", "quit"]).ok()]),
    job("everything about a person", |home| {
        let name = ["admin", "name", "Doe", "Jane", "lang", "de", "sex", "m", "url", "https://example.org"];
        vec![home.card_edit(&[&name[..], &["login", "jane", "forcesig", "list", "quit"]].concat()).ok()]
    }),
    job("everything emptied again", |home| {
        let fill = ["admin", "name", "Doe", "Jane", "url", "https://example.org", "login", "jane", "quit"];
        let empty = ["admin", "name", "", "", "lang", "", "sex", " ", "url", "", "login", "", "quit"];
        vec![home.card_edit(&fill), home.card_edit(&empty)]
    }),
];
