//! What is known of a card's way with long commands and answers, so that nothing is tried twice.

use openpgp_card::ocard::data::ExtendedLengthInfo;

use crate::facts::Facts;

/// More data than this no extended command can have.
const MAX_DATA: usize = 0xffff;

/// Octets of an extended command beside its data.
const OVERHEAD: usize = 9;

/// Remembered per card and reader: a virtual reader's ATR may deny what its card can do, and a reader may fail where its
/// card would not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lengths {
    extended: Extended,
    /// The longest command that the card takes, if it says so.
    max_command: Option<usize>,
    /// The longest answer that the card gives, if it says so.
    max_answer: Option<usize>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Extended {
    #[default]
    Untried,
    Answered,
    Refused,
}

impl Lengths {
    /// Whether a command with that much data may go in extended length. It is tried once in any case, by the first 6E.
    pub(crate) fn may_extend(&self, data: usize) -> bool {
        let fits = self.max_command.is_none_or(|max| data + OVERHEAD <= max);
        self.extended != Extended::Refused && data <= MAX_DATA && fits
    }

    pub(crate) fn extended_was_answered(&mut self, answered: bool) {
        self.extended = if answered { Extended::Answered } else { Extended::Refused };
    }

    /// The Le of an extended command whose answer has up to `length` octets; 0 stands for 65,536.
    pub(crate) fn answer(&self, length: usize) -> u16 {
        let length = self.max_answer.map_or(length, |max| length.min(max));
        u16::try_from(length).unwrap_or(0)
    }

    /// Takes what the card says of itself: DO 7F66 from version 3 on (4.1.3.1), extended capabilities before (4.4.3.7).
    pub(crate) fn learn(&mut self, facts: &Facts, length_information: Option<&[u8]>) {
        let words = length_information.and_then(|octets| ExtendedLengthInfo::try_from(octets).ok());
        let (command, answer) = match words {
            Some(info) => (info.max_command_bytes(), info.max_response_bytes()),
            None if facts.version() < 0x0300 => (facts.capabilities.word(6), facts.capabilities.word(8)),
            None => (0, 0),
        };
        self.max_command = (command > 0).then(|| usize::from(command));
        self.max_answer = (answer > 0).then(|| usize::from(answer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(version: u8, capabilities: &[u8]) -> Facts {
        let mut facts = Facts::unknown(String::new(), Vec::new());
        facts.aid[6] = version;
        facts.capabilities.0 = capabilities.to_vec();
        facts
    }

    #[test]
    fn version_3_says_its_lengths_in_an_object_of_its_own() {
        let mut lengths = Lengths::default();
        lengths.learn(&facts(3, &[0; 10]), Some(b"\x02\x02\x08\x00\x02\x02\x04\x00"));
        assert!(lengths.may_extend(0x800 - OVERHEAD) && !lengths.may_extend(0x800));
        assert_eq!((lengths.answer(600), lengths.answer(0x1_0000)), (600, 0x400));
    }

    #[test]
    fn version_2_says_them_in_its_capabilities() {
        let mut lengths = Lengths::default();
        lengths.learn(&facts(2, b"\0\0\0\0\0\0\x08\x00\x07\x00"), None);
        assert!(!lengths.may_extend(0x800));
        assert_eq!(lengths.answer(0x1_0000), 0x700);
    }

    #[test]
    fn a_refusal_is_remembered() {
        let mut lengths = Lengths::default();
        assert!(lengths.may_extend(MAX_DATA) && !lengths.may_extend(MAX_DATA + 1));
        assert_eq!(lengths.answer(0x1_0000), 0);
        lengths.extended_was_answered(false);
        assert!(!lengths.may_extend(0));
    }
}
