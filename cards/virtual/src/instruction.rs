//! The instructions of an OpenPGP card by name (OpenPGP card 3.4, section 7.1), and which of them carry a secret.

use crate::apdu::{Command, Header};

/// SELECT.
pub const SELECT: u8 = 0xA4;
/// GET RESPONSE.
pub const GET_RESPONSE: u8 = 0xC0;
const VERIFY: u8 = 0x20;
const CHANGE_REFERENCE_DATA: u8 = 0x24;
const RESET_RETRY_COUNTER: u8 = 0x2C;
const GENERATE: u8 = 0x47;
const GET_DATA: u8 = 0xCA;
const PUT_DATA: u8 = 0xDA;
const PUT_DATA_ODD: u8 = 0xDB;

/// The tag under which a resetting code is written.
const RESETTING_CODE: u16 = 0x00D3;

/// The name of a command without blanks, as counts and logs write it: `get-data`, `sign`, …
#[must_use]
pub fn name(header: Header) -> &'static str {
    match (header.ins, header.p1, header.p2) {
        (SELECT, ..) => "select",
        (GET_RESPONSE, ..) => "get-response",
        (VERIFY, ..) => "verify",
        (CHANGE_REFERENCE_DATA, ..) => "change-pin",
        (RESET_RETRY_COUNTER, ..) => "reset-tries",
        (GENERATE, 0x81, _) => "read-key",
        (GENERATE, ..) => "generate",
        (0x2A, 0x9E, 0x9A) => "sign",
        (0x2A, 0x80, 0x86) => "decipher",
        (0x2A, 0x86, 0x80) => "encipher",
        (0x88, ..) => "authenticate",
        (0x22, ..) => "set-environment",
        (0x84, ..) => "challenge",
        (0xA5, ..) => "select-data",
        (GET_DATA, ..) => "get-data",
        (0xCC, ..) => "get-next-data",
        (PUT_DATA, ..) => "put-data",
        (PUT_DATA_ODD, ..) => "import-key",
        (0xE6, ..) => "terminate",
        (0x44, ..) => "activate",
        (0xF1, ..) => "version",
        _ => "other",
    }
}

/// Whether the command's data hold a PIN or a private key.
#[must_use]
pub fn carries_secret(command: &Command<'_>) -> bool {
    let secret = match command.header.ins {
        VERIFY | CHANGE_REFERENCE_DATA | RESET_RETRY_COUNTER | PUT_DATA_ODD => true,
        PUT_DATA => command.header.parameters() == RESETTING_CODE,
        _ => false,
    };
    secret && !command.data.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(apdu: &[u8]) -> bool {
        carries_secret(&Command::parse(apdu).unwrap())
    }

    #[test]
    fn pins_keys_and_resetting_codes_are_secret_and_their_absence_is_not() {
        assert!(secret(&[0, 0x20, 0, 0x81, 1, 0x31]));
        assert!(secret(&[0x10, 0xDB, 0x3F, 0xFF, 1, 0x4D]));
        assert!(secret(&[0, 0xDA, 0, 0xD3, 1, 0x31]));
        assert!(!secret(&[0, 0x20, 0, 0x81]), "asks for the state of the PIN");
        assert!(!secret(&[0, 0xDA, 0, 0x5B, 1, 0x41]));
    }
}
