//! The texts of NEEDPIN for PKCS#11 tokens. Their form is that of OpenPGP cards' ([`super::prompt`]); PKCS#11 counts no tries,
//! but says when few are left and when the next one is the last.

use claviger_cards::pkcs11::{Facts, Key, KeyNumber};
use claviger_cards::token::{NeedsPin, PinPurpose, PinRef};

use super::prompt::escaped;
use crate::hex;

/// The most of a key's label that is shown, in characters: the line has to hold it.
const MAX_LABEL: usize = 64;

/// The most of a `CKA_ID` that is shown, in octets.
const MAX_ID: usize = 20;

/// The text of a question; `key` is the one that the PIN is for, where it is for one use of a key.
pub(super) fn text(need: &NeedsPin, facts: &Facts, key: Option<KeyNumber>) -> Vec<u8> {
    let key = key.and_then(|number| facts.key(number));
    written(need.purpose, need.tries_left, need.on_pinpad, facts, key)
}

fn written(
    purpose: PinPurpose,
    tries_left: Option<u8>,
    on_pinpad: bool,
    facts: &Facts,
    key: Option<&Key>,
) -> Vec<u8> {
    let mut text = first_line(purpose, on_pinpad).as_bytes().to_vec();
    let (PinPurpose::Unlock(pin) | PinPurpose::Old(pin)) = purpose else { return text };
    text.extend_from_slice(b"%0A%0A\x1eToken\x1f: ");
    text.extend_from_slice(&escaped(facts.id.label.as_bytes()));
    text.extend_from_slice(b"%0ANumber\x1f: ");
    let serial = if facts.id.serial.is_empty() { &facts.serial } else { &facts.id.serial };
    text.extend_from_slice(&escaped(serial.as_bytes()));
    if let Some(key) = key.filter(|_| pin == PinRef::Sign) {
        text.extend_from_slice(b"%0AKey\x1f: ");
        text.extend_from_slice(&escaped(name(key).as_bytes()));
    }
    text.extend_from_slice(tries(pin, tries_left, facts));
    text
}

fn first_line(purpose: PinPurpose, on_pinpad: bool) -> &'static str {
    match purpose {
        PinPurpose::Old(PinRef::Admin) if on_pinpad => {
            "||Please enter the SO PIN and New SO PIN of the token"
        }
        PinPurpose::Old(_) if on_pinpad => "||Please enter the PIN and New PIN of the token",
        PinPurpose::Unlock(PinRef::Admin) | PinPurpose::Old(PinRef::Admin) => {
            "|A|Please enter the SO PIN of the token"
        }
        PinPurpose::Unlock(PinRef::Sign) => "||Please enter the PIN for this one use of the key",
        PinPurpose::Unlock(_) => "||Please unlock the token",
        PinPurpose::Old(_) => "||Please enter the PIN of the token",
        PinPurpose::New(PinRef::Admin) => "|AN|New SO PIN",
        PinPurpose::New(_) => "|N|New PIN",
    }
}

/// What is said of the tries that are left.
fn tries(pin: PinRef, left: Option<u8>, facts: &Facts) -> &'static [u8] {
    match left {
        Some(0) => b"%0A%0ARemaining attempts: 0",
        Some(1) => b"%0A%0ARemaining attempts: 1",
        _ if facts.flags.few_tries(pin) => b"%0A%0AIt was entered wrongly before; few attempts remain",
        _ => b"",
    }
}

/// What a key is called before a person: by its label, or else by its id.
fn name(key: &Key) -> String {
    if key.label.is_empty() {
        return hex::write(key.id.get(..MAX_ID).unwrap_or(&key.id));
    }
    key.label.chars().take(MAX_LABEL).collect()
}

#[cfg(test)]
mod tests {
    use claviger_cards::pkcs11::wire::TokenFlags;

    use super::super::sample_token::{SIGN, Sample, token};
    use super::*;

    fn shown(purpose: PinPurpose, tries: Option<u8>, sample: &Sample) -> String {
        String::from_utf8(written(purpose, tries, false, &sample.0, sample.0.keys.first())).unwrap()
    }

    #[test]
    fn a_login_shows_label_and_serial_number() {
        let sample = token().with_key(&[1], "leaf", SIGN).labelled("mail");
        assert_eq!(
            shown(PinPurpose::Unlock(PinRef::User), None, &sample),
            "||Please unlock the token%0A%0A\x1eToken\x1f: tls%0ANumber\x1f: 4dd5289f1942f77a"
        );
        assert!(
            shown(PinPurpose::Old(PinRef::Admin), None, &sample).starts_with("|A|Please enter the SO PIN")
        );
        assert_eq!(shown(PinPurpose::New(PinRef::User), None, &sample), "|N|New PIN");
        assert_eq!(shown(PinPurpose::New(PinRef::Admin), None, &sample), "|AN|New SO PIN");
    }

    #[test]
    fn a_pin_for_one_use_names_the_key() {
        let sample = token().with_key(&[0xAB, 1], "leaf", SIGN);
        let unlock = PinPurpose::Unlock(PinRef::Sign);
        assert!(shown(unlock, None, &sample).ends_with("%0AKey\x1f: AB01"));
        let long = "k".repeat(MAX_LABEL + 1);
        assert!(shown(unlock, None, &sample.labelled(&long)).ends_with(&long[1..]));
    }

    #[test]
    fn few_tries_and_the_last_one_are_told() {
        let mut sample = token();
        let unlock = PinPurpose::Unlock(PinRef::User);
        sample.0.flags = TokenFlags(0x0001_0000);
        assert!(shown(unlock, None, &sample).ends_with("entered wrongly before; few attempts remain"));
        assert!(shown(unlock, Some(1), &sample).ends_with("%0A%0ARemaining attempts: 1"));
        assert!(!shown(PinPurpose::Unlock(PinRef::Admin), None, &sample).contains("attempts"));
    }

    #[test]
    fn a_label_cannot_break_the_line() {
        let mut sample = token();
        sample.0.id.label = "a\nERR 1 %0A".to_owned();
        let text = shown(PinPurpose::Unlock(PinRef::User), None, &sample);
        assert!(text.contains("Token\x1f: a%0AERR 1 %250A%0A"), "{text}");
    }

    #[test]
    fn where_the_token_takes_them_itself_both_pins_are_spoken_of() {
        let text = written(PinPurpose::Old(PinRef::User), None, true, &token().0, None);
        assert!(text.starts_with(b"||Please enter the PIN and New PIN of the token%0A%0A"));
    }
}
