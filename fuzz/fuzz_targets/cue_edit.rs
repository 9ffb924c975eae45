#![no_main]

#[path = "../src/cue_edit.rs"]
mod cue_edit;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cue_edit::cue_edit(bytes));
