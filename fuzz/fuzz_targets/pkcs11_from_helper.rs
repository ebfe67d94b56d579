//! `cargo fuzz run pkcs11_from_helper --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| claviger_fuzz::helper::from_helper(data));
