//! Fuzz targets as functions, so that the same code runs under cargo fuzz and in the replay test.

#![forbid(unsafe_code)]

pub mod assuan;
pub mod cards;
pub mod helper;
pub mod keys;
pub mod openpgp;
pub mod pkcs11;
pub mod providers;
pub mod x509;

/// A target: a function that takes any octets, and panics where a promise is broken.
pub type Target = fn(&[u8]);

/// Every target, under the name of its program in `fuzz_targets/` and its directory in `corpus/`.
pub const TARGETS: &[(&str, Target)] = &[
    ("assuan_line", assuan::line),
    ("assuan_session", assuan::session),
    ("card_atr", cards::card_atr),
    ("card_tlv", cards::card_tlv),
    ("claviger_toml", providers::claviger_toml),
    ("gnupg_pkcs11_scd_conf", providers::gnupg_pkcs11_scd_conf),
    ("keybox", x509::keybox),
    ("openpgp_certificates", openpgp::certificates),
    ("opensc_conf", providers::opensc_conf),
    ("p11_kit_module", providers::p11_kit_module),
    ("packed_certificate", pkcs11::packed_certificate),
    ("pkcs11_from_helper", helper::from_helper),
    ("pkcs11_key_attributes", pkcs11::key_attributes),
    ("pkcs11_key_id", pkcs11::key_id),
    ("pkcs11_uri", pkcs11::uri),
    ("rsa_padding", pkcs11::rsa_padding),
    ("sexp", keys::sexp),
    ("x509_certificate", x509::certificate),
    ("x509_file", x509::file),
    ("x509_serial_issuer", x509::serial_issuer),
];
