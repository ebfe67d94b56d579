//! The values of status lines that speak of a PKCS#11 token, made from what is known of it (PKCS#11 3.1, section 3.2:
//! `CK_TOKEN_INFO`). Names and forms are those that an OpenPGP card's have, see [`super::status`].

use claviger_assuan::escape::{percent_plus, status_fields};
use claviger_cards::pkcs11::wire::TokenFlags;
use claviger_cards::pkcs11::{Facts, KeyKind};
use claviger_cards::token::{PinRef, Slot};
use claviger_keys::PublicKey;
use claviger_keys::pkcs11::numbers::CKM_RSA_PKCS_KEY_PAIR_GEN;
use claviger_keys::x509::Certificate;

use super::status::{ecc_algorithm, slot_number};
use super::token_keys::{ShownKey, TokenKeys};
use crate::certificates::{Kind, kind};

/// What the application on a token is called, where applications are told apart.
pub(super) const APPLICATION: &str = "pkcs11";

/// APPTYPE: gpg 2.2 makes and moves keys only where it is this (`get_info_for_key_operation`), and gpg-card 2.4 lists no keys
/// of a card of a type that it does not know. gpg shows a token as an OpenPGP card anyway, by its serial number.
pub(super) const APPLICATION_TYPE: &str = "openpgp";

/// The maker's number in all serial numbers of tokens, where an OpenPGP card has its manufacturer's.
const MANUFACTURER_NUMBER: u16 = 0x3131;

/// The tries that are shown while a token says nothing of wrong PINs: it tells no number.
const TRIES: u8 = 3;

/// The longest PIN that is shown: clients read a small number.
const MAX_PIN_LENGTH: u64 = 255;

/// KEYPAIRINFO: keygrip, name, usage, time of making (0 if it is not known), algorithm. X stands for the keygrip of a key
/// that GnuPG cannot name.
pub(super) fn key_pair(key: ShownKey<'_>, created: Option<u32>) -> String {
    let grip = key.key.grip().map_or("X".to_owned(), |grip| grip.to_string());
    format!("{grip} {} {} {} {}", key.id, key.usage, created.unwrap_or(0), algorithm(key))
}

fn algorithm(key: ShownKey<'_>) -> String {
    match &key.key.kind {
        KeyKind::Known(public, _) => public.algorithm_name(),
        KeyKind::Other(name) => name.clone(),
    }
}

/// KEYINFO: keygrip, T for token, serial number, name, usage.
pub(super) fn key_info(facts: &Facts, key: ShownKey<'_>) -> Option<String> {
    Some(format!("{} T {} {} {}", key.key.grip()?, facts.serial, key.id, key.usage))
}

/// CERTINFO: type and name; nothing for what cannot be read as a certificate.
pub(super) fn certificate(certificate: &Certificate, id: &str) -> Option<String> {
    match kind(certificate) {
        Kind::Unreadable => None,
        readable => Some(format!("{} {id}", readable.number())),
    }
}

/// KEY-FRIENDLY: keygrip, and the subject of the key's certificate, or else its label.
pub(super) fn friendly_name(keys: &TokenKeys, key: ShownKey<'_>) -> Option<Vec<u8>> {
    let grip = key.key.grip()?.to_string();
    let certificates = keys.certificates_of(key.key);
    let subject = certificates.first().and_then(|first| Some(first.fields().ok()?.subject().to_string()));
    let name = subject.filter(|subject| !subject.is_empty()).unwrap_or_else(|| key.key.label.clone());
    (!name.is_empty()).then(|| status_fields(&[grip.as_bytes(), name.as_bytes()]))
}

/// APPVERSION: the version of the token's firmware.
pub(super) fn version(facts: &Facts) -> String {
    let (major, minor) = facts.firmware;
    format!("{major:X}{minor:02X}")
}

/// MANUFACTURER: number and name. The name is not escaped, so that controls are left out.
pub(super) fn manufacturer(facts: &Facts) -> String {
    let name: String = facts.id.manufacturer.chars().filter(|letter| !letter.is_control()).collect();
    format!("{MANUFACTURER_NUMBER} {name}")
}

/// DISP-NAME: the token's label.
pub(super) fn display_name(facts: &Facts) -> Vec<u8> {
    percent_plus(facts.id.label.as_bytes())
}

/// $DISPSERIALNO: the number that the maker gave it.
pub(super) fn display_serial(facts: &Facts) -> Vec<u8> {
    let serial = &facts.id.serial;
    percent_plus(if serial.is_empty() { &facts.serial } else { serial }.as_bytes())
}

/// EXTCAP: what has a meaning for tokens too. Where a token can be written to, it takes keys, of whatever algorithm (`aac`):
/// otherwise gpg moves only RSA keys of the size that is there to it.
pub(super) fn capabilities(facts: &Facts) -> Vec<u8> {
    let (random, writable) = (facts.flags.has_random(), !facts.flags.is_write_protected());
    let (random, writable) = (u8::from(random), u8::from(writable));
    percent_plus(format!("gc={random} ki={writable} aac={writable} bt=0 kdf=0").as_bytes())
}

/// CHV-STATUS: whether one PIN serves several signatures; longest PIN, none, and SO PIN; tries left of each.
pub(super) fn pin_status(keys: &TokenKeys) -> Vec<u8> {
    let facts = keys.facts();
    let forced = keys.in_place_of(Slot::Sign).is_some_and(|key| key.key.always_authenticate);
    let longest = facts.pin_length.1.min(MAX_PIN_LENGTH);
    let (user, so) = (user_tries(facts), tries(facts.flags, PinRef::Admin));
    format!("+{}+{longest}+0+{longest}+{user}+0+{so}", u8::from(!forced)).into_bytes()
}

/// The tries of the user's PIN that are left, as far as the token tells.
pub(super) fn user_tries(facts: &Facts) -> u8 {
    tries(facts.flags, PinRef::User)
}

/// The tries that a token's flags speak of.
fn tries(flags: TokenFlags, pin: PinRef) -> u8 {
    let lost = u8::from(flags.few_tries(pin));
    flags.tries(pin).unwrap_or(TRIES.saturating_sub(lost))
}

/// KEY-ATTR: slot, OpenPGP algorithm and its parameters, of the key in the place of that slot's; if there is none, of the
/// one that GENKEY would make there.
pub(super) fn key_attributes(keys: &TokenKeys, slot: Slot) -> Option<String> {
    let number = slot_number(slot);
    let Some(key) = keys.in_place_of(slot) else { return new_key_attributes(keys.facts(), number) };
    let key = key.key.public()?;
    Some(match key {
        PublicKey::Rsa(key) => format!("{number} 1 rsa{} {} 0", key.bits(), bits(key.e())),
        PublicKey::Ecc(_) => {
            let curve = key.curve()?;
            format!("{number} {} {}", ecc_algorithm(slot, curve), curve.libgcrypt_name())
        }
    })
}

fn new_key_attributes(facts: &Facts, number: usize) -> Option<String> {
    let makes_keys = !facts.flags.is_write_protected() && facts.has_mechanism(CKM_RSA_PKCS_KEY_PAIR_GEN);
    makes_keys.then(|| format!("{number} 1 rsa2048 17 0"))
}

/// The bits of a number without zeros in front.
fn bits(number: &[u8]) -> usize {
    let first = number.first().map_or(0, |first| first.leading_zeros() as usize);
    (number.len() * 8).saturating_sub(first)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::sample_token::{ALL, DERIVE, SERIAL, SIGN, Sample, grip, token};
    use super::*;
    use crate::providers::OpenPgpKeys;

    fn flagged(flags: u64) -> Facts {
        let mut facts = token().0;
        facts.flags = TokenFlags(flags);
        facts
    }

    fn attributes(certificate: &str) -> [Option<String>; 3] {
        let keys = token().with_key(&[1], certificate, ALL).keys();
        Slot::ALL.map(|slot| key_attributes(&keys, slot))
    }

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn a_key_pair_has_time_and_algorithm_and_x_where_there_is_no_keygrip() {
        let sample = token().with_key(&[1], "leaf", SIGN).with_key_of_kind(
            &[2],
            KeyKind::Other("ml-dsa-65".to_owned()),
            SIGN,
        );
        let keys = sample.keys();
        let lines: Vec<_> = keys.all().map(|key| key_pair(key, Some(7))).collect();
        let name = r"SoftHSM\x20project/SoftHSM\x20v2/4dd5289f1942f77a/tls";
        assert_eq!(
            lines,
            [format!("{} {name}/01 sca 7 nistp256", grip("leaf")), format!("X {name}/02 sc 7 ml-dsa-65"),]
        );
        let infos: Vec<_> = keys.all().filter_map(|key| key_info(keys.facts(), key)).collect();
        assert_eq!(infos, [format!("{} T {SERIAL} {name}/01 sca", grip("leaf"))]);
        assert!(key_pair(keys.all().next().unwrap(), None).ends_with(" sca 0 nistp256"));
    }

    #[test]
    fn key_attributes_are_those_of_the_keys_that_are_there() {
        assert_eq!(
            attributes("rsa2048"),
            [text("1 1 rsa2048 17 0"), text("2 1 rsa2048 17 0"), text("3 1 rsa2048 17 0")]
        );
        assert_eq!(attributes("leaf"), [text("1 19 NIST P-256"), None, text("3 19 NIST P-256")]);
        assert_eq!(attributes("ed25519"), [text("1 22 Ed25519"), None, text("3 22 Ed25519")]);
        assert_eq!(attributes("x25519"), [None, text("2 18 Curve25519"), None]);
        let keys = token().with_key(&[1], "leaf", DERIVE).keys();
        assert_eq!(key_attributes(&keys, Slot::Decrypt), text("2 18 NIST P-256"));
    }

    #[test]
    fn where_no_key_is_the_attributes_are_those_of_one_that_would_be_made() {
        let mut sample = token().with_key(&[1], "leaf", SIGN);
        sample.0.mechanisms = vec![CKM_RSA_PKCS_KEY_PAIR_GEN];
        let protected = Facts { flags: TokenFlags(0x0002), ..sample.0.clone() };
        assert_eq!(key_attributes(&sample.keys(), Slot::Decrypt), text("2 1 rsa2048 17 0"));
        assert_eq!(key_attributes(&Sample(protected).keys(), Slot::Decrypt), None);
    }

    #[test]
    fn tries_are_told_as_far_as_a_token_tells_them() {
        let shown = |flags| {
            String::from_utf8(pin_status(&TokenKeys::new(Arc::new(flagged(flags)), &OpenPgpKeys::default())))
                .unwrap()
        };
        assert_eq!(shown(0), "+1+255+0+255+3+0+3");
        assert_eq!(shown(0x0001_0000), "+1+255+0+255+2+0+3");
        assert_eq!(shown(0x0003_0000), "+1+255+0+255+1+0+3");
        assert_eq!(shown(0x0047_0000), "+1+255+0+255+0+0+0");
        assert_eq!(shown(0x0030_0000), "+1+255+0+255+3+0+1");
    }

    #[test]
    fn a_signature_key_that_wants_its_pin_each_time_has_a_forced_one() {
        let mut sample = token().with_key(&[1], "leaf", SIGN);
        sample.0.keys[0].always_authenticate = true;
        sample.0.pin_length = (6, 8);
        assert_eq!(pin_status(&sample.keys()), b"+0+8+0+8+3+0+3");
    }

    #[test]
    fn names_and_capabilities_are_what_the_token_says_of_itself() {
        let mut facts = token().0;
        assert_eq!(manufacturer(&facts), "12593 SoftHSM project");
        assert_eq!((version(&facts), display_name(&facts)), ("206".to_owned(), b"tls".to_vec()));
        assert_eq!(display_serial(&facts), b"4dd5289f1942f77a");
        facts.id.serial.clear();
        assert_eq!(display_serial(&facts), SERIAL.as_bytes());
        assert_eq!(capabilities(&flagged(0x3)), b"gc=1+ki=0+aac=0+bt=0+kdf=0");
        assert_eq!(capabilities(&flagged(0)), b"gc=0+ki=1+aac=1+bt=0+kdf=0");
    }

    #[test]
    fn a_key_s_friendly_name_is_its_certificate_s_subject_or_its_label() {
        let name = |keys: &TokenKeys| friendly_name(keys, keys.all().next().unwrap());
        let certified = token().with_certified_key(&[1], "leaf", SIGN).labelled("mine").keys();
        assert_eq!(name(&certified), Some(format!("{} CN=Leaf,O=Example", grip("leaf")).into_bytes()));
        let labelled = token().with_key(&[1], "leaf", SIGN).labelled("my key").keys();
        assert_eq!(name(&labelled), Some(format!("{} my+key", grip("leaf")).into_bytes()));
        assert_eq!(name(&token().with_key(&[1], "leaf", SIGN).keys()), None);
    }
}
