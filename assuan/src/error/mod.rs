//! What an `ERR` line carries: gpg-error's sources and codes as a typed table with their English texts.
//!
//! A number on the wire is `source << 24 | code`. Codes 32768 and above stand for system errors in GnuPG's own
//! numbering (not errno). Sections 2.3 and 9 of the scdaemon reference; the tables are libgpg-error 1.46's, as in
//! Debian 12. The rows stand in `general`, `library` and `system`; what a number means to a command is not here.

mod general;
mod library;
mod system;

use std::fmt;

/// The longest description in an `ERR` line: libassuan prints it through a buffer of 50 octets with its NUL.
const MAX_DESCRIPTION: usize = 49;
/// The longest free text in an `ERR` line (libassuan's `%.100s`).
const MAX_TEXT: usize = 100;

/// An error as a command's final answer, and as a client reads it from an `ERR` line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Error {
    source_number: u8,
    code: Code,
    text: Option<String>,
}

impl Error {
    /// The error `code` as component `source` reports it.
    #[must_use]
    pub fn new(source: Source, code: Code) -> Self {
        Self { source_number: source.number(), code, text: None }
    }

    /// The same error with a free text, which `ERR` lines print after ` - ` (at most 100 octets of it).
    #[must_use]
    pub fn with_text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// The error that `number` stands for, whichever source and code it has; numbers from others pass unchanged.
    #[must_use]
    pub fn from_number(number: u32) -> Self {
        let [source, _, high, low] = number.to_be_bytes();
        Self { source_number: source & 0x7F, code: Code(u16::from_be_bytes([high, low])), text: None }
    }

    /// The number on the wire.
    #[must_use]
    pub fn number(&self) -> u32 {
        u32::from(self.source_number) << 24 | u32::from(self.code.0)
    }

    /// What went wrong, whoever says so.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// Who says so, if it is a component known by name.
    #[must_use]
    pub fn source(&self) -> Option<Source> {
        Source::from_number(self.source_number)
    }

    /// The free text.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    fn source_name(&self) -> &'static str {
        self.source().map_or("Unknown source", Source::name)
    }
}

impl fmt::Display for Error {
    /// The form of an `ERR` line without `ERR `: `100663383 Bad PIN <SCD> - text`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let description = at_most(self.code.text(), MAX_DESCRIPTION);
        write!(f, "{} {description} <{}>", self.number(), self.source_name())?;
        match &self.text {
            Some(text) => write!(f, " - {}", at_most(text, MAX_TEXT)),
            None => Ok(()),
        }
    }
}

/// The first line of `text`, cut before the character that passes `limit` octets.
fn at_most(text: &str, limit: usize) -> &str {
    let line = text.split('\n').next().unwrap_or_default();
    let end = (0..=limit.min(line.len())).rev().find(|&end| line.is_char_boundary(end));
    end.and_then(|end| line.get(..end)).unwrap_or_default()
}

macro_rules! sources {
    ($($variant:ident = $number:literal, $name:literal;)*) => {
        /// The component that reports an error (gpg-error's sources).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Source { $(#[doc = $name] $variant,)* }

        impl Source {
            /// Its number on the wire.
            #[must_use]
            pub fn number(self) -> u8 {
                match self { $(Self::$variant => $number,)* }
            }

            /// Its name as `ERR` lines print it between angle brackets.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The source that `number` stands for.
            #[must_use]
            pub fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

sources! {
    Unknown = 0, "Unspecified source";
    Gcrypt = 1, "gcrypt";
    Gpg = 2, "GnuPG";
    Gpgsm = 3, "GpgSM";
    GpgAgent = 4, "GPG Agent";
    Pinentry = 5, "Pinentry";
    Scd = 6, "SCD";
    Gpgme = 7, "GPGME";
    Keybox = 8, "Keybox";
    Ksba = 9, "KSBA";
    Dirmngr = 10, "Dirmngr";
    Gsti = 11, "GSTI";
    Gpa = 12, "GPA";
    Kleopatra = 13, "Kleopatra";
    G13 = 14, "G13";
    Assuan = 15, "Assuan";
    Tpm2d = 16, "TPM2d";
    Tls = 17, "TLS";
    Any = 31, "Any source";
    User1 = 32, "User defined source 1";
    User2 = 33, "User defined source 2";
    User3 = 34, "User defined source 3";
    User4 = 35, "User defined source 4";
}

/// What went wrong, as gpg-error numbers it. The named codes are constants of this type: [`Code::BAD_PIN`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(u16);

impl Code {
    /// The code with this number, named or not.
    #[must_use]
    pub const fn from_number(number: u16) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// Its English text.
    #[must_use]
    pub fn text(self) -> &'static str {
        let unknown = if self.0 < SYSTEM_BASE { "Unknown error code" } else { "Unknown system error" };
        self.row().map_or(unknown, |row| row.text)
    }

    /// Its name in libgpg-error, without `GPG_ERR_`.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        self.row().map(|row| row.name)
    }

    /// Every named code, in the order of their numbers.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLES.iter().copied().flatten().map(|row| Self(row.number))
    }

    fn row(self) -> Option<&'static Row> {
        TABLES.iter().copied().flatten().find(|row| row.number == self.0)
    }
}

/// Where system errors begin (`GPG_ERR_SYSTEM_ERROR`).
const SYSTEM_BASE: u16 = 0x8000;

const TABLES: [&[Row]; 3] = [general::GENERAL, library::LIBRARY, system::SYSTEM];

struct Row {
    number: u16,
    name: &'static str,
    text: &'static str,
}

macro_rules! codes {
    ($table:ident $($name:ident = $number:literal, $text:literal;)*) => {
        impl Code { $(#[doc = $text] pub const $name: Self = Self($number);)* }

        pub(super) const $table: &[Row] = &[
            $(Row { number: $number, name: stringify!($name), text: $text },)*
        ];
    };
}
use codes;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_prints_as_in_an_err_line() {
        let error = Error::new(Source::Scd, Code::BAD_PIN);
        assert_eq!(error.to_string(), "100663383 Bad PIN <SCD>");
        let error = Error::new(Source::Scd, Code::ASS_PARAMETER).with_text("no data given");
        assert_eq!(error.to_string(), "100663576 IPC parameter error <SCD> - no data given");
        assert_eq!(Error::new(Source::GpgAgent, Code::NO_SCDAEMON).number(), 67_108_983);
        assert_eq!(Error::new(Source::Scd, Code::ENODEV).to_string(), "100696144 No such device <SCD>");
    }

    #[test]
    fn a_text_is_cut_to_100_octets_and_to_one_line() {
        let error = Error::new(Source::Scd, Code::CARD).with_text("é".repeat(60));
        assert_eq!(error.to_string(), format!("100663404 Card error <SCD> - {}", "é".repeat(50)));
        let error = Error::new(Source::Scd, Code::CARD).with_text("one\nOK");
        assert_eq!(error.to_string(), "100663404 Card error <SCD> - one");
    }

    #[test]
    fn numbers_of_others_pass_unchanged() {
        for number in [83_886_179, 100_663_573, 67_141_741, 1_660_944_511, 4_096_000] {
            let canonical = number & 0x7F00_FFFF;
            assert_eq!(Error::from_number(number).number(), canonical);
        }
        let cancelled = Error::from_number(83_886_179);
        assert_eq!((cancelled.source(), cancelled.code()), (Some(Source::Pinentry), Code::CANCELED));
        assert_eq!(
            Error::from_number(99 << 24 | 20_000).to_string(),
            "1660964384 Unknown error code <Unknown source>"
        );
    }

    #[test]
    fn no_number_and_no_name_is_used_twice() {
        let mut numbers: Vec<_> = Code::all().map(Code::number).collect();
        assert!(numbers.is_sorted());
        numbers.dedup();
        assert_eq!(numbers.len(), Code::all().count());
        let mut names: Vec<_> = Code::all().filter_map(Code::name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), numbers.len());
    }

    #[test]
    fn sources_map_back_from_their_numbers() {
        for number in 0..=u8::MAX {
            let source = Source::from_number(number);
            assert!(source.is_none_or(|source| source.number() == number));
        }
    }
}
