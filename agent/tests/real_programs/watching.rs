//! Who hears of cards that come and go, and of a card that waits for a finger: the agent, the person's script, files in
//! the home, a client that waits.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use crate::world::jobs::{generate, sign};
use crate::world::{Card, Home, Reader, Scdaemon, Wire, wait_for};

#[test]
fn the_script_and_the_status_file_tell_of_a_card_as_with_stock() {
    let (_reader, card, home) = world();
    listen(&home);
    home.wait_for_card();
    told(&home, 1);
    card.control("remove");
    told(&home, 2);
    assert_eq!(status_file(&home), "NOCARD\n");
    card.put_back();
    home.gpg(&["--card-status"]).ok();
    let port = "--reader-port 0 --old-code";
    assert_eq!(
        told(&home, 3),
        [
            format!("{port} 0xFFFFFFFF --new-code 0x0007 --status USABLE"),
            format!("{port} 0x0007 --new-code 0x0000 --status NOCARD"),
            format!("{port} 0xFFFFFFFF --new-code 0x0007 --status USABLE"),
        ]
    );
    assert_eq!(status_file(&home), "USABLE\n");
}

#[test]
fn the_agent_counts_a_card_that_goes_and_one_that_comes_without_being_asked() {
    let (_reader, card, home) = world();
    home.wait_for_card();
    for change in ["remove", "insert"] {
        let before = event_counter(&home);
        card.control(change);
        wait_for("the agent's counter", || match event_counter(&home) {
            now if now == before => Err(now),
            now => Ok(now),
        });
    }
}

#[test]
fn a_wait_through_the_agent_ends_with_the_card_or_with_its_time() {
    let (_reader, card, home) = world();
    home.wait_for_card();
    card.control("remove");
    wait_for("the removal", || {
        let seen = home.agent(&["SCD WAIT --timeout=0"]);
        if seen.text().contains("ERR 100663358 Timeout <SCD>") { Ok(()) } else { Err(seen) }
    });
    let start = Instant::now();
    let seen = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| home.agent(&["SCD WAIT --timeout=30", "SCD GETATTR APPTYPE"]));
        card.put_back();
        waiting.join().expect("a client that waits")
    });
    assert!(start.elapsed() < Duration::from_secs(20), "it waited for its time: {seen}");
    seen.ok().shows("S SERIALNO ").shows("S APPTYPE openpgp");
}

#[test]
fn a_touch_that_is_awaited_is_told_to_script_log_and_session() {
    let (_reader, card, home) = world();
    home.write("scdaemon.conf", &format!("log-file {}\n", home.path("scd.log").display()));
    home.wait_for_card();
    generate(&home, &["2", "1", "2", "1", "2", "1"]);
    for slot in 1..=3 {
        home.agent(&["SCD SERIALNO", &format!("SCD SETATTR UIF-{slot} %01+")]).ok();
    }
    listen(&home);
    card.control("touch withheld");
    let grip = home.agent(&["SCD READKEY --info-only OPENPGP.1"]).ok().line("S KEYPAIRINFO ");
    let grip = grip.split(' ').next().expect("a keygrip").to_owned();
    std::thread::scope(|scope| {
        let signing = scope.spawn(|| sign(&home));
        let touch = "--reader-port 0 --old-code 0x0007 --new-code 0x0007 --status TOUCH";
        assert_eq!(told(&home, 1), [format!("{touch}_AWAITED --keygrip {grip}")]);
        card.control("press");
        signing.join().expect("a client that signs").ok();
        assert_eq!(told(&home, 2)[1], format!("{touch}_OVER --keygrip {grip}"));
    });
    let log = fs::read_to_string(home.path("scd.log")).expect("a log");
    assert!(log.contains(&format!("the card waits for a touch key=\"{grip}\"")), "{log}");
}

#[test]
fn the_agent_shows_that_a_touch_is_awaited_if_it_is_to() {
    let (_reader, card, home) = world();
    home.write("scdaemon.conf", "disable-ccid\ntouch-prompt\n");
    home.answers("user 123456\nadmin 12345678\nconfirm ok\n");
    home.wait_for_card();
    generate(&home, &["2", "1", "2", "1", "2", "1"]);
    home.agent(&["SCD SERIALNO", "SCD SETATTR UIF-1 %01+"]).ok();
    card.control("touch withheld");
    home.questions();
    std::thread::scope(|scope| {
        let signing = scope.spawn(|| sign(&home));
        card.control("await-touch");
        wait_for("the window", || window(&home).ok_or("nothing was shown"));
        card.control("press");
        signing.join().expect("a client that signs").ok();
    });
    card.control("touch granted");
    sign(&home).ok();
    assert_eq!(window(&home), None, "nobody is told of a touch that comes at once");
}

#[test]
fn a_client_that_hangs_up_is_waited_for_no_longer() {
    let (_reader, card, home) = world();
    home.wait_for_card();
    card.control("remove");
    let mut locker = Wire::to_scdaemon(&home);
    let mut other = Wire::to_scdaemon(&home);
    assert_eq!(locker.ask("LOCK"), "OK");
    locker.send(b"WAIT --timeout=1000 0000000000000000000000000000000000000000");
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(other.ask("LOCK"), "ERR 100663469 Locked <SCD>");
    let start = Instant::now();
    drop(locker);
    wait_for("the lock", || match other.ask("LOCK") {
        reply if reply == "OK" => Ok(()),
        reply => Err(reply),
    });
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
}

/// A card in a reader, and a home from which it is reached.
fn world() -> (Reader, Card, Home) {
    let reader = Reader::start();
    let card = Card::insert(&reader.slot(), &[]);
    let home = Home::new(&reader, Scdaemon::under_test());
    (reader, card, home)
}

/// Gives the home a script that notes what it is told.
fn listen(home: &Home) {
    let script = home.write("scd-event", "#!/bin/sh\necho \"$*\" >> \"$GNUPGHOME/told\"\n");
    fs::set_permissions(script, fs::Permissions::from_mode(0o700)).expect("the folder is ours");
}

/// What the script was told, once that is so many lines.
#[track_caller]
fn told(home: &Home, lines: usize) -> Vec<String> {
    wait_for("the script", || {
        let told = fs::read_to_string(home.path("told")).unwrap_or_default();
        let told: Vec<_> = told.lines().map(str::to_owned).collect();
        if told.len() >= lines { Ok(told) } else { Err(told.join("\n")) }
    })
}

/// The window for a touch among what pinentry was asked since the last call.
fn window(home: &Home) -> Option<String> {
    home.questions().into_iter().find(|line| line.contains("Push ACK button on card/token"))
}

fn status_file(home: &Home) -> String {
    fs::read_to_string(home.path("reader_0.status")).unwrap_or_default()
}

fn event_counter(home: &Home) -> String {
    home.agent(&["GETEVENTCOUNTER"]).ok().line("S EVENTCOUNTER ")
}
