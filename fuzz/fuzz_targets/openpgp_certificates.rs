//! `cargo fuzz run openpgp_certificates --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| claviger_fuzz::openpgp::certificates(data));
