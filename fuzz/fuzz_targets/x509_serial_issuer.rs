//! `cargo fuzz run x509_serial_issuer --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| claviger_fuzz::x509::serial_issuer(data));
