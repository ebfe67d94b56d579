//! The chip between the reader and the applets: chaining, GET RESPONSE, and which applet hears a command.
//!
//! An *applet* is one application of the card. At most one is *selected*; a SELECT by name that another applet answers to
//! takes the selection, and with it every PIN state of the one before, as on cards with several applications. A name that
//! nobody answers to leaves everything as it is (6A82).
//!
//! ISO/IEC 7816-4, sections 5.3.3 (chaining), 5.3.4 (GET RESPONSE) and 11.1.1 (SELECT).

use crate::{
    apdu::{Command, Header, MAX_APDU, Response, Status},
    instruction,
};

/// One application of a card.
pub trait Applet {
    /// How logs call it.
    fn name(&self) -> &'static str;

    /// The full application identifier.
    fn aid(&self) -> &[u8];

    /// It was selected, perhaps not for the first time.
    fn select(&mut self) -> Response;

    /// One whole command, chaining resolved, that is not for the chip itself.
    fn command(&mut self, command: &Command<'_>) -> Response;

    /// Another applet was selected or the power is gone: forget what was unlocked.
    fn deselect(&mut self);
}

/// Which forms of APDU a chip understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lengths {
    /// Short and extended.
    Extended,
    /// Short only: 6700 to anything else; long data comes by chaining, long answers go by GET RESPONSE.
    Short,
}

/// A response and who gave it.
#[derive(Debug)]
pub struct Answer {
    /// The octets to send, status included.
    pub bytes: Vec<u8>,
    /// The applet that heard the command, or `-` where none did.
    pub applet: &'static str,
}

/// The chip with its applets.
pub struct Chip<'a> {
    applets: Vec<Box<dyn Applet + 'a>>,
    selected: Option<usize>,
    lengths: Lengths,
    chain: Option<Chain>,
    pending: Vec<u8>,
}

/// A command of which more is to come.
struct Chain {
    header: Header,
    data: Vec<u8>,
}

impl<'a> Chip<'a> {
    /// A chip without power history: nothing is selected.
    #[must_use]
    pub fn new(lengths: Lengths, applets: Vec<Box<dyn Applet + 'a>>) -> Self {
        Self { applets, selected: None, lengths, chain: None, pending: Vec::new() }
    }

    /// The power went or a reset came: nothing is selected any more.
    pub fn reset(&mut self) {
        self.deselect();
        self.chain = None;
        self.pending.clear();
    }

    /// Selects the applet called `name`, as if a neighbour had sent the SELECT. Says whether there is one.
    pub fn seize(&mut self, name: &str) -> bool {
        let found = self.applets.iter().position(|applet| applet.name() == name);
        if let Some(index) = found {
            self.chain = None;
            self.pending.clear();
            self.select(index);
        }
        found.is_some()
    }

    /// Carries out one APDU.
    pub fn transmit(&mut self, apdu: &[u8]) -> Answer {
        let response = match Command::parse(apdu) {
            Ok(command) if command.extended && self.lengths == Lengths::Short => Status::WRONG_LENGTH.into(),
            Ok(command) => self.piece(&command),
            Err(_) => Status::WRONG_LENGTH.into(),
        };
        Answer { bytes: response.into_bytes(), applet: self.listener() }
    }

    fn listener(&self) -> &'static str {
        self.selected.and_then(|index| self.applets.get(index)).map_or("-", |applet| applet.name())
    }

    fn piece(&mut self, command: &Command<'_>) -> Response {
        if command.header.ins == instruction::GET_RESPONSE {
            return self.emit(command.expected);
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
        let response = self.whole(&Command { header, data: &data, ..*command });
        if response.data.is_empty() {
            return response;
        }
        self.pending = response.data;
        self.emit_with(command.expected, response.status)
    }

    fn whole(&mut self, command: &Command<'_>) -> Response {
        if command.header.ins == instruction::SELECT && command.header.p1 == 0x04 {
            return match self.applets.iter().position(|applet| answers_to(applet.aid(), command.data)) {
                Some(index) => self.select(index),
                None => Status::NOT_FOUND.into(),
            };
        }
        match self.selected.and_then(|index| self.applets.get_mut(index)) {
            Some(applet) => applet.command(command),
            None => Status::UNKNOWN_INSTRUCTION.into(),
        }
    }

    fn select(&mut self, index: usize) -> Response {
        if self.selected != Some(index) {
            self.deselect();
        }
        self.selected = Some(index);
        self.applets.get_mut(index).map_or_else(|| Status::NOT_FOUND.into(), |applet| applet.select())
    }

    fn deselect(&mut self) {
        if let Some(applet) = self.selected.take().and_then(|index| self.applets.get_mut(index)) {
            applet.deselect();
        }
    }

    fn emit(&mut self, expected: Option<usize>) -> Response {
        self.emit_with(expected, Status::OK)
    }

    /// Sends as much of what is pending as was asked for; without an Le, that is nothing.
    fn emit_with(&mut self, expected: Option<usize>, status: Status) -> Response {
        let count = expected.unwrap_or(0).min(self.pending.len());
        let rest = self.pending.split_off(count);
        let data = std::mem::replace(&mut self.pending, rest);
        let status = if self.pending.is_empty() { status } else { Status::more(self.pending.len()) };
        Response { data, status }
    }
}

/// A name selects the applet whose identifier it is or begins, from the five octets of the provider on.
fn answers_to(aid: &[u8], name: &[u8]) -> bool {
    name.len() >= 5 && aid.starts_with(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::neighbour::Neighbour;

    /// Answers with its command's data, doubled.
    struct Echo;

    impl Applet for Echo {
        fn name(&self) -> &'static str {
            "echo"
        }

        fn aid(&self) -> &[u8] {
            &[0xE0, 0, 0, 0, 1, 7]
        }

        fn select(&mut self) -> Response {
            Status::OK.into()
        }

        fn command(&mut self, command: &Command<'_>) -> Response {
            Response { data: [command.data, command.data].concat(), status: Status::OK }
        }

        fn deselect(&mut self) {}
    }

    const SELECT_ECHO: [u8; 11] = [0, 0xA4, 4, 0, 6, 0xE0, 0, 0, 0, 1, 7];

    fn chip(lengths: Lengths) -> Chip<'static> {
        let mut chip = Chip::new(lengths, vec![Box::new(Echo), Box::new(Neighbour)]);
        assert_eq!(chip.transmit(&SELECT_ECHO).bytes, [0x90, 0]);
        chip
    }

    fn command(ins: u8, data: &[u8], expected: Option<usize>) -> Vec<u8> {
        let header = Header { cla: 0, ins, p1: 0, p2: 0 };
        Command { header, data, expected, extended: true }.to_extended()
    }

    #[test]
    fn pieces_of_a_chain_become_one_command_and_the_answer_goes_in_pieces() {
        let mut chip = chip(Lengths::Short);
        let mut first = vec![0x10, 0x2A, 0, 0, 200];
        first.extend([1; 200]);
        assert_eq!(chip.transmit(&first).bytes, [0x90, 0]);
        let answer = chip.transmit(&[0, 0x2A, 0, 0, 2, 2, 2, 0]).bytes;
        assert_eq!((answer.len(), &answer[256..]), (258, &[0x61, 148][..]));
        let rest = chip.transmit(&[0, 0xC0, 0, 0, 0]).bytes;
        assert_eq!((rest.len(), &rest[146..]), (150, &[2, 2, 0x90, 0][..]));
    }

    #[test]
    fn a_chain_that_another_command_interrupts_is_forgotten() {
        let mut chip = chip(Lengths::Short);
        chip.transmit(&[0x10, 0x2A, 0, 0, 1, 1]);
        assert_eq!(chip.transmit(&[0, 0x2B, 0, 0, 1, 5, 0]).bytes, [5, 5, 0x90, 0]);
        assert_eq!(chip.transmit(&[0, 0x2A, 0, 0, 1, 2, 0]).bytes, [2, 2, 0x90, 0]);
    }

    #[test]
    fn a_short_chip_refuses_extended_length() {
        let long = command(0x2A, &[7; 300], Some(65536));
        assert_eq!(chip(Lengths::Short).transmit(&long).bytes, [0x67, 0]);
        assert_eq!(chip(Lengths::Extended).transmit(&long).bytes.len(), 602);
    }

    #[test]
    fn without_le_the_answer_waits_to_be_fetched() {
        let mut chip = chip(Lengths::Extended);
        assert_eq!(chip.transmit(&[0, 0x2A, 0, 0, 1, 9]).bytes, [0x61, 2]);
        assert_eq!(chip.transmit(&[0, 0xC0, 0, 0, 2]).bytes, [9, 9, 0x90, 0]);
    }

    #[test]
    fn a_neighbours_select_takes_the_card_away() {
        let mut chip = chip(Lengths::Extended);
        assert_eq!(chip.transmit(&[0, 0xA4, 4, 0, 5, 0xF0, 0, 0, 1, 1]).bytes, [0x90, 0]);
        let answer = chip.transmit(&[0, 0x2A, 0, 0, 1, 9, 0]);
        assert_eq!((&answer.bytes[..], answer.applet), (&[0x6D, 0][..], "neighbour"));
    }

    #[test]
    fn an_unknown_name_leaves_the_selection() {
        let mut chip = chip(Lengths::Extended);
        assert_eq!(chip.transmit(&[0, 0xA4, 4, 0, 5, 0xA0, 0, 0, 0, 3]).bytes, [0x6A, 0x82]);
        assert_eq!(chip.transmit(&[0, 0x2A, 0, 0, 1, 9, 0]).bytes, [9, 9, 0x90, 0]);
    }

    #[test]
    fn a_reset_leaves_nothing_selected() {
        let mut chip = chip(Lengths::Extended);
        chip.reset();
        assert_eq!(chip.transmit(&[0, 0x2A, 0, 0, 1, 9, 0]).bytes, [0x6D, 0]);
    }
}
