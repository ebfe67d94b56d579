//! Reads a script; [the module above](super) says what may stand in one.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    rc::Rc,
};

use super::{
    Script, ScriptError,
    plan::{Exchange, Part, Piece, Plan, Steps},
};
use crate::{
    apdu::{Header, MAX_APDU},
    framing::Lengths,
    hex,
};

/// How deep files may include each other.
const MAX_INCLUDES: usize = 8;

/// How deep blocks may stand in each other.
const MAX_BLOCKS: usize = 16;

/// Reads the script at `path` and what it includes.
///
/// # Errors
/// See [`ScriptError`].
pub fn load(path: &Path) -> Result<Script, ScriptError> {
    let mut reader = Reader::default();
    reader.file(path, 0)?;
    Ok(Script { atr: reader.atr, lengths: reader.lengths, plan: Plan::new(reader.parts) })
}

/// A block whose `end` is yet to come.
struct Block {
    kind: Kind,
    steps: Vec<Steps>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Always,
    Optional,
    AnyOrder,
    InOrder,
    Repeat(Option<u32>),
}

/// A command whose answer is yet to come.
struct Asked {
    line: usize,
    header: Header,
    data: Vec<Piece>,
}

struct Reader {
    atr: Option<Vec<u8>>,
    lengths: Lengths,
    parts: Vec<Part>,
    blocks: Vec<Block>,
    asked: Option<Asked>,
    /// The names that a command before has met.
    names: BTreeSet<String>,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            atr: None,
            lengths: Lengths::Extended,
            parts: Vec::new(),
            blocks: Vec::new(),
            asked: None,
            names: BTreeSet::new(),
        }
    }
}

impl Reader {
    fn file(&mut self, path: &Path, depth: usize) -> Result<(), ScriptError> {
        let text =
            fs::read_to_string(path).map_err(|cause| ScriptError::Io { path: path.to_owned(), cause })?;
        let at = |line: usize, reason| ScriptError::Line { path: path.to_owned(), line, reason };
        let outside = self.blocks.len();
        let statements = statements(&text);
        for (line, statement) in &statements {
            if let Some(name) = statement.strip_prefix("include ") {
                self.nothing_asked().map_err(|reason| at(*line, reason))?;
                if depth >= MAX_INCLUDES {
                    return Err(at(*line, format!("more than {MAX_INCLUDES} files include each other")));
                }
                self.file(&beside(path, name.trim()), depth.saturating_add(1))?;
            } else {
                self.statement(*line, statement).map_err(|reason| at(*line, reason))?;
            }
        }
        let last = statements.last().map_or(1, |(line, _)| *line);
        self.nothing_asked().map_err(|reason| at(last, reason))?;
        if self.blocks.len() != outside {
            return Err(at(last, "a block is open at the end of the file; it wants `end`".into()));
        }
        Ok(())
    }

    fn statement(&mut self, line: usize, statement: &str) -> Result<(), String> {
        let (word, rest) = statement.split_once(char::is_whitespace).unwrap_or((statement, ""));
        let rest = rest.trim();
        match (word, rest) {
            ("<" | "<|", _) => return self.answer(rest, word == "<|"),
            _ => self.nothing_asked()?,
        }
        match (word, rest) {
            (">", _) => self.command(line, rest)?,
            ("atr", _) => self.atr = Some(digits(rest)?),
            ("lengths", "short") => self.lengths = Lengths::Short,
            ("lengths", "extended") => self.lengths = Lengths::Extended,
            ("end", "") => self.close()?,
            ("always", "") if self.blocks.is_empty() => self.open(Kind::Always)?,
            ("always", "") => return Err("`always` stands outside of other blocks".into()),
            ("optional", "") => self.open(Kind::Optional)?,
            ("any-order", "") => self.open(Kind::AnyOrder)?,
            ("in-order", "") => self.open(Kind::InOrder)?,
            ("repeat", "any") => self.open(Kind::Repeat(None))?,
            ("repeat", times) => {
                let times = times.parse().map_err(|_| format!("`{times}` is neither a number nor `any`"))?;
                self.open(Kind::Repeat(Some(times)))?;
            }
            _ => return Err(format!("`{statement}` is no statement")),
        }
        Ok(())
    }

    fn nothing_asked(&self) -> Result<(), String> {
        match &self.asked {
            Some(asked) => Err(format!("the command of line {} has no answer (`< …`)", asked.line)),
            None => Ok(()),
        }
    }

    fn command(&mut self, line: usize, text: &str) -> Result<(), String> {
        let (header, data) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let header = hex::decode(header).and_then(|octets| <[u8; 4]>::try_from(octets).ok());
        let [cla, ins, p1, p2] = header.ok_or("a command begins with CLA INS P1 P2 as eight hex digits")?;
        let data = self.pieces(data, true)?;
        self.asked = Some(Asked { line, header: Header { cla, ins, p1, p2 }, data });
        Ok(())
    }

    fn answer(&mut self, text: &str, raw: bool) -> Result<(), String> {
        let asked = self.asked.take().ok_or("an answer without a command (`> …`) before it")?;
        let answer = self.pieces(text, false)?;
        let status =
            answer.last().is_some_and(|piece| matches!(piece, Piece::Octets(octets) if octets.len() >= 2));
        if !raw && !status {
            return Err("an answer ends in a status word; `<|` is for one that does not".into());
        }
        let Asked { line, header, data } = asked;
        self.add(Steps::One(Rc::new(Exchange { line, header, data, answer, raw })));
        Ok(())
    }

    fn add(&mut self, steps: Steps) {
        match self.blocks.last_mut() {
            Some(block) => block.steps.push(steps),
            None => self.parts.push(Part::Steps(steps)),
        }
    }

    fn open(&mut self, kind: Kind) -> Result<(), String> {
        if self.blocks.len() >= MAX_BLOCKS {
            return Err(format!("more than {MAX_BLOCKS} blocks in each other"));
        }
        if self.blocks.last().is_some_and(|block| block.kind == Kind::Always) {
            return Err("`always` holds commands only".into());
        }
        self.blocks.push(Block { kind, steps: Vec::new() });
        Ok(())
    }

    fn close(&mut self) -> Result<(), String> {
        let Block { kind, steps } = self.blocks.pop().ok_or("`end` without a block")?;
        if steps.is_empty() {
            return Err("the block is empty".into());
        }
        let sequence = |steps| Box::new(Steps::Sequence(steps));
        self.add(match kind {
            Kind::Optional => Steps::Optional(sequence(steps)),
            Kind::AnyOrder => Steps::AnyOrder(steps),
            Kind::InOrder => Steps::Sequence(steps),
            Kind::Repeat(times) => Steps::Repeat(sequence(steps), times),
            Kind::Always => {
                let exchanges = steps.into_iter().filter_map(|steps| match steps {
                    Steps::One(exchange) => Some(exchange),
                    _ => None,
                });
                self.parts.push(Part::Always(exchanges.collect()));
                return Ok(());
            }
        });
        Ok(())
    }

    /// Reads hex digits, `"text"`, `{name:length}` and `{name}`.
    fn pieces(&mut self, text: &str, command: bool) -> Result<Vec<Piece>, String> {
        let mut pieces = Vec::new();
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let (piece, after) = match first {
                '"' => {
                    let (inside, after) = enclosed(rest, '"').ok_or("a text without its closing quote")?;
                    (Piece::Octets(inside.as_bytes().to_vec()), after)
                }
                '{' => {
                    let (inside, after) = enclosed(rest, '}').ok_or("a name without its closing brace")?;
                    (self.name(inside, command)?, after)
                }
                _ => {
                    let end = rest.find(['"', '{']).unwrap_or(rest.len());
                    let (these, after) = rest.split_at(end);
                    (Piece::Octets(digits(these)?), after)
                }
            };
            pieces.push(piece);
            rest = after.trim_start();
        }
        Ok(pieces)
    }

    fn name(&mut self, inside: &str, command: bool) -> Result<Piece, String> {
        match inside.split_once(':') {
            Some((name, length)) if command => {
                let length = length.parse().ok().filter(|length| (1..=MAX_APDU).contains(length));
                let length =
                    length.ok_or_else(|| format!("`{inside}` has no length from 1 to {MAX_APDU}"))?;
                self.names.insert(name.to_owned());
                Ok(Piece::Any { name: name.to_owned(), length })
            }
            Some(_) => Err(format!("`{inside}`: an answer has no octets left open")),
            None if self.names.contains(inside) => Ok(Piece::Named(inside.to_owned())),
            None => Err(format!(
                "no command above has met a `{inside}`; the first has its length: {{{inside}:4}}"
            )),
        }
    }
}

/// The statements with their lines: comments gone, continuations joined.
fn statements(text: &str) -> Vec<(usize, String)> {
    let mut statements: Vec<(usize, String)> = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let content = without_comment(text).trim_end();
        if content.trim().is_empty() {
            continue;
        }
        match statements.last_mut() {
            Some((_, before)) if content.starts_with([' ', '\t']) => {
                before.push(' ');
                before.push_str(content.trim_start());
            }
            _ => statements.push((line, content.trim_start().to_owned())),
        }
    }
    statements
}

/// A `#` inside of a quoted text is no comment.
fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    let end = line.find(|c| {
        quoted ^= c == '"';
        c == '#' && !quoted
    });
    end.and_then(|end| line.get(..end)).unwrap_or(line)
}

/// What stands between the first character and `close`, and what follows.
fn enclosed(text: &str, close: char) -> Option<(&str, &str)> {
    text.get(1..)?.split_once(close)
}

/// Hex digits with blanks anywhere between them.
fn digits(text: &str) -> Result<Vec<u8>, String> {
    let digits: String = text.split_whitespace().collect();
    hex::decode(&digits).ok_or_else(|| format!("`{}` is not octets in hex digits", text.trim()))
}

fn beside(path: &Path, name: &str) -> PathBuf {
    path.parent().map_or_else(|| name.into(), |directory| directory.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Script, String> {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a.script");
        fs::write(&path, text).unwrap();
        load(&path).map_err(|error| error.to_string().split_once("a.script").unwrap().1.to_owned())
    }

    #[test]
    fn comments_blanks_and_continuations_mean_nothing() {
        let text = "# a card\n> 00DA005B \"a#b\"  # its name\n   41\n\t4243\n< 90 00\n";
        assert_eq!(statements(text), [(2, "> 00DA005B \"a#b\" 41 4243".into()), (5, "< 90 00".into())]);
        assert!(read(text).is_ok());
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (text, error) in [
            ("dance\n", ":1: `dance` is no statement"),
            ("> 00CA\n", ":1: a command begins with CLA INS P1 P2"),
            ("\n> 00CA006E\n> 00CA006E\n", ":3: the command of line 2 has no answer"),
            ("> 00CA006E\n", ":1: the command of line 1 has no answer"),
            ("< 9000\n", ":1: an answer without a command"),
            ("> 00CA006E\n< 90\n", ":2: an answer ends in a status word"),
            ("> 00CA006E 0\n", ":1: `0` is not octets in hex digits"),
            ("> 00CA006E \"x\n", ":1: a text without its closing quote"),
            ("> 00CA006E\n< {x} 9000\n", ":2: no command above has met a `x`"),
            ("> 00CA006E\n< {x:2} 9000\n", ":2: `x:2`: an answer has no octets left open"),
            ("> 00CA006E {x:0}\n", ":1: `x:0` has no length from 1 to 65535"),
            ("repeat few\n", ":1: `few` is neither a number nor `any`"),
            ("optional\n", ":1: a block is open at the end of the file"),
            ("optional\nend\n", ":2: the block is empty"),
            ("end\n", ":1: `end` without a block"),
            ("optional\nalways\n", ":2: `always` stands outside"),
            ("always\noptional\n", ":2: `always` holds commands only"),
        ] {
            let found = read(text).unwrap_err();
            assert!(found.starts_with(error), "{text:?} gives {found}");
        }
    }

    #[test]
    fn an_included_file_is_found_beside_the_one_that_includes_it() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("base"), "always\n> 00CA004F\n< 9000\nend\n").unwrap();
        fs::write(home.path().join("main"), "include base\n> 00CA006E\n< 9000\n").unwrap();
        assert!(load(&home.path().join("main")).is_ok());
        fs::write(home.path().join("base"), "include main\n").unwrap();
        let error = load(&home.path().join("main")).unwrap_err().to_string();
        assert!(error.ends_with("more than 8 files include each other"), "{error}");
    }
}
