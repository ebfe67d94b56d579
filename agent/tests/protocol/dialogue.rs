//! The transcripts as dialogues that documents quote: what claviger says in them, cut into commands with their replies.
//! How the files are written is described in `testdata/transcripts/README.md`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;

use crate::world::repository;

/// A transcript as claviger plays it.
pub(crate) struct Dialogue {
    /// The file's name without its ending.
    pub(crate) name: String,
    /// What is said, in order.
    pub(crate) lines: Vec<Line>,
}

/// One line of a dialogue.
pub(crate) struct Line {
    /// Who speaks, or what happens: `C`, `S2`, `P`, `T`, `state`, …
    speaker: String,
    text: String,
    /// Why this and what follows is not what GnuPG 2.2 says.
    pub(crate) difference: Option<String>,
    /// The command that begins here.
    pub(crate) command: Option<String>,
}

/// What a command was seen to send.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// Keywords of status lines.
    pub(crate) statuses: BTreeSet<String>,
    /// Keywords of inquiries.
    pub(crate) inquiries: BTreeSet<String>,
    /// Error codes, without their source.
    pub(crate) errors: BTreeSet<u16>,
}

/// All transcripts of what ours does: those of cards by name, then those of tokens.
pub(crate) fn all() -> Vec<Dialogue> {
    ["scdaemon", "pkcs11"].into_iter().flat_map(in_folder).collect()
}

fn in_folder(folder: &str) -> Vec<Dialogue> {
    let path = repository(&format!("testdata/transcripts/{folder}"));
    let entries = fs::read_dir(path).expect("the transcripts are there");
    let paths = entries.map(|entry| entry.expect("the folder can be read").path());
    let mut dialogues: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "transcript"))
        .filter_map(|path| {
            let text = fs::read_to_string(&path).expect("a transcript is text");
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            // What ours does not do yet is told by nobody but the original.
            let is_gap = text.lines().any(|line| line.starts_with("gap:"));
            (!is_gap).then(|| Dialogue::parse(name, &text))
        })
        .collect();
    dialogues.sort_by(|one, other| one.name.cmp(&other.name));
    dialogues
}

/// What each command sends, over all dialogues.
pub(crate) fn sent(dialogues: &[Dialogue]) -> BTreeMap<String, Sent> {
    let mut sent = BTreeMap::new();
    for dialogue in dialogues {
        let mut sessions = BTreeMap::<String, Asked>::new();
        for line in &dialogue.lines {
            let session = line.session();
            sessions.entry(session).or_default().hears(line, &mut sent);
        }
    }
    sent
}

impl Dialogue {
    fn parse(name: String, text: &str) -> Self {
        let mut lines = Vec::new();
        let mut sessions = BTreeMap::<String, Asked>::new();
        let mut difference = None;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((speaker, text)) = line.split_once(':') else { continue };
            let text = text.strip_prefix(' ').unwrap_or(text);
            match speaker {
                "difference" => difference = Some(text.to_owned()),
                "ours" => lines.extend(Line::parse(text, difference.take())),
                _ => lines.extend(Line::parse(line, None)),
            }
        }
        for line in &mut lines {
            line.command = sessions.entry(line.session()).or_default().begins(line);
        }
        Self { name, lines }
    }

    /// The dialogue cut where a command begins; those sent in one go stay together, and what goes before the first one is
    /// left out.
    pub(crate) fn exchanges(&self) -> Vec<&[Line]> {
        let is_command = |at: usize| self.lines.get(at).is_some_and(|line| line.command.is_some());
        let begins: Vec<_> = (0..self.lines.len())
            .filter(|at| is_command(*at) && !at.checked_sub(1).is_some_and(is_command))
            .collect();
        let ends = begins.iter().skip(1).copied().chain([self.lines.len()]);
        begins.iter().zip(ends).map(|(begin, end)| &self.lines[*begin..end]).collect()
    }
}

impl Line {
    /// A line of a speaker; headers, and what is not GnuPG's protocol, are none.
    fn parse(line: &str, difference: Option<String>) -> Option<Self> {
        let (speaker, text) = line.split_once(':')?;
        let is_speaker = matches!(speaker.chars().next()?, 'C' | 'S' | 'P' | 'T')
            || ["state", "hang-up", "pause"].iter().any(|event| speaker.starts_with(event));
        let text = text.strip_prefix(' ').unwrap_or(text).to_owned();
        is_speaker.then(|| Self { speaker: speaker.to_owned(), text, difference, command: None })
    }

    fn session(&self) -> String {
        self.speaker.chars().filter(char::is_ascii_digit).take(1).collect()
    }

    /// Whether a command ends here, and well.
    pub(crate) fn is_success(&self) -> bool {
        self.speaker.starts_with('S') && self.text.split(' ').next() == Some("OK")
    }

    /// The line as the file has it; what no one reads is cut.
    pub(crate) fn shown(&self) -> String {
        const WIDEST_DATA: usize = 112;
        let line = format!("{}: {}", self.speaker, self.text);
        match line.char_indices().nth(WIDEST_DATA) {
            Some((end, _)) if self.text.starts_with("D ") => format!("{} […]", &line[..end]),
            _ => line,
        }
    }
}

/// What a session still has to answer.
#[derive(Default)]
struct Asked {
    commands: VecDeque<String>,
    inquiring: bool,
}

impl Asked {
    /// The command that this line of a client is, if it is one.
    fn begins(&mut self, line: &Line) -> Option<String> {
        match line.speaker.chars().next()? {
            'C' => self.is_asked(&line.text),
            'S' => {
                self.inquiring = line.text.starts_with("INQUIRE ");
                None
            }
            _ => None,
        }
    }

    fn is_asked(&mut self, text: &str) -> Option<String> {
        let word = text.split([' ', '\t']).next().unwrap_or_default().to_ascii_uppercase();
        if self.inquiring {
            self.inquiring = word != "END" && !word.starts_with("CAN");
            return None;
        }
        (!word.is_empty() && !word.starts_with('#')).then_some(word)
    }

    fn hears(&mut self, line: &Line, sent: &mut BTreeMap<String, Sent>) {
        self.commands.extend(line.command.clone());
        let Some(command) = self.commands.front().cloned() else { return };
        let mut words = line.text.split(' ');
        let entry = sent.entry(command).or_default();
        match (line.speaker.chars().next(), words.next(), words.next()) {
            (Some('S'), Some("S"), Some(keyword)) => drop(entry.statuses.insert(keyword.to_owned())),
            (Some('S'), Some("INQUIRE"), Some(keyword)) => drop(entry.inquiries.insert(keyword.to_owned())),
            (Some('P'), ..) => drop(entry.inquiries.insert("NEEDPIN".to_owned())),
            (Some('S'), Some("ERR"), Some(number)) => {
                let number: u32 = number.parse().unwrap_or_default();
                entry.errors.extend(u16::try_from(number & 0xFFFF));
                self.commands.pop_front();
            }
            (Some('S'), Some("OK"), _) => drop(self.commands.pop_front()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_is_kept_and_the_answer_to_an_inquiry_is_no_command() {
        let text = "# Learns.\ncard: none\nC: LEARN\ndifference: 2.4 tells more\nstock: S: OK\nours: S: S READER x\n\
                    S: INQUIRE KNOWNCARDP y\nC: END\nS: ERR 100663354 No data <SCD>\n";
        let dialogue = Dialogue::parse("learns".into(), text);
        assert_eq!(dialogue.exchanges().len(), 1);
        assert_eq!(dialogue.lines[1].difference.as_deref(), Some("2.4 tells more"));
        let sent = &sent(&[dialogue])["LEARN"];
        assert_eq!(sent.statuses, ["READER".to_owned()].into());
        assert_eq!(sent.inquiries, ["KNOWNCARDP".to_owned()].into());
        assert_eq!(sent.errors, [58].into());
    }
}
