//! The texts of NEEDPIN: what the person reads when a PIN is asked for (GnuPG's scd, `app-openpgp.c`). Those for PKCS#11 tokens
//! are in [`super::token_prompt`].
//!
//! Between the first two bars stand flags for the agent: none a PIN, `A` the Admin PIN, `R` the Reset Code, `N` a new
//! value that is to be typed twice. `%0A` is a line break; `\x1e` before a label and `\x1f` after it let pinentry align
//! what follows.

use claviger_cards::token::{PinPurpose, PinRef};

/// The tries that are not worth a word.
const ALL_TRIES: u8 = 3;

/// Whether the text for this purpose names the card and its holder.
pub(super) fn names_the_card(purpose: PinPurpose) -> bool {
    matches!(purpose, PinPurpose::Unlock(_) | PinPurpose::Old(PinRef::Admin))
}

/// The text of a question. `holder` is DO 5B as it is on the card; `counter` the signatures made so far, if the PIN is
/// for one.
pub(super) fn text(
    purpose: PinPurpose,
    tries_left: Option<u8>,
    serial: &str,
    holder: &[u8],
    counter: Option<u32>,
) -> Vec<u8> {
    let mut text = first_line(purpose).as_bytes().to_vec();
    if names_the_card(purpose) {
        text.extend_from_slice(b"%0A%0A\x1eNumber\x1f: ");
        text.extend_from_slice(display_serial(serial).as_bytes());
        text.extend_from_slice(b"%0AHolder\x1f: ");
        text.extend_from_slice(&escaped(&display_name(holder)));
        if let Some(counter) = counter {
            text.extend_from_slice(format!("%0ACounter\x1f: {counter}").as_bytes());
        }
        if let Some(tries) = tries_left.filter(|tries| *tries < ALL_TRIES) {
            text.extend_from_slice(format!("%0A%0ARemaining attempts: {tries}").as_bytes());
        }
    }
    text
}

/// The text where a reader's own keys take the old value and the new one.
pub(super) fn old_and_new(pin: PinRef) -> &'static str {
    match pin {
        PinRef::Admin => "||Please enter the Admin PIN and New Admin PIN",
        PinRef::Sign | PinRef::User | PinRef::ResetCode => "||Please enter the PIN and New PIN",
    }
}

fn first_line(purpose: PinPurpose) -> &'static str {
    match purpose {
        PinPurpose::Unlock(PinRef::Admin) | PinPurpose::Old(PinRef::Admin) => "|A|Please enter the Admin PIN",
        PinPurpose::Unlock(PinRef::Sign | PinRef::User) => "||Please unlock the card",
        PinPurpose::Unlock(PinRef::ResetCode) | PinPurpose::Old(PinRef::ResetCode) => {
            "|R|Please enter the Reset Code for the card"
        }
        PinPurpose::Old(PinRef::Sign | PinRef::User) => "||Please enter the PIN",
        PinPurpose::New(PinRef::Admin) => "|AN|New Admin PIN",
        PinPurpose::New(PinRef::ResetCode) => "|RN|New Reset Code",
        PinPurpose::New(PinRef::Sign | PinRef::User) => "|N|New PIN",
    }
}

/// Manufacturer and number out of the serial: `FFFE 12345678` (hexadecimal digits, as GnuPG shows them).
pub(super) fn display_serial(serial: &str) -> String {
    match (serial.get(16..20), serial.get(20..28)) {
        (Some(manufacturer), Some(number)) => format!("{manufacturer} {number}"),
        _ => serial.to_owned(),
    }
}

/// `Doe<<Jane` is Jane Doe.
fn display_name(holder: &[u8]) -> Vec<u8> {
    let spaced = |name: &[u8]| name.iter().map(|octet| if *octet == b'<' { b' ' } else { *octet }).collect();
    let Some(at) = holder.windows(2).position(|pair| pair == b"<<") else {
        return spaced(holder);
    };
    let (surname, given) =
        (holder.get(..at).unwrap_or_default(), holder.get(at.saturating_add(2)..).unwrap_or_default());
    if given.is_empty() {
        return spaced(holder);
    }
    let mut name: Vec<u8> = spaced(given);
    name.push(b' ');
    name.extend::<Vec<u8>>(spaced(surname));
    name
}

/// A card's own octets within an Assuan line: controls and percent signs escaped, so that a name can break nothing.
pub(super) fn escaped(octets: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(octets.len());
    for octet in octets {
        match octet {
            0..=0x1f | b'%' | 0x7f => text.extend_from_slice(format!("%{octet:02X}").as_bytes()),
            _ => text.push(*octet),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERIAL: &str = "D276000124010304FFFE123456780000";

    fn shown(purpose: PinPurpose, tries: u8, holder: &str, counter: Option<u32>) -> String {
        String::from_utf8(text(purpose, Some(tries), SERIAL, holder.as_bytes(), counter)).unwrap()
    }

    #[test]
    fn a_signature_shows_card_holder_and_counter() {
        assert_eq!(
            shown(PinPurpose::Unlock(PinRef::Sign), 3, "Doe<<Jane", Some(4)),
            "||Please unlock the card%0A%0A\x1eNumber\x1f: FFFE 12345678%0AHolder\x1f: Jane Doe%0ACounter\x1f: 4"
        );
    }

    #[test]
    fn tries_are_shown_when_some_are_lost() {
        assert_eq!(
            shown(PinPurpose::Unlock(PinRef::Admin), 2, "", None),
            "|A|Please enter the Admin PIN%0A%0A\x1eNumber\x1f: FFFE 12345678%0AHolder\x1f: \
             %0A%0ARemaining attempts: 2"
        );
    }

    #[test]
    fn a_change_asks_for_the_old_pin_and_the_new_one() {
        assert_eq!(shown(PinPurpose::Old(PinRef::User), 1, "Doe<<Jane", None), "||Please enter the PIN");
        assert_eq!(shown(PinPurpose::New(PinRef::User), 3, "", None), "|N|New PIN");
        assert_eq!(shown(PinPurpose::New(PinRef::Admin), 3, "", None), "|AN|New Admin PIN");
        assert_eq!(shown(PinPurpose::New(PinRef::ResetCode), 3, "", None), "|RN|New Reset Code");
    }

    #[test]
    fn names_are_turned_round_only_where_both_parts_are_there() {
        for (stored, shown) in [
            ("Doe<<Jane<Maria", "Jane Maria Doe"),
            ("Doe<<", "Doe  "),
            ("Doe", "Doe"),
            ("van<Dyke<<Ann", "Ann van Dyke"),
        ] {
            assert_eq!(display_name(stored.as_bytes()), shown.as_bytes(), "{stored}");
        }
    }

    #[test]
    fn a_holder_s_name_cannot_break_the_line() {
        let text = shown(PinPurpose::Unlock(PinRef::User), 3, "A\nERR 1 %", None);
        assert!(text.ends_with("A%0AERR 1 %25"), "{text}");
    }
}
