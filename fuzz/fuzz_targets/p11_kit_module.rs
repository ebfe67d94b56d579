//! `cargo fuzz run p11_kit_module --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| claviger_fuzz::providers::p11_kit_module(data));
