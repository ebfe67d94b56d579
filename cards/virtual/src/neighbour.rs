//! The second application of the card: a stranger to OpenPGP, whose SELECT takes the card away.
//!
//! Its identifier is of the proprietary range (ISO/IEC 7816-5: F and no provider). It answers 9000 to SELECT and 6D00 to
//! everything else; what it was sent stands in the log like every APDU, and [`instruction::carries_secret`] tells whether
//! a PIN was among it.
//!
//! [`instruction::carries_secret`]: crate::instruction::carries_secret

use crate::{
    apdu::{Command, Response, Status},
    chip::Applet,
};

/// How logs and counts call it.
pub const NAME: &str = "neighbour";

/// Its application identifier: `F0 00 00 01 01 01`; the first five octets suffice to select it.
pub const AID: [u8; 6] = [0xF0, 0x00, 0x00, 0x01, 0x01, 0x01];

/// The APDU with which a program selects it.
pub const SELECT: [u8; 11] = [0x00, 0xA4, 0x04, 0x00, 6, 0xF0, 0x00, 0x00, 0x01, 0x01, 0x01];

/// The applet.
#[derive(Debug)]
pub struct Neighbour;

impl Applet for Neighbour {
    fn name(&self) -> &'static str {
        NAME
    }

    fn aid(&self) -> &[u8] {
        &AID
    }

    fn select(&mut self, _command: &Command<'_>) -> Response {
        Status::OK.into()
    }

    fn command(&mut self, _command: &Command<'_>) -> Response {
        Status::UNKNOWN_INSTRUCTION.into()
    }

    fn deselect(&mut self) {}
}
