//! `cargo fuzz run rsa_padding --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| claviger_fuzz::pkcs11::rsa_padding(data));
