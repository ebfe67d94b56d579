//! `cargo fuzz run pkcs11_uri --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| claviger_fuzz::pkcs11::uri(data));
