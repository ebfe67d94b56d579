//! The advanced form: tokens, "quoted", `#hex#`, `|base64|` and counted strings, with blanks between (RFC 9804,
//! section 6.3), as libgcrypt reads and writes it in key files and for `READKEY --advanced`.

pub(super) mod read {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use nom::Parser;
    use nom::branch::alt;
    use nom::bytes::complete::{take, take_while, take_while1};
    use nom::character::complete::char;
    use nom::combinator::cut;
    use nom::multi::many0;
    use nom::sequence::{delimited, terminated};
    use zeroize::Zeroizing;

    use super::super::canonical::read::decimal;
    use super::super::{Fault, Octets, Sexp, Step, Wrong};
    use super::is_token_octet;

    /// One expression with the blanks around it, with at most `depth` levels of lists.
    pub(in super::super) fn expression(input: &[u8], depth: usize) -> Step<'_, Sexp<'static>> {
        delimited(blanks, alt((|i| list(i, depth), atom)), blanks).parse(input)
    }

    fn list(input: &[u8], depth: usize) -> Step<'_, Sexp<'static>> {
        if depth == 0 && input.starts_with(b"(") {
            return Fault::fail(input, Wrong::Depth);
        }
        let item = |i| expression(i, depth.saturating_sub(1));
        delimited((char('('), blanks), many0(item), cut(char(')'))).map(Sexp::List).parse(input)
    }

    fn atom(input: &[u8]) -> Step<'_, Sexp<'static>> {
        alt((token, quoted, hexadecimal, base64, counted))
            .map(|octets| Sexp::Atom(Octets::Owned(octets)))
            .parse(input)
    }

    type Decoded = Zeroizing<Vec<u8>>;

    fn blanks(input: &[u8]) -> Step<'_, &[u8]> {
        take_while(|c: u8| c.is_ascii_whitespace() || c == b'\x0b').parse(input)
    }

    fn token(input: &[u8]) -> Step<'_, Decoded> {
        match input.first() {
            Some(first) if first.is_ascii_digit() => Err(nom::Err::Error(here(input))),
            _ => {
                take_while1(is_token_octet).map(|octets: &[u8]| Zeroizing::new(octets.to_vec())).parse(input)
            }
        }
    }

    fn here(input: &[u8]) -> Fault {
        Fault { left: input.len(), wrong: Wrong::Octet }
    }

    /// `3:abc`, which is allowed here too.
    fn counted(input: &[u8]) -> Step<'_, Decoded> {
        let (rest, digits) =
            terminated(take_while1(|c: u8| c.is_ascii_digit()), cut(char(':'))).parse(input)?;
        match decimal(digits) {
            Some(len) if len <= rest.len() => {
                take(len).map(|octets: &[u8]| Zeroizing::new(octets.to_vec())).parse(rest)
            }
            _ => Fault::fail(input, Wrong::Length),
        }
    }

    fn hexadecimal(input: &[u8]) -> Step<'_, Decoded> {
        let (rest, text) = enclosed(input, '#', b'#')?;
        let mut digits = text.iter().filter(|c| !c.is_ascii_whitespace());
        let mut octets = Zeroizing::new(Vec::with_capacity(text.len() / 2));
        while let Some(&high) = digits.next() {
            let pair = (hex_digit(high), digits.next().copied().and_then(hex_digit));
            let (Some(high), Some(low)) = pair else { return Fault::fail(input, Wrong::Encoding) };
            octets.push(high << 4 | low);
        }
        Ok((rest, octets))
    }

    fn base64(input: &[u8]) -> Step<'_, Decoded> {
        let (rest, text) = enclosed(input, '|', b'|')?;
        let mut compact = Zeroizing::new(Vec::with_capacity(text.len()));
        compact.extend(text.iter().filter(|c| !c.is_ascii_whitespace()));
        let mut octets = Zeroizing::new(vec![0; compact.len()]);
        match STANDARD.decode_slice(&*compact, &mut octets) {
            Ok(len) => {
                octets.truncate(len);
                Ok((rest, octets))
            }
            Err(_) => Fault::fail(input, Wrong::Encoding),
        }
    }

    /// What stands between `open` and `close`.
    fn enclosed(input: &[u8], open: char, close: u8) -> Step<'_, &[u8]> {
        delimited(char(open), take_while(|c| c != close), cut(char(char::from(close)))).parse(input)
    }

    fn quoted(input: &[u8]) -> Step<'_, Decoded> {
        let (mut rest, _) = char('"').parse(input)?;
        let mut octets = Zeroizing::new(Vec::with_capacity(closing_quote(rest)));
        loop {
            match rest {
                [b'"', after @ ..] => return Ok((after, octets)),
                [b'\\', after @ ..] => {
                    let Some((octet, after)) = escape(after) else {
                        return Fault::fail(rest, Wrong::Encoding);
                    };
                    octets.extend(octet);
                    rest = after;
                }
                [octet, after @ ..] => {
                    octets.push(*octet);
                    rest = after;
                }
                [] => return Fault::fail(rest, Wrong::Octet),
            }
        }
    }

    /// An upper bound of the length of a quoted string, so that its buffer never grows.
    fn closing_quote(text: &[u8]) -> usize {
        let mut escaped = false;
        let ends = |&c: &u8| {
            let end = c == b'"' && !escaped;
            escaped = c == b'\\' && !escaped;
            end
        };
        text.iter().position(ends).unwrap_or(text.len())
    }

    /// What follows a backslash: the octet it stands for (none for an escaped line end), and the rest.
    fn escape(text: &[u8]) -> Option<(Option<u8>, &[u8])> {
        let (octet, rest) = match text {
            [b'\r', b'\n', rest @ ..] | [b'\n', b'\r', rest @ ..] | [b'\n' | b'\r', rest @ ..] => {
                return Some((None, rest));
            }
            [b'x', high, low, rest @ ..] => (hex_digit(*high)? << 4 | hex_digit(*low)?, rest),
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', rest @ ..] => {
                ((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'), rest)
            }
            [letter, rest @ ..] => {
                (*super::ESCAPES.iter().find(|(_, l)| l == letter).map(|(octet, _)| octet)?, rest)
            }
            [] => return None,
        };
        Some((Some(octet), rest))
    }

    fn hex_digit(digit: u8) -> Option<u8> {
        char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
    }
}

pub(super) mod write {
    use super::super::Sexp;
    use super::{ESCAPES, is_token_octet};

    /// The expression and a line end, laid out as libgcrypt does it, in one allocation.
    pub(in super::super) fn expression(sexp: &Sexp<'_>) -> Vec<u8> {
        let mut out = Vec::with_capacity(bound(sexp, 0) + 1);
        append(sexp, 0, Next::End, &mut out);
        out.push(b'\n');
        out
    }

    /// What follows an expression; blanks and line ends depend on it.
    #[derive(Clone, Copy, PartialEq)]
    enum Next {
        Atom,
        Open,
        Close,
        End,
    }

    fn append(sexp: &Sexp<'_>, depth: usize, next: Next, out: &mut Vec<u8>) {
        match sexp {
            Sexp::Atom(octets) => {
                append_atom(octets, out);
                if next != Next::Close {
                    out.push(b' ');
                }
            }
            Sexp::List(items) => {
                if depth > 0 {
                    indent(depth, out);
                }
                out.push(b'(');
                for (index, item) in items.iter().enumerate() {
                    append(item, depth + 1, items.get(index + 1).map_or(Next::Close, first), out);
                }
                out.push(b')');
                if matches!(next, Next::Atom | Next::Close) {
                    indent(depth, out);
                }
            }
        }
    }

    fn first(sexp: &Sexp<'_>) -> Next {
        if sexp.as_list().is_some() { Next::Open } else { Next::Atom }
    }

    fn indent(depth: usize, out: &mut Vec<u8>) {
        out.push(b'\n');
        out.extend(std::iter::repeat_n(b' ', depth));
    }

    fn append_atom(octets: &[u8], out: &mut Vec<u8>) {
        let Some(first) = octets.first() else { return out.extend_from_slice(b"\"\"") };
        if !first.is_ascii() || octets.iter().any(|&octet| !is_text(octet)) {
            append_hexadecimal(octets, out);
        } else if octets.iter().all(|&octet| is_token_octet(octet)) && !first.is_ascii_digit() {
            out.extend_from_slice(octets);
        } else {
            append_quoted(octets, out);
        }
    }

    /// Whether libgcrypt lets the octet into a quoted string.
    fn is_text(octet: u8) -> bool {
        matches!(octet, 0x20..0x7f | 0xa1..) || ESCAPES.iter().any(|(plain, _)| *plain == octet)
    }

    fn append_hexadecimal(octets: &[u8], out: &mut Vec<u8>) {
        out.push(b'#');
        for octet in octets {
            out.extend([octet >> 4, octet & 15].map(|digit| b"0123456789ABCDEF"[usize::from(digit)]));
        }
        out.push(b'#');
    }

    fn append_quoted(octets: &[u8], out: &mut Vec<u8>) {
        out.push(b'"');
        for octet in octets {
            match ESCAPES.iter().find(|(plain, _)| plain == octet) {
                Some((_, letter)) => out.extend([b'\\', *letter]),
                None => out.push(*octet),
            }
        }
        out.push(b'"');
    }

    /// Never less than what [`append`] writes.
    pub(super) fn bound(sexp: &Sexp<'_>, depth: usize) -> usize {
        match sexp {
            Sexp::Atom(octets) => 2 * octets.len() + 3,
            Sexp::List(items) => {
                2 * (depth + 1) + 2 + items.iter().map(|item| bound(item, depth + 1)).sum::<usize>()
            }
        }
    }
}

/// Octets that are escaped in a quoted string, and the letters that stand for them.
const ESCAPES: [(u8, u8); 9] = [
    (0x08, b'b'),
    (b'\t', b't'),
    (0x0b, b'v'),
    (b'\n', b'n'),
    (0x0c, b'f'),
    (b'\r', b'r'),
    (b'"', b'"'),
    (b'\'', b'\''),
    (b'\\', b'\\'),
];

fn is_token_octet(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"-./_:*+=".contains(&octet)
}

#[cfg(test)]
mod tests {
    use super::super::{MAX_DEPTH, Sexp, SexpError};

    fn read(text: &[u8]) -> Result<Vec<u8>, SexpError> {
        Sexp::from_advanced(text).map(|sexp| sexp.to_canonical())
    }

    #[test]
    fn every_encoding_of_an_atom_is_read() {
        for text in [
            b"abc".as_slice(),
            b" \x0babc\n",
            b"\"abc\"",
            b"\"\\x61\\142\\\nc\"",
            b"\"a\\\r\nbc\"",
            b"#616263#",
            b"# 61 6\n2 63 #",
            b"|YWJj|",
            b"| YW Jj |",
            b"3:abc",
        ] {
            assert_eq!(read(text).as_deref(), Ok(b"3:abc".as_slice()), "{}", text.escape_ascii());
        }
        assert_eq!(
            read(b"(a-./_:*+= \"\\b\\t\\v\\n\\f\\r\\\"\\'\\\\\" ## \"\")").as_deref(),
            Ok(b"(9:a-./_:*+=9:\x08\t\x0b\n\x0c\r\"'\\0:0:)".as_slice())
        );
    }

    #[test]
    fn each_fault_is_named_with_its_place() {
        let cases: [(&[u8], SexpError); 14] = [
            (b" ", SexpError::Truncated),
            (b"(a (b)", SexpError::Truncated),
            (b"(a \"b", SexpError::Truncated),
            (b"(a #61", SexpError::Truncated),
            (b"(a |YW", SexpError::Truncated),
            (b"(a #6#)", SexpError::BadEncoding { at: 3 }),
            (b"(a #6g#)", SexpError::BadEncoding { at: 3 }),
            (b"(a |Y|)", SexpError::BadEncoding { at: 3 }),
            (b"(a \"b\\q\")", SexpError::BadEncoding { at: 5 }),
            (b"(a 4:abc", SexpError::BadLength { at: 3 }),
            (b"(a 1b)", SexpError::Unexpected { at: 4 }),
            (b"(a [h]b)", SexpError::Unexpected { at: 3 }),
            (b"a b", SexpError::Trailing { octets: 1 }),
            (b"(a) )", SexpError::Trailing { octets: 1 }),
        ];
        for (input, error) in cases {
            assert_eq!(read(input), Err(error), "{}", input.escape_ascii());
        }
    }

    #[test]
    fn depth_has_a_limit() {
        let nested = |depth| [b"(".repeat(depth), b")".repeat(depth)].concat();
        assert!(read(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(read(&nested(MAX_DEPTH + 1)), Err(SexpError::TooDeep { at: MAX_DEPTH }));
    }

    /// What libgcrypt 1.10.1 prints; the tests with real programs ask the installed one.
    #[test]
    fn the_layout_is_libgcrypts() {
        let written = |canonical: &[u8]| Sexp::from_canonical(canonical).unwrap().to_advanced();
        for (canonical, advanced) in [
            (b"(1:a(1:b)3:c\"\n2:'\\2:1a1:-)".as_slice(), "(a \n (b)\n \"c\\\"\\n\" \"\\'\\\\\" \"1a\" -)\n"),
            (b"(2:a\x7f4:a\x9fb 6:a\t\x0b\x0c\r\x08)", "(#617F# #619F6220# \"a\\t\\v\\f\\r\\b\")\n"),
            (b"(3:abc(1:q3:@\x01z))", "(abc \n (q #40017A#)\n )\n"),
            (b"3:abc", "abc \n"),
        ] {
            assert_eq!(String::from_utf8_lossy(&written(canonical)), advanced);
        }
    }

    #[test]
    fn writing_takes_one_allocation() {
        for canonical in
            [b"(1:a(1:b(1:c1:d)1:e)(1:f)1:g)".as_slice(), b"(((()))())", b"2:\xff\xff", b"4:\n\n\n\n"]
        {
            let sexp = Sexp::from_canonical(canonical).unwrap();
            let bound = super::write::bound(&sexp, 0) + 1;
            let written = sexp.to_advanced();
            assert!(written.len() <= bound, "{} of {bound}", written.len());
            assert_eq!(Sexp::from_advanced(&written), Ok(sexp));
        }
    }
}
