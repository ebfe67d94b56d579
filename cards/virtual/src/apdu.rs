//! Commands and responses as they travel: ISO/IEC 7816-4, sections 5.1 to 5.3. What they mean is said elsewhere:
//! [`instruction`](crate::instruction) names them, the applets obey them.

use std::fmt;

/// The longest message of the reader protocol, and so the longest APDU.
pub const MAX_APDU: usize = 0xFFFF;

/// The four octets that every command begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header {
    /// Class: chaining, channel, secure messaging.
    pub cla: u8,
    /// Instruction.
    pub ins: u8,
    /// First parameter.
    pub p1: u8,
    /// Second parameter.
    pub p2: u8,
}

impl Header {
    /// Whether more of the same command follows (5.1.1, bit 5 of the class).
    #[must_use]
    pub fn chained(self) -> bool {
        self.cla & 0x10 != 0
    }

    /// The same without the chaining bit.
    #[must_use]
    pub fn unchained(self) -> Self {
        Self { cla: self.cla & !0x10, ..self }
    }

    /// P1 and P2 as one number: the tag of GET DATA and PUT DATA.
    #[must_use]
    pub fn parameters(self) -> u16 {
        u16::from_be_bytes([self.p1, self.p2])
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02X}{:02X}{:02X}{:02X}", self.cla, self.ins, self.p1, self.p2)
    }
}

/// One command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command<'a> {
    /// What is to be done.
    pub header: Header,
    /// The command's data, Lc octets.
    pub data: &'a [u8],
    /// How many octets of answer are welcome at most; `None` if no Le was sent.
    pub expected: Option<usize>,
    /// Whether the lengths were written in the extended form.
    pub extended: bool,
}

/// The bytes are no command APDU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a command APDU")]
pub struct Malformed;

impl<'a> Command<'a> {
    /// Reads one command; the lengths in it must add up to the bytes given.
    ///
    /// # Errors
    /// [`Malformed`] if they do not.
    pub fn parse(apdu: &'a [u8]) -> Result<Self, Malformed> {
        let (&[cla, ins, p1, p2], body) = apdu.split_first_chunk::<4>().ok_or(Malformed)?;
        let header = Header { cla, ins, p1, p2 };
        let plain = |data, expected, extended| Ok(Self { header, data, expected, extended });
        match body {
            [] => plain(&[], None, false),
            &[le] => plain(&[], Some(short_le(le)), false),
            &[0, high, low] => plain(&[], Some(extended_le(high, low)), true),
            [0, high, low, rest @ ..] => match rest.split_at_checked(number(*high, *low)) {
                Some((data, [])) if !data.is_empty() => plain(data, None, true),
                Some((data, &[high, low])) if !data.is_empty() => {
                    plain(data, Some(extended_le(high, low)), true)
                }
                _ => Err(Malformed),
            },
            [lc, rest @ ..] => match rest.split_at_checked(usize::from(*lc)) {
                Some((data, [])) if !data.is_empty() => plain(data, None, false),
                Some((data, &[le])) if !data.is_empty() => plain(data, Some(short_le(le)), false),
                _ => Err(Malformed),
            },
        }
    }

    /// Writes the command, in the extended form wherever there is a length to write.
    #[must_use]
    pub fn to_extended(&self) -> Vec<u8> {
        let Header { cla, ins, p1, p2 } = self.header;
        let mut out = vec![cla, ins, p1, p2];
        let length = |count: usize| u16::try_from(count).unwrap_or(0).to_be_bytes();
        if !self.data.is_empty() || self.expected.is_some() {
            out.push(0);
        }
        if !self.data.is_empty() {
            out.extend(length(self.data.len()));
            out.extend(self.data);
        }
        if let Some(expected) = self.expected {
            out.extend(length(expected));
        }
        out
    }
}

/// An Le of zero asks for as much as the form can say.
fn short_le(le: u8) -> usize {
    if le == 0 { 256 } else { usize::from(le) }
}

fn extended_le(high: u8, low: u8) -> usize {
    match number(high, low) {
        0 => 0x1_0000,
        le => le,
    }
}

fn number(high: u8, low: u8) -> usize {
    usize::from(u16::from_be_bytes([high, low]))
}

/// The last two octets of every response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub u16);

impl Status {
    /// Done.
    pub const OK: Self = Self(0x9000);
    /// The length of the command is wrong, or its form is not spoken here.
    pub const WRONG_LENGTH: Self = Self(0x6700);
    /// No such file or application.
    pub const NOT_FOUND: Self = Self(0x6A82);
    /// No such data object.
    pub const NO_DATA: Self = Self(0x6A88);
    /// No such instruction.
    pub const UNKNOWN_INSTRUCTION: Self = Self(0x6D00);
    /// Something else went wrong.
    pub const UNSPECIFIED: Self = Self(0x6F00);

    /// More of the answer can be fetched with GET RESPONSE; 00 means 256 octets or more.
    #[must_use]
    pub fn more(left: usize) -> Self {
        Self(0x6100 | u16::from(u8::try_from(left).unwrap_or(0)))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04X}", self.0)
    }
}

/// What a card answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The answer's data.
    pub data: Vec<u8>,
    /// How it went.
    pub status: Status,
}

impl Response {
    /// The octets that travel.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        let mut bytes = self.data;
        bytes.extend(self.status.0.to_be_bytes());
        bytes
    }
}

impl From<Status> for Response {
    fn from(status: Status) -> Self {
        Self { data: Vec::new(), status }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(apdu: &[u8]) -> (usize, Option<usize>, bool) {
        let command = Command::parse(apdu).unwrap();
        (command.data.len(), command.expected, command.extended)
    }

    #[test]
    fn the_seven_forms_of_a_command_are_told_apart() {
        assert_eq!(parsed(&[0, 0x84, 0, 0]), (0, None, false));
        assert_eq!(parsed(&[0, 0x84, 0, 0, 0]), (0, Some(256), false));
        assert_eq!(parsed(&[0, 0x84, 0, 0, 2, 7, 7]), (2, None, false));
        assert_eq!(parsed(&[0, 0x84, 0, 0, 2, 7, 7, 9]), (2, Some(9), false));
        assert_eq!(parsed(&[0, 0x84, 0, 0, 0, 0, 0]), (0, Some(65536), true));
        assert_eq!(parsed(&[0, 0x84, 0, 0, 0, 0, 2, 7, 7]), (2, None, true));
        assert_eq!(parsed(&[0, 0x84, 0, 0, 0, 0, 2, 7, 7, 1, 0]), (2, Some(256), true));
    }

    #[test]
    fn lengths_that_do_not_add_up_are_refused() {
        let bad: [&[u8]; 7] = [
            &[],
            &[0, 0x84, 0],
            &[0, 0x84, 0, 0, 3, 7, 7],
            &[0, 0x84, 0, 0, 1, 7, 7, 7],
            &[0, 0x84, 0, 0, 0, 0],
            &[0, 0x84, 0, 0, 0, 0, 0, 1],
            &[0, 0x84, 0, 0, 0, 0, 2, 7, 7, 1],
        ];
        for apdu in bad {
            assert_eq!(Command::parse(apdu), Err(Malformed), "{apdu:02X?}");
        }
    }

    #[test]
    fn the_extended_form_reads_back_as_the_same_command() {
        let data = [7; 300];
        for expected in [None, Some(1), Some(256), Some(65536)] {
            for data in [&data[..], &data[..2], &[]] {
                let header = Header { cla: 0, ins: 0xCA, p1: 0, p2: 0x6E };
                let command = Command { header, data, expected, extended: true };
                let bytes = command.to_extended();
                let again = Command::parse(&bytes).unwrap();
                assert_eq!((again.header, again.data, again.expected), (header, data, expected));
            }
        }
    }
}
