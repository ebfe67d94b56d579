//! Plays the dialogues to the session without IO, and those heard from scdaemon to scdaemon.

#![allow(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

mod world;

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use claviger_assuan::error::{Error, Source};
use claviger_assuan::frame::LineBuffer;
use claviger_assuan::line::write;
use claviger_assuan::server::{After, Event, Session};
use world::{GREETING, TABLE, dialogues, written};

const DIALOGUES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dialogues");
const SCDAEMON: &str = "/usr/lib/gnupg/scdaemon";

#[test]
fn the_session_says_what_the_dialogues_say() {
    for dialogue in dialogues(Path::new(DIALOGUES)) {
        for piece in [usize::MAX, 1, 700] {
            let (said, end) = play(&dialogue.client, piece);
            let expected = format!("OK {GREETING}\n{}", written(&dialogue.server));
            assert_eq!(written(&said), expected, "{}, pieces of {piece}", dialogue.name);
            assert_eq!(end, dialogue.end, "{}", dialogue.name);
        }
    }
}

#[test]
fn gnupgs_scdaemon_says_what_the_dialogues_say() {
    assert!(Path::new(SCDAEMON).exists(), "this test needs GnuPG's scdaemon: make deps");
    let home = tempfile::tempdir().unwrap();
    let stock =
        dialogues(Path::new(DIALOGUES)).into_iter().filter(|dialogue| dialogue.heard_from == "scdaemon");
    for dialogue in stock {
        let said = written(&scdaemon(home.path(), dialogue.client.clone()));
        // libassuan 3 adds its process id to the greeting.
        let (greeting, said) = said.split_once('\n').unwrap();
        assert!(greeting.starts_with("OK GNU Privacy Guard's Smartcard server ready"), "{greeting}");
        assert_eq!(said, written(&dialogue.server), "{}", dialogue.name);
    }
}

/// What the session says to a client that sends `client` in pieces and hangs up, and how it ends.
fn play(client: &[u8], piece: usize) -> (Vec<u8>, String) {
    let mut server = Server { session: Session::new(Source::Scd, TABLE, GREETING), said: Vec::new() };
    let mut buffer = LineBuffer::new();
    for mut octets in client.chunks(piece) {
        while !octets.is_empty() && server.session.awaits_frame() {
            let (taken, frame) = buffer.feed(octets);
            octets = &octets[taken..];
            if let Some(event) = frame.and_then(|frame| server.session.frame(&frame)) {
                server.act(event);
            }
            server.send();
        }
    }
    while let Some(event) = server.session.end_of_stream() {
        server.act(event);
        server.send();
    }
    let end = server.session.end().map(|end| format!("{end:?}"));
    (server.said, end.unwrap_or_default())
}

/// The example server over the session without IO: every command ends when its event was handled, or when its inquiry
/// was answered.
struct Server {
    session: Session,
    said: Vec<u8>,
}

impl Server {
    fn act(&mut self, event: Event) {
        match event {
            Event::Command { index, args } => {
                self.command(TABLE[index].name, std::str::from_utf8(&args).unwrap())
            }
            Event::Answered(Ok(answer)) => {
                self.session.output().data(answer.as_bytes());
                self.session.finish(Ok(After::Continue));
            }
            Event::Answered(Err(error)) => self.session.finish(Err(Error::new(Source::Scd, error.code()))),
            Event::Option { .. } | Event::Reset { .. } | Event::Bye => {
                self.session.finish(Ok(After::Continue))
            }
            Event::Closed(_) => {}
        }
    }

    fn command(&mut self, name: &str, args: &str) {
        let (number, octet) = args.split_once(' ').unwrap_or((args, ""));
        let number: usize = number.parse().unwrap_or_default();
        let result = match name {
            "ASK" => return self.ask("WHAT", b"now", number),
            "ASKEND" => return self.ask("KNOWN", b"", 0),
            "ASKLONG" => return self.ask("", &vec![b'x'; number.saturating_sub(1)], 100),
            "FAIL" => Err(Error::from_number(u32::try_from(number).unwrap())),
            "CLOSE" => Ok(After::Close),
            _ => Ok(After::Continue),
        };
        let output = self.session.output();
        match name {
            "DATA" => output.data(octet.repeat(number).as_bytes()),
            "STATUS" => write::status(output, "X", &vec![b'x'; number]),
            "MIX" => {
                output.data(b"abc");
                write::status(output, "X", b"y");
                output.data(b"d");
            }
            _ => {}
        }
        self.session.finish(result);
    }

    fn ask(&mut self, keyword: &str, args: &[u8], limit: usize) {
        if let Err(error) = self.session.inquire(keyword, args, limit) {
            self.session.finish(Err(Error::new(Source::Scd, error.code())));
        }
    }

    fn send(&mut self) {
        self.said.extend_from_slice(self.session.output().pending());
        self.session.output().consume(usize::MAX);
    }
}

/// What GnuPG's scdaemon says to the same client.
fn scdaemon(home: &Path, client: Vec<u8>) -> Vec<u8> {
    let mut process = Command::new(SCDAEMON)
        .args(["--server", "--homedir"])
        .arg(home)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = process.stdin.take().unwrap();
    // It stops reading where it hangs up.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&client)));
    let mut said = Vec::new();
    process.stdout.take().unwrap().read_to_end(&mut said).unwrap();
    writer.join().unwrap();
    process.wait().unwrap();
    said
}
