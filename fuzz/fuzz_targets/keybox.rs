//! `cargo fuzz run keybox --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| claviger_fuzz::x509::keybox(data));
