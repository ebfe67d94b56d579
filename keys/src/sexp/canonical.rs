//! The canonical form: `(10:public-key(3:ecc…))`, every atom with its length in decimal (RFC 9804, section 6.1).

pub(super) mod read {
    use nom::Parser;
    use nom::branch::alt;
    use nom::bytes::complete::{take, take_while1};
    use nom::character::complete::char;
    use nom::combinator::cut;
    use nom::multi::many0;
    use nom::sequence::{delimited, terminated};

    use super::super::{Fault, Sexp, Step, Wrong};

    /// One expression, with at most `depth` levels of lists.
    pub(in super::super) fn expression(input: &[u8], depth: usize) -> Step<'_, Sexp<'_>> {
        alt((|i| list(i, depth), atom)).parse(input)
    }

    fn list(input: &[u8], depth: usize) -> Step<'_, Sexp<'_>> {
        if depth == 0 && input.starts_with(b"(") {
            return Fault::fail(input, Wrong::Depth);
        }
        let item = |i| expression(i, depth.saturating_sub(1));
        delimited(char('('), many0(item), cut(char(')'))).map(Sexp::List).parse(input)
    }

    fn atom(input: &[u8]) -> Step<'_, Sexp<'_>> {
        let (rest, len) = length(input)?;
        cut(take(len)).map(Sexp::atom).parse(rest)
    }

    /// A length and its colon. Zero is `0:`; other numbers have no zero in front.
    fn length(input: &[u8]) -> Step<'_, usize> {
        let (rest, digits) =
            terminated(take_while1(|c: u8| c.is_ascii_digit()), cut(char(':'))).parse(input)?;
        match decimal(digits) {
            Some(len) if len <= rest.len() => Ok((rest, len)),
            _ => Fault::fail(input, Wrong::Length),
        }
    }

    /// The number that `digits` are, unless it is written with a leading zero or too large to be a length.
    pub(in super::super) fn decimal(digits: &[u8]) -> Option<usize> {
        if digits.len() > 1 && digits.starts_with(b"0") {
            return None;
        }
        std::str::from_utf8(digits).ok()?.parse().ok()
    }
}

pub(super) mod write {
    use super::super::Sexp;

    /// The expression, in one allocation.
    pub(in super::super) fn expression(sexp: &Sexp<'_>) -> Vec<u8> {
        let mut out = Vec::with_capacity(len(sexp));
        append(sexp, &mut out);
        out
    }

    fn append(sexp: &Sexp<'_>, out: &mut Vec<u8>) {
        match sexp {
            Sexp::Atom(octets) => {
                out.extend_from_slice(octets.len().to_string().as_bytes());
                out.push(b':');
                out.extend_from_slice(octets);
            }
            Sexp::List(items) => {
                out.push(b'(');
                items.iter().for_each(|item| append(item, out));
                out.push(b')');
            }
        }
    }

    fn len(sexp: &Sexp<'_>) -> usize {
        match sexp {
            Sexp::Atom(octets) => octets.len().to_string().len() + 1 + octets.len(),
            Sexp::List(items) => 2 + items.iter().map(len).sum::<usize>(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{MAX_DEPTH, MAX_LEN, Sexp, SexpError};

    #[test]
    fn what_was_read_is_written_back_octet_for_octet() {
        for text in [
            "(10:public-key(3:ecc(5:curve7:Ed25519)(1:q3:@\u{1}\0)))",
            "3:abc",
            "()",
            "(0:(())11:hello world)",
        ] {
            let sexp = Sexp::from_canonical(text.as_bytes()).unwrap();
            assert_eq!(sexp.to_canonical(), text.as_bytes());
            assert_eq!(sexp.to_canonical().capacity(), text.len());
        }
    }

    #[test]
    fn each_fault_is_named_with_its_place() {
        let cases: [(&[u8], SexpError); 12] = [
            (b"", SexpError::Truncated),
            (b"(3:abc", SexpError::Truncated),
            (b"(3", SexpError::Truncated),
            (b"3:ab", SexpError::BadLength { at: 0 }),
            (b"(3:abc03:abc)", SexpError::BadLength { at: 6 }),
            (b"(99999999999999999999:a)", SexpError::BadLength { at: 1 }),
            (b"(3:abcx)", SexpError::Unexpected { at: 6 }),
            (b"(3;abc)", SexpError::Unexpected { at: 2 }),
            (b"([1:h]3:abc)", SexpError::Unexpected { at: 1 }),
            (b"(a b)", SexpError::Unexpected { at: 1 }),
            (b")", SexpError::Unexpected { at: 0 }),
            (b"(1:a)\0", SexpError::Trailing { octets: 1 }),
        ];
        for (input, error) in cases {
            assert_eq!(Sexp::from_canonical(input), Err(error), "{}", input.escape_ascii());
        }
    }

    #[test]
    fn every_cut_of_an_expression_is_refused() {
        let whole = b"(10:public-key(3:ecc(5:curve7:Ed25519)(5:flags5:eddsa)(1:q3:@AB)))";
        for end in 0..whole.len() {
            assert!(Sexp::from_canonical(&whole[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn depth_and_size_have_limits() {
        let nested = |depth| [b"(".repeat(depth), b")".repeat(depth)].concat();
        assert!(Sexp::from_canonical(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(Sexp::from_canonical(&nested(MAX_DEPTH + 1)), Err(SexpError::TooDeep { at: MAX_DEPTH }));
        let flat = |len: usize| [format!("{}:", len - 6).into_bytes(), vec![b'a'; len - 6]].concat();
        assert!(Sexp::from_canonical(&flat(MAX_LEN)).is_ok());
        assert_eq!(Sexp::from_canonical(&flat(MAX_LEN + 1)), Err(SexpError::TooLong { len: MAX_LEN + 1 }));
    }

    #[test]
    fn what_follows_is_handed_back_when_asked_for() {
        let (sexp, rest) = Sexp::first_canonical(b"(1:a)\0junk").unwrap();
        assert_eq!((sexp.to_canonical().as_slice(), rest), (b"(1:a)".as_slice(), b"\0junk".as_slice()));
    }
}
