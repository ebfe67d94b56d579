//! `cargo fuzz run packed_certificate --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| claviger_fuzz::pkcs11::packed_certificate(data));
