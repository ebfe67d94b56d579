//! `cargo fuzz run claviger_toml --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| claviger_fuzz::providers::claviger_toml(data));
