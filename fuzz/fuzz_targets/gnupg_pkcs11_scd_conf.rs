//! `cargo fuzz run gnupg_pkcs11_scd_conf --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| claviger_fuzz::providers::gnupg_pkcs11_scd_conf(data));
