//! The transcript file: what its lines mean, as described in `testdata/transcripts/README.md`. Text in, steps out; no
//! program is started here.

use std::time::Duration;

use super::pattern::{Pattern, PatternError};

/// A behaviour as a file tells it.
#[derive(Debug, Clone)]
pub(crate) struct Transcript {
    /// The file's name without its ending.
    pub(crate) name: String,
    /// What has to be there before the first line is said.
    pub(crate) scene: Scene,
    /// What happens, in order.
    pub(crate) steps: Vec<Step>,
}

/// The world of a transcript: its header lines.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scene {
    /// `card:`
    pub(crate) card: Card,
    /// `second card:`, in a reader of its own.
    pub(crate) second: Card,
    /// `token:`, the recipe of PKCS#11 tokens.
    pub(crate) token: Option<String>,
    /// `option:`, lines for scdaemon.conf.
    pub(crate) options: Vec<String>,
    /// `play:`, where it makes sense.
    pub(crate) play: Play,
    /// `gap:`, why ours does not say this yet.
    pub(crate) gap: Option<String>,
    /// `not 2.2:`, why GnuPG 2.2 cannot be asked at all.
    pub(crate) not_older: Option<String>,
    /// `not 2.4:`, why GnuPG 2.4 does not say this, and is not asked.
    pub(crate) not_newer: Option<String>,
    /// `not 0.10:`, why gnupg-pkcs11-scd cannot be asked.
    pub(crate) not_incumbent: Option<String>,
    /// `only 2.5:`, what is known of it from its source only, so that no GnuPG here is asked.
    pub(crate) source_only: Option<String>,
}

/// What is in the reader.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Card {
    /// The named world of `testdata/transcripts/worlds/`, on the virtual card; `WORLD numbered N` with another number.
    World(String),
    /// A card that knows nothing but the exchanges of the named file in `testdata/transcripts/cards/`.
    Scripted(String),
    /// A reader, and nothing in it.
    #[default]
    Absent,
    /// No reader.
    NoReader,
    /// No PC/SC service.
    NoService,
}

/// The heights at which a transcript can be played.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Play {
    /// Session 1 is the pipe or a socket, the others are sockets; or all are streams in memory.
    #[default]
    Everywhere,
    /// `program`: not where there is no process.
    Program,
    /// `--multi-server`, session 1 is the pipe.
    Pipe,
    /// `--server`: the pipe, and no socket at all.
    Server,
}

/// Whose program plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// GnuPG's own, 2.2.
    Stock,
    /// GnuPG's own, 2.3 or later.
    Newer,
    /// claviger.
    Ours,
}

/// One line of a transcript.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// Where it stands in the file, from 1.
    pub(crate) line: usize,
    /// Inside a wanted difference: whose line it is.
    pub(crate) only: Option<Side>,
    /// What it says.
    pub(crate) action: Action,
}

/// What a line says.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    /// `difference:` begins a block that is counted. GnuPG 2.4 plays the lines of `newer` in it.
    Difference { newer: Side },
    /// `C:` the client sends a line, `C-:` without its LF, `C*N:` N times.
    Send { session: u8, text: Pattern, times: usize, ends: bool },
    /// `S:` the server sends a line; `S+:` the same line once or more.
    Expect { session: u8, text: Pattern, more: bool },
    /// `P:` the server asks for a PIN with this text.
    Pin { session: u8, prompt: Pattern, answer: Answer },
    /// `T:` something happens to the card, `T2:` to the second one.
    Token { seat: Seat, event: TokenEvent },
    /// `state:` how the connection is now.
    State { session: u8, state: State },
    /// `hang-up:` the client closes its connection.
    HangUp { session: u8 },
    /// `crowd:` that many connections are opened and dropped.
    Crowd(usize),
    /// `pause:` nothing happens for so long.
    Pause(Duration),
    /// `exit:` the program has ended with this code.
    Exit(i32),
}

/// What the person answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// `"123456"`: that PIN, padded to 90 octets as gpg-agent does.
    Pin(Vec<u8>),
    /// `cancel`: CAN.
    Cancel,
    /// `nothing`: END without data.
    Nothing,
}

/// Which of the readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seat {
    /// The only one, mostly.
    First,
    /// The other, where there are two cards.
    Second,
}

/// What happens to the card, apart from what the server does to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TokenEvent {
    /// `removed`
    Removed,
    /// `inserted`: the same card comes back. `inserted WORLD`: another one.
    Inserted(Option<String>),
    /// `CLAINSP1P2 [DATA] -> REPLY`: that command is answered with the reply, and not by the card. The same command
    /// with other data fails the play.
    Answers { header: [u8; 4], data: Vec<u8>, reply: CardReply },
    /// `as before`: the card answers for itself again.
    AsBefore,
}

/// How a command is answered in the card's stead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CardReply {
    /// These octets, the status word last.
    Octets(Vec<u8>),
    /// `gone`: the card is pulled at this very command.
    Gone,
}

/// How a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// `alive`: it answers what it is asked.
    Alive,
    /// `closed`: the server closed it.
    Closed,
    /// `silent`: it is open, and nothing is answered.
    Silent,
}

/// Why a file is no transcript.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub(crate) struct ScriptError {
    /// Which line, from 1.
    pub(crate) line: usize,
    /// What is wrong with it.
    pub(crate) problem: Problem,
}

/// What is wrong with a line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Problem {
    #[error("the first line is a comment that says which behaviour this is")]
    NoBehaviour,
    #[error("nobody speaks here: {0}")]
    UnknownSpeaker(String),
    #[error("a header stands before the first step, and once")]
    LateHeader,
    #[error("not understood: {0}")]
    NotUnderstood(String),
    #[error("invisible blanks at the end; write \\x20")]
    TrailingBlank,
    #[error("`stock:` and `ours:` stand right below a `difference:` and its reason")]
    StrayDifference,
    #[error("nothing differs here: no `stock:` or `ours:` line follows")]
    EmptyDifference,
    #[error(transparent)]
    Pattern(#[from] PatternError),
}

impl Scene {
    /// Whether this side is asked at all.
    pub(crate) fn concerns(&self, side: Side) -> bool {
        match side {
            Side::Ours => true,
            Side::Stock => self.source_only.is_none() && self.not_older.is_none(),
            Side::Newer => self.source_only.is_none() && self.not_newer.is_none(),
        }
    }

    /// How many readers it takes.
    pub(crate) fn readers(&self) -> usize {
        if self.second == Card::Absent { 1 } else { 2 }
    }
}

impl Transcript {
    /// Reads a file's text.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, ScriptError> {
        if !text.starts_with("# ") {
            return Err(ScriptError { line: 1, problem: Problem::NoBehaviour });
        }
        let mut reader =
            Reader { scene: Scene::default(), card_said: false, steps: Vec::new(), in_difference: false };
        for (index, line) in text.lines().enumerate() {
            reader.line(index + 1, line).map_err(|problem| ScriptError { line: index + 1, problem })?;
        }
        reader.end_difference().map_err(|problem| ScriptError { line: text.lines().count(), problem })?;
        Ok(Self { name: name.to_owned(), scene: reader.scene, steps: reader.steps })
    }

    /// The steps that one side plays.
    pub(crate) fn steps_of(&self, side: Side) -> impl Iterator<Item = &Step> {
        let mut column = side;
        self.steps.iter().filter(move |step| {
            if let (Side::Newer, Action::Difference { newer }) = (side, &step.action) {
                column = *newer;
            }
            step.only.is_none_or(|only| only == column)
        })
    }
}

struct Reader {
    scene: Scene,
    card_said: bool,
    steps: Vec<Step>,
    in_difference: bool,
}

impl Reader {
    fn line(&mut self, number: usize, line: &str) -> Result<(), Problem> {
        if line.ends_with([' ', '\t']) {
            return Err(Problem::TrailingBlank);
        }
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        let (speaker, text) = line.split_once(':').ok_or_else(|| Problem::UnknownSpeaker(line.to_owned()))?;
        let text = text.strip_prefix(' ').unwrap_or(text);
        match speaker {
            "card" | "second card" | "token" | "option" | "play" | "gap" | "not 2.2" | "not 2.4"
            | "not 0.10" | "only 2.5" => self.header(speaker, text),
            "difference" => self.difference(number, text),
            "stock" => self.one_sided(number, Side::Stock, text),
            "ours" => self.one_sided(number, Side::Ours, text),
            "2.4" => {
                self.newer_has_its_own();
                self.one_sided(number, Side::Newer, text)
            }
            _ => {
                self.end_difference()?;
                self.step(number, None, speaker, text)
            }
        }
    }

    fn header(&mut self, speaker: &str, text: &str) -> Result<(), Problem> {
        if !self.steps.is_empty() || (speaker == "card" && self.card_said) {
            return Err(Problem::LateHeader);
        }
        match speaker {
            "card" => {
                self.card_said = true;
                self.scene.card = card(text);
            }
            "second card" => self.scene.second = card(text),
            "token" => self.scene.token = Some(text.to_owned()),
            "option" => self.scene.options.push(text.to_owned()),
            "gap" => self.scene.gap = Some(text.to_owned()),
            "not 2.2" => self.scene.not_older = Some(text.to_owned()),
            "not 2.4" => self.scene.not_newer = Some(text.to_owned()),
            "not 0.10" => self.scene.not_incumbent = Some(text.to_owned()),
            "only 2.5" => self.scene.source_only = Some(text.to_owned()),
            _ => self.scene.play = play(text)?,
        }
        Ok(())
    }

    fn difference(&mut self, line: usize, reason: &str) -> Result<(), Problem> {
        self.end_difference()?;
        if reason.is_empty() {
            return Err(Problem::StrayDifference);
        }
        self.in_difference = true;
        // The reason says who began to do as ours does.
        let newer =
            if reason.starts_with("2.3 ") || reason.starts_with("2.4 ") { Side::Ours } else { Side::Stock };
        self.steps.push(Step { line, only: None, action: Action::Difference { newer } });
        Ok(())
    }

    /// The difference in which this stands has lines that GnuPG 2.4 alone says.
    fn newer_has_its_own(&mut self) {
        let begun = self.steps.iter_mut().rev().find_map(|step| match &mut step.action {
            Action::Difference { newer } => Some(newer),
            _ => None,
        });
        if let Some(newer) = begun {
            *newer = Side::Newer;
        }
    }

    fn one_sided(&mut self, number: usize, side: Side, text: &str) -> Result<(), Problem> {
        if !self.in_difference {
            return Err(Problem::StrayDifference);
        }
        let (speaker, text) = text.split_once(':').ok_or_else(|| Problem::UnknownSpeaker(text.to_owned()))?;
        self.step(number, Some(side), speaker, text.strip_prefix(' ').unwrap_or(text))
    }

    fn end_difference(&mut self) -> Result<(), Problem> {
        let empty = matches!(self.steps.last(), Some(Step { action: Action::Difference { .. }, .. }));
        self.in_difference = false;
        if empty { Err(Problem::EmptyDifference) } else { Ok(()) }
    }

    fn step(&mut self, line: usize, only: Option<Side>, speaker: &str, text: &str) -> Result<(), Problem> {
        self.steps.push(Step { line, only, action: action(speaker, text)? });
        Ok(())
    }
}

fn card(text: &str) -> Card {
    match text {
        "none" => Card::Absent,
        "no reader" => Card::NoReader,
        "no service" => Card::NoService,
        _ => match text.strip_prefix("scripted ") {
            Some(file) => Card::Scripted(file.to_owned()),
            None => Card::World(text.to_owned()),
        },
    }
}

fn play(text: &str) -> Result<Play, Problem> {
    match text {
        "program" => Ok(Play::Program),
        "pipe" => Ok(Play::Pipe),
        "server" => Ok(Play::Server),
        _ => Err(not_understood(text)),
    }
}

fn action(speaker: &str, text: &str) -> Result<Action, Problem> {
    let letters = speaker.trim_end_matches(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_uppercase());
    let marks = &speaker[letters.len()..];
    let (session, marks) = match marks.as_bytes().first() {
        Some(digit @ b'1'..=b'9') => (digit - b'0', &marks[1..]),
        _ => (1, marks),
    };
    match (letters, marks) {
        ("C", "") => Ok(Action::Send { session, text: Pattern::parse(text)?, times: 1, ends: true }),
        ("C", "-") => Ok(Action::Send { session, text: Pattern::parse(text)?, times: 1, ends: false }),
        ("C", _) if marks.starts_with('*') => {
            Ok(Action::Send { session, text: Pattern::parse(text)?, times: number(&marks[1..])?, ends: true })
        }
        ("S", "") => Ok(Action::Expect { session, text: Pattern::parse(text)?, more: false }),
        ("S", "+") => Ok(Action::Expect { session, text: Pattern::parse(text)?, more: true }),
        ("P", "") => pin(session, text),
        ("T", "") => {
            let seat = if session == 2 { Seat::Second } else { Seat::First };
            Ok(Action::Token { seat, event: token_event(text)? })
        }
        ("state", "") => Ok(Action::State { session, state: state(text)? }),
        ("hang-up", "") => Ok(Action::HangUp { session }),
        ("crowd", "") => Ok(Action::Crowd(number(text)?)),
        ("pause", "") => Ok(Action::Pause(Duration::from_millis(number(text)?))),
        ("exit", "") => Ok(Action::Exit(number(text)?)),
        _ => Err(Problem::UnknownSpeaker(speaker.to_owned())),
    }
}

fn pin(session: u8, text: &str) -> Result<Action, Problem> {
    let (prompt, answer) = text.rsplit_once(" -> ").ok_or_else(|| not_understood(text))?;
    let answer = match answer {
        "cancel" => Answer::Cancel,
        "nothing" => Answer::Nothing,
        quoted => match quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(pin) => Answer::Pin(pin.as_bytes().to_vec()),
            None => return Err(not_understood(answer)),
        },
    };
    Ok(Action::Pin { session, prompt: Pattern::parse(prompt)?, answer })
}

fn state(text: &str) -> Result<State, Problem> {
    match text {
        "alive" => Ok(State::Alive),
        "closed" => Ok(State::Closed),
        "silent" => Ok(State::Silent),
        _ => Err(not_understood(text)),
    }
}

fn token_event(text: &str) -> Result<TokenEvent, Problem> {
    match text {
        "removed" => return Ok(TokenEvent::Removed),
        "inserted" => return Ok(TokenEvent::Inserted(None)),
        "as before" => return Ok(TokenEvent::AsBefore),
        _ => {}
    }
    if let Some(world) = text.strip_prefix("inserted ") {
        return Ok(TokenEvent::Inserted(Some(world.to_owned())));
    }
    let (command, reply) = text.split_once(" -> ").ok_or_else(|| not_understood(text))?;
    let octets = unhex(command)?;
    let (header, data) = octets.split_first_chunk().ok_or_else(|| not_understood(command))?;
    let reply = if reply == "gone" { CardReply::Gone } else { CardReply::Octets(unhex(reply)?) };
    Ok(TokenEvent::Answers { header: *header, data: data.to_vec(), reply })
}

/// Hex digits, blanks between octets allowed.
pub(crate) fn unhex(text: &str) -> Result<Vec<u8>, Problem> {
    let digits: Vec<char> = text.chars().filter(|c| *c != ' ').collect();
    digits
        .chunks(2)
        .map(|pair| {
            let pair: String = pair.iter().collect();
            let octet = u8::from_str_radix(&pair, 16).ok().filter(|_| pair.len() == 2);
            octet.ok_or_else(|| not_understood(text))
        })
        .collect()
}

fn number<N: std::str::FromStr>(text: &str) -> Result<N, Problem> {
    text.parse().map_err(|_| not_understood(text))
}

fn not_understood(text: &str) -> Problem {
    Problem::NotUnderstood(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> ScriptError {
        Transcript::parse("test", text).unwrap_err()
    }

    fn actions(text: &str) -> Vec<Action> {
        let transcript = Transcript::parse("test", &format!("# A test.\n{text}")).unwrap();
        transcript.steps.into_iter().map(|step| step.action).collect()
    }

    #[test]
    fn a_file_begins_with_its_behaviour() {
        assert_eq!(problem("C: NOP\n"), ScriptError { line: 1, problem: Problem::NoBehaviour });
    }

    #[test]
    fn an_error_names_its_line() {
        let text = "# A test.\nC: NOP\nS: \\q\n";
        assert_eq!(problem(text), ScriptError { line: 3, problem: PatternError::BadEscape.into() });
    }

    #[test]
    fn headers_stand_before_the_first_step() {
        assert_eq!(problem("# A test.\nC: NOP\ncard: none\n").problem, Problem::LateHeader);
        assert_eq!(problem("# A test.\ncard: none\ncard: none\n").problem, Problem::LateHeader);
    }

    #[test]
    fn the_scene_says_what_is_in_the_reader() {
        let card =
            |line: &str| Transcript::parse("test", &format!("# A test.\n{line}\n")).unwrap().scene.card;
        assert_eq!(card("card: none"), Card::Absent);
        assert_eq!(card("card: curve25519"), Card::World("curve25519".into()));
        assert_eq!(card("card: scripted x448"), Card::Scripted("x448".into()));
        assert_eq!(card("card: no service"), Card::NoService);
    }

    #[test]
    fn sessions_have_numbers() {
        let actions = actions("C: NOP\nC2: NOP\nS3: OK\nstate2: closed\n");
        let [
            Action::Send { session: 1, ends: true, .. },
            Action::Send { session: 2, .. },
            Action::Expect { session: 3, more: false, .. },
            Action::State { session: 2, state: State::Closed },
        ] = &actions[..]
        else {
            panic!("{actions:?}")
        };
    }

    #[test]
    fn a_client_sends_half_lines_and_many_lines() {
        let actions = actions("C-: NO\nC*3: NOP\n");
        let [Action::Send { ends: false, .. }, Action::Send { times: 3, ends: true, .. }] = &actions[..]
        else {
            panic!("{actions:?}")
        };
    }

    #[test]
    fn a_pin_is_quoted_cancelled_or_left_out() {
        let answers: Vec<_> = actions("P: ||PIN -> \"123 456\"\nP: x -> cancel\nP: x -> nothing\n")
            .into_iter()
            .map(|action| match action {
                Action::Pin { answer, .. } => answer,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(answers, [Answer::Pin(b"123 456".to_vec()), Answer::Cancel, Answer::Nothing]);
        assert_eq!(problem("# A test.\nP: x -> 123456\n").problem, Problem::NotUnderstood("123456".into()));
    }

    #[test]
    fn a_card_command_is_hex_with_its_answer() {
        let events: Vec<_> = actions("T: 002A9E9A 0102 -> 6985\nT: 00478000 -> gone\nT: inserted\n")
            .into_iter()
            .map(|action| match action {
                Action::Token { event, .. } => event,
                other => panic!("{other:?}"),
            })
            .collect();
        let answers = |header, data: &[u8], reply| TokenEvent::Answers { header, data: data.to_vec(), reply };
        assert_eq!(
            events,
            [
                answers([0x00, 0x2A, 0x9E, 0x9A], &[1, 2], CardReply::Octets(vec![0x69, 0x85])),
                answers([0x00, 0x47, 0x80, 0x00], &[], CardReply::Gone),
                TokenEvent::Inserted(None),
            ]
        );
        assert_eq!(problem("# A test.\nT: 002A9 -> 6985\n").problem, Problem::NotUnderstood("002A9".into()));
    }

    #[test]
    fn a_difference_has_a_reason_and_sides() {
        let text = "# A test.\ndifference: ours says more\nstock: S: D 1\nours: S: D 2\nS: OK\n";
        let transcript = Transcript::parse("test", text).unwrap();
        assert_eq!(transcript.steps_of(Side::Stock).count(), 3);
        assert_eq!(transcript.steps_of(Side::Ours).count(), 3);
        assert_eq!(transcript.steps.len(), 4);
    }

    /// What the scdaemon of GnuPG 2.4 is expected to say.
    fn newer_says(text: &str) -> Vec<String> {
        let transcript = Transcript::parse("test", &format!("# A test.\n{text}")).unwrap();
        let said = transcript.steps_of(Side::Newer).filter_map(|step| match &step.action {
            Action::Expect { text, .. } => Some(text.shown(&Default::default())),
            _ => None,
        });
        said.collect()
    }

    #[test]
    fn a_newer_original_says_what_ours_says_where_the_reason_begins_with_its_version() {
        let sides = "stock: S: D 1\nours: S: D 2\nS: OK\n";
        assert_eq!(newer_says(&format!("difference: 2.4 says more\n{sides}")), ["D 2", "OK"]);
        assert_eq!(newer_says(&format!("difference: 2.3 brought it\n{sides}")), ["D 2", "OK"]);
        assert_eq!(newer_says(&format!("difference: ours says more\n{sides}")), ["D 1", "OK"]);
    }

    #[test]
    fn a_newer_original_may_have_lines_of_its_own() {
        let sides = "stock: S: D 1\n2.4: S: D 3\nours: S: D 2\n";
        assert_eq!(newer_says(&format!("difference: 2.4 says more\n{sides}S: OK\n")), ["D 3", "OK"]);
        assert_eq!(problem("# A test.\n2.4: S: OK\n").problem, Problem::StrayDifference);
    }

    #[test]
    fn a_newer_original_is_not_asked_where_the_header_says_so() {
        let transcript = Transcript::parse("test", "# A test.\nnot 2.4: it hangs\nC: NOP\n").unwrap();
        assert!(!transcript.scene.concerns(Side::Newer));
        assert!(transcript.scene.concerns(Side::Stock) && transcript.scene.concerns(Side::Ours));
    }

    #[test]
    fn an_older_original_is_not_asked_where_the_header_says_so() {
        let text = "# A test.\ncard: blank\nsecond card: other\nnot 2.2: one reader only\nT2: removed\n";
        let transcript = Transcript::parse("test", text).unwrap();
        assert!(!transcript.scene.concerns(Side::Stock));
        assert!(transcript.scene.concerns(Side::Newer) && transcript.scene.concerns(Side::Ours));
        assert_eq!(transcript.scene.readers(), 2);
        let Action::Token { seat: Seat::Second, event: TokenEvent::Removed } = &transcript.steps[0].action
        else {
            panic!("{transcript:?}")
        };
    }

    #[test]
    fn what_only_the_newest_has_is_asked_of_ours_alone() {
        let transcript =
            Transcript::parse("test", "# A test.\nonly 2.5: so its source says\nC: NOP\n").unwrap();
        assert!(!transcript.scene.concerns(Side::Newer) && !transcript.scene.concerns(Side::Stock));
        assert!(transcript.scene.concerns(Side::Ours));
    }

    #[test]
    fn a_difference_without_reason_or_sides_is_refused() {
        assert_eq!(problem("# A test.\nstock: S: OK\n").problem, Problem::StrayDifference);
        assert_eq!(problem("# A test.\ndifference:\nstock: S: OK\n").problem, Problem::StrayDifference);
        assert_eq!(problem("# A test.\ndifference: x\nS: OK\n").problem, Problem::EmptyDifference);
        assert_eq!(problem("# A test.\ndifference: x\n").problem, Problem::EmptyDifference);
    }

    #[test]
    fn invisible_blanks_are_refused() {
        assert_eq!(problem("# A test.\nC: GETINFO version \n").problem, Problem::TrailingBlank);
    }
}
