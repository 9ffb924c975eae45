#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pgha_fuzz::patroni_status(bytes));
