//! `cargo fuzz run assuan_line --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| claviger_fuzz::assuan::line(data));
