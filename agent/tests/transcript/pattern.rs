//! One line of a transcript as a pattern: literal bytes, and named wildcards where nature varies.
//!
//! Written form: a byte stands for itself; `\xNN` is any byte, and the only way to write a control character, a
//! backslash or a brace; `{kind}` or `{kind:label}` is a wildcard. A labelled wildcard captures: spelled again, in a
//! server's or a client's line, it means the bytes of its first match. `{hex:N}` and `{data:N}` give a length instead,
//! `{hex:N:label}` both. A client's line may also hold `{repeat:N:x}`, N times the byte x.

use std::collections::BTreeMap;

use super::play::written;

/// What the labelled wildcards of one play matched first.
pub(crate) type Captures = BTreeMap<String, Vec<u8>>;

/// A line with wildcards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(Vec<u8>),
    Repeat(usize, u8),
    Wild { kind: Kind, label: Option<String> },
}

/// What a wildcard stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Serial,
    Grip,
    Number,
    Path,
    Reader,
    Version,
    Text,
    Hex(usize),
    Data(usize),
}

/// Why a line is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PatternError {
    #[error("a backslash begins `\\xNN`; write a plain one as \\x5C")]
    BadEscape,
    #[error("a brace is never closed; write a plain one as \\x7B")]
    OpenBrace,
    #[error("no such wildcard: {0}")]
    UnknownWildcard(String),
}

impl Pattern {
    /// Reads the written form.
    pub(crate) fn parse(written: &str) -> Result<Self, PatternError> {
        let mut parts = Vec::new();
        let mut rest = written;
        while let Some(open) = rest.find('{') {
            push_literal(&mut parts, unescape(&rest[..open])?);
            let close = rest.find('}').ok_or(PatternError::OpenBrace)?;
            let name = rest.get(open + 1..close).ok_or(PatternError::OpenBrace)?;
            parts.push(wildcard(name)?);
            rest = &rest[close + 1..];
        }
        push_literal(&mut parts, unescape(rest)?);
        Ok(Self { parts })
    }

    /// Whether the line fits; new captures are kept only if it does.
    pub(crate) fn matches(&self, line: &[u8], captures: &mut Captures) -> bool {
        let mut tried = captures.clone();
        let fits = fit(&self.parts, line, &mut tried);
        if fits {
            *captures = tried;
        }
        fits
    }

    /// The bytes that a client sends: captures and repetitions put in. The error names what has no bytes yet.
    pub(crate) fn render(&self, captures: &Captures) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        for part in &self.parts {
            match part {
                Part::Literal(bytes) => out.extend_from_slice(bytes),
                Part::Repeat(count, byte) => out.resize(out.len() + count, *byte),
                Part::Wild { label: Some(label), .. } => {
                    out.extend_from_slice(
                        captures.get(label).ok_or(format!("nothing was captured as {label}"))?,
                    );
                }
                Part::Wild { kind, label: None } => return Err(format!("{kind:?} has no label to send")),
            }
        }
        Ok(out)
    }

    /// The written form, with captures put in: for messages.
    pub(crate) fn shown(&self, captures: &Captures) -> String {
        let part = |part: &Part| match part {
            Part::Literal(bytes) => written(bytes),
            Part::Repeat(count, byte) => format!("{{repeat:{count}:\\x{byte:02X}}}"),
            Part::Wild { kind, label: None } => format!("{{{kind:?}}}"),
            Part::Wild { label: Some(label), .. } => {
                captures.get(label).map_or_else(|| format!("{{{label}}}"), |bytes| written(bytes))
            }
        };
        self.parts.iter().map(part).collect()
    }

    /// A line that fits, as `render` would give it, and for each byte whether it stands in the pattern literally.
    pub(crate) fn example(&self, captures: &mut Captures) -> (Vec<u8>, Vec<bool>) {
        let mut line = Vec::new();
        let mut literal = Vec::new();
        for part in &self.parts {
            let (bytes, fixed) = match part {
                Part::Literal(bytes) => (bytes.clone(), true),
                Part::Repeat(count, byte) => (vec![*byte; *count], true),
                Part::Wild { kind, label: Some(label) } => {
                    (captures.entry(label.clone()).or_insert_with(|| kind.example()).clone(), false)
                }
                Part::Wild { kind, label: None } => (kind.example(), false),
            };
            literal.resize(literal.len() + bytes.len(), fixed);
            line.extend(bytes);
        }
        (line, literal)
    }
}

impl Kind {
    fn accepts(self, bytes: &[u8]) -> bool {
        match self {
            Self::Serial => upper_hex(bytes, 32),
            Self::Grip => upper_hex(bytes, 40),
            Self::Hex(length) => upper_hex(bytes, length),
            Self::Number => !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit),
            Self::Path => bytes.starts_with(b"/") && bytes.iter().all(u8::is_ascii_graphic),
            Self::Reader => !bytes.is_empty() && bytes.iter().all(|b| b.is_ascii_graphic() || *b == b' '),
            Self::Version => is_version(bytes),
            Self::Text => true,
            Self::Data(length) => data_length(bytes) == Some(length),
        }
    }

    fn example(self) -> Vec<u8> {
        match self {
            Self::Serial => b"0123456789ABCDEF".repeat(2),
            Self::Grip => b"0123456789".repeat(4),
            Self::Hex(length) => vec![b'A'; length],
            Self::Data(length) => vec![b'd'; length],
            Self::Number => b"12".to_vec(),
            Self::Path => b"/a/path".to_vec(),
            Self::Reader => b"A Reader 00 00".to_vec(),
            Self::Version => b"1.2.3".to_vec(),
            Self::Text => b"any text".to_vec(),
        }
    }
}

fn push_literal(parts: &mut Vec<Part>, bytes: Vec<u8>) {
    if !bytes.is_empty() {
        parts.push(Part::Literal(bytes));
    }
}

fn unescape(written: &str) -> Result<Vec<u8>, PatternError> {
    let mut pieces = written.split('\\');
    let mut out = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let digits = piece.strip_prefix('x').and_then(|rest| rest.get(..2)).ok_or(PatternError::BadEscape)?;
        out.push(u8::from_str_radix(digits, 16).map_err(|_| PatternError::BadEscape)?);
        out.extend_from_slice(&piece.as_bytes()[3..]);
    }
    Ok(out)
}

fn wildcard(written: &str) -> Result<Part, PatternError> {
    let unknown = || PatternError::UnknownWildcard(written.to_owned());
    let mut words = written.split(':');
    let name = words.next().unwrap_or_default();
    let mut length = || words.next().and_then(|word| word.parse().ok()).ok_or_else(unknown);
    let kind = match name {
        "repeat" => {
            let count = length()?;
            let byte = unescape(words.next().ok_or_else(unknown)?)?;
            let [byte] = byte[..] else { return Err(unknown()) };
            return Ok(Part::Repeat(count, byte));
        }
        "hex" => Kind::Hex(length()?),
        "data" => Kind::Data(length()?),
        "serial" => Kind::Serial,
        "grip" => Kind::Grip,
        "number" => Kind::Number,
        "path" => Kind::Path,
        "reader" => Kind::Reader,
        "version" => Kind::Version,
        "text" => Kind::Text,
        _ => return Err(unknown()),
    };
    let label = words.next().map(|label| format!("{name}:{label}"));
    if words.next().is_some() {
        return Err(unknown());
    }
    Ok(Part::Wild { kind, label })
}

/// Backtracks over the lengths that each wildcard may take, longest first.
fn fit(parts: &[Part], line: &[u8], captures: &mut Captures) -> bool {
    let Some((part, rest)) = parts.split_first() else { return line.is_empty() };
    match part {
        Part::Literal(bytes) => line.strip_prefix(&bytes[..]).is_some_and(|tail| fit(rest, tail, captures)),
        Part::Repeat(count, byte) => {
            let repeated = vec![*byte; *count];
            line.strip_prefix(&repeated[..]).is_some_and(|tail| fit(rest, tail, captures))
        }
        Part::Wild { kind, label } => {
            if let Some(known) = label.as_ref().and_then(|label| captures.get(label)).cloned() {
                return line.strip_prefix(&known[..]).is_some_and(|tail| fit(rest, tail, captures));
            }
            (0..=line.len()).rev().any(|length| {
                let (taken, tail) = line.split_at(length);
                kind.accepts(taken) && {
                    let mut tried = captures.clone();
                    if let Some(label) = label {
                        tried.insert(label.clone(), taken.to_vec());
                    }
                    let fits = fit(rest, tail, &mut tried);
                    if fits {
                        *captures = tried;
                    }
                    fits
                }
            })
        }
    }
}

fn upper_hex(bytes: &[u8], length: usize) -> bool {
    bytes.len() == length && bytes.iter().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(b))
}

/// Three numbers with dots between, then perhaps `-` and a suffix.
fn is_version(bytes: &[u8]) -> bool {
    let numbers = bytes.split(|b| *b == b'-').next().unwrap_or_default();
    numbers.split(|b| *b == b'.').filter(|n| Kind::Number.accepts(n)).count() == 3
        && bytes.iter().all(u8::is_ascii_graphic)
}

/// How many octets the text of a D line stands for.
fn data_length(escaped: &[u8]) -> Option<usize> {
    let mut octets = 0;
    let mut rest = escaped;
    while let Some((byte, tail)) = rest.split_first() {
        rest = if *byte == b'%' { tail.get(2..)? } else { tail };
        octets += 1;
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, line: &[u8]) -> bool {
        Pattern::parse(pattern).unwrap().matches(line, &mut Captures::new())
    }

    #[test]
    fn a_literal_line_matches_itself_only() {
        assert!(fits("S APPTYPE openpgp", b"S APPTYPE openpgp"));
        assert!(!fits("S APPTYPE openpgp", b"S APPTYPE openpgp "));
        assert!(!fits("S APPTYPE openpgp", b"S APPTYPE openpg"));
    }

    #[test]
    fn escapes_stand_for_single_bytes() {
        assert!(fits("D \\x00\\xFF\\x5C\\x7B", b"D \0\xff\\{"));
        assert_eq!(Pattern::parse("a\\nb"), Err(PatternError::BadEscape));
        assert_eq!(Pattern::parse("a\\xé"), Err(PatternError::BadEscape));
    }

    #[test]
    fn a_label_means_the_same_bytes_again() {
        let mut captures = Captures::new();
        let first = Pattern::parse("D {number:pid}").unwrap();
        assert!(first.matches(b"D 42", &mut captures));
        assert!(first.matches(b"D 42", &mut captures));
        assert!(!first.matches(b"D 43", &mut captures));
        assert_eq!(Pattern::parse("KILL {number:pid}").unwrap().render(&captures).unwrap(), b"KILL 42");
    }

    #[test]
    fn a_failed_match_captures_nothing() {
        let mut captures = Captures::new();
        assert!(!Pattern::parse("{number:a} end").unwrap().matches(b"12 bend", &mut captures));
        assert!(captures.is_empty());
    }

    #[test]
    fn data_counts_an_escape_as_one_octet() {
        assert!(fits("D {data:3}", b"D a%0Ab"));
        assert!(!fits("D {data:3}", b"D a%0A"));
        assert!(!fits("D {data:3}", b"D ab%0"));
    }

    #[test]
    fn hex_is_upper_case_and_of_its_length() {
        assert!(fits("{hex:4}", b"0AF9"));
        assert!(!fits("{hex:4}", b"0af9"));
        assert!(!fits("{hex:4}", b"0AF"));
    }

    #[test]
    fn a_version_has_three_numbers() {
        assert!(fits("D {version}", b"D 2.4.7-unknown"));
        assert!(!fits("D {version}", b"D 2.4"));
    }

    #[test]
    fn unknown_and_unclosed_wildcards_are_refused() {
        assert_eq!(Pattern::parse("{nonsense}"), Err(PatternError::UnknownWildcard("nonsense".into())));
        assert_eq!(Pattern::parse("{hex:x}"), Err(PatternError::UnknownWildcard("hex:x".into())));
        assert_eq!(Pattern::parse("D {text"), Err(PatternError::OpenBrace));
        assert_eq!(Pattern::parse("} {text"), Err(PatternError::OpenBrace));
    }

    #[test]
    fn an_example_of_each_wildcard_fits_it() {
        for kind in
            ["serial", "grip", "number", "path", "reader", "version", "text", "hex:7", "data:7", "hex:2:a"]
        {
            let pattern = Pattern::parse(&format!("S {{{kind}}} end")).unwrap();
            let (line, _) = pattern.example(&mut Captures::new());
            assert!(pattern.matches(&line, &mut Captures::new()), "{kind}");
        }
    }

    #[test]
    fn a_client_sends_repetitions() {
        let pattern = Pattern::parse("D {repeat:5:\\x00}x").unwrap();
        assert_eq!(pattern.render(&Captures::new()).unwrap(), b"D \0\0\0\0\0x");
    }
}
