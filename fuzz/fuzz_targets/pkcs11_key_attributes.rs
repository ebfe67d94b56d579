//! `cargo fuzz run pkcs11_key_attributes --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| claviger_fuzz::pkcs11::key_attributes(data));
