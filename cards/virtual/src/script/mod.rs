//! A card that follows a script: exact commands, exact answers. It has the keys and the errors that opcard lacks, and it
//! notices every octet that differs from what the script's author saw the other side send.
//!
//! # The script
//!
//! One statement per line; `#` begins a comment, blank lines separate. A line that begins with a blank continues the one
//! before.
//!
//! ```text
//! atr 3B00                     the answer to reset (default: the OpenPGP card's)
//! lengths short                the card takes short APDUs only (default: extended)
//! include base.script          what stands there, as if it stood here; the name is relative to this file
//!
//! always                       answered at any time, as often as asked, in force from here on
//! > 00CA006E                   a command: CLA INS P1 P2, then its data
//! < 4F02ABCD 9000              the answer: data, then the status word
//! end
//!
//! > 00200081 "123456"          then this must come: data as hex digits, as text,
//! < 9000
//! > 00DA00CE {time:4}          or any octets of a named length
//! < 9000
//! > 002A9E9A 0123 4567         (blanks between digits mean nothing)
//! < {time} 9000                in an answer or a later command a name stands for the octets it met first
//! > 002A8086
//! <| 9000 00                   a raw answer: these octets and not one more, status or not
//!
//! optional                     this may come or not
//! …
//! end
//! repeat 3                     this comes three times; `repeat any`: as often as it likes
//! …
//! end
//! any-order                    each of these comes once, in any order; `in-order … end` binds several together
//! …
//! end
//! ```
//!
//! Commands are whole commands: chaining, the form of the lengths, Le and GET RESPONSE are between the reader and the
//! card's [framing](crate::framing). A command that fits the next step is the next step; otherwise it is looked up under
//! `always`, the latest first. `always` stands outside of other blocks, and comes into force when everything before it
//! has come or may be left out.
//!
//! Whatever else is sent is answered 6F00, and the card complains: on standard error, in the control verb `verdict`, and
//! in the program's exit status. It also complains as long as steps are missing.

mod parse;
mod plan;

use std::{io, path::PathBuf};

pub use self::parse::load;
use self::plan::Plan;
use crate::{
    apdu::{Command, Status},
    framing::{Framing, Lengths},
    hex, instruction,
    reader::{Answer, Picc},
};

/// How logs call what answers.
const NAME: &str = "script";

/// Why a script cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// A file of it cannot be read.
    #[error("{path}: {cause}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A line of it means nothing.
    #[error("{path}:{line}: {reason}")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
}

/// A script that was read.
#[derive(Debug)]
pub struct Script {
    atr: Option<Vec<u8>>,
    lengths: Lengths,
    plan: Plan,
}

/// The card.
#[derive(Debug)]
pub struct ScriptedCard {
    atr: Vec<u8>,
    framing: Framing,
    plan: Plan,
    /// The first command that was not expected.
    offence: Option<String>,
}

impl ScriptedCard {
    /// A card at the beginning of `script`.
    #[must_use]
    pub fn new(script: Script) -> Self {
        let Script { atr, lengths, plan } = script;
        let atr = atr.unwrap_or_else(|| crate::openpgp::answer_to_reset(lengths));
        Self { atr, framing: Framing::new(lengths), plan, offence: None }
    }
}

impl Picc for ScriptedCard {
    fn answer_to_reset(&self) -> Vec<u8> {
        self.atr.clone()
    }

    fn reset(&mut self) {
        self.framing.reset();
    }

    fn transmit(&mut self, apdu: &[u8]) -> Answer {
        let Self { plan, offence, .. } = self;
        let octets = self.framing.transmit(apdu, |command| {
            plan.answer(command).unwrap_or_else(|| {
                let found = format!("{} where {}", told(command), plan.expectation());
                eprintln!("claviger-virtual-card: not in the script: {found}");
                offence.get_or_insert(found);
                Status::UNSPECIFIED.into()
            })
        });
        Answer { octets, applet: NAME }
    }

    fn complaint(&self) -> Option<String> {
        let offence = self.offence.as_ref().map(|offence| format!("not in the script: {offence}"));
        offence.or_else(|| (!self.plan.is_over()).then(|| format!("unfinished: {}", self.plan.expectation())))
    }
}

/// A command as the script would write it, without PINs and keys.
fn told(command: &Command<'_>) -> String {
    if instruction::carries_secret(command) {
        return format!("{} and {} secret octets", command.header, command.data.len());
    }
    format!("{} {}", command.header, hex::encode(command.data)).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn card(text: &str) -> ScriptedCard {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("test.script");
        fs::write(&path, text).unwrap();
        ScriptedCard::new(load(&path).unwrap())
    }

    fn send(card: &mut ScriptedCard, apdu: &str) -> String {
        hex::encode(&card.transmit(&hex::decode(apdu).unwrap()).octets)
    }

    #[test]
    fn steps_come_in_order_and_standing_answers_at_any_time() {
        let mut card = card(
            "always\n> 00CA004F\n< D276 9000\nend\n> 00200081 \"12\"\n< 9000\n> 002A9E9A AA\n< BB 9000\n",
        );
        assert_eq!(send(&mut card, "00CA004F00"), "D2769000");
        assert_eq!(send(&mut card, "00200081023132"), "9000");
        assert_eq!(send(&mut card, "00CA004F000000"), "D2769000");
        assert!(card.complaint().unwrap().starts_with("unfinished: "));
        assert_eq!(send(&mut card, "002A9E9A01AA00"), "BB9000");
        assert_eq!(card.complaint(), None);
    }

    #[test]
    fn a_command_whose_data_differ_in_one_octet_is_an_offence_for_good() {
        let mut card = card("> 002A9E9A AABB\n< CC 9000\n");
        assert_eq!(send(&mut card, "002A9E9A02AABC00"), "6F00");
        assert_eq!(send(&mut card, "002A9E9A02AABB00"), "CC9000");
        let complaint = card.complaint().unwrap();
        assert!(
            complaint.contains("002A9E9A AABC where") && complaint.contains("002A9E9A AABB"),
            "{complaint}"
        );
    }

    #[test]
    fn pins_are_not_told_in_complaints() {
        let mut card = card("> 00200081 \"123456\"\n< 9000\n");
        send(&mut card, "0020008106363534333231");
        let complaint = card.complaint().unwrap();
        assert!(!complaint.contains("363534333231") && !complaint.contains("313233343536"), "{complaint}");
    }

    #[test]
    fn a_cut_answer_lacks_what_the_script_leaves_out() {
        let mut card = card("> 00CA006E\n<| 90\n");
        assert_eq!(send(&mut card, "00CA006E00"), "90");
    }

    #[test]
    fn a_short_card_announces_it_and_is_fed_by_chaining() {
        let mut card = card("lengths short\n> 002A8086 AABB\n< 9000\n");
        assert_eq!(card.answer_to_reset()[16], 0x80);
        assert_eq!(send(&mut card, "002A8086000002AABB"), "6700");
        assert_eq!(send(&mut card, "102A808601AA"), "9000");
        assert_eq!(send(&mut card, "002A808601BB00"), "9000");
        assert_eq!(card.complaint(), None);
    }
}
