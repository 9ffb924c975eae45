#![no_main]

#[path = "../src/yaml_edit.rs"]
mod yaml_edit;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| yaml_edit::yaml_edit(bytes));
