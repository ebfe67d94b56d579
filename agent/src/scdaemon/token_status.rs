//! The values of status lines that speak of a PKCS#11 token, made from what is known of it (PKCS#11 3.1, section 3.2:
//! `CK_TOKEN_INFO`). Names and forms are those that an OpenPGP card's have, see [`super::status`].

use std::sync::Arc;

use claviger_assuan::escape::{percent_plus, status_fields};
use claviger_cards::pkcs11::wire::TokenFlags;
use claviger_cards::pkcs11::{Certificate as StoredCertificate, Facts, KeyKind};
use claviger_cards::token::Slot;
use claviger_keys::PublicKey;
use claviger_keys::x509::Certificate as X509;

use super::status::{ecc_algorithm, slot_number};
use super::token_keys::{ShownKey, TokenKeys};
use crate::certificates::{Kind, kind};

/// What the application on a token is called.
pub(super) const APPLICATION: &str = "pkcs11";

/// The maker's number in all serial numbers of tokens, where an OpenPGP card has its manufacturer's.
const MANUFACTURER_NUMBER: u16 = 0x3131;

/// The tries that are shown while a token says nothing of wrong PINs: it tells no number.
const TRIES: u8 = 3;

/// The longest PIN that is shown: clients read a small number.
const MAX_PIN_LENGTH: u64 = 255;

const CKF_RNG: u64 = 0x0001;
const CKF_WRITE_PROTECTED: u64 = 0x0002;
const CKF_LOGIN_REQUIRED: u64 = 0x0004;

/// `CKF_USER_PIN_COUNT_LOW`, `_FINAL_TRY`, `_LOCKED`; four bits higher the same of the security officer's.
const CKF_USER_PIN: [u64; 3] = [0x0001_0000, 0x0002_0000, 0x0004_0000];
const SO_BITS_HIGHER: u32 = 4;

/// KEYPAIRINFO: keygrip, name, usage, time of making (`-` if it is not known), algorithm. X stands for the keygrip of a key
/// that GnuPG cannot name.
pub(super) fn key_pair(key: ShownKey<'_>, created: Option<u32>) -> String {
    let grip = key.key.grip().map_or("X".to_owned(), |grip| grip.to_string());
    let created = created.map_or("-".to_owned(), |created| created.to_string());
    format!("{grip} {} {} {created} {}", key.id, key.usage, algorithm(key))
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
pub(super) fn certificate(certificate: &StoredCertificate, id: &str) -> Option<String> {
    match kind(&X509::new(Arc::clone(&certificate.octets))) {
        Kind::Unreadable => None,
        readable => Some(format!("{} {id}", readable.number())),
    }
}

/// KEY-FRIENDLY: keygrip, and the subject of the key's certificate, or else its label.
pub(super) fn friendly_name(facts: &Facts, key: ShownKey<'_>) -> Option<Vec<u8>> {
    let own = |certificate: &&StoredCertificate| key.key.certificates.first() == Some(&certificate.number);
    let certificate = facts.certificates.iter().find(own);
    let certificate = certificate.map(|certificate| X509::new(Arc::clone(&certificate.octets)));
    let subject = certificate.and_then(|certificate| Some(certificate.fields().ok()?.subject().to_string()));
    let name = subject.filter(|subject| !subject.is_empty()).unwrap_or_else(|| key.key.label.clone());
    let grip = key.key.grip().filter(|_| !name.is_empty())?.to_string();
    Some(status_fields(&[grip.as_bytes(), name.as_bytes()]))
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

/// EXTCAP: what has a meaning for tokens too. Keys are imported where it can be written to; no algorithm has to be set before.
pub(super) fn capabilities(facts: &Facts) -> Vec<u8> {
    let has = |flag: u64| u8::from(facts.flags.0 & flag != 0);
    let writable = 1 - has(CKF_WRITE_PROTECTED);
    percent_plus(format!("gc={} ki={writable} aac=0 bt=0 kdf=0", has(CKF_RNG)).as_bytes())
}

/// CHV-STATUS: whether one PIN serves several signatures; longest PIN, none, and SO PIN; tries left of each.
pub(super) fn pin_status(keys: &TokenKeys) -> Vec<u8> {
    let facts = keys.facts();
    let forced = keys.in_place_of(Slot::Sign).is_some_and(|key| key.key.always_authenticate);
    let longest = facts.pin_length.1.min(MAX_PIN_LENGTH);
    let (user, so) = (user_tries(facts), tries(facts.flags, SO_BITS_HIGHER));
    format!("+{}+{longest}+0+{longest}+{user}+0+{so}", u8::from(!forced)).into_bytes()
}

/// The tries of the user's PIN that are left, as far as the token tells.
pub(super) fn user_tries(facts: &Facts) -> u8 {
    tries(facts.flags, 0)
}

/// Whether private keys take a login.
pub(super) fn wants_login(facts: &Facts) -> bool {
    facts.flags.0 & CKF_LOGIN_REQUIRED != 0
}

/// The tries that a token's flags speak of.
fn tries(flags: TokenFlags, bits_higher: u32) -> u8 {
    let [low, last, none] = CKF_USER_PIN.map(|flag| flags.0 & (flag << bits_higher) != 0);
    match (none, last, low) {
        (true, ..) => 0,
        (_, true, _) => 1,
        (_, _, true) => TRIES - 1,
        _ => TRIES,
    }
}

/// KEY-ATTR: slot, OpenPGP algorithm and its parameters, of the key in the place of that slot's.
pub(super) fn key_attributes(keys: &TokenKeys, slot: Slot) -> Option<String> {
    let number = slot_number(slot);
    let key = keys.in_place_of(slot)?.key.public()?;
    Some(match key {
        PublicKey::Rsa(key) => format!("{number} 1 rsa{} {} 0", key.bits(), bits(key.e())),
        PublicKey::Ecc(_) => {
            let curve = key.curve()?;
            format!("{number} {} {}", ecc_algorithm(slot, curve), curve.libgcrypt_name())
        }
    })
}

/// The bits of a number without zeros in front.
fn bits(number: &[u8]) -> usize {
    let first = number.first().map_or(0, |first| first.leading_zeros() as usize);
    (number.len() * 8).saturating_sub(first)
}
