//! The control socket: a test directs the cards with lines and gets one line for each.
//!
//! A line is a verb, perhaps its argument, and perhaps `@SERIAL` for one card; without that it goes to all cards. The
//! answer is `OK`, with something after it where there is something to say, or `ERR` and the reason. When the answer is
//! there, the thing has happened.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use crate::{
    apdu::Status,
    hex,
    run::Event,
    seat::{Intrusion, Mishap, MishapKind, Seat},
};

/// The longest line.
const MAX_LINE: u64 = 1000;

/// How long `insert` waits for the reader, and `await-touch` for a card that asks for one.
const PATIENCE: Duration = Duration::from_secs(10);

/// One verb.
struct Verb {
    name: &'static str,
    /// How it is used, for `help`.
    usage: &'static str,
    act: fn(&Seat, &str) -> Result<String, String>,
}

/// All verbs that concern a card. `help` and `quit` concern the program.
const VERBS: &[Verb] = &[
    Verb { name: "insert", usage: "insert", act: insert },
    Verb {
        name: "remove",
        usage: "remove",
        act: |seat, _| {
            seat.remove();
            DONE
        },
    },
    Verb { name: "status", usage: "status", act: |seat, _| Ok(seat.to_string()) },
    Verb { name: "count", usage: "count", act: |seat, _| Ok(format!("{} {}", seat.card, seat.counts())) },
    Verb {
        name: "reset-count",
        usage: "reset-count",
        act: |seat, _| {
            seat.reset_counts();
            DONE
        },
    },
    Verb { name: "touch", usage: "touch granted|withheld|delayed=SECONDS", act: touch },
    Verb { name: "press", usage: "press", act: press },
    Verb { name: "await-touch", usage: "await-touch", act: await_touch },
    Verb { name: "latency", usage: "latency MILLISECONDS", act: latency },
    Verb { name: "vanish", usage: "vanish N [MILLISECONDS]", act: vanish },
    Verb { name: "cut", usage: "cut N OCTETS", act: cut },
    Verb { name: "fail", usage: "fail N STATUS", act: fail },
    Verb {
        name: "disarm",
        usage: "disarm",
        act: |seat, _| {
            seat.set_mishap(None);
            DONE
        },
    },
    Verb {
        name: "seize",
        usage: "seize",
        act: |seat, _| {
            seat.intrude(Intrusion::Select);
            DONE
        },
    },
    Verb {
        name: "reset",
        usage: "reset",
        act: |seat, _| {
            seat.intrude(Intrusion::Reset);
            DONE
        },
    },
    Verb { name: "verdict", usage: "verdict", act: verdict },
];

/// The socket in the file system; gone when dropped.
#[derive(Debug)]
pub(crate) struct Socket(PathBuf);

impl Drop for Socket {
    fn drop(&mut self) {
        // Somebody may have removed it before.
        let _ = fs::remove_file(&self.0);
    }
}

/// Listens at `path`, in place of a socket that a killed process left there.
pub(crate) fn listen(path: &Path, seats: &[Arc<Seat>], tell: &mpsc::Sender<Event>) -> io::Result<Socket> {
    if UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    let (seats, tell) = (seats.to_vec(), tell.clone());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (seats, tell) = (seats.clone(), tell.clone());
            // A director who hangs up or sends rubbish ends its own connection only.
            thread::spawn(move || drop(converse(&stream, &seats, &tell)));
        }
    });
    Ok(Socket(path.to_owned()))
}

fn converse(mut stream: &UnixStream, seats: &[Arc<Seat>], tell: &mpsc::Sender<Event>) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        let read = reader.by_ref().take(MAX_LINE).read_line(&mut line)?;
        if read == 0 {
            return Ok(());
        }
        if !line.ends_with('\n') && u64::try_from(read) == Ok(MAX_LINE) {
            return stream.write_all(b"ERR the line is too long\n");
        }
        let reply = match line.trim() {
            "help" => Ok(VERBS.iter().map(|verb| verb.usage).collect::<Vec<_>>().join("; ")),
            "quit" => {
                stream.write_all(b"OK\n")?;
                // The program may be ending already.
                let _ = tell.send(Event::End);
                return Ok(());
            }
            line => obey(line, seats),
        };
        let reply = match reply {
            Ok(text) if text.is_empty() => "OK\n".to_owned(),
            Ok(text) => format!("OK {text}\n"),
            Err(reason) => format!("ERR {reason}\n"),
        };
        stream.write_all(reply.as_bytes())?;
    }
}

/// Carries out one line on the card that it names, or on all of them.
fn obey(line: &str, seats: &[Arc<Seat>]) -> Result<String, String> {
    let (line, only) = match line.rsplit_once('@') {
        Some((line, serial)) => (line.trim_end(), Some(serial)),
        None => (line, None),
    };
    let (name, argument) = line.split_once(' ').unwrap_or((line, ""));
    let verb = VERBS.iter().find(|verb| verb.name == name);
    let verb = verb.ok_or_else(|| format!("no verb `{name}`; say help for the list"))?;
    let meant = |seat: &&Arc<Seat>| only.is_none_or(|serial| serial.eq_ignore_ascii_case(&seat.card));
    let mut replies = Vec::new();
    for seat in seats.iter().filter(meant) {
        let reply = (verb.act)(seat, argument.trim());
        replies.push(reply.map_err(|reason| format!("{}: {reason}; usage: {}", seat.card, verb.usage))?);
    }
    match only {
        Some(serial) if replies.is_empty() => Err(format!("no card {serial}; say status for the list")),
        _ => Ok(replies.into_iter().filter(|reply| !reply.is_empty()).collect::<Vec<_>>().join("; ")),
    }
}

/// It happened, and there is nothing to say of it.
const DONE: Result<String, String> = Ok(String::new());

fn insert(seat: &Seat, _: &str) -> Result<String, String> {
    if seat.insert(PATIENCE) { DONE } else { Err("no reader took it within 10 seconds".into()) }
}

fn touch(seat: &Seat, argument: &str) -> Result<String, String> {
    seat.finger.set(argument.parse().map_err(|error| format!("{error}"))?);
    DONE
}

fn press(seat: &Seat, _: &str) -> Result<String, String> {
    if seat.finger.press() { DONE } else { Err("it waits for no touch".into()) }
}

fn await_touch(seat: &Seat, _: &str) -> Result<String, String> {
    let awaited = seat.finger.awaited_within(PATIENCE);
    if awaited { DONE } else { Err("it asked for no touch within 10 seconds".into()) }
}

fn latency(seat: &Seat, argument: &str) -> Result<String, String> {
    seat.set_latency(milliseconds(argument)?);
    DONE
}

fn vanish(seat: &Seat, argument: &str) -> Result<String, String> {
    let (at, return_after) = match argument.split_once(' ') {
        Some((at, return_after)) => (at, Some(milliseconds(return_after)?)),
        None => (argument, None),
    };
    arm(seat, at, MishapKind::Vanish { return_after })
}

fn cut(seat: &Seat, argument: &str) -> Result<String, String> {
    let (at, length) = argument.split_once(' ').unwrap_or((argument, ""));
    let length = length.parse().map_err(|_| format!("`{length}` is no number of octets"))?;
    arm(seat, at, MishapKind::Cut(length))
}

fn fail(seat: &Seat, argument: &str) -> Result<String, String> {
    let (at, status) = argument.split_once(' ').unwrap_or((argument, ""));
    let octets = hex::decode(status).and_then(|octets| <[u8; 2]>::try_from(octets).ok());
    let octets = octets.ok_or_else(|| format!("`{status}` is no status word of four hex digits"))?;
    arm(seat, at, MishapKind::Fail(Status(u16::from_be_bytes(octets))))
}

fn arm(seat: &Seat, at: &str, kind: MishapKind) -> Result<String, String> {
    let at = at.parse().ok().filter(|at| *at > 0).ok_or_else(|| format!("`{at}` is no number from 1 on"))?;
    seat.set_mishap(Some(Mishap { at, kind }));
    DONE
}

fn verdict(seat: &Seat, _: &str) -> Result<String, String> {
    seat.complaint().map_or_else(|| DONE, Err)
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    text.parse().map(Duration::from_millis).map_err(|_| format!("`{text}` is no number of milliseconds"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::touch::Touch;

    fn seats() -> Vec<Arc<Seat>> {
        let seat = |serial: &str| Seat::new(serial.into(), Touch::Granted, Duration::ZERO, None, true);
        vec![Arc::new(seat("0000000A")), Arc::new(seat("0000000B"))]
    }

    #[test]
    fn a_line_concerns_all_cards_or_the_one_it_names() {
        let seats = seats();
        let count = |only: &str| obey(&format!("count{only}"), &seats);
        assert_eq!(count("").unwrap(), "0000000A total=0 leaks=0; 0000000B total=0 leaks=0");
        assert_eq!(count(" @0000000b").unwrap(), "0000000B total=0 leaks=0");
        assert_eq!(count(" @0000000C").unwrap_err(), "no card 0000000C; say status for the list");
    }

    #[test]
    fn settings_show_in_the_status() {
        let seats = seats();
        obey("latency 40 @0000000A", &seats).unwrap();
        obey("vanish 3 100 @0000000A", &seats).unwrap();
        assert_eq!(
            obey("status", &seats).unwrap(),
            "0000000A removed latency=40 vanish-at=3; 0000000B removed latency=0"
        );
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_usage() {
        let seats = seats();
        for line in [
            "vanish 0",
            "vanish x",
            "cut 1",
            "cut x 1",
            "fail 1",
            "fail 1 63C",
            "latency -1",
            "touch maybe",
            "press",
        ] {
            let reason = obey(line, &seats).unwrap_err();
            assert!(reason.contains("usage: "), "{line}: {reason}");
        }
        assert_eq!(obey("dance", &seats).unwrap_err(), "no verb `dance`; say help for the list");
    }
}
