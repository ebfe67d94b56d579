//! Files that say which PKCS#11 modules are used, and how: of p11-kit, of gnupg-pkcs11-scd, of OpenSC, and our own.

use claviger::providers::p11_kit::module_file;
use claviger::providers::{gnupg_pkcs11_scd, reference};
use claviger_cards::pkcs11::opensc::opensc_conf as with_ignored;

/// A file of p11-kit's: what is read is written and read back.
pub fn p11_kit_module(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match module_file::read(text) {
        Ok(fields) => {
            let text: String = fields.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
            assert_eq!(module_file::read(&text), Ok(fields));
        }
        Err(error) => assert!(error.line <= text.split('\n').count()),
    }
}

/// gnupg-pkcs11-scd's file, which names no more providers than it can.
pub fn gnupg_pkcs11_scd_conf(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    assert!(gnupg_pkcs11_scd::provider_names(text).len() <= 20);
}

/// A `claviger.toml`: what is wrong is told in a line each.
pub fn claviger_toml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for complaint in reference::complaints(text) {
        let is_line = complaint.starts_with("claviger.toml:") && !complaint.contains(char::is_control);
        assert!(is_line, "{complaint:?}");
    }
}

/// OpenSC's file: something goes in, once, and nothing goes out.
pub fn opensc_conf(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let made = with_ignored(text, &["A reader 00 00".to_owned()]);
    let more = made.len() - text.len();
    let same_around = |at: usize| made.get(..at) == text.get(..at) && made.get(at + more..) == text.get(at..);
    assert!((0..=text.len()).any(same_around), "{made}");
    assert_eq!(with_ignored(text, &[]), text);
}
