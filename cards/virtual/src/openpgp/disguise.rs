//! What a card says of the lengths that it understands: in its answer to reset, its historical bytes (5F52) and its
//! extended length information (7F66), OpenPGP card 3.4, sections 4.1.3 and 6.
//!
//! opcard always announces extended length. A card of short APDUs is opcard with these places rewritten, since opcard
//! has no option for it.

use crate::{
    apdu::{Command, Response, Status},
    framing::Lengths,
};

/// opcard's historical bytes; the third of the capabilities (index 6) has the bits below.
const HISTORICAL: [u8; 10] = [0x00, 0x31, 0xF5, 0x73, 0xC0, 0x01, 0x60, 0x00, 0x90, 0x00];

/// "Command chaining", and neither extended length (40) nor its information (20).
const CHAINING_ONLY: u8 = 0x80;

const HISTORICAL_BYTES: u16 = 0x5F52;
const EXTENDED_LENGTH_INFORMATION: u16 = 0x7F66;
const APPLICATION_RELATED_DATA: u16 = 0x006E;
const GET_DATA: u8 = 0xCA;

/// The answer to reset: T=1, a 254-octet information field, then the historical bytes and the check octet.
pub(super) fn answer_to_reset(lengths: Lengths) -> Vec<u8> {
    let mut atr = vec![0x3B, 0xDA, 0x18, 0xFF, 0x81, 0xB1, 0xFE, 0x75, 0x1F, 0x03];
    let mut historical = HISTORICAL;
    // The life cycle octet reads 05, "operational", once the card is in use.
    historical[7] = 0x05;
    if lengths == Lengths::Short {
        limit(&mut historical);
    }
    atr.extend(historical);
    let check = atr.iter().skip(1).fold(0, |sum, octet| sum ^ octet);
    atr.push(check);
    atr
}

/// The response that a card without extended length gives where opcard gave `response`.
pub(super) fn without_extended_length(command: &Command<'_>, mut response: Response) -> Response {
    if command.header.ins != GET_DATA {
        return response;
    }
    match command.header.parameters() {
        HISTORICAL_BYTES => limit(&mut response.data),
        EXTENDED_LENGTH_INFORMATION => return Status::NO_DATA.into(),
        APPLICATION_RELATED_DATA => response.data = rewritten(&response.data),
        _ => {}
    }
    response
}

fn limit(historical: &mut [u8]) {
    if let Some(capabilities) = historical.get_mut(6) {
        *capabilities = CHAINING_ONLY;
    }
}

/// The data objects of 6E, one after the other, without 7F66 and with limited historical bytes. Data that are no such
/// list are passed on from there as they are.
fn rewritten(objects: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = objects;
    while let Some((tag, whole, value)) = object(rest) {
        let start = out.len();
        let head = whole.len().saturating_sub(value);
        if tag != EXTENDED_LENGTH_INFORMATION {
            out.extend(whole);
        }
        if tag == HISTORICAL_BYTES {
            limit(out.get_mut(start.saturating_add(head)..).unwrap_or_default());
        }
        rest = rest.get(whole.len()..).unwrap_or_default();
    }
    out.extend(rest);
    out
}

/// The first data object: its tag, all of its octets, and how many of them are its value.
fn object(data: &[u8]) -> Option<(u16, &[u8], usize)> {
    let (tag, after) = match *data {
        [first, second, ..] if first & 0x1F == 0x1F => (u16::from_be_bytes([first, second]), 2),
        [first, ..] => (u16::from(first), 1),
        [] => return None,
    };
    let (value, head) = match *data.get(after..)? {
        [0x82, high, low, ..] => (usize::from(u16::from_be_bytes([high, low])), after.checked_add(3)?),
        [0x81, length, ..] => (usize::from(length), after.checked_add(2)?),
        [length, ..] if length < 0x80 => (usize::from(length), after.checked_add(1)?),
        _ => return None,
    };
    Some((tag, data.get(..head.checked_add(value)?)?, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_reset_has_a_right_check_octet_and_tells_the_lengths() {
        for (lengths, capabilities) in [(Lengths::Extended, 0x60), (Lengths::Short, 0x80)] {
            let atr = answer_to_reset(lengths);
            assert_eq!(atr.iter().skip(1).fold(0, |sum, octet| sum ^ octet), 0);
            assert_eq!(atr[16], capabilities);
        }
    }

    #[test]
    fn application_data_lose_the_extended_length_information() {
        let objects =
            [&[0x4F, 2, 1, 2, 0x5F, 0x52, 10][..], &HISTORICAL, &[0x7F, 0x66, 2, 9, 9, 0x73, 0x81, 1, 7]]
                .concat();
        let mut limited = HISTORICAL;
        limited[6] = 0x80;
        let expected = [&[0x4F, 2, 1, 2, 0x5F, 0x52, 10][..], &limited, &[0x73, 0x81, 1, 7]].concat();
        assert_eq!(rewritten(&objects), expected);
    }

    #[test]
    fn a_list_cut_at_any_octet_is_passed_on() {
        let objects = [0x4F, 2, 1, 2, 0x73, 0x82, 0, 3, 7, 7, 7];
        for end in 0..=objects.len() {
            assert_eq!(rewritten(&objects[..end]), &objects[..end]);
        }
    }
}
