//! `cargo fuzz run sexp --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| claviger_fuzz::keys::sexp(data));
