//! S-expressions, the form in which GnuPG's programs hand keys to each other (RFC 9804).
//!
//! An expression is an *atom* (octets) or a *list* of expressions. On the wire it is *canonical* (`(1:a3:bcd)`); in
//! files and for people it is *advanced* (`(a "b c" #00FF#)`). Each form has its reader and writer in one file.
//!
//! What is read canonically borrows from the input: a private key read out of a
//! [`Secret`](claviger_secret::Secret) is not copied by reading. What had to be decoded is wiped when dropped, and
//! `Debug` shows lengths only. Display hints (`[text/plain]`) occur in no key and are refused.

mod advanced;
mod canonical;

use std::fmt;
use std::ops::Deref;

use nom::error::{ErrorKind, ParseError};
use zeroize::Zeroizing;

/// The longest expression that is read, in octets of either form. The largest key that GnuPG has (Kyber1024, with its
/// private half) takes about ten thousand in advanced form.
pub const MAX_LEN: usize = 64 * 1024;

/// How deep lists may be nested. Keys need five levels, protected keys six.
pub const MAX_DEPTH: usize = 32;

/// An expression.
#[derive(Debug, PartialEq, Eq)]
pub enum Sexp<'a> {
    /// Octets.
    Atom(Octets<'a>),
    /// Expressions in their order.
    List(Vec<Self>),
}

impl<'a> Sexp<'a> {
    /// An atom that borrows its octets.
    #[must_use]
    pub const fn atom(octets: &'a [u8]) -> Self {
        Self::Atom(Octets::Borrowed(octets))
    }

    /// A list of two atoms, which is how keys name their parts: `(curve Ed25519)`.
    #[must_use]
    pub fn pair(name: &'a str, value: &'a [u8]) -> Self {
        Self::List(vec![Self::atom(name.as_bytes()), Self::atom(value)])
    }

    /// A list with a name in front: `(public-key …)`.
    #[must_use]
    pub fn named(name: &'a str, items: impl IntoIterator<Item = Self>) -> Self {
        Self::List(std::iter::once(Self::atom(name.as_bytes())).chain(items).collect())
    }

    /// Reads the canonical form; nothing may follow it.
    ///
    /// # Errors
    /// [`SexpError`]
    pub fn from_canonical(input: &'a [u8]) -> Result<Self, SexpError> {
        let (sexp, rest) = Self::first_canonical(input)?;
        if rest.is_empty() { Ok(sexp) } else { Err(SexpError::Trailing { octets: rest.len() }) }
    }

    /// Reads the canonical form at the start of `input`, and gives back what follows.
    ///
    /// # Errors
    /// [`SexpError`]
    pub fn first_canonical(input: &'a [u8]) -> Result<(Self, &'a [u8]), SexpError> {
        checked(input, canonical::read::expression)
    }

    /// Reads the advanced form; only blanks may surround it.
    ///
    /// # Errors
    /// [`SexpError`]
    pub fn from_advanced(input: &[u8]) -> Result<Sexp<'static>, SexpError> {
        let (sexp, rest) = checked(input, advanced::read::expression)?;
        if rest.is_empty() { Ok(sexp) } else { Err(SexpError::Trailing { octets: rest.len() }) }
    }

    /// Writes the canonical form, in one allocation: there are no other copies to wipe.
    #[must_use]
    pub fn to_canonical(&self) -> Vec<u8> {
        canonical::write::expression(self)
    }

    /// Writes the advanced form exactly as libgcrypt does, final line end included. In one allocation, as above.
    #[must_use]
    pub fn to_advanced(&self) -> Vec<u8> {
        advanced::write::expression(self)
    }

    /// The octets of an atom.
    #[must_use]
    pub fn as_atom(&self) -> Option<&[u8]> {
        match self {
            Self::Atom(octets) => Some(octets),
            Self::List(_) => None,
        }
    }

    /// The items of a list.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::Atom(_) => None,
            Self::List(items) => Some(items),
        }
    }

    /// The atom at the front of a list.
    #[must_use]
    pub fn name(&self) -> Option<&[u8]> {
        self.as_list()?.first()?.as_atom()
    }

    /// What follows the name in a list; empty for an atom.
    #[must_use]
    pub fn arguments(&self) -> &[Self] {
        self.as_list().and_then(|items| items.get(1..)).unwrap_or_default()
    }

    /// The first list of that name among the items of this list.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Self> {
        self.as_list()?.iter().find(|item| item.name() == Some(name.as_bytes()))
    }

    /// The value of the [pair](Self::pair) of that name among the items of this list.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&[u8]> {
        self.find(name)?.arguments().first()?.as_atom()
    }
}

/// The octets of an atom, borrowed or owned; wiped on drop when owned.
pub enum Octets<'a> {
    /// Part of what was read.
    Borrowed(&'a [u8]),
    /// Decoded.
    Owned(Zeroizing<Vec<u8>>),
}

impl Deref for Octets<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Borrowed(octets) => octets,
            Self::Owned(octets) => octets,
        }
    }
}

impl PartialEq for Octets<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Octets<'_> {}

impl fmt::Debug for Octets<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} octets", self.len())
    }
}

/// Why octets are no S-expression. Positions count from the start of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SexpError {
    /// More than [`MAX_LEN`].
    #[error("an S-expression of {len} octets is too long; the limit is {MAX_LEN}")]
    TooLong {
        /// How long it is.
        len: usize,
    },
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("lists nested deeper than {MAX_DEPTH} at octet {at}")]
    TooDeep {
        /// Where.
        at: usize,
    },
    /// The input ends inside the expression.
    #[error("the S-expression is cut off")]
    Truncated,
    /// A length that is no number, has a leading zero, or does not fit what is given.
    #[error("bad length at octet {at}")]
    BadLength {
        /// Where.
        at: usize,
    },
    /// A hexadecimal, base64 or quoted string that does not decode.
    #[error("bad encoding at octet {at}")]
    BadEncoding {
        /// Where.
        at: usize,
    },
    /// An octet that fits nowhere.
    #[error("unexpected octet at {at}")]
    Unexpected {
        /// Where.
        at: usize,
    },
    /// Something follows the expression.
    #[error("{octets} octets behind the S-expression")]
    Trailing {
        /// How many.
        octets: usize,
    },
}

/// What one nom parser of either form returns.
type Step<'i, T> = nom::IResult<&'i [u8], T, Fault>;

/// An error inside a parser: how many octets were left, and what was wrong there.
#[derive(Debug, Clone, Copy)]
struct Fault {
    left: usize,
    wrong: Wrong,
}

#[derive(Debug, Clone, Copy)]
enum Wrong {
    Depth,
    Length,
    Encoding,
    Octet,
}

impl Fault {
    /// The fault `wrong` at `rest`, past which no other reading is tried.
    fn fail<'i, T>(rest: &'i [u8], wrong: Wrong) -> Step<'i, T> {
        Err(nom::Err::Failure(Self { left: rest.len(), wrong }))
    }

    fn into_error(self, len: usize) -> SexpError {
        let at = len.saturating_sub(self.left);
        match self.wrong {
            Wrong::Depth => SexpError::TooDeep { at },
            Wrong::Length => SexpError::BadLength { at },
            Wrong::Encoding => SexpError::BadEncoding { at },
            Wrong::Octet if self.left == 0 => SexpError::Truncated,
            Wrong::Octet => SexpError::Unexpected { at },
        }
    }
}

impl ParseError<&[u8]> for Fault {
    fn from_error_kind(input: &[u8], _: ErrorKind) -> Self {
        Self { left: input.len(), wrong: Wrong::Octet }
    }

    fn append(_: &[u8], _: ErrorKind, other: Self) -> Self {
        other
    }
}

/// Runs a parser on an input of bounded length.
fn checked<'i, T>(
    input: &'i [u8],
    parser: impl FnOnce(&'i [u8], usize) -> Step<'i, T>,
) -> Result<(T, &'i [u8]), SexpError> {
    if input.len() > MAX_LEN {
        return Err(SexpError::TooLong { len: input.len() });
    }
    match parser(input, MAX_DEPTH) {
        Ok((rest, value)) => Ok((value, rest)),
        Err(nom::Err::Error(fault) | nom::Err::Failure(fault)) => Err(fault.into_error(input.len())),
        Err(nom::Err::Incomplete(_)) => Err(SexpError::Truncated),
    }
}
