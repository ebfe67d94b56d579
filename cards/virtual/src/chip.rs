//! The chip with its applets: which of them hears a command.
//!
//! An *applet* is one application of the card. At most one is *selected*; a SELECT by name that another applet answers to
//! takes the selection, and with it every PIN state of the one before, as on cards with several applications. A name that
//! nobody answers to leaves everything as it is (6A82). ISO/IEC 7816-4, section 11.1.1.

use crate::{
    apdu::{Command, Response, Status},
    framing::{Framing, Lengths, Reply},
    instruction,
    reader::{Answer, Picc},
};

/// One application of a card.
pub trait Applet {
    /// How logs call it.
    fn name(&self) -> &'static str;

    /// The full application identifier.
    fn aid(&self) -> &[u8];

    /// It was selected by `command`, perhaps not for the first time.
    fn select(&mut self, command: &Command<'_>) -> Response;

    /// One whole command other than a SELECT by name.
    fn command(&mut self, command: &Command<'_>) -> Response;

    /// Another applet was selected or the power is gone: forget what was unlocked.
    fn deselect(&mut self);
}

/// The chip.
pub struct Chip<'a> {
    atr: Vec<u8>,
    framing: Framing,
    applets: Applets<'a>,
}

struct Applets<'a> {
    all: Vec<Box<dyn Applet + 'a>>,
    selected: Option<usize>,
}

impl<'a> Chip<'a> {
    /// A chip that was never powered: nothing is selected.
    #[must_use]
    pub fn new(atr: Vec<u8>, lengths: Lengths, applets: Vec<Box<dyn Applet + 'a>>) -> Self {
        Self { atr, framing: Framing::new(lengths), applets: Applets { all: applets, selected: None } }
    }
}

impl Picc for Chip<'_> {
    fn answer_to_reset(&self) -> Vec<u8> {
        self.atr.clone()
    }

    fn reset(&mut self) {
        self.framing.reset();
        self.applets.deselect();
    }

    fn transmit(&mut self, apdu: &[u8]) -> Answer {
        let octets = self.framing.transmit(apdu, |command| Reply::Whole(self.applets.obey(command)));
        Answer { octets, applet: self.applets.listener() }
    }
}

impl Applets<'_> {
    fn listener(&self) -> &'static str {
        self.selected.and_then(|index| self.all.get(index)).map_or("-", |applet| applet.name())
    }

    fn obey(&mut self, command: &Command<'_>) -> Response {
        if command.header.ins == instruction::SELECT && command.header.p1 == 0x04 {
            return match self.all.iter().position(|applet| answers_to(applet.aid(), command.data)) {
                Some(index) => self.select(index, command),
                None => Status::NOT_FOUND.into(),
            };
        }
        match self.selected.and_then(|index| self.all.get_mut(index)) {
            Some(applet) => applet.command(command),
            None => Status::UNKNOWN_INSTRUCTION.into(),
        }
    }

    fn select(&mut self, index: usize, command: &Command<'_>) -> Response {
        if self.selected != Some(index) {
            self.deselect();
        }
        self.selected = Some(index);
        self.all.get_mut(index).map_or_else(|| Status::NOT_FOUND.into(), |applet| applet.select(command))
    }

    fn deselect(&mut self) {
        if let Some(applet) = self.selected.take().and_then(|index| self.all.get_mut(index)) {
            applet.deselect();
        }
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

    /// Answers 9000 once unlocked by any VERIFY, 6982 before.
    #[derive(Default)]
    struct Lock {
        open: bool,
    }

    impl Applet for Lock {
        fn name(&self) -> &'static str {
            "lock"
        }

        fn aid(&self) -> &[u8] {
            &[0xE0, 0, 0, 0, 1, 7]
        }

        fn select(&mut self, _command: &Command<'_>) -> Response {
            Status::OK.into()
        }

        fn command(&mut self, command: &Command<'_>) -> Response {
            self.open |= command.header.ins == 0x20;
            if self.open { Status::OK.into() } else { Status(0x6982).into() }
        }

        fn deselect(&mut self) {
            self.open = false;
        }
    }

    const SELECT_LOCK: &[u8] = &[0, 0xA4, 4, 0, 5, 0xE0, 0, 0, 0, 1];
    const SELECT_NEIGHBOUR: &[u8] = &[0, 0xA4, 4, 0, 5, 0xF0, 0, 0, 1, 1];
    const SELECT_STRANGER: &[u8] = &[0, 0xA4, 4, 0, 5, 0xA0, 0, 0, 0, 3];
    const VERIFY: &[u8] = &[0, 0x20, 0, 0x82, 1, 0x31];
    const USE: &[u8] = &[0, 0x2A, 0, 0, 1, 9];

    fn unlocked() -> Chip<'static> {
        let mut chip =
            Chip::new(vec![], Lengths::Extended, vec![Box::<Lock>::default(), Box::new(Neighbour)]);
        for apdu in [SELECT_LOCK, VERIFY, USE] {
            assert_eq!(chip.transmit(apdu).octets, [0x90, 0]);
        }
        chip
    }

    #[test]
    fn a_neighbours_select_takes_the_card_and_what_was_unlocked() {
        let mut chip = unlocked();
        assert_eq!(chip.transmit(SELECT_NEIGHBOUR).octets, [0x90, 0]);
        let answer = chip.transmit(USE);
        assert_eq!((&answer.octets[..], answer.applet), (&[0x6D, 0][..], "neighbour"));
        chip.transmit(SELECT_LOCK);
        assert_eq!(chip.transmit(USE).octets, [0x69, 0x82]);
    }

    #[test]
    fn an_unknown_name_and_the_own_name_leave_everything_as_it_is() {
        let mut chip = unlocked();
        assert_eq!(chip.transmit(SELECT_STRANGER).octets, [0x6A, 0x82]);
        assert_eq!(chip.transmit(USE).octets, [0x90, 0]);
        assert_eq!(chip.transmit(SELECT_LOCK).octets, [0x90, 0]);
        assert_eq!(chip.transmit(USE).octets, [0x90, 0]);
    }

    #[test]
    fn a_reset_leaves_nothing_selected_and_nothing_unlocked() {
        let mut chip = unlocked();
        chip.reset();
        assert_eq!(chip.transmit(USE).octets, [0x6D, 0]);
        chip.transmit(SELECT_LOCK);
        assert_eq!(chip.transmit(USE).octets, [0x69, 0x82]);
    }
}
