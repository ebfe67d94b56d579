//! A command's section of the document.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use claviger::scdaemon::reference::{CommandText, Gate};

use crate::dialogue::{Dialogue, Line, Sent};
use crate::tables::{said, words};

/// Lines of an example that a reader follows at a glance.
const COMFORTABLE: usize = 14;

/// Examples that show more than the shortest one does.
const CHOSEN: [(&str, &str); 8] = [
    ("LEARN", "learn_announces_certificates"),
    ("LISTCERTS", "listcerts"),
    ("LOCK", "lock_waits"),
    ("PKAUTH", "pkauth_ed25519"),
    ("PKDECRYPT", "pkdecrypt_x25519"),
    ("PKSIGN", "pksign_ed25519"),
    ("READCERT", "readcert_forms"),
    ("SETDATA", "pksign_ed25519"),
];

/// What sections are made of.
pub(crate) struct Sources {
    dialogues: Vec<Dialogue>,
    sent: BTreeMap<String, Sent>,
    words: Vec<[String; 3]>,
}

impl Sources {
    /// From these transcripts.
    pub(crate) fn new(dialogues: Vec<Dialogue>) -> Self {
        Self { sent: crate::dialogue::sent(&dialogues), dialogues, words: words() }
    }

    /// The section of a command.
    pub(crate) fn section(&self, command: &CommandText) -> String {
        let mut section = format!("### {}\n\n{}", command.name, text(command));
        let rules = [
            self.since(command.name),
            format!("*Carried out:* {}.", when(command.gate)),
            self.replies(command.name),
        ];
        let _ = write!(section, "\n{}\n", rules.join("\n\n").trim_end());
        let example = self.example(command.name).map(|(dialogue, lines)| shown(dialogue, lines));
        section + "\n" + &example.unwrap_or_default()
    }

    /// What came with which version.
    fn since(&self, name: &str) -> String {
        let rows = self.words.iter().filter(|[command, ..]| command == name);
        let told = rows.map(|[_, version, words]| {
            let brought: Vec<_> = words.split(' ').filter(|word| *word != "-").map(code).collect();
            let is_whole = words.split(' ').any(|word| word == "-");
            match (is_whole, brought.is_empty()) {
                (true, true) => whose(version).to_owned(),
                (true, false) => format!("{}, with {}", whose(version), brought.join(" ")),
                (false, _) => format!("{}: {}", whose(version), brought.join(" ")),
            }
        });
        format!("*Since:* {}.", told.collect::<Vec<_>>().join("; "))
    }

    /// What it was seen to send.
    fn replies(&self, name: &str) -> String {
        let nothing = Sent::default();
        let sent = self.sent.get(name).unwrap_or(&nothing);
        let errors =
            sent.errors.iter().map(|code| format!("{code} {}", said(*code).code().name().unwrap_or("")));
        let rows = [
            ("Status lines", sent.statuses.iter().map(code).collect::<Vec<_>>()),
            ("Inquiries", sent.inquiries.iter().map(code).collect()),
            ("Errors", errors.collect()),
        ];
        let told = rows.iter().filter(|(_, entries)| !entries.is_empty());
        told.map(|(title, entries)| format!("*{title}:* {}.", entries.join(", ")))
            .collect::<Vec<_>>()
            .join("\n\n")
    }

    /// The exchange that shows the command best: the chosen one, or one that succeeds, says something, is short, and of a
    /// transcript about it.
    pub(crate) fn example(&self, name: &str) -> Option<(&Dialogue, &[Line])> {
        let chosen = CHOSEN.iter().find(|(command, _)| *command == name).map(|(_, dialogue)| *dialogue);
        let dialogues =
            self.dialogues.iter().filter(|dialogue| chosen.is_none_or(|chosen| dialogue.name == chosen));
        let exchanges = dialogues
            .flat_map(|dialogue| dialogue.exchanges().into_iter().map(move |lines| (dialogue, lines)));
        let of_command = exchanges.filter(|(_, lines)| lines[0].command.as_deref() == Some(name));
        of_command.min_by_key(|(dialogue, lines)| {
            let fails = !lines.iter().any(Line::is_success);
            (fails, chosen.is_none().then(|| awkwardness(name, dialogue, lines)))
        })
    }
}

/// What makes an exchange a bad example of a command, the worst first.
fn awkwardness(name: &str, dialogue: &Dialogue, lines: &[Line]) -> impl Ord {
    let asked = lines[0].shown();
    (
        lines.len() > COMFORTABLE,
        !dialogue.name.starts_with(&name.to_ascii_lowercase()),
        lines.len() < 3,
        asked.contains('{') || !asked.contains(&format!("{name} ")),
        lines.len(),
    )
}

fn text(command: &CommandText) -> String {
    if command.help.is_empty() {
        return "Takes `FD=N`, the number of a descriptor, and does nothing with it.\n".to_owned();
    }
    format!("```text\n{}\n```\n", command.help)
}

fn when(gate: Option<Gate>) -> &'static str {
    match gate {
        None | Some(Gate::Always) => "always",
        Some(Gate::Unlocked) => "unless another session has the lock",
        Some(Gate::WithCard) => "with a card, unless another session has the lock",
    }
}

fn whose(version: &str) -> &'static str {
    match version {
        "2.2" => "GnuPG 2.2",
        "2.3" => "GnuPG 2.3",
        "2.5" => "GnuPG 2.5",
        _ => "**claviger's own**",
    }
}

fn code(word: impl AsRef<str>) -> String {
    format!("`{}`", word.as_ref())
}

fn shown(dialogue: &Dialogue, lines: &[Line]) -> String {
    let differences: Vec<_> = lines.iter().filter_map(|line| line.difference.as_deref()).collect();
    let lines: Vec<_> = lines.iter().map(Line::shown).collect();
    let name = &dialogue.name;
    let mut example = format!(
        "*Example*, from [{name}](../testdata/transcripts/scdaemon/{name}.transcript):\n\n```text\n{}\n```\n",
        lines.join("\n")
    );
    if !differences.is_empty() {
        let _ = writeln!(example, "\nNot as GnuPG 2.2: {}.", differences.join("; "));
    }
    example
}
