#![no_main]

#[path = "../src/haproxy_edit.rs"]
mod haproxy_edit;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| haproxy_edit::haproxy_edit(bytes));
