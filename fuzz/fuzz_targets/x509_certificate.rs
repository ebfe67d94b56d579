//! `cargo fuzz run x509_certificate --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| claviger_fuzz::x509::certificate(data));
