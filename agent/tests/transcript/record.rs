//! Writes down what a server says to a transcript that has only its client's lines: how transcripts begin. The replies
//! are then read, checked against the reference and given wildcards by hand.

use std::fmt::Write as _;
use std::time::Duration;

use super::play::{GREETING, Incoming, Stage, Wire, pin_lines, written};
use super::script::{Action, Answer, Transcript};
use super::theatre::{Height, Theatre};

/// How long a reply may take.
const PATIENCE: Duration = Duration::from_secs(8);

/// The text of a draft with the replies between its lines. After a line of the client's, everything up to a final line
/// or an inquiry is its reply; a line behind a `!` has none.
pub(crate) fn record(
    name: &str,
    draft: &str,
    theatre: &'static Theatre,
    height: Height,
) -> Result<String, String> {
    let text = draft.replace("\n!", "\n");
    let transcript = Transcript::parse(name, &text).map_err(|error| format!("{name}: {error}"))?;
    let mut stage = theatre.stage(&transcript.scene, height)?;
    let mut sessions = Sessions { open: Vec::new() };
    let mut out = String::new();
    let mut prompt: Option<String> = None;
    let mut steps = transcript.steps_of(height.side()).peekable();
    for (index, line) in draft.lines().enumerate() {
        let said = line.strip_prefix('!').unwrap_or(line);
        let _ = match (prompt.take(), line.rsplit_once(" -> ")) {
            (Some(prompt), Some((_, answer))) if line.starts_with('P') => {
                writeln!(out, "{prompt} -> {answer}")
            }
            (Some(prompt), _) => writeln!(out, "{prompt} -> ?\n{said}"),
            (None, _) => writeln!(out, "{said}"),
        };
        while let Some(step) = steps.next_if(|step| step.line == index + 1) {
            let Some(session) = sessions.step(&step.action, stage.as_mut())? else { continue };
            if !line.starts_with('!') {
                prompt = replies(session, sessions.wire(session, stage.as_mut())?, &mut out);
            }
        }
    }
    if let Some(prompt) = prompt {
        let _ = writeln!(out, "{prompt} -> ?");
    }
    stage.offence().map_or(Ok(out), |offence| Err(format!("{name}: {offence}")))
}

struct Sessions {
    open: Vec<(u8, Box<dyn Wire>)>,
}

impl Sessions {
    /// Carries out a step; the session in which something was said.
    fn step(&mut self, action: &Action, stage: &mut dyn Stage) -> Result<Option<u8>, String> {
        if let Some((session, octets)) = said(action)? {
            self.wire(session, stage)?.send(&octets);
            return Ok(Some(session));
        }
        match action {
            Action::Token { seat, event } => stage.token(*seat, event)?,
            Action::HangUp { session } => self.wire(*session, stage)?.hang_up(),
            Action::Crowd(count) => stage.crowd(*count)?,
            Action::Pause(time) => std::thread::sleep(*time),
            _ => {}
        }
        Ok(None)
    }

    fn wire(&mut self, session: u8, stage: &mut dyn Stage) -> Result<&mut dyn Wire, String> {
        if let Some(place) = self.open.iter().position(|(number, _)| *number == session) {
            return Ok(self.open[place].1.as_mut());
        }
        let mut wire = stage.open(session)?;
        if wire.line(PATIENCE) != Incoming::Line(GREETING.as_bytes().to_vec()) {
            return Err("no greeting".to_owned());
        }
        self.open.push((session, wire));
        self.wire(session, stage)
    }
}

/// What the client says in a step.
fn said(action: &Action) -> Result<Option<(u8, Vec<u8>)>, String> {
    match action {
        Action::Send { session, text, times, ends } => {
            let mut line = text.render(&Default::default())?;
            if *ends {
                line.push(b'\n');
            }
            Ok(Some((*session, line.repeat(*times))))
        }
        Action::Pin { session, answer: Answer::Pin(pin), .. } => Ok(Some((*session, pin_lines(pin)))),
        Action::Pin { session, answer: Answer::Cancel, .. } => Ok(Some((*session, b"CAN\n".to_vec()))),
        Action::Pin { session, answer: Answer::Nothing, .. } => Ok(Some((*session, b"END\n".to_vec()))),
        _ => Ok(None),
    }
}

/// Writes the lines up to a final one; the beginning of a `P:` line if a PIN is asked for.
fn replies(session: u8, wire: &mut dyn Wire, out: &mut String) -> Option<String> {
    let number = if session == 1 { String::new() } else { session.to_string() };
    loop {
        let _ = match wire.line(PATIENCE) {
            Incoming::Line(line) => {
                let shown = written(&line);
                if let Some(prompt) = shown.strip_prefix("INQUIRE NEEDPIN ") {
                    return Some(format!("P{number}: {prompt}"));
                }
                let _ = writeln!(out, "S{number}: {shown}");
                if ["OK", "ERR", "INQUIRE"].contains(&shown.split(' ').next().unwrap_or_default()) {
                    return None;
                }
                continue;
            }
            Incoming::Closed(_) => writeln!(out, "state{number}: closed"),
            Incoming::Silence => writeln!(out, "state{number}: silent"),
        };
        return None;
    }
}
