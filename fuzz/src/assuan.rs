//! The Assuan wire: what a client or a server may send, up to a whole session.

use claviger_assuan::args::Args;
use claviger_assuan::client::{redirect, step};
use claviger_assuan::error::{Code, Error, Source};
use claviger_assuan::escape;
use claviger_assuan::frame::{Frame, LineBuffer, MAX_LINE};
use claviger_assuan::line::read::{self, Command, Reply};
use claviger_assuan::line::write;
use claviger_assuan::output::Output;
use claviger_assuan::server::{After, Event, Session};
use claviger_assuan::table::CommandInfo;

/// One line, in every reader; and what is written is read back.
pub fn line(data: &[u8]) {
    for frame in frames(data, usize::MAX) {
        if let Frame::Line(line) = &frame {
            let line = line.as_bytes();
            let _ = read::answer(line);
            if let Command::Word(word, args) = read::command(line) {
                assert!(!word.is_empty() && word.len() + args.len() <= line.len());
                arguments(args);
            }
            reply(line);
        }
        let _ = step(&frame);
    }
    data_lines(data);
    assert_eq!(&escape::unescape_percent_plus(&escape::percent_plus(data))[..], data);
    assert!(escape::status_fields(&[data, data]).len() <= 950);
    let _ = redirect::parse(data, &|name| Some(name.to_owned()));
}

/// What a client may send in a whole session, to a server with commands of every kind.
pub fn session(data: &[u8]) {
    let said = Server::serve(data, usize::MAX);
    assert_eq!(said, Server::serve(data, 1));
    assert_eq!(said, Server::serve(data, 1003));
}

fn frames(data: &[u8], piece: usize) -> Vec<Frame> {
    let mut buffer = LineBuffer::new();
    let mut frames = Vec::new();
    for mut rest in data.chunks(piece) {
        while !rest.is_empty() {
            let (taken, frame) = buffer.feed(rest);
            assert!(taken > 0);
            frames.extend(frame);
            rest = &rest[taken..];
        }
    }
    frames
}

fn arguments(line: &[u8]) {
    let mut args = Args::new(line);
    for name in ["--force", "--a", "--"] {
        let _ = (args.flag(name), args.value(name), args.mentions(name), args.take_value_anywhere(name));
    }
    assert!(line.ends_with(args.rest()));
    while !args.word().is_empty() {}
    assert!(args.finish().is_ok());
}

fn reply(line: &[u8]) {
    let Some(reply) = read::reply(line) else { return };
    let mut output = Output::new();
    match &reply {
        Reply::Status(keyword, value) => {
            let Ok(keyword) = std::str::from_utf8(keyword) else { return };
            write::status(&mut output, keyword, value);
        }
        Reply::Inquire(keyword, args) => {
            let Ok(keyword) = std::str::from_utf8(keyword) else { return };
            if !write::inquire(&mut output, keyword, args) {
                return;
            }
        }
        Reply::Err(error) if error.text().is_none() => write::err(&mut output, error),
        _ => return,
    }
    let written = output.pending().strip_suffix(b"\n").unwrap_or_default();
    // A line that was read with the longest length has no room for what the writer may add.
    assert!(line.len() + 2 > MAX_LINE || read::reply(written).as_ref() == Some(&reply));
}

fn data_lines(data: &[u8]) {
    let mut output = Output::new();
    output.data(data);
    output.end_data();
    let mut back = Vec::new();
    for frame in frames(output.pending(), 1000) {
        match step(&frame) {
            Ok(claviger_assuan::client::Step::Data(octets)) => back.extend_from_slice(&octets),
            other => panic!("a data line came back as {other:?}"),
        }
    }
    assert_eq!(back, data);
}

const TABLE: &[CommandInfo] = &[
    CommandInfo { name: "ECHO", help: "ECHO text\n\nSends it back as data." },
    CommandInfo { name: "FAIL", help: "" },
    CommandInfo { name: "ASK", help: "ASK\n" },
    CommandInfo { name: "ASKEND", help: "" },
    CommandInfo { name: "GIVEUP", help: "" },
    CommandInfo { name: "INPUT", help: "" },
    CommandInfo { name: "CLOSE", help: "" },
];

/// How many octets an inquiry takes.
const LIMIT: usize = 100;

struct Server {
    session: Session,
    said: Vec<u8>,
}

impl Server {
    /// What the server says to a client that sends `data` in pieces and hangs up.
    fn serve(data: &[u8], piece: usize) -> Vec<u8> {
        let mut server = Self { session: Session::new(Source::Scd, TABLE, "ready"), said: Vec::new() };
        for frame in frames(data, piece) {
            if server.session.awaits_frame() {
                let event = server.session.frame(&frame);
                server.act(event);
            }
        }
        while let Some(event) = server.session.end_of_stream() {
            server.act(Some(event));
        }
        assert!(server.session.end().is_some());
        server.said
    }

    fn act(&mut self, event: Option<Event>) {
        let error = Error::new(Source::Scd, Code::GENERAL);
        match event {
            Some(Event::Command { index, args }) => self.command(TABLE[index].name, &args),
            Some(Event::Answered(Ok(answer))) => {
                assert!(answer.len() <= LIMIT);
                self.session.output().data(answer.as_bytes());
                self.session.finish(Ok(After::Continue));
            }
            Some(Event::Answered(Err(_))) => self.session.finish(Err(error)),
            Some(Event::Option { .. } | Event::Reset { .. } | Event::Bye) => {
                self.session.finish(Ok(After::Continue))
            }
            Some(Event::Closed(_)) | None => {}
        }
        self.send();
    }

    fn command(&mut self, name: &str, args: &[u8]) {
        let error = Error::new(Source::Scd, Code::GENERAL).with_text(String::from_utf8_lossy(args));
        match name {
            "ASK" if self.session.inquire("ASK", args, LIMIT).is_ok() => return,
            "ASKEND" if self.session.inquire("ASKEND", args, 0).is_ok() => return,
            "GIVEUP" => drop(self.session.inquire("GIVEUP", args, LIMIT)),
            "ECHO" => {
                self.session.output().data(args);
                write::status(self.session.output(), "ECHO", args);
            }
            _ => {}
        }
        let result = match name {
            "FAIL" | "GIVEUP" => Err(error),
            "CLOSE" => Ok(After::Close),
            _ => Ok(After::Continue),
        };
        self.session.finish(result);
    }

    /// Everything said is whole lines of the right length, and replies.
    fn send(&mut self) {
        let output = self.session.output();
        for frame in frames(output.pending(), usize::MAX) {
            let Frame::Line(line) = &frame else { panic!("a line too long was written") };
            assert!(line.as_bytes().len() <= MAX_LINE && read::reply(line.as_bytes()).is_some());
        }
        assert!(output.pending().is_empty() || output.pending().ends_with(b"\n"));
        self.said.extend_from_slice(output.pending());
        output.consume(usize::MAX);
    }
}
