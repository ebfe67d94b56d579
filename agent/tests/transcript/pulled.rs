//! Plays every transcript again and again, with the card pulled at its first command, at the second, and so on. What the
//! server then says stands in no file: it has to say something, and to serve the card when that is put in again.

use std::io::Write as _;
use std::time::{Duration, Instant};

use super::embedded::Embedded;
use super::pattern::Captures;
use super::play::{GREETING, Incoming, Stage as _, Wire, pin_lines};
use super::script::{Action, Answer, Seat, Side, TokenEvent, Transcript};
use super::season::{chosen, several_at_a_time};
use super::theatre::{Height, Theatre};

/// How long a reply may take; what takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a card says that was terminated and not activated.
const TERMINATED: &[u8] = b"ERR 100663521 ";

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Pulls {
    /// Transcripts with a card and one session.
    pub(crate) transcripts: usize,
    /// Plays with a pull.
    pub(crate) pulls: usize,
    /// What went wrong.
    pub(crate) failures: Vec<String>,
}

/// Plays all transcripts in which there is a card to be pulled.
pub(crate) fn pull_everywhere() -> Pulls {
    let start = Instant::now();
    let mut queue = chosen();
    queue.retain(|transcript| {
        let one_of_each = transcript.scene.readers() == 1 && has_one_session(transcript);
        Height::Core.can_play(&transcript.scene) && one_of_each && !waits(transcript)
    });
    let transcripts = queue.len();
    let counts = several_at_a_time(queue, |transcript| {
        let commands = play(&transcript, None);
        (transcript, commands)
    });
    let mut pulls = Pulls { transcripts, ..Pulls::default() };
    let mut queue = Vec::new();
    for (transcript, commands) in counts {
        match commands {
            Ok(commands) => queue.extend((1..=commands).map(|at| (transcript.clone(), at))),
            Err(what) => pulls.failures.push(format!("{}, not pulled: {what}", transcript.name)),
        }
    }
    pulls.pulls = queue.len();
    let ends = several_at_a_time(queue, |(transcript, at)| {
        play(&transcript, Some(at)).map_err(|what| format!("{}, pulled at {at}: {what}", transcript.name))
    });
    pulls.failures.extend(ends.into_iter().filter_map(Result::err));
    let _ = writeln!(
        std::io::stderr(),
        "{transcripts} transcripts, pulled at each of {} commands in {:.0} s, {} failures",
        pulls.pulls,
        start.elapsed().as_secs_f32(),
        pulls.failures.len()
    );
    pulls
}

/// With several, one may wait for what the other does only when it is answered as the file says.
fn has_one_session(transcript: &Transcript) -> bool {
    transcript.steps_of(Side::Ours).all(|step| match &step.action {
        Action::Send { session, .. } | Action::Expect { session, .. } | Action::Pin { session, .. } => {
            *session == 1
        }
        Action::State { .. } | Action::HangUp { .. } | Action::Crowd(_) | Action::Exit(_) => false,
        Action::Difference { .. } | Action::Token { .. } | Action::Pause(_) => true,
    })
}

/// Whether a command is answered only when something happens to the card.
fn waits(transcript: &Transcript) -> bool {
    let steps = transcript.steps_of(Side::Ours).map(|step| &step.action);
    let steps: Vec<_> = steps.filter(|step| !matches!(step, Action::Difference { .. })).collect();
    steps.windows(2).any(|pair| {
        let changes = |event: &TokenEvent| matches!(event, TokenEvent::Removed | TokenEvent::Inserted(_));
        matches!(pair, [Action::Send { .. }, Action::Token { event, .. }] if changes(event))
    })
}

/// Says what the client says, as far as it is asked. Gives how many commands the card got.
fn play(transcript: &Transcript, pulled_at: Option<usize>) -> Result<usize, String> {
    let mut stage = Embedded::start(Theatre::open()?, &transcript.scene)?;
    stage.pull_at(pulled_at);
    let mut client = Client::greeted(&mut stage)?;
    let steps: Vec<_> = transcript.steps_of(Side::Ours).map(|step| &step.action).collect();
    let mut pins = steps.iter().filter_map(|step| match step {
        Action::Pin { answer, .. } => Some(answer),
        _ => None,
    });
    for step in &steps {
        match step {
            Action::Send { text, times, ends, .. } => {
                for _ in 0..*times {
                    client.say(&text.render(&Captures::new())?, *ends, &mut pins)?;
                }
            }
            // What the card is told to answer does not matter, nor whether it can be put in.
            Action::Token { seat, event } => drop(stage.token(*seat, event)),
            _ => {}
        }
    }
    let commands = stage.commands();
    if pulled_at.is_some() {
        drop(stage.token(Seat::First, &TokenEvent::AsBefore));
        stage.pull_at(None);
        stage.token(Seat::First, &TokenEvent::Inserted(None))?;
        let found = Client::greeted(&mut stage)?.finds_the_card();
        found.map_err(|what| format!("{what}\n{}", stage.notes()))?;
    }
    Ok(commands)
}

struct Client {
    wire: Box<dyn Wire>,
    /// The server has asked for data.
    inquired: bool,
    /// The server has closed the connection.
    closed: bool,
}

impl Client {
    fn greeted(stage: &mut Embedded) -> Result<Self, String> {
        let mut wire = stage.open(1)?;
        match wire.line(PATIENCE) {
            Incoming::Line(line) if line == GREETING.as_bytes() => {
                Ok(Self { wire, inquired: false, closed: false })
            }
            other => Err(format!("no greeting, but {other:?}")),
        }
    }

    /// Says a line, unless it answers a question that was not asked; then hears all that is said to it.
    fn say<'a>(
        &mut self,
        text: &[u8],
        ends: bool,
        pins: &mut impl Iterator<Item = &'a Answer>,
    ) -> Result<(), String> {
        let answers = text.starts_with(b"D ") || text.starts_with(b"END") || text.starts_with(b"CAN");
        if self.closed || answers != self.inquired || !ends || text.is_empty() || text.starts_with(b"#") {
            return Ok(());
        }
        self.wire.send(&[text, b"\n"].concat());
        if text.starts_with(b"D ") {
            return Ok(());
        }
        self.inquired = false;
        for _ in text.split(|octet| *octet == b'\n') {
            self.hear(pins)?;
        }
        Ok(())
    }

    /// Up to the end of a reply, or a question that the transcript answers by itself.
    fn hear<'a>(&mut self, pins: &mut impl Iterator<Item = &'a Answer>) -> Result<(), String> {
        loop {
            let line = match self.wire.line(PATIENCE) {
                Incoming::Line(line) => line,
                Incoming::Closed(_) => {
                    self.closed = true;
                    return Ok(());
                }
                Incoming::Silence => return Err("a hang".to_owned()),
            };
            if line.starts_with(b"OK") || line.starts_with(b"ERR ") {
                return Ok(());
            }
            if line.starts_with(b"INQUIRE NEEDPIN") {
                self.wire.send(&match pins.next() {
                    Some(Answer::Pin(pin)) => pin_lines(pin),
                    Some(Answer::Cancel) | None => b"CAN\n".to_vec(),
                    Some(Answer::Nothing) => b"END\n".to_vec(),
                });
            } else if line.starts_with(b"INQUIRE ") {
                self.inquired = true;
                return Ok(());
            }
        }
    }

    /// A card that is there is found. If it was pulled in the middle of its factory reset, it says so.
    fn finds_the_card(&mut self) -> Result<(), String> {
        self.wire.send(b"SERIALNO\n");
        loop {
            match self.wire.line(PATIENCE) {
                Incoming::Line(line) if line.starts_with(b"OK") || line.starts_with(TERMINATED) => {
                    return Ok(());
                }
                Incoming::Line(line) if line.starts_with(b"S ") => {}
                other => return Err(format!("put in again, but {}", shown(&other))),
            }
        }
    }
}

fn shown(incoming: &Incoming) -> String {
    match incoming {
        Incoming::Line(line) => String::from_utf8_lossy(line).into_owned(),
        other => format!("{other:?}"),
    }
}
