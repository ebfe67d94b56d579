//! PINs: changed, unblocked, given wrongly; the resetting code.

use super::{USUAL, nothing};
use crate::office::contents::{BLOCKED, NEW, Pins};
use crate::office::{Job, Start};
use crate::world::jobs::sign;
use crate::world::{Home, Seen};

const fn job(name: &'static str, answers: &'static str, pins: Pins, act: fn(&Home) -> Vec<Seen>) -> Job {
    Job { name, since: "2.2", start: Start::New, answers, act, check: nothing, pins, varies: &[] }
}

pub(super) const OTHER_USER: Pins = Pins { user: "654321", ..NEW };
const OTHER_ADMIN: Pins = Pins { admin: "87654321", ..NEW };
pub(super) const CHANGED: &str =
    "user 123456\nnew 654321\nadmin 12345678\nnewadmin 87654321\nreset 11223344\n";
const WRONG_USER: &str = "user 000000\nnew 654321\nadmin 12345678\n";
const WRONG_ADMIN: &str = "user 123456\nnew 654321\nadmin 00000000\nnewadmin 87654321\n";

/// A menu that is asked for again after a failure is left by `Q`.
pub(super) fn passwd(home: &Home, choice: &str) -> Vec<Seen> {
    vec![home.card_edit(&["admin", "passwd", choice, "Q", "quit"])]
}

/// Three wrong PINs block it.
pub(super) fn block(home: &Home) -> Vec<Seen> {
    home.answers("user 000000\nnew 999999\n");
    (0..3).flat_map(|_| passwd(home, "1")).collect()
}

pub(crate) static JOBS: &[Job] = &[
    job("passwd 1, change the PIN", CHANGED, OTHER_USER, |home| passwd(home, "1")),
    job("passwd 2, unblock the PIN", CHANGED, OTHER_USER, |home| passwd(home, "2")),
    job("passwd 3, change the Admin PIN", CHANGED, OTHER_ADMIN, |home| passwd(home, "3")),
    job("passwd 4, set the Reset Code", "admin 12345678\nnew 11223344\n", NEW, |home| passwd(home, "4")),
    job("passwd by a person without the Admin PIN", CHANGED, OTHER_USER, |home| {
        vec![home.card_edit(&["passwd", "quit"])]
    }),
    job("passwd 1 with a wrong PIN", WRONG_USER, NEW, |home| passwd(home, "1")),
    job("passwd 3 with a wrong Admin PIN", WRONG_ADMIN, NEW, |home| passwd(home, "3")),
    job("passwd 2 with a wrong Admin PIN", WRONG_ADMIN, NEW, |home| passwd(home, "2")),
    job("passwd 1 with a short new PIN", "user 123456\nnew 12345\n", NEW, |home| passwd(home, "1")),
    job("passwd 1, cancelled", "user cancel\n", NEW, |home| passwd(home, "1")),
    job("passwd 1, cancelled at the new PIN", "user 123456\nnew cancel\n", NEW, |home| passwd(home, "1")),
    job("unblock with the Reset Code", "admin 12345678\nnew 11223344\n", OTHER_USER, |home| {
        let set = passwd(home, "4");
        let blocked = block(home);
        home.answers("user 11223344\nreset 11223344\nnew 654321\n");
        let unblocked = home.card_edit(&["unblock", "quit"]);
        set.into_iter().chain(blocked).chain([unblocked]).collect()
    }),
    job("unblock with a wrong Reset Code", "admin 12345678\nnew 11223344\n", NEW, |home| {
        let set = passwd(home, "4");
        home.answers("user 99999999\nreset 99999999\nnew 654321\n");
        let refused = home.card_edit(&["unblock", "quit"]);
        set.into_iter().chain([refused]).collect()
    }),
    job("unblock as admin", CHANGED, OTHER_USER, |home| {
        let blocked = block(home);
        home.answers(CHANGED);
        blocked.into_iter().chain(passwd(home, "2")).collect()
    }),
    job("unblock without a Reset Code", CHANGED, NEW, |home| vec![home.card_edit(&["unblock", "quit"])]),
    job("a wrong Admin PIN, then the right one", WRONG_ADMIN, NEW, |home| {
        let name = ["admin", "name", "Doe", "Jane", "quit"];
        let wrong = [home.card_edit(&name), home.card_edit(&name)];
        home.answers(USUAL);
        wrong.into_iter().chain([home.card_edit(&name)]).collect()
    }),
    Job {
        start: Start::WithKeys,
        ..job("a wrong PIN, then the right one", WRONG_USER, NEW, |home| {
            let wrong = [sign(home), sign(home)];
            home.answers(USUAL);
            wrong.into_iter().chain([sign(home)]).collect()
        })
    },
    job("a blocked Admin PIN", WRONG_ADMIN, Pins { admin: BLOCKED, ..NEW }, |home| {
        (0..4).map(|_| home.card_edit(&["admin", "login", "jane", "quit"])).collect()
    }),
    job("verify", USUAL, NEW, |home| vec![home.card_edit(&["verify", "quit"])]),
];
