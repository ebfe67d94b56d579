//! A touch that is awaited and called off: by a client that goes away, by the end of the daemon.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::world::jobs::generate;
use crate::world::{Card, Home, Reader, Scdaemon, Wire, wait_for};

/// At once, as far as it takes other programs.
const AT_ONCE: Duration = Duration::from_millis(500);

/// The daemon gives cards two seconds to forget verifications, and their threads a little more.
const AN_ORDERLY_END: Duration = Duration::from_secs(4);

#[test]
fn a_client_that_goes_away_frees_its_session_and_the_card_serves_the_next_when_it_has_answered() {
    let World { _reader, card, home } = world();
    let mut other = Wire::to_scdaemon(&home);
    assert_eq!(other.ask("SERIALNO"), "OK");
    let before = signatures(&mut other);
    let mut leaving = signing(&home);
    leaving.send(b"NOP");
    let start = Instant::now();
    drop(leaving);
    wait_for("the session's end", || match other.data("GETINFO connections", b"") {
        two if two == b"2" => Ok(()),
        more => Err(String::from_utf8_lossy(&more).into_owned()),
    });
    assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
    other.send(b"GETATTR SIG-COUNTER");
    std::thread::sleep(AT_ONCE);
    card.control("press");
    let after = format!("S SIG-COUNTER {}", before + 1);
    assert_eq!(other.line(), after, "it had to wait, and what nobody waited for was done");
    assert_eq!(other.line(), "OK");
    start_signing(&mut other);
    card.control("press");
    assert!(other.line().starts_with("D "));
    assert_eq!(other.line(), "OK");
}

#[test]
fn killscd_does_not_wait_for_a_finger() {
    let World { _reader, card: _card, home } = world();
    let mut signing = signing(&home);
    let mut killer = Wire::to_scdaemon(&home);
    let daemon = pid_of(&mut killer);
    let start = Instant::now();
    assert_eq!(killer.ask("KILLSCD"), "OK closing connection");
    ends(&daemon);
    assert!(start.elapsed() < AN_ORDERLY_END, "{:?}", start.elapsed());
    assert!(signing.hangs_up());
}

#[test]
fn sigterm_calls_off_the_wait_for_a_finger_and_ends_with_the_last_session() {
    let World { _reader, card: _card, home } = world();
    let mut signing = signing(&home);
    let mut other = Wire::to_scdaemon(&home);
    let daemon = pid_of(&mut other);
    let start = Instant::now();
    send_signal("TERM", &daemon);
    assert_eq!(signing.line(), "ERR 100663395 Operation cancelled <SCD>");
    assert_eq!(signing.ask("NOP"), "OK");
    other.send(b"WAIT --serialno=D276");
    assert_eq!(other.line(), "ERR 100663395 Operation cancelled <SCD>", "nor is a card waited for");
    drop((signing, other));
    home.kill_agent();
    ends(&daemon);
    assert!(start.elapsed() < AN_ORDERLY_END, "{:?}", start.elapsed());
}

#[test]
fn the_daemon_ends_with_its_agent_though_a_finger_is_awaited() {
    let World { _reader, card: _card, home } = world();
    let mut other = Wire::to_scdaemon(&home);
    let daemon = pid_of(&mut other);
    drop(other);
    let agent = home.agent(&["GETINFO pid"]).ok().line("D ");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            home.agent(&[
                "SCD SERIALNO",
                "SCD SETDATA 0101010101010101010101010101010101010101",
                "SCD PKSIGN OPENPGP.1",
            ])
        });
        told_of_a_touch(&home);
        let start = Instant::now();
        send_signal("KILL", &agent);
        ends(&daemon);
        assert!(start.elapsed() < AN_ORDERLY_END, "{:?}", start.elapsed());
    });
}

struct World {
    _reader: Reader,
    card: Card,
    home: Home,
}

/// A card whose keys want a touch, which is withheld.
fn world() -> World {
    let reader = Reader::start();
    let card = Card::insert(&reader.slot(), &[]);
    let home = Home::new(&reader, Scdaemon::under_test());
    home.write("scdaemon.conf", &format!("log-file {}\n", home.path("scd.log").display()));
    home.wait_for_card();
    generate(&home, &["2", "1", "2", "1", "2", "1"]);
    home.agent(&["SCD SERIALNO", "SCD SETATTR UIF-1 %01+"]).ok();
    card.control("touch withheld");
    World { _reader: reader, card, home }
}

/// A client whose signature waits for a finger.
fn signing(home: &Home) -> Wire {
    let mut wire = Wire::to_scdaemon(home);
    start_signing(&mut wire);
    wire
}

fn start_signing(wire: &mut Wire) {
    assert_eq!(wire.ask("SERIALNO"), "OK");
    assert_eq!(wire.ask(&format!("SETDATA {}", "01".repeat(20))), "OK");
    wire.send(b"PKSIGN OPENPGP.1");
    let mut line = wire.line();
    if line.starts_with("INQUIRE NEEDPIN") {
        wire.send(b"D 123456\0");
        wire.send(b"END");
        line = wire.line();
    }
    assert!(line.starts_with("S TOUCH_AWAITED "), "{line}");
}

fn signatures(wire: &mut Wire) -> u32 {
    wire.send(b"GETATTR SIG-COUNTER");
    let line = wire.line();
    assert_eq!(wire.line(), "OK");
    line.rsplit(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}

/// Waits until the log tells of a touch that is awaited.
fn told_of_a_touch(home: &Home) {
    wait_for("a touch to be awaited", || {
        let log = std::fs::read_to_string(home.path("scd.log")).unwrap_or_default();
        if log.contains("the card waits for a touch") { Ok(()) } else { Err(log) }
    });
}

fn pid_of(wire: &mut Wire) -> String {
    String::from_utf8(wire.data("GETINFO pid", b"")).expect("digits")
}

fn send_signal(name: &str, process: &str) {
    assert!(Command::new("kill").args(["-s", name, process]).status().expect("kill runs").success());
}

/// Waits for the end of a process.
fn ends(process: &str) {
    wait_for("the daemon's end", || {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        if stat.is_empty() || stat.contains(") Z ") { Ok(()) } else { Err(stat) }
    });
}
