//! Commands and answers (ISO 7816-4, 5.1; OpenPGP card 3.4, chapter 7), and how they travel: short, extended, chained,
//! with GET RESPONSE.

use card_backend::CardTransaction;
use tracing::{trace, warn};
use zeroize::Zeroizing;

use claviger_secret::Secret;

use crate::openpgp::Lengths;
use crate::reader::{MAX_ANSWER, fault};
use crate::token::TokenError;

/// Data that fits into a short command. One octet less than could be, as GnuPG's scdaemon has it: some readers fail.
const SHORT_DATA: usize = 254;

/// The most that a short command can be answered.
const SHORT_ANSWER: usize = 256;

/// GET RESPONSEs for one answer; each brings up to 256 octets.
const MAX_PIECES: usize = MAX_ANSWER / 128;

const GET_RESPONSE: [u8; 4] = [0x00, 0xc0, 0x00, 0x00];

/// A command without a secret in it.
#[derive(Debug)]
pub(crate) struct Command {
    /// What is being done, for errors and logs.
    pub(crate) name: &'static str,
    /// CLA INS P1 P2.
    pub(crate) header: [u8; 4],
    pub(crate) data: Vec<u8>,
    pub(crate) expected: Expected,
}

/// A command with a PIN or a private key in it. Only an applet that was probed gets one.
#[derive(Debug)]
pub(crate) struct SecretCommand {
    pub(crate) name: &'static str,
    pub(crate) header: [u8; 4],
    pub(crate) data: Secret,
}

/// How long the answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// There is none but the status word.
    Nothing,
    /// At most that many octets.
    UpTo(usize),
    /// Exactly that many; for GET CHALLENGE, where the length is the request.
    Exactly(u8),
}

/// A card's answer.
pub(crate) struct Response {
    pub(crate) data: Zeroizing<Vec<u8>>,
    pub(crate) sw: u16,
}

impl Response {
    pub(crate) const OK: u16 = 0x9000;

    pub(crate) fn is_ok(&self) -> bool {
        self.sw == Self::OK
    }

    /// The data, if the status word is 9000.
    pub(crate) fn into_data(self, operation: &'static str) -> Result<Zeroizing<Vec<u8>>, TokenError> {
        if self.is_ok() { Ok(self.data) } else { Err(TokenError::Status { operation, sw: self.sw }) }
    }

    /// Nothing, if the status word is 9000.
    pub(crate) fn done(self, operation: &'static str) -> Result<(), TokenError> {
        self.into_data(operation).map(drop)
    }

    /// Whether the status word may mean that the card's state was lost: another applet, or no PIN any more.
    pub(crate) fn looks_lost(&self) -> bool {
        self.is_unknown_there() || self.sw == 0x6982 || self.sw & 0xfff0 == 0x6a80
    }

    /// Whether the application does not know the command at all.
    pub(crate) fn is_unknown_there(&self) -> bool {
        is_unknown(self.sw)
    }

    pub(crate) fn parse(operation: &'static str, mut octets: Vec<u8>) -> Result<Self, TokenError> {
        let (Some(low), Some(high)) = (octets.pop(), octets.pop()) else {
            return Err(TokenError::Malformed { operation, message: "no status word".to_owned() });
        };
        Ok(Self { data: Zeroizing::new(octets), sw: u16::from_be_bytes([high, low]) })
    }
}

/// Whether a status word says that the application does not know the command: INS (6D00) or CLA (6E00).
pub(crate) fn is_unknown(sw: u16) -> bool {
    matches!(sw, 0x6d00 | 0x6e00)
}

/// The way to the card within one transaction.
pub(crate) struct Channel<'c, 'tx> {
    pub(crate) transaction: &'c mut (dyn CardTransaction + Send + Sync + 'tx),
    pub(crate) lengths: &'c mut Lengths,
}

/// One command as it is to be sent, whatever it carries.
struct Outgoing<'a> {
    name: &'static str,
    header: [u8; 4],
    data: &'a [u8],
    expected: Expected,
}

impl Channel<'_, '_> {
    pub(crate) fn send(&mut self, command: &Command) -> Result<Response, TokenError> {
        let Command { name, header, data, expected } = command;
        self.exchange(&Outgoing { name, header: *header, data, expected: *expected })
    }

    pub(crate) fn send_secret(&mut self, command: &SecretCommand) -> Result<Response, TokenError> {
        let data = command.data.as_bytes();
        let SecretCommand { name, header, .. } = command;
        self.exchange(&Outgoing { name, header: *header, data, expected: Expected::Nothing })
    }

    /// A command as somebody else made it; its answer is completed with GET RESPONSE if `more`.
    pub(crate) fn send_raw(
        &mut self,
        name: &'static str,
        command: &[u8],
        more: bool,
    ) -> Result<Response, TokenError> {
        let first = self.transmit(name, command, MAX_ANSWER)?;
        if more { self.complete(name, first) } else { Ok(first) }
    }

    fn exchange(&mut self, command: &Outgoing<'_>) -> Result<Response, TokenError> {
        let long = command.data.len() > SHORT_DATA;
        let large = matches!(command.expected, Expected::UpTo(length) if length > SHORT_ANSWER);
        let before = self.lengths.clone();
        if (long || large)
            && before.may_extend(command.data.len())
            && let Some(response) = self.try_extended(command)?
        {
            return Ok(response);
        }
        let response = if long { self.chained(command) } else { self.short(0x00, command, command.data) }?;
        if response.sw == 0x6700 {
            // It was the length of the data that is wrong, and not the form that it came in.
            *self.lengths = before;
        }
        Ok(response)
    }

    /// Asks in extended length; `None` if that was refused, which is remembered.
    fn try_extended(&mut self, command: &Outgoing<'_>) -> Result<Option<Response>, TokenError> {
        let octets = extended(command, self.lengths);
        let first = match self.transmit(command.name, octets.as_bytes(), MAX_ANSWER) {
            Ok(response) if response.sw == 0x6700 || response.sw >> 8 == 0x6c => None,
            Ok(response) => Some(response),
            Err(TokenError::Transport { message, .. }) => {
                warn!(command = command.name, message, "extended length failed");
                None
            }
            Err(error) => return Err(error),
        };
        self.lengths.extended_was_answered(first.is_some());
        first.map(|first| self.complete(command.name, first)).transpose()
    }

    /// All pieces but the last have the chaining bit set (ISO 7816-4, 5.1.1.1).
    fn chained(&mut self, command: &Outgoing<'_>) -> Result<Response, TokenError> {
        let mut pieces = command.data.chunks(SHORT_DATA).peekable();
        while let Some(piece) = pieces.next() {
            if pieces.peek().is_none() {
                return self.short(0x00, command, piece);
            }
            let part = Outgoing { expected: Expected::Nothing, ..*command };
            let response = self.short(0x10, &part, piece)?;
            if !response.is_ok() {
                return Ok(response);
            }
        }
        self.short(0x00, command, &[])
    }

    fn short(&mut self, chaining: u8, command: &Outgoing<'_>, data: &[u8]) -> Result<Response, TokenError> {
        let octets = short(chaining, command, data, None);
        let mut response = self.transmit(command.name, octets.as_bytes(), SHORT_ANSWER + 2)?;
        if response.sw >> 8 == 0x6c && command.expected != Expected::Nothing {
            let [_, exact] = response.sw.to_be_bytes();
            let octets = short(chaining, command, data, Some(exact));
            response = self.transmit(command.name, octets.as_bytes(), SHORT_ANSWER + 2)?;
        }
        if command.expected == Expected::Nothing && response.sw >> 8 == 0x61 {
            // It worked, and what the card would tell is of no use.
            response.sw = Response::OK;
        }
        self.complete(command.name, response)
    }

    /// Fetches what 61xx promises (ISO 7816-4, 11.7.1).
    fn complete(&mut self, name: &'static str, first: Response) -> Result<Response, TokenError> {
        if first.sw >> 8 != 0x61 {
            return Ok(first);
        }
        // Growing would leave a copy behind.
        let mut whole = Response { data: Zeroizing::new(Vec::with_capacity(MAX_ANSWER)), sw: first.sw };
        whole.data.extend_from_slice(&first.data);
        for _ in 0..MAX_PIECES {
            let [more, length] = whole.sw.to_be_bytes();
            if more != 0x61 {
                return Ok(whole);
            }
            let mut command = GET_RESPONSE.to_vec();
            command.push(length);
            let piece = self.transmit(name, &command, SHORT_ANSWER + 2)?;
            if piece.data.is_empty() && piece.sw >> 8 != 0x61 {
                return Ok(Response { sw: piece.sw, ..whole });
            }
            if piece.data.is_empty() || whole.data.len() + piece.data.len() > MAX_ANSWER {
                break;
            }
            whole.data.extend_from_slice(&piece.data);
            whole.sw = piece.sw;
        }
        Err(TokenError::Malformed { operation: name, message: "an answer without an end".to_owned() })
    }

    fn transmit(&mut self, name: &'static str, command: &[u8], size: usize) -> Result<Response, TokenError> {
        let answer = self.transaction.transmit(command, size).map_err(|error| fault(name, &error))?;
        let response = Response::parse(name, answer)?;
        trace!(
            command = name,
            sent = command.len(),
            received = response.data.len(),
            sw = format_args!("{:04X}", response.sw),
            "APDU"
        );
        Ok(response)
    }
}

/// `exact` is the length that the card itself named.
fn short(chaining: u8, command: &Outgoing<'_>, data: &[u8], exact: Option<u8>) -> Secret {
    let [class, header @ ..] = command.header;
    let length = match (exact, command.expected) {
        (_, Expected::Nothing) => None,
        (Some(exact), _) | (None, Expected::Exactly(exact)) => Some(exact),
        (None, Expected::UpTo(_)) => Some(0),
    };
    let mut octets = Vec::with_capacity(8);
    octets.push(class | chaining);
    octets.extend(header);
    if !data.is_empty() {
        // At most SHORT_DATA, see `exchange`.
        octets.push(u8::try_from(data.len()).unwrap_or(u8::MAX));
    }
    joined(&octets, data, length.as_slice())
}

fn extended(command: &Outgoing<'_>, lengths: &Lengths) -> Secret {
    let mut octets = command.header.to_vec();
    octets.push(0);
    if !command.data.is_empty() {
        // At most 64 KiB, see `Lengths::may_extend`.
        octets.extend(u16::try_from(command.data.len()).unwrap_or(u16::MAX).to_be_bytes());
    }
    let length = match command.expected {
        Expected::Nothing => Vec::new(),
        Expected::Exactly(length) => vec![0, length],
        Expected::UpTo(length) => lengths.answer(length).to_be_bytes().to_vec(),
    };
    joined(&octets, command.data, &length)
}

fn joined(header: &[u8], data: &[u8], length: &[u8]) -> Secret {
    let mut octets = Secret::with_capacity(header.len() + data.len() + length.len());
    for part in [header, data, length] {
        // It was made to hold all three.
        let _ = octets.extend(part);
    }
    octets
}
