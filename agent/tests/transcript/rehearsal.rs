//! A stage without programs: a server that says what the transcript expects, a card that does what it is told. It
//! shows that transcripts are whole, which pairs they cover, and, with one octet changed, that the player sees it.

use std::collections::VecDeque;

use super::pattern::Captures;
use super::play::{GREETING, Incoming, PROBES, Stage, Wire};
use super::script::{Action, Seat, Side, State, TokenEvent, Transcript};

/// Plays the part of the server.
pub(crate) struct Rehearsal {
    side: Side,
    sessions: Vec<(u8, VecDeque<Cue>)>,
    exit_code: i32,
}

/// What the server does next in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cue {
    /// Sends a line; which of its octets the transcript fixes.
    Line(Vec<u8>, Vec<bool>),
    /// Answers the player's probes.
    Alive,
    /// Closes.
    Closed,
    /// Says nothing.
    Silent,
}

impl Rehearsal {
    /// The server of the transcript's one side.
    pub(crate) fn new(transcript: &Transcript, side: Side) -> Self {
        let mut rehearsal = Self { side, sessions: Vec::new(), exit_code: 0 };
        let mut captures = Captures::new();
        for step in transcript.steps_of(side) {
            match &step.action {
                Action::Expect { session, text, .. } => {
                    let (line, fixed) = text.example(&mut captures);
                    rehearsal.cue(*session, Cue::Line(line, fixed));
                }
                Action::Pin { session, prompt, .. } => {
                    let (text, fixed) = prompt.example(&mut captures);
                    let keyword = b"INQUIRE NEEDPIN ";
                    let fixed = [&[true; 16][..], &fixed].concat();
                    rehearsal.cue(*session, Cue::Line([&keyword[..], &text].concat(), fixed));
                }
                Action::State { session, state: State::Alive } => {
                    PROBES.iter().for_each(|_| rehearsal.cue(*session, Cue::Alive));
                }
                Action::State { session, state } => rehearsal.cue(*session, (*state).into()),
                Action::Exit(code) => rehearsal.exit_code = *code,
                _ => {}
            }
        }
        rehearsal
    }

    /// Every cue, to be changed by a test.
    #[cfg(test)]
    fn cues(&mut self) -> impl Iterator<Item = &mut Cue> {
        self.sessions.iter_mut().flat_map(|(_, cues)| cues)
    }

    fn cue(&mut self, session: u8, cue: Cue) {
        match self.sessions.iter_mut().find(|(number, _)| *number == session) {
            Some((_, cues)) => cues.push_back(cue),
            None => self.sessions.push((session, VecDeque::from([cue]))),
        }
    }
}

impl Cue {
    /// The line that is sent, and which of its octets are fixed.
    #[cfg(test)]
    fn line(&mut self) -> Option<(&mut Vec<u8>, &mut Vec<bool>)> {
        match self {
            Self::Line(line, fixed) => Some((line, fixed)),
            Self::Alive | Self::Closed | Self::Silent => None,
        }
    }
}

impl From<State> for Cue {
    fn from(state: State) -> Self {
        match state {
            State::Alive => Self::Alive,
            State::Closed => Self::Closed,
            State::Silent => Self::Silent,
        }
    }
}

impl Stage for Rehearsal {
    fn side(&self) -> Side {
        self.side
    }

    fn open(&mut self, session: u8) -> Result<Box<dyn Wire>, String> {
        let found = self.sessions.iter_mut().find(|(number, _)| *number == session);
        let mut cues = found.map(|(_, cues)| std::mem::take(cues)).unwrap_or_default();
        cues.push_front(Cue::Line(GREETING.as_bytes().to_vec(), vec![true; GREETING.len()]));
        Ok(Box::new(Actor { cues, answers: VecDeque::new() }))
    }

    fn token(&mut self, _: Seat, _: &TokenEvent) -> Result<(), String> {
        Ok(())
    }

    fn crowd(&mut self, _: usize) -> Result<(), String> {
        Ok(())
    }

    fn exit_code(&mut self) -> Result<i32, String> {
        Ok(self.exit_code)
    }

    fn offence(&mut self) -> Option<String> {
        None
    }

    fn notes(&mut self) -> String {
        String::new()
    }
}

struct Actor {
    cues: VecDeque<Cue>,
    /// Answers to probes that were heard.
    answers: VecDeque<&'static str>,
}

impl Wire for Actor {
    fn send(&mut self, octets: &[u8]) {
        let asked = |(question, _): &&(&str, &str)| octets.strip_suffix(b"\n") == Some(question.as_bytes());
        self.answers.extend(PROBES.iter().find(asked).map(|(_, answer)| *answer));
    }

    /// A line with an LF in it is two lines. After its last cue the session still answers probes.
    fn line(&mut self, _: std::time::Duration) -> Incoming {
        match self.cues.pop_front() {
            Some(Cue::Line(line, _)) => match line.iter().position(|b| *b == b'\n') {
                Some(end) => {
                    self.cues.push_front(Cue::Line(line[end + 1..].to_vec(), Vec::new()));
                    Incoming::Line(line[..end].to_vec())
                }
                None => Incoming::Line(line),
            },
            Some(Cue::Closed) => Incoming::Closed(Vec::new()),
            Some(Cue::Alive) | None => {
                self.answers.pop_front().map_or(Incoming::Silence, |answer| Incoming::Line(answer.into()))
            }
            Some(Cue::Silent) => Incoming::Silence,
        }
    }

    fn hang_up(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::super::play::play;
    use super::super::season::library;
    use super::*;

    const SAMPLE: &str = "# Everything a server can say.
card: none
C: GETINFO pid
S: D {number:pid}
S: OK
C: GETINFO pid
S: D {number:pid}
S: OK
C: SERIALNO
S: S SERIALNO {serial}
S: OK
C: PKSIGN
P: ||Please unlock the card%0A%0A\\x1eHolder\\x1f: {text} -> \"123456\"
S: D \\x00\\x01{data:4}%0A
S: OK
C2: AUTH
S2: ERR 100663365 Not implemented <SCD> - {text} done
state2: alive
C2: BYE
S2: OK closing connection
state2: closed
";

    fn sample() -> Transcript {
        Transcript::parse("sample", SAMPLE).unwrap()
    }

    /// Plays the transcript with one of the server's lines changed.
    fn passes_with(transcript: &Transcript, number: usize, change: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut rehearsal = Rehearsal::new(transcript, Side::Ours);
        let mut lines = rehearsal.cues().filter_map(Cue::line);
        let (line, _) = lines.nth(number).expect("the line is there");
        change(line);
        drop(lines);
        play(transcript, &mut rehearsal).is_ok()
    }

    /// Every octet that the transcript fixes: its line's number and its place there.
    fn fixed_octets(transcript: &Transcript) -> Vec<(usize, usize)> {
        let mut rehearsal = Rehearsal::new(transcript, Side::Ours);
        let lines = rehearsal.cues().filter_map(Cue::line).enumerate();
        let places = |(number, (_, fixed)): (usize, (&mut Vec<u8>, &mut Vec<bool>))| {
            let places = fixed.iter().enumerate().filter(|(_, fixed)| **fixed).map(|(place, _)| place);
            places.map(|place| (number, place)).collect::<Vec<_>>()
        };
        lines.flat_map(places).collect()
    }

    #[test]
    fn an_unchanged_reply_passes() {
        assert!(passes_with(&sample(), 0, |_| {}));
    }

    #[test]
    fn any_octet_of_a_reply_altered_to_any_other_fails() {
        let sample = sample();
        for (number, place) in fixed_octets(&sample) {
            for flip in 1..=255 {
                let passed = passes_with(&sample, number, |line| line[place] ^= flip);
                assert!(!passed, "line {number}, octet {place}, flipped by {flip:#x}");
            }
        }
    }

    #[test]
    fn any_octet_of_recorded_replies_altered_fails() {
        let files = ["learn_force", "getattr_every_attribute", "pksign_ed25519", "killscd"];
        for transcript in library().iter().filter(|transcript| files.contains(&transcript.name.as_str())) {
            for (number, place) in fixed_octets(transcript) {
                for flip in [0x01, 0x20, 0x80] {
                    let passed = passes_with(transcript, number, |line| line[place] ^= flip);
                    assert!(
                        !passed,
                        "{}: line {number}, octet {place}, flipped by {flip:#x}",
                        transcript.name
                    );
                }
            }
        }
    }

    #[test]
    fn an_octet_left_out_fails() {
        let sample = sample();
        for (number, place) in fixed_octets(&sample) {
            let passed = passes_with(&sample, number, |line| {
                line.remove(place);
            });
            assert!(!passed, "line {number}, octet {place}");
        }
    }

    #[test]
    fn an_octet_too_many_fails() {
        let sample = sample();
        let fixed = fixed_octets(&sample);
        // Not beside a wildcard, where one more may be nature's.
        for (number, place) in
            fixed.iter().filter(|(number, place)| *place == 0 || fixed.contains(&(*number, place - 1)))
        {
            let passed = passes_with(&sample, *number, |line| line.insert(*place, b'x'));
            assert!(!passed, "line {number}, octet {place}");
        }
    }

    #[test]
    fn a_line_missing_doubled_or_too_many_fails() {
        let transcript = sample();
        for doubled in [false, true] {
            for number in 0.. {
                let mut rehearsal = Rehearsal::new(&transcript, Side::Ours);
                let (_, cues) =
                    rehearsal.sessions.iter_mut().find(|(session, _)| *session == 1).expect("session 1");
                let Some(cue) = cues.remove(number) else { break };
                if doubled {
                    cues.insert(number, cue.clone());
                    cues.insert(number, cue);
                }
                assert!(play(&transcript, &mut rehearsal).is_err(), "line {number}, doubled: {doubled}");
            }
        }
    }

    #[test]
    fn a_wildcard_seen_before_may_not_change() {
        assert!(!passes_with(&sample(), 2, |line| *line = b"D 13".to_vec()));
    }

    #[test]
    fn a_connection_closed_too_early_or_too_late_fails() {
        let transcript = sample();
        for (from, to) in [(Cue::Closed, Cue::Alive), (Cue::Alive, Cue::Closed), (Cue::Closed, Cue::Silent)] {
            let mut rehearsal = Rehearsal::new(&transcript, Side::Ours);
            let cue = rehearsal.cues().find(|cue| **cue == from).expect("the cue is there");
            *cue = to;
            assert!(play(&transcript, &mut rehearsal).is_err());
        }
    }

    #[test]
    fn the_pairs_of_command_and_code_are_told() {
        let transcript = sample();
        let played = play(&transcript, &mut Rehearsal::new(&transcript, Side::Ours)).unwrap();
        assert_eq!(played.pairs.into_iter().collect::<Vec<_>>(), [("AUTH".to_owned(), 69)]);
    }
}
