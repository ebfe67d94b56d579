//! The one cursor that every command reads its arguments with.
//!
//! Options are recognised as scdaemon recognises them, quirks included, since clients have grown used to them: an option
//! is looked for as a string and counts where it begins a word and ends one, but only its first occurrence is looked at;
//! it has to stand before the first word that does not begin with `--`; unknown options are skipped, and so is `--`
//! (2.2.40 and 2.4.7 go on looking for options behind it). A few options are looked for anywhere in the line. Section
//! 2.2 of the scdaemon reference.

/// The arguments of one command line, from which options are asked for first and the rest taken last.
#[derive(Debug, Clone, Copy)]
pub struct Args<'a> {
    line: &'a [u8],
    past_options: bool,
}

/// How an option that can have a value was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given<'a> {
    /// Not at all.
    Absent,
    /// By its name alone.
    Bare,
    /// With `=` and a value, which reaches to the next blank; it may be empty.
    Value(&'a [u8]),
}

/// Words were left over that the command has no use for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} octets of arguments left over")]
pub struct LeftOver(pub usize);

impl<'a> Args<'a> {
    /// The arguments of a command as the session hands them over.
    #[must_use]
    pub fn new(line: &'a [u8]) -> Self {
        Self { line, past_options: false }
    }

    /// Whether the option `name` (`--force`, or `--hash=sha1`) is among the leading options.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        self.find(name).is_some_and(|(at, after)| at < self.options_end() && ends_word(after))
    }

    /// The value of the option `name` (`--algo`), if it is among the leading options. An empty one counts as none.
    #[must_use]
    pub fn value(&self, name: &str) -> Given<'a> {
        match self.find(name) {
            Some((at, _)) if at >= self.options_end() => Given::Absent,
            found => match given(found) {
                Given::Value([]) => Given::Bare,
                given => given,
            },
        }
    }

    /// The value of the option `name`, looked for anywhere in the line (`--timestamp`, `--exlen`).
    #[must_use]
    pub fn value_anywhere(&self, name: &str) -> Given<'a> {
        given(self.find(name))
    }

    /// As [`Self::value_anywhere`], and where it has a value the arguments begin behind it from now on: what stands
    /// before is forgotten (`SERIALNO --demand`).
    #[must_use]
    pub fn take_value_anywhere(&mut self, name: &str) -> Given<'a> {
        let given = self.value_anywhere(name);
        if let (Given::Value(value), Some((_, after))) = (given, self.find(name)) {
            // One for `=`, one for the blank behind the value, if there is one.
            let used = value.len().saturating_add(2).min(after.len());
            self.line = after.get(used..).unwrap_or_default();
        }
        given
    }

    /// Whether `text` stands anywhere in the line, as part of a word or not.
    #[must_use]
    pub fn mentions(&self, text: &str) -> bool {
        position(self.line, text.as_bytes()).is_some()
    }

    /// Everything behind the leading options, trailing blanks included.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.line.get(self.options_end()..).unwrap_or_default()
    }

    /// Takes the first word behind the leading options; empty if there is none. What follows it is
    /// words, even where it begins with `--`.
    #[must_use]
    pub fn word(&mut self) -> &'a [u8] {
        let rest = self.rest();
        let end = word_len(rest);
        let (word, rest) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        *self = Self { line: trim_start(rest), past_options: true };
        word
    }

    /// Ends the reading of a command that tolerates no more words.
    ///
    /// # Errors
    /// [`LeftOver`] if there are some.
    pub fn finish(self) -> Result<(), LeftOver> {
        match trim_start(self.line).len() {
            0 => Ok(()),
            left => Err(LeftOver(left)),
        }
    }

    /// Where `name` first begins a word, and what follows it; nothing if its first occurrence is within a word.
    fn find(&self, name: &str) -> Option<(usize, &'a [u8])> {
        let at = position(self.line, name.as_bytes())?;
        let (before, found) = self.line.split_at_checked(at)?;
        let begins_word = before.last().is_none_or(is_blank);
        begins_word.then_some((at, found.get(name.len()..)?))
    }

    /// Where the leading options and the blanks after them end.
    fn options_end(&self) -> usize {
        let mut rest = trim_start(self.line);
        while rest.starts_with(b"--") && !self.past_options {
            rest = trim_start(rest.get(word_len(rest)..).unwrap_or_default());
        }
        self.line.len().saturating_sub(rest.len())
    }
}

fn given(found: Option<(usize, &[u8])>) -> Given<'_> {
    match found.map(|(_, after)| after) {
        Some([b'=', value @ ..]) => Given::Value(value.get(..word_len(value)).unwrap_or_default()),
        Some(after) if ends_word(after) => Given::Bare,
        _ => Given::Absent,
    }
}

fn position(line: &[u8], text: &[u8]) -> Option<usize> {
    line.windows(text.len().max(1)).position(|window| window == text)
}

fn word_len(line: &[u8]) -> usize {
    line.iter().position(is_blank).unwrap_or(line.len())
}

fn ends_word(after: &[u8]) -> bool {
    after.first().is_none_or(is_blank)
}

fn trim_start(line: &[u8]) -> &[u8] {
    let blanks = line.iter().take_while(|octet| is_blank(octet)).count();
    line.get(blanks..).unwrap_or_default()
}

fn is_blank(octet: &u8) -> bool {
    matches!(octet, b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_counts_before_the_first_word_in_any_order() {
        let args = Args::new(b"--info --advanced OPENPGP.1 --late");
        assert!(args.flag("--info") && args.flag("--advanced"));
        assert!(!args.flag("--late") && !args.flag("--force"));
        assert_eq!(args.rest(), b"OPENPGP.1 --late");
    }

    #[test]
    fn only_the_first_occurrence_of_a_flag_is_looked_at() {
        assert!(!Args::new(b"--info-only --info x").flag("--info"));
        assert!(!Args::new(b"x--info --info x").flag("--info"));
        assert!(Args::new(b"--info --info-only x").flag("--info"));
    }

    #[test]
    fn flags_are_case_sensitive_and_unknown_ones_are_skipped() {
        let args = Args::new(b"--FORCE --what=ever \t 1 ");
        assert!(!args.flag("--force"));
        assert_eq!(args.rest(), b"1 ");
    }

    #[test]
    fn two_dashes_alone_are_skipped_and_end_nothing() {
        let args = Args::new(b"-- --append 42");
        assert!(args.flag("--append"));
        assert_eq!(args.rest(), b"42");
    }

    #[test]
    fn a_value_reaches_to_the_next_blank() {
        let args = Args::new(b"--algo=rsa2048 --empty= --bare 1 --timestamp=20200101T000000 2");
        assert_eq!(args.value("--algo"), Given::Value(b"rsa2048"));
        assert_eq!(args.value("--empty"), Given::Bare);
        assert_eq!(args.value_anywhere("--empty"), Given::Value(b""));
        assert_eq!(args.value("--bare"), Given::Bare);
        assert_eq!(args.value("--timestamp"), Given::Absent);
        assert_eq!(args.value_anywhere("--timestamp"), Given::Value(b"20200101T000000"));
        assert_eq!(args.value("--al"), Given::Absent);
    }

    #[test]
    fn a_taken_value_moves_the_arguments_behind_it() {
        let mut args = Args::new(b"nks --demand=FF7F00 openpgp");
        assert_eq!(args.take_value_anywhere("--demand"), Given::Value(b"FF7F00"));
        assert_eq!(args.rest(), b"openpgp");
        let mut args = Args::new(b"--demand=FF7F00");
        assert_eq!(args.take_value_anywhere("--demand"), Given::Value(b"FF7F00"));
        assert_eq!(args.rest(), b"");
        let mut args = Args::new(b"--demand openpgp");
        assert_eq!(args.take_value_anywhere("--demand"), Given::Bare);
        assert_eq!(args.rest(), b"openpgp");
    }

    #[test]
    fn words_are_taken_one_by_one_and_leftovers_are_seen() {
        let mut args = Args::new(b"--force  one \t --two ");
        assert_eq!(args.word(), b"one");
        assert_eq!(args.finish(), Err(LeftOver(6)));
        assert_eq!(args.word(), b"--two");
        assert_eq!(args.finish(), Ok(()));
        assert_eq!(args.word(), b"");
    }

    #[test]
    fn a_mention_may_be_within_a_word() {
        assert!(Args::new(b"x--hash y").mentions("--"));
        assert!(!Args::new(b"x- -y").mentions("--"));
    }
}
