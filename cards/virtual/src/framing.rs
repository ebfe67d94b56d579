//! From APDUs to whole commands and back: extended length, chaining, GET RESPONSE.
//!
//! ISO/IEC 7816-4, sections 5.3.3 (chaining) and 5.3.4 (GET RESPONSE).

use crate::{
    apdu::{Command, Header, MAX_APDU, Response, Status},
    instruction,
};

/// Which forms of APDU a card understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lengths {
    /// Short and extended.
    Extended,
    /// Short only: 6700 to anything else; long data comes by chaining, long answers go by GET RESPONSE.
    Short,
}

/// What a card does with a whole command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It answers, in pieces where the reader asked for less.
    Whole(Response),
    /// It sends these octets and nothing more, as if the line had been cut.
    Cut(Vec<u8>),
}

impl<T: Into<Response>> From<T> for Reply {
    fn from(response: T) -> Self {
        Self::Whole(response.into())
    }
}

/// What has come and gone of the command and the answer under way.
#[derive(Debug)]
pub struct Framing {
    lengths: Lengths,
    chain: Option<Chain>,
    pending: Vec<u8>,
}

/// A command of which more is to come.
#[derive(Debug)]
struct Chain {
    header: Header,
    data: Vec<u8>,
}

impl Framing {
    /// Nothing under way.
    #[must_use]
    pub fn new(lengths: Lengths) -> Self {
        Self { lengths, chain: None, pending: Vec::new() }
    }

    /// Forgets what is under way.
    pub fn reset(&mut self) {
        self.chain = None;
        self.pending.clear();
    }

    /// Takes one APDU; if that makes a command whole, lets `obey` carry it out. Gives the octets to send.
    pub fn transmit(&mut self, apdu: &[u8], obey: impl FnOnce(&Command<'_>) -> Reply) -> Vec<u8> {
        let reply = match Command::parse(apdu) {
            Ok(command) if command.extended && self.lengths == Lengths::Short => Status::WRONG_LENGTH.into(),
            Ok(command) => self.piece(&command, obey),
            Err(_) => Status::WRONG_LENGTH.into(),
        };
        match reply {
            Reply::Whole(response) => response.into_bytes(),
            Reply::Cut(octets) => octets,
        }
    }

    fn piece(&mut self, command: &Command<'_>, obey: impl FnOnce(&Command<'_>) -> Reply) -> Reply {
        if command.header.ins == instruction::GET_RESPONSE {
            return self.emit(command.expected, Status::OK);
        }
        self.pending.clear();
        let header = command.header.unchained();
        // Pieces of another command than the one begun are a command of their own.
        let chain = self.chain.take().filter(|chain| chain.header == header);
        let mut data = chain.map_or_else(Vec::new, |chain| chain.data);
        if data.len().saturating_add(command.data.len()) > MAX_APDU {
            return Status::WRONG_LENGTH.into();
        }
        data.extend(command.data);
        if command.header.chained() {
            self.chain = Some(Chain { header, data });
            return Status::OK.into();
        }
        match obey(&Command { header, data: &data, ..*command }) {
            Reply::Whole(response) if !response.data.is_empty() => {
                self.pending = response.data;
                self.emit(command.expected, response.status)
            }
            reply => reply,
        }
    }

    /// Sends as much of what is pending as was asked for; without an Le, that is nothing.
    fn emit(&mut self, expected: Option<usize>, status: Status) -> Reply {
        let count = expected.unwrap_or(0).min(self.pending.len());
        let rest = self.pending.split_off(count);
        let data = std::mem::replace(&mut self.pending, rest);
        let status = if self.pending.is_empty() { status } else { Status::more(self.pending.len()) };
        Response { data, status }.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers with its command's data, doubled.
    fn echo(command: &Command<'_>) -> Reply {
        Response { data: [command.data, command.data].concat(), status: Status::OK }.into()
    }

    #[test]
    fn pieces_of_a_chain_become_one_command_and_the_answer_goes_in_pieces() {
        let mut framing = Framing::new(Lengths::Short);
        let mut first = vec![0x10, 0x2A, 0, 0, 200];
        first.extend([1; 200]);
        assert_eq!(framing.transmit(&first, echo), [0x90, 0]);
        let answer = framing.transmit(&[0, 0x2A, 0, 0, 2, 2, 2, 0], echo);
        assert_eq!((answer.len(), &answer[256..]), (258, &[0x61, 148][..]));
        let rest = framing.transmit(&[0, 0xC0, 0, 0, 0], echo);
        assert_eq!((rest.len(), &rest[146..]), (150, &[2, 2, 0x90, 0][..]));
    }

    #[test]
    fn a_chain_that_another_command_interrupts_is_forgotten() {
        let mut framing = Framing::new(Lengths::Short);
        framing.transmit(&[0x10, 0x2A, 0, 0, 1, 1], echo);
        assert_eq!(framing.transmit(&[0, 0x2B, 0, 0, 1, 5, 0], echo), [5, 5, 0x90, 0]);
        assert_eq!(framing.transmit(&[0, 0x2A, 0, 0, 1, 2, 0], echo), [2, 2, 0x90, 0]);
    }

    #[test]
    fn a_short_card_refuses_extended_length() {
        let header = Header { cla: 0, ins: 0x2A, p1: 0, p2: 0 };
        let long = Command { header, data: &[7; 300], expected: Some(65536), extended: true }.to_extended();
        assert_eq!(Framing::new(Lengths::Short).transmit(&long, echo), [0x67, 0]);
        assert_eq!(Framing::new(Lengths::Extended).transmit(&long, echo).len(), 602);
    }

    #[test]
    fn without_le_the_answer_waits_to_be_fetched() {
        let mut framing = Framing::new(Lengths::Extended);
        assert_eq!(framing.transmit(&[0, 0x2A, 0, 0, 1, 9], echo), [0x61, 2]);
        assert_eq!(framing.transmit(&[0, 0xC0, 0, 0, 2], echo), [9, 9, 0x90, 0]);
    }

    #[test]
    fn a_cut_answer_goes_out_as_it_is() {
        let mut framing = Framing::new(Lengths::Extended);
        assert_eq!(framing.transmit(&[0, 0x2A, 0, 0, 0], |_| Reply::Cut(vec![0x90])), [0x90]);
    }
}
