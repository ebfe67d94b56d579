//! `cargo fuzz run card_tlv --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| claviger_fuzz::cards::card_tlv(data));
