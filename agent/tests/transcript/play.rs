//! Plays a transcript on a stage: says what the client says, compares what the server says, byte by byte. Knows no
//! process, no socket and no card; those are a [`Stage`]'s business.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::time::Duration;

use super::pattern::{Captures, Pattern};
use super::script::{Action, Answer, Seat, Side, State, Step, TokenEvent, Transcript};

/// What a server says before it reads anything.
pub(crate) const GREETING: &str = "OK GNU Privacy Guard's Smartcard server ready";

/// What a live session is asked, and its answers: two different ones, so that a reply too many is noticed. No transcript
/// asks this.
pub(crate) const PROBES: [(&str, &str); 2] =
    [("NOP is this all?", "OK"), ("END is this all?", "ERR 100663365 Not implemented <SCD>")];

/// How long a reply may take. Long enough for an RSA key to be made on the virtual card.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long nothing has to come for a connection to count as silent.
const SILENCE: Duration = Duration::from_secs(1);
/// What gpg-agent pads a PIN to (reference, section 5.7).
const PIN_LENGTH: usize = 90;

/// Where a transcript is played.
pub(crate) trait Stage {
    /// Whose program stands there.
    fn side(&self) -> Side;
    /// Opens a session; session 1 may be the pipe.
    fn open(&mut self, session: u8) -> Result<Box<dyn Wire>, String>;
    /// Lets something happen to a card, and waits until the server may know it.
    fn token(&mut self, seat: Seat, event: &TokenEvent) -> Result<(), String>;
    /// Opens and drops so many connections.
    fn crowd(&mut self, count: usize) -> Result<(), String>;
    /// Waits for the program's end.
    fn exit_code(&mut self) -> Result<i32, String>;
    /// What the card was asked that it should not have been, or was not asked that it should have been.
    fn offence(&mut self) -> Option<String>;
    /// What else may explain a failure: the program's log, the card's exchanges.
    fn notes(&mut self) -> String;
}

/// One connection, seen from the client.
pub(crate) trait Wire {
    /// Sends octets. Nothing is said about whether they arrive: the server may have gone.
    fn send(&mut self, octets: &[u8]);
    /// The next line without its LF.
    fn line(&mut self, patience: Duration) -> Incoming;
    /// Closes the client's end.
    fn hang_up(&mut self);
}

/// What came from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// A whole line.
    Line(Vec<u8>),
    /// The end, with what came of a last line.
    Closed(Vec<u8>),
    /// Nothing.
    Silence,
}

/// What a play that went well has shown.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Played {
    /// Commands with the error codes that they were answered with.
    pub(crate) pairs: BTreeSet<(String, u32)>,
    /// Commands with the words behind them, and with none.
    pub(crate) words: BTreeSet<(String, String)>,
    /// Wanted differences that were played.
    pub(crate) differences: usize,
    /// Those of them that are none to GnuPG 2.4: it did what ours does.
    pub(crate) confirmed: usize,
}

/// A play that went wrong: both sides in full.
#[derive(Debug, thiserror::Error)]
#[error("{transcript}:{line}: {what}\n{conversation}{notes}")]
pub(crate) struct Failure {
    transcript: String,
    line: usize,
    what: String,
    conversation: String,
    notes: String,
}

/// Plays the steps of the stage's side.
pub(crate) fn play(transcript: &Transcript, stage: &mut dyn Stage) -> Result<Played, Box<Failure>> {
    let side = stage.side();
    let mut player =
        Player { stage, sessions: BTreeMap::new(), captures: Captures::new(), played: Played::default() };
    let mut line = 0;
    let mut outcome = player.session(1).map(|_| ());
    for step in transcript.steps_of(side) {
        if outcome.is_err() {
            break;
        }
        line = step.line;
        outcome = player.step(step);
    }
    if let Err(what) = outcome.and_then(|()| player.nothing_is_left()) {
        let conversation = player.conversation();
        let notes = player.stage.notes();
        return Err(Box::new(Failure {
            transcript: transcript.name.clone(),
            line,
            what,
            conversation,
            notes,
        }));
    }
    Ok(player.played)
}

struct Player<'a> {
    stage: &'a mut dyn Stage,
    sessions: BTreeMap<u8, Session>,
    captures: Captures,
    played: Played,
}

/// One connection and what was said on it.
struct Session {
    wire: Box<dyn Wire>,
    asked: Asked,
    /// Nobody has closed it yet.
    open: bool,
    /// A line that may come again before the next one.
    repeating: Option<Vec<u8>>,
    log: Vec<String>,
}

/// Which command the next final line answers.
#[derive(Default)]
struct Asked {
    commands: VecDeque<String>,
    inquiring: bool,
}

impl Player<'_> {
    fn step(&mut self, step: &Step) -> Result<(), String> {
        match &step.action {
            Action::Difference { newer: Side::Ours } if self.stage.side() == Side::Newer => {
                self.played.confirmed += 1;
            }
            Action::Difference { .. } => self.played.differences += 1,
            Action::Send { session, text, times, ends } => self.send(*session, text, *times, *ends)?,
            Action::Expect { session, text, more } => self.expect(*session, text, *more)?,
            Action::Pin { session, prompt, answer } => self.pin(*session, prompt, answer)?,
            Action::Token { seat, event } => self.stage.token(*seat, event)?,
            Action::State { session, state } => self.session(*session)?.is_in(*state)?,
            Action::HangUp { session } => self.session(*session)?.hang_up(),
            Action::Crowd(count) => self.stage.crowd(*count)?,
            Action::Pause(time) => std::thread::sleep(*time),
            Action::Exit(code) => self.exit(*code)?,
        }
        Ok(())
    }

    /// The session, greeted if it is new.
    fn session(&mut self, number: u8) -> Result<&mut Session, String> {
        use std::collections::btree_map::Entry;
        match self.sessions.entry(number) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let mut session = Session::new(self.stage.open(number)?);
                session.expect(GREETING, |line| line == GREETING.as_bytes())?;
                Ok(entry.insert(session))
            }
        }
    }

    fn send(&mut self, session: u8, text: &Pattern, times: usize, ends: bool) -> Result<(), String> {
        let mut octets = text.render(&self.captures)?;
        let session = self.session(session)?;
        let mut said = BTreeSet::new();
        if ends {
            for line in octets.split(|b| *b == b'\n') {
                if session.asked.heard_from_client(line) {
                    said.extend(words(line));
                }
            }
            octets.push(b'\n');
        }
        for _ in 0..times {
            session.send(&octets);
        }
        self.played.words.extend(said);
        Ok(())
    }

    fn expect(&mut self, session: u8, text: &Pattern, more: bool) -> Result<(), String> {
        let mut captures = std::mem::take(&mut self.captures);
        let session = self.session(session)?;
        let line = session.expect(&text.shown(&captures), |line| text.matches(line, &mut captures))?;
        let pair = session.asked.heard_from_server(&line);
        session.repeating = more.then_some(line);
        self.played.pairs.extend(pair);
        self.captures = captures;
        Ok(())
    }

    fn pin(&mut self, session: u8, prompt: &Pattern, answer: &Answer) -> Result<(), String> {
        let mut captures = std::mem::take(&mut self.captures);
        let session = self.session(session)?;
        let whole = format!("INQUIRE NEEDPIN {}", prompt.shown(&captures));
        session.expect(&whole, |line| {
            line.strip_prefix(b"INQUIRE NEEDPIN ").is_some_and(|text| prompt.matches(text, &mut captures))
        })?;
        session.send(&match answer {
            Answer::Pin(pin) => pin_lines(pin),
            Answer::Cancel => b"CAN\n".to_vec(),
            Answer::Nothing => b"END\n".to_vec(),
        });
        self.captures = captures;
        Ok(())
    }

    fn exit(&mut self, wanted: i32) -> Result<(), String> {
        let code = self.stage.exit_code()?;
        if code == wanted {
            Ok(())
        } else {
            Err(format!("expected exit code {wanted}\n     got exit code {code}"))
        }
    }

    /// At the end of a transcript every open session answers once more, so that no reply was left unread.
    fn nothing_is_left(&mut self) -> Result<(), String> {
        for session in self.sessions.values_mut().filter(|session| session.open) {
            session.is_in(State::Alive).map_err(|what| format!("after the last line: {what}"))?;
        }
        self.stage.offence().map_or(Ok(()), Err)
    }

    fn conversation(&self) -> String {
        let mut text = String::new();
        for (number, session) in &self.sessions {
            for line in &session.log {
                let _ = writeln!(text, "    {number} {line}");
            }
        }
        text
    }
}

impl Session {
    fn new(wire: Box<dyn Wire>) -> Self {
        Self { wire, asked: Asked::default(), open: true, repeating: None, log: Vec::new() }
    }

    fn send(&mut self, octets: &[u8]) {
        self.log.push(format!("C: {}", shown(octets)));
        self.wire.send(octets);
    }

    fn expect(&mut self, wanted: &str, fits: impl FnOnce(&[u8]) -> bool) -> Result<Vec<u8>, String> {
        let incoming = self.incoming(PATIENCE);
        match &incoming {
            Incoming::Line(line) if fits(line) => Ok(line.clone()),
            other => Err(format!("expected {wanted}\n     got {}", other.shown())),
        }
    }

    fn incoming(&mut self, patience: Duration) -> Incoming {
        loop {
            let incoming = self.wire.line(patience);
            self.log.push(format!("S: {}", incoming.shown()));
            match (&incoming, &self.repeating) {
                (Incoming::Line(line), Some(again)) if line == again => {}
                _ => {
                    self.repeating = None;
                    return incoming;
                }
            }
        }
    }

    fn is_in(&mut self, state: State) -> Result<(), String> {
        match state {
            State::Alive => PROBES.iter().try_for_each(|(question, answer)| {
                self.send(format!("{question}\n").as_bytes());
                self.expect(answer, |line| line == answer.as_bytes()).map(|_| ())
            }),
            State::Closed => {
                self.open = false;
                let incoming = self.incoming(PATIENCE);
                let closed = incoming == Incoming::Closed(Vec::new());
                if closed { Ok(()) } else { Err(format!("expected the end\n     got {}", incoming.shown())) }
            }
            State::Silent => {
                self.open = false;
                let incoming = self.incoming(SILENCE);
                let silent = incoming == Incoming::Silence;
                if silent { Ok(()) } else { Err(format!("expected silence\n     got {}", incoming.shown())) }
            }
        }
    }

    fn hang_up(&mut self) {
        self.open = false;
        self.wire.hang_up();
    }
}

impl Asked {
    /// Whether the line is a command.
    fn heard_from_client(&mut self, line: &[u8]) -> bool {
        let word = line.split(|b| *b == b' ' || *b == b'\t').next().unwrap_or_default();
        if self.inquiring || word.is_empty() || word.starts_with(b"#") {
            let ends = word.eq_ignore_ascii_case(b"END") || word.to_ascii_uppercase().starts_with(b"CAN");
            self.inquiring &= !ends;
            return false;
        }
        self.commands.push_back(String::from_utf8_lossy(word).to_ascii_uppercase());
        true
    }

    /// The command and the code, if the line refuses one.
    fn heard_from_server(&mut self, line: &[u8]) -> Option<(String, u32)> {
        let line = String::from_utf8_lossy(line);
        let word = line.split(' ').next().unwrap_or_default();
        self.inquiring = word == "INQUIRE";
        if word != "OK" && word != "ERR" {
            return None;
        }
        let command = self.commands.pop_front()?;
        let number: u32 = line.strip_prefix("ERR ")?.split(' ').next()?.parse().ok()?;
        Some((command, number & 0xFFFF))
    }
}

/// A command's line, as pairs of the command and a word behind it; what has a value counts with it and without.
fn words(line: &[u8]) -> Vec<(String, String)> {
    let line = String::from_utf8_lossy(line);
    let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
    let command = words.next().unwrap_or_default().to_ascii_uppercase();
    let names = words.flat_map(|word| [word, word.split('=').next().unwrap_or(word)]);
    std::iter::once("").chain(names).map(|name| (command.clone(), name.to_owned())).collect()
}

impl Incoming {
    /// Whether the server greets; since libassuan 3 it tells its process, too.
    pub(crate) fn is_greeting(&self) -> bool {
        let Self::Line(line) = self else { return false };
        let rest = line.strip_prefix(GREETING.as_bytes());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b", process "))
    }

    fn shown(&self) -> String {
        match self {
            Self::Line(line) => shown(line),
            Self::Closed(rest) if rest.is_empty() => "the end of the connection".to_owned(),
            Self::Closed(rest) => format!("{} and the end of the connection", shown(rest)),
            Self::Silence => "nothing".to_owned(),
        }
    }
}

/// What gpg-agent sends for a PIN: 90 octets, then END.
pub(crate) fn pin_lines(pin: &[u8]) -> Vec<u8> {
    let mut lines = b"D ".to_vec();
    lines.extend_from_slice(pin);
    lines.resize(2 + PIN_LENGTH, 0);
    lines.extend_from_slice(b"\nEND\n");
    lines
}

/// Octets as a transcript writes them, long ones cut.
pub(crate) fn shown(octets: &[u8]) -> String {
    const LONGEST: usize = 4000;
    let octets = octets.strip_suffix(b"\n").unwrap_or(octets);
    let mut text = written(&octets[..octets.len().min(LONGEST)]);
    if octets.len() > LONGEST {
        let _ = write!(text, "… ({} octets)", octets.len());
    }
    text
}

/// Octets as a transcript writes them: printable ASCII as it is, everything else as `\xNN`.
pub(crate) fn written(octets: &[u8]) -> String {
    let (text, blank) = match octets.split_last() {
        Some((b' ', text)) => (text, "\\x20"),
        _ => (octets, ""),
    };
    let octet = |octet: &u8| match octet {
        b'\\' | b'{' | b'}' => format!("\\x{octet:02X}"),
        b' '..=b'~' => char::from(*octet).to_string(),
        _ => format!("\\x{octet:02X}"),
    };
    text.iter().map(octet).collect::<String>() + blank
}
