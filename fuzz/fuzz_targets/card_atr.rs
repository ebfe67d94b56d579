//! `cargo fuzz run card_atr --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| claviger_fuzz::cards::card_atr(data));
