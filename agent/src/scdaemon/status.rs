//! The values of status lines, made from what is known of a card (reference: GnuPG's scd, `app-openpgp.c`; OpenPGP card
//! 3.4, section 4.4.3).

use claviger_assuan::escape::percent_plus;
use claviger_cards::facts::{Facts, PinStatus};
use claviger_cards::token::Slot;
use claviger_keys::Curve;

use crate::certificates::slot_name;
use crate::hex;

/// A slot's number, counted from 1.
pub(super) fn slot_number(slot: Slot) -> usize {
    slot.index().saturating_add(1)
}

/// What the key in a slot may be used for: sign, certify, encrypt, authenticate.
pub(super) fn usage(slot: Slot) -> &'static str {
    match slot {
        Slot::Sign => "sc",
        Slot::Decrypt => "e",
        Slot::Authenticate => "sa",
    }
}

/// EXTCAP: extended capabilities (DO C0).
pub(super) fn extended_capabilities(facts: &Facts) -> Vec<u8> {
    let c = &facts.capabilities;
    let secure_messaging =
        if c.secure_messaging() { openpgp_cipher(c.secure_messaging_algorithm()) } else { 0 };
    let text = format!(
        "gc={} ki={} fc={} pd={} mcl3={} aac={} sm={secure_messaging} si={} dec={} bt={} kdf={}",
        u8::from(c.get_challenge()),
        u8::from(c.key_import()),
        u8::from(c.pin_status_changeable()),
        u8::from(c.private_objects()),
        c.max_certificate(),
        u8::from(c.algorithms_changeable()),
        status_indicator(facts),
        u8::from(c.aes()),
        u8::from(facts.has_button),
        u8::from(c.kdf()),
    );
    percent_plus(text.as_bytes())
}

/// OpenPGP's number of the cipher that a card names for secure messaging (4.4.3.7).
fn openpgp_cipher(card_number: u8) -> u8 {
    match card_number {
        0 => 2,
        1 => 7,
        _ => 9,
    }
}

/// The life cycle status in the historical bytes (6.1): the third octet from the end; 0 if they have none.
fn status_indicator(facts: &Facts) -> u8 {
    let at = facts.historical.len().checked_sub(3);
    at.and_then(|at| facts.historical.get(at)).copied().unwrap_or(0)
}

/// CHV-STATUS: a `+` before each number, for an escaped blank.
pub(super) fn pin_status(status: &PinStatus) -> Vec<u8> {
    status.0.iter().map(|octet| format!("+{octet}")).collect::<String>().into_bytes()
}

/// MANUFACTURER: number and name.
pub(super) fn manufacturer(facts: &Facts) -> String {
    format!("{} {}", facts.manufacturer(), manufacturer_name(facts.manufacturer()))
}

/// The name of a manufacturer, as GnuPG 2.4 knows them.
pub(super) fn manufacturer_name(number: u16) -> &'static str {
    match number {
        0x0001 => "PPC Card Systems",
        0x0002 => "Prism",
        0x0003 => "OpenFortress",
        0x0004 => "Wewid",
        0x0005 => "ZeitControl",
        0x0006 => "Yubico",
        0x0007 => "OpenKMS",
        0x0008 => "LogoEmail",
        0x0009 => "Fidesmo",
        0x000A => "VivoKey",
        0x000B => "Feitian Technologies",
        0x000D => "Dangerous Things",
        0x000E => "Excelsecu",
        0x000F => "Nitrokey",
        0x0010 => "NeoPGP",
        0x0011 => "Token2",
        0x002A => "Magrathea",
        0x0042 => "GnuPG e.V.",
        0x1337 => "Warsaw Hackerspace",
        0x2342 => "warpzone",
        0x4354 => "Confidential Technologies",
        0x5343 => "SSE Carte \u{e0} puce",
        0x5443 => "TIF-IT e.V.",
        0x63AF => "Trustica",
        0xBA53 => "c-base e.V.",
        0xBD0E => "Paranoidlabs",
        0xCA05 => "Atos CardOS",
        0xF1D0 => "CanoKeys",
        0xF517 => "FSIJ",
        0xF5EC => "F-Secure",
        0x0000 | 0xFFFF => "test card",
        0xFF00..=0xFFFE => "unmanaged S/N range",
        _ => "unknown",
    }
}

/// The card type of a card that is of none of the sorts that clients care about.
pub(super) const GENERIC: &str = "generic";

/// CARDTYPE: what sort of device it is, guessed from manufacturer and reader as far as clients care.
pub(super) fn card_type(facts: &Facts) -> &'static str {
    match facts.manufacturer() {
        0x0006 => "yubikey",
        0xF517 => "gnuk",
        0x0005 => "zeitcontrol",
        _ => GENERIC,
    }
}

/// KEY-ATTR: slot, OpenPGP algorithm and its parameters, from the algorithm attributes (4.4.3.9).
pub(super) fn key_attributes(facts: &Facts, slot: Slot) -> String {
    let number = slot_number(slot);
    match facts.algorithms[slot.index()].as_slice() {
        [1, n_high, n_low, e_high, e_low, rest @ ..] => {
            let n_bits = u16::from_be_bytes([*n_high, *n_low]);
            let e_bits = u16::from_be_bytes([*e_high, *e_low]);
            let format = rest.first().map_or(1, |format| u16::from(*format).saturating_add(1));
            format!("{number} 1 rsa{n_bits} {e_bits} {}", if format > 4 { 0 } else { format })
        }
        [18 | 19 | 22, oid @ ..] => match attribute_curve(oid) {
            Some(curve) => format!("{number} {} {}", ecc_algorithm(slot, curve), curve.libgcrypt_name()),
            None => format!("{number} 0 0 UNKNOWN"),
        },
        _ => format!("{number} 0 0 UNKNOWN"),
    }
}

/// The curve of ECC attributes: an OID, behind which the import format (00 or FF) may stand.
pub(super) fn attribute_curve(oid: &[u8]) -> Option<Curve> {
    Curve::from_oid(oid).or_else(|| match oid {
        [oid @ .., 0x00 | 0xFF] => Curve::from_oid(oid),
        _ => None,
    })
}

/// OpenPGP's number of the algorithm that a curve has in a slot.
pub(super) fn ecc_algorithm(slot: Slot, curve: Curve) -> u8 {
    use claviger_keys::CurveKind;
    match (slot, curve.kind()) {
        (Slot::Decrypt, _) | (_, CurveKind::Montgomery) => 18,
        (_, CurveKind::Edwards) => 22,
        (_, CurveKind::Weierstrass) => 19,
    }
}

/// KEYPAIRINFO of a slot whose key was read: keygrip, reference, usage, creation time, algorithm.
pub(super) fn key_pair(facts: &Facts, slot: Slot) -> Option<String> {
    let key = facts.public_key(slot)?;
    let created = facts.created[slot.index()];
    let (reference, usage) = (slot_name(slot), usage(slot));
    Some(format!("{} {reference} {usage} {created} {}", key.keygrip(), key.algorithm_name()))
}

/// KEYINFO of a slot whose key was read: keygrip, T for token, serial number, reference, usage.
pub(super) fn key_info(facts: &Facts, slot: Slot) -> Option<String> {
    let grip = facts.public_key(slot)?.keygrip();
    Some(format!("{grip} T {} {} {}", facts.serial(), slot_name(slot), usage(slot)))
}

/// KEY-FPR and CA-FPR: slot and digits, where there is a fingerprint.
pub(super) fn fingerprint(slot: Slot, fingerprint: &[u8; 20]) -> Option<String> {
    (fingerprint != &[0; 20]).then(|| format!("{} {}", slot_number(slot), hex::write(fingerprint)))
}

/// KEY-TIME: slot and seconds, where there is a time.
pub(super) fn creation_time(slot: Slot, created: u32) -> Option<String> {
    (created != 0).then(|| format!("{} {created}", slot_number(slot)))
}

/// $DISPSERIALNO: manufacturer and number; YubiKeys have the printed decimal number in theirs.
pub(super) fn display_serial(facts: &Facts) -> Vec<u8> {
    let serial = facts.serial();
    let number = serial.get(20..28).unwrap_or_default();
    if facts.manufacturer() != 0x0006 {
        return percent_plus(super::prompt::display_serial(&serial).as_bytes());
    }
    let printed = number.trim_start_matches('0');
    let grouped = match (number.get(..2), number.get(2..5), number.get(5..)) {
        (Some(a), Some(b), Some(c)) if printed.len() > 7 => format!("{a} {b} {c}"),
        (Some(a), Some(b), Some(c)) if printed.len() > 6 => format!("{} {b} {c}", a.trim_start_matches('0')),
        _ => printed.to_owned(),
    };
    percent_plus(grouped.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card() -> Facts {
        let mut facts = Facts::unknown("Virtual PCD 00 00".to_owned(), vec![]);
        facts.aid = [0xD2, 0x76, 0, 1, 0x24, 1, 3, 4, 0xFF, 0xFE, 0x12, 0x34, 0x56, 0x78, 0, 0];
        facts.historical = vec![0, 0x31, 0xF5, 0x73, 0xC0, 0x01, 0x60, 5, 0x90, 0];
        facts.capabilities.0 = vec![0x7D, 0, 0xFF, 0, 0x08, 0, 0, 0xFF, 0, 0];
        facts
    }

    #[test]
    fn capabilities_are_written_as_gnupg_writes_them() {
        assert_eq!(
            String::from_utf8(extended_capabilities(&card())).unwrap(),
            "gc=1+ki=1+fc=1+pd=1+mcl3=2048+aac=1+sm=0+si=5+dec=0+bt=0+kdf=1"
        );
    }

    #[test]
    fn key_attributes_name_algorithm_and_curve() {
        let mut facts = card();
        facts.algorithms = [
            vec![1, 8, 0, 0, 32, 0],
            [&[18][..], Curve::Curve25519.oid()].concat(),
            [&[19][..], Curve::NistP256.oid(), &[0xFF]].concat(),
        ];
        assert_eq!(key_attributes(&facts, Slot::Sign), "1 1 rsa2048 32 1");
        assert_eq!(key_attributes(&facts, Slot::Decrypt), "2 18 Curve25519");
        assert_eq!(key_attributes(&facts, Slot::Authenticate), "3 19 NIST P-256");
        facts.algorithms[0] = vec![99];
        assert_eq!(key_attributes(&facts, Slot::Sign), "1 0 0 UNKNOWN");
    }

    #[test]
    fn a_pin_status_begins_with_an_escaped_blank() {
        assert_eq!(pin_status(&PinStatus([1, 64, 64, 64, 3, 0, 3])), b"+1+64+64+64+3+0+3");
    }

    #[test]
    fn serial_numbers_are_shown_as_printed_on_the_device() {
        let mut facts = card();
        assert_eq!(display_serial(&facts), b"FFFE+12345678");
        facts.aid[8..10].copy_from_slice(&[0, 6]);
        assert_eq!(display_serial(&facts), b"12+345+678");
        facts.aid[10..14].copy_from_slice(&[0, 0x12, 0x34, 0x56]);
        assert_eq!(display_serial(&facts), b"123456");
    }

    #[test]
    fn what_is_all_zero_gives_no_line() {
        assert_eq!(fingerprint(Slot::Sign, &[0; 20]), None);
        assert_eq!(creation_time(Slot::Sign, 0), None);
        assert_eq!(creation_time(Slot::Decrypt, 7).as_deref(), Some("2 7"));
    }
}
