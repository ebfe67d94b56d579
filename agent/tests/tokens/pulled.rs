//! A token is taken away while it works, and comes back.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::desk::Desk;
use crate::world::token::PIN;
use crate::world::{Wire, wait_for};

const SETDATA: &str = "SETDATA 0102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F20";

#[test]
fn gpg_says_that_the_token_is_away_and_signs_again_when_it_is_back() {
    let desk = Desk::with("token office\nkey rsa2048 id=01 certificate");
    desk.certify(&desk.key()).ok();
    desk.signs();
    desk.hsm.pull();
    wait_for("the token to be seen to be away", || {
        let seen = desk.home.gpg(&["--card-status"]);
        if seen.code == Some(0) { Err(seen) } else { Ok(()) }
    });
    desk.home.gpg(&["--card-status"]).fails().shows("No such device");
    // gpg-agent asks for the card, and nobody puts it in.
    desk.home.gpg(&["--detach-sign", "--output", &desk.path("none"), &desk.path("letter")]).fails();
    desk.hsm.put_back();
    wait_for("the token to be seen again", || {
        let seen = desk.home.gpg(&["--card-status"]);
        if seen.code == Some(0) { Ok(()) } else { Err(seen) }
    });
    desk.signs();
}

#[test]
fn clients_that_sign_while_a_token_is_pulled_hear_of_it_and_go_on_when_it_is_back() {
    let desk = Desk::with("token office\nkey rsa2048 id=01\nkey p256 id=02");
    let keys = desk.keys();
    let over = AtomicBool::new(false);
    let [signed, refused] = [AtomicUsize::new(0), AtomicUsize::new(0)];
    thread::scope(|scope| {
        for key in keys.iter().cycle().take(4) {
            let (desk, over, signed, refused) = (&desk, &over, &signed, &refused);
            scope.spawn(move || {
                let mut wire = Wire::to_scdaemon(&desk.home);
                while !over.load(Ordering::Relaxed) {
                    // As agents do: a session whose card was removed wants to be told that it may take another one.
                    let selected = wire.ask("SERIALNO");
                    wire.ask(SETDATA);
                    let signature = wire.sign(&key.grip, PIN);
                    match signature.as_str() {
                        "OK" => signed.fetch_add(1, Ordering::Relaxed),
                        error if is_about_absence(error) => refused.fetch_add(1, Ordering::Relaxed),
                        error => panic!("{selected}, {error}"),
                    };
                }
            });
        }
        // Also when something fails here: the clients would go on for ever.
        let _end = AtTheEnd(&over);
        for _ in 0..3 {
            goes_up(&signed);
            desk.hsm.pull();
            goes_up(&refused);
            desk.hsm.put_back();
        }
        goes_up(&signed);
    });
}

/// Sets it when it is dropped.
struct AtTheEnd<'a>(&'a AtomicBool);

impl Drop for AtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// `Card removed`, `No such device`, `No secret key`, `Card error`, by their codes.
fn is_about_absence(error: &str) -> bool {
    ["ERR 100663406 ", "ERR 100696144 ", "ERR 100663313 ", "ERR 100663404 "]
        .iter()
        .any(|start| error.starts_with(start))
}

#[track_caller]
fn goes_up(count: &AtomicUsize) {
    let before = count.load(Ordering::Relaxed);
    wait_for("another one", || {
        if count.load(Ordering::Relaxed) > before + 3 { Ok(()) } else { Err("none yet") }
    });
    thread::sleep(Duration::from_millis(100));
}
