//! `cargo fuzz run opensc_conf --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| claviger_fuzz::providers::opensc_conf(data));
