//! The entry of the fuzz target over its stored corpus and seeded mutations of it: what a stable compiler can run.
//!
//! The same bytes come of the same seed; a failure shows the seed and the bytes.
#![expect(
    clippy::unwrap_used,
    reason = "a corpus that cannot be read fails the test"
)]

#[path = "../../../fuzz/src/haproxy_edit.rs"]
mod haproxy_edit;

#[path = "../../../fuzz/src/mutated.rs"]
mod mutated;

#[path = "../../../fuzz/src/random.rs"]
mod random;

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use crate::mutated::mutated;

/// Mutations of each file of the corpus.
const ROUNDS: u64 = 2000;

/// What the reader stumbles over.
const TOKENS: [&[u8]; 16] = [
    b"\"",
    b"'",
    b"\\",
    b"\0",
    b"\n",
    b"\r\n",
    b"#",
    b" { ",
    b" } ",
    b"!",
    b"<%",
    b"%>",
    b"\xff",
    b"login.ois.run",
    b"\n use_backend x if { req.ssl_sni -i login.ois.run }\n",
    b"\nfrontend sni-ingress\n",
];

#[test]
fn an_edit_changes_one_value_whatever_the_file_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/haproxy_edit");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert_eq!(files.len(), 3);
    for file in files {
        let bytes = fs::read(&file).unwrap();
        haproxy_edit::haproxy_edit(&bytes);
        for seed in 0..ROUNDS {
            let bytes = mutated(&bytes, &TOKENS, seed);
            let ended = catch_unwind(|| haproxy_edit::haproxy_edit(&bytes));
            let shown = bytes.escape_ascii();
            assert!(
                ended.is_ok(),
                "{} with seed {seed}: {shown}",
                file.display()
            );
        }
    }
}
