//! `cargo fuzz run assuan_session --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| claviger_fuzz::assuan::session(data));
