//! The grammar of every kind of line, in both directions: a reader and a writer for each.
//!
//! *Command* lines and *answer* lines (to an inquiry) go from client to server, *reply* lines the other way. Which of
//! the first two a line is depends on the state of the server, so each has its own reader. Lines are cut out of the
//! stream before ([`crate::frame`]) and hold no LF. Sections 2.1 to 2.4 of the scdaemon reference.

/// From octets to values. What is read borrows from the line.
pub mod read {
    use nom::branch::alt;
    use nom::bytes::complete::{tag, tag_no_case, take_till, take_while};
    use nom::character::complete::u32 as number;
    use nom::combinator::{all_consuming, eof, map, peek, rest, value};
    use nom::sequence::{preceded, terminated};
    use nom::{IResult, Parser};

    use crate::error::Error;

    /// What a client's line is to a server that awaits a command.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Command<'a> {
        /// An empty line or a comment, which gets no reply.
        Ignored,
        /// A data line, which has no place here.
        Data,
        /// A blank where the command word should begin.
        LeadingBlank,
        /// A command word and what follows the blanks after it, trailing blanks included.
        Word(&'a [u8], &'a [u8]),
    }

    /// Reads a command line. Except in data lines a NUL ends the line, as it does in C.
    #[must_use]
    pub fn command(line: &[u8]) -> Command<'_> {
        let reader = alt((
            value(Command::Ignored, alt((eof, tag("#")))),
            value(Command::Data, tag("D ")),
            value(Command::LeadingBlank, peek(alt((eof_or_nul, blank)))),
            map((take_till(is_blank_or_nul), blanks, take_till(is_nul)), |(word, _, args)| {
                Command::Word(word, args)
            }),
        ));
        // The last branch takes any octets.
        parse(reader, line).unwrap_or(Command::Ignored)
    }

    /// What a client's line is to a server that waits for the answer to an inquiry.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Answer<'a> {
        /// An empty line or a comment.
        Ignored,
        /// The payload of a data line, still escaped.
        Data(&'a [u8]),
        /// The end of the data.
        End,
        /// No answer will come.
        Cancel,
        /// Anything else.
        Other,
    }

    /// Reads an answer line. Keywords match in any case; `CAN` may go on as it likes.
    #[must_use]
    pub fn answer(line: &[u8]) -> Answer<'_> {
        let reader = alt((
            value(Answer::Ignored, alt((eof, tag("#")))),
            value(Answer::End, terminated(tag_no_case("END"), alt((eof_or_nul, tag(" "))))),
            value(Answer::Cancel, tag_no_case("CAN")),
            map(preceded(tag_no_case("D "), rest), Answer::Data),
        ));
        parse(reader, line).unwrap_or(Answer::Other)
    }

    /// What a server's line is to its client.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum Reply<'a> {
        /// `OK`, and the text after it.
        Ok(&'a [u8]),
        /// `ERR`: the number, and the rest as its free text.
        Err(Error),
        /// `S`: keyword and value, the value as it is on the line.
        Status(&'a [u8], &'a [u8]),
        /// `D`: the payload, still escaped.
        Data(&'a [u8]),
        /// `INQUIRE`: keyword and arguments.
        Inquire(&'a [u8], &'a [u8]),
        /// `END`.
        End,
        /// An empty line or a comment.
        Ignored,
    }

    /// Reads a reply line, or nothing if it is none.
    #[must_use]
    pub fn reply(line: &[u8]) -> Option<Reply<'_>> {
        let reader = alt((
            map(preceded(tag("D "), rest), Reply::Data),
            map(keyword_line("S"), |(keyword, value)| Reply::Status(keyword, value)),
            map(preceded(word("OK"), rest), Reply::Ok),
            map(preceded(word("ERR"), (number, rest)), |(number, text)| Reply::Err(error(number, text))),
            map(keyword_line("INQUIRE"), |(keyword, args)| Reply::Inquire(keyword, args)),
            value(Reply::End, word("END")),
            value(Reply::Ignored, alt((eof, tag("#")))),
        ));
        parse(reader, line)
    }

    /// Runs a reader that may leave octets unread, which the grammar gives no meaning.
    fn parse<'a, T>(
        reader: impl Parser<&'a [u8], Output = T, Error = Failure<'a>>,
        line: &'a [u8],
    ) -> Option<T> {
        all_consuming(terminated(reader, rest)).parse(line).ok().map(|(_, value)| value)
    }

    type Failure<'a> = nom::error::Error<&'a [u8]>;
    type Read<'a, T> = IResult<&'a [u8], T>;

    /// A keyword, the blanks after it, and everything else, after the word that says what the line is.
    fn keyword_line<'a>(
        kind: &'static str,
    ) -> impl Parser<&'a [u8], Output = (&'a [u8], &'a [u8]), Error = Failure<'a>> {
        preceded(word(kind), (terminated(take_till(is_space), spaces), rest))
    }

    /// This word, ended by a space or the end, and the spaces after it.
    fn word<'a>(word: &'static str) -> impl Parser<&'a [u8], Output = &'a [u8], Error = Failure<'a>> {
        terminated(tag(word), (peek(alt((eof, tag(" ")))), spaces))
    }

    /// The description and the source's name in an `ERR` line say what the number says; the free text stands behind.
    fn error(number: u32, text: &[u8]) -> Error {
        let error = Error::from_number(number);
        let text = String::from_utf8_lossy(text);
        match text.split_once("> - ") {
            Some((_, text)) => error.with_text(text),
            None => error,
        }
    }

    fn blank(input: &[u8]) -> Read<'_, &[u8]> {
        alt((tag(" "), tag("\t"))).parse(input)
    }

    fn blanks(input: &[u8]) -> Read<'_, &[u8]> {
        take_while(|octet| matches!(octet, b' ' | b'\t')).parse(input)
    }

    fn spaces(input: &[u8]) -> Read<'_, &[u8]> {
        take_while(is_space).parse(input)
    }

    fn eof_or_nul(input: &[u8]) -> Read<'_, &[u8]> {
        alt((eof, tag("\0"))).parse(input)
    }

    fn is_space(octet: u8) -> bool {
        octet == b' '
    }

    fn is_nul(octet: u8) -> bool {
        octet == 0
    }

    fn is_blank_or_nul(octet: u8) -> bool {
        matches!(octet, b' ' | b'\t' | 0)
    }
}

/// From values to octets: lines into an [`Output`](crate::output::Output).
pub mod write {
    use crate::error::Error;
    use crate::output::Output;

    /// The most octets that `INQUIRE` has room for after its blank: libassuan's buffer, less its reserve.
    pub const MAX_QUESTION: usize = 981;

    /// A command line.
    pub fn command(output: &mut Output, line: &[u8]) {
        output.line(&[line]);
    }

    /// The end of an answer's data; ends the data line that is open.
    pub fn end(output: &mut Output) {
        output.line(&[b"END"]);
    }

    /// No answer.
    pub fn cancel(output: &mut Output) {
        output.line(&[b"CAN"]);
    }

    /// `OK`, or `OK text`.
    pub fn ok(output: &mut Output, text: &str) {
        with_blank(output, &[b"OK"], text.as_bytes());
    }

    /// `ERR number description <source> - text`.
    pub fn err(output: &mut Output, error: &Error) {
        output.line(&[b"ERR ", error.to_string().as_bytes()]);
    }

    /// `S keyword value`.
    pub fn status(output: &mut Output, keyword: &str, value: &[u8]) {
        with_blank(output, &[b"S ", keyword.as_bytes()], value);
    }

    /// `# text`, with the blank even where the text is empty.
    pub fn comment(output: &mut Output, text: &str) {
        output.line(&[b"# ", text.as_bytes()]);
    }

    /// `INQUIRE keyword args`, if they fit.
    #[must_use]
    pub fn inquire(output: &mut Output, keyword: &str, args: &[u8]) -> bool {
        let blank = usize::from(!args.is_empty());
        let fits = keyword.len().saturating_add(args.len()).saturating_add(blank) <= MAX_QUESTION;
        if fits {
            with_blank(output, &[b"INQUIRE ", keyword.as_bytes()], args);
        }
        fits
    }

    fn with_blank(output: &mut Output, front: &[&[u8]], tail: &[u8]) {
        let blank: &[u8] = if tail.is_empty() { b"" } else { b" " };
        output.line(&[front, &[blank, tail]].concat());
    }
}

#[cfg(test)]
mod tests {
    use super::read::{Answer, Command, Reply, answer, command, reply};
    use super::write;
    use crate::error::{Code, Error, Source};
    use crate::output::Output;

    #[test]
    fn a_command_is_a_word_and_untouched_arguments() {
        assert_eq!(command(b"NOP"), Command::Word(b"NOP", b""));
        assert_eq!(command(b"GETINFO \t version "), Command::Word(b"GETINFO", b"version "));
        assert_eq!(command(b"GETINFO\tversion"), Command::Word(b"GETINFO", b"version"));
        assert_eq!(command(b"SETDATA \xff\x80"), Command::Word(b"SETDATA", b"\xff\x80"));
        assert_eq!(command(b"D"), Command::Word(b"D", b""));
        assert_eq!(command(b"d x"), Command::Word(b"d", b"x"));
    }

    #[test]
    fn a_nul_ends_a_command_line() {
        assert_eq!(command(b"NOP\0foo"), Command::Word(b"NOP", b""));
        assert_eq!(command(b"N\0OP"), Command::Word(b"N", b""));
        assert_eq!(command(b"SETDATA 41\0zz"), Command::Word(b"SETDATA", b"41"));
        assert_eq!(command(b"\0"), Command::LeadingBlank);
    }

    #[test]
    fn lines_without_a_command_word_are_told_apart() {
        assert_eq!(command(b""), Command::Ignored);
        assert_eq!(command(b"# NOP"), Command::Ignored);
        assert_eq!(command(b" NOP"), Command::LeadingBlank);
        assert_eq!(command(b"\tNOP"), Command::LeadingBlank);
        assert_eq!(command(b"D x"), Command::Data);
    }

    #[test]
    fn answers_match_in_any_case() {
        for end in [&b"END"[..], b"end", b"End foo", b"END\0foo"] {
            assert_eq!(answer(end), Answer::End);
        }
        for cancel in [&b"CAN"[..], b"can", b"CANCEL", b"CANfoo"] {
            assert_eq!(answer(cancel), Answer::Cancel);
        }
        assert_eq!(answer(b"D a\0b"), Answer::Data(b"a\0b"));
        assert_eq!(answer(b"d "), Answer::Data(b""));
        for ignored in [&b""[..], b"#", b"# D x"] {
            assert_eq!(answer(ignored), Answer::Ignored);
        }
        for other in [&b"D"[..], b"ENDE", b"END\tx", b"NOP", b" END", b"CA", b"\0"] {
            assert_eq!(answer(other), Answer::Other);
        }
    }

    #[test]
    fn replies_are_recognised_by_their_first_word() {
        assert_eq!(reply(b"OK"), Some(Reply::Ok(b"")));
        assert_eq!(reply(b"OK  closing connection"), Some(Reply::Ok(b"closing connection")));
        assert_eq!(reply(b"S SERIALNO D276 0"), Some(Reply::Status(b"SERIALNO", b"D276 0")));
        assert_eq!(reply(b"S"), Some(Reply::Status(b"", b"")));
        assert_eq!(reply(b"D a%25b"), Some(Reply::Data(b"a%25b")));
        assert_eq!(reply(b"INQUIRE NEEDPIN ||PIN"), Some(Reply::Inquire(b"NEEDPIN", b"||PIN")));
        assert_eq!(reply(b"END"), Some(Reply::End));
        assert_eq!(reply(b"# OK"), Some(Reply::Ignored));
        for none in [&b"OKAY"[..], b"ERROR", b"ERR", b"ERR x", b"D", b"ok", b"SERIALNO", b" OK"] {
            assert_eq!(reply(none), None);
        }
    }

    #[test]
    fn an_err_line_gives_number_and_text() {
        let error = Error::new(Source::Scd, Code::ASS_PARAMETER).with_text("no data given");
        assert_eq!(
            reply(b"ERR 100663576 IPC parameter error <SCD> - no data given"),
            Some(Reply::Err(error))
        );
        let error = Error::new(Source::Pinentry, Code::CANCELED);
        assert_eq!(reply(b"ERR 83886179 Operation cancelled <Pinentry>"), Some(Reply::Err(error.clone())));
        assert_eq!(reply(b"ERR 83886179"), Some(Reply::Err(error)));
        assert_eq!(reply(b"ERR 99999999999 too much"), None);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let error = Error::new(Source::Scd, Code::CARD_REMOVED);
        let mut output = Output::new();
        write::ok(&mut output, "");
        write::err(&mut output, &error);
        write::status(&mut output, "PADDING", b"0");
        assert!(write::inquire(&mut output, "KNOWNCARDP", b"D276"));
        write::comment(&mut output, "");
        let lines: Vec<_> = output.pending().split(|octet| *octet == b'\n').map(reply).collect();
        let expected = [
            Some(Reply::Ok(b"")),
            Some(Reply::Err(error)),
            Some(Reply::Status(b"PADDING", b"0")),
            Some(Reply::Inquire(b"KNOWNCARDP", b"D276")),
            Some(Reply::Ignored),
            Some(Reply::Ignored),
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_question_has_at_most_981_octets() {
        let mut output = Output::new();
        assert!(!write::inquire(&mut output, "NEEDPIN", &[b'x'; 974]));
        assert!(output.pending().is_empty());
        assert!(write::inquire(&mut output, "NEEDPIN", &[b'x'; 973]));
        assert_eq!(output.pending().len(), "INQUIRE \n".len() + write::MAX_QUESTION);
    }
}
