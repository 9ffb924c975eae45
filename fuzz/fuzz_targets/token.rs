#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pgha_fuzz::token(bytes));
