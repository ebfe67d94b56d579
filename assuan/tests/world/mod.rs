//! Dialogue files as described in `tests/dialogues/README.md`, and the table of the example server that plays them.
//! The async crate's tests share this module.

use std::path::{Path, PathBuf};

use claviger_assuan::table::CommandInfo;

/// The greeting, which dialogues leave out.
pub(crate) const GREETING: &str = "ready";

/// The example server's commands.
pub(crate) const TABLE: &[CommandInfo] = &[
    CommandInfo { name: "DATA", help: "DATA <n> <octet>\n\nSends n times the octet.\n" },
    CommandInfo { name: "STATUS", help: "STATUS <n>\n" },
    CommandInfo { name: "ASK", help: "ASKS something else" },
    CommandInfo { name: "INPUT", help: "" },
    CommandInfo { name: "ASKEND", help: "" },
    CommandInfo { name: "ASKLONG", help: "" },
    CommandInfo { name: "FAIL", help: "" },
    CommandInfo { name: "CLOSE", help: "" },
    CommandInfo { name: "MIX", help: "" },
];

/// What a dialogue file says.
pub(crate) struct Dialogue {
    pub(crate) name: String,
    pub(crate) heard_from: String,
    pub(crate) client: Vec<u8>,
    pub(crate) server: Vec<u8>,
    pub(crate) end: String,
}

/// All dialogues in `directory`, in the order of their names.
pub(crate) fn dialogues(directory: &Path) -> Vec<Dialogue> {
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|ending| ending == "txt")).collect();
    files.sort();
    assert!(!files.is_empty(), "no dialogues in {}", directory.display());
    files.iter().map(|path| read(path)).collect()
}

/// Octets as a dialogue file writes them, to be compared and shown.
pub(crate) fn written(octets: &[u8]) -> String {
    let shown = octets.iter().map(|octet| match octet {
        b'\n' => "\n".to_owned(),
        0x20..0x7F => char::from(*octet).to_string(),
        octet => format!("\\x{octet:02X}"),
    });
    shown.collect()
}

fn read(path: &Path) -> Dialogue {
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    let mut dialogue = Dialogue {
        name,
        heard_from: String::new(),
        client: Vec::new(),
        server: Vec::new(),
        end: String::new(),
    };
    for line in std::fs::read_to_string(path).unwrap().lines() {
        match line.split_at_checked(3) {
            Some(("C: ", line)) => dialogue.client.extend([&octets(line)[..], b"\n"].concat()),
            Some(("C~ ", line)) => dialogue.client.extend(octets(line)),
            Some(("S: ", line)) => dialogue.server.extend([&octets(line)[..], b"\n"].concat()),
            _ => header(&mut dialogue, line),
        }
    }
    assert!(!dialogue.end.is_empty() && !dialogue.heard_from.is_empty(), "{}: incomplete", path.display());
    dialogue
}

fn header(dialogue: &mut Dialogue, line: &str) {
    match line.split_once(": ") {
        _ if line.is_empty() || line.starts_with('#') => {}
        Some(("heard from", who)) => dialogue.heard_from = who.to_owned(),
        Some(("end", end)) => dialogue.end = end.to_owned(),
        Some(("again", count)) => repeat_last_line(&mut dialogue.client, count.parse().unwrap()),
        _ => panic!("{}: what is {line:?}?", dialogue.name),
    }
}

fn repeat_last_line(client: &mut Vec<u8>, count: usize) {
    let line = client.split_inclusive(|octet| *octet == b'\n').next_back().unwrap().repeat(count);
    client.extend(line);
}

/// The octets of a line with `\xNN` and `{repeat:N:x}`.
fn octets(line: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        if let Some(behind) = rest.strip_prefix("\\x") {
            octets.push(u8::from_str_radix(&behind[..2], 16).unwrap());
            rest = &behind[2..];
        } else if let Some(behind) = rest.strip_prefix("{repeat:") {
            let (count, behind) = behind.split_once(':').unwrap();
            let (what, behind) = behind.split_once('}').unwrap();
            octets.extend(what.repeat(count.parse().unwrap()).bytes());
            rest = behind;
        } else {
            octets.extend_from_slice(first.encode_utf8(&mut [0; 4]).as_bytes());
            rest = &rest[first.len_utf8()..];
        }
    }
    octets
}
