//! The entries of the fuzz targets over their stored corpus and seeded mutations of it: what a stable compiler can run.
//!
//! The same bytes come of the same seed; a failure shows the seed and the bytes.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use crate::mutated::mutated;

/// Mutations of each file of a corpus.
const ROUNDS: u64 = 500;

/// What a reader of YAML stumbles over.
const YAML: [&str; 24] = [
    "\"", "'", "\\", "\0", "\n", "\r\n", "\r", "#", " # ", ": ", ":\n", "- ", "? ", "|", ">-",
    "|+\n", "{", "}", "[", "&a ", "*a", "{{", "\u{feff}", "\n---\n",
];

/// What a reader of CUE stumbles over.
const CUE: [&str; 22] = [
    "\"",
    "'",
    "\\",
    "\\(",
    "\"\"\"",
    "#\"",
    "\"#",
    "\n",
    "//",
    "{",
    "}",
    "[",
    "(",
    ")",
    ": ",
    ",",
    "@a(",
    "?",
    "| ",
    "& ",
    "if x {",
    "name: \"core1\"\n",
];

fn survives(name: &str, files: usize, tokens: &[&str], entry: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let entries = fs::read_dir(folder.join(name)).unwrap();
    let mut all: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    all.sort();
    assert_eq!(all.len(), files);
    for file in all {
        let bytes = fs::read(&file).unwrap();
        entry(&bytes);
        for seed in 0..ROUNDS {
            let bytes = mutated(&bytes, tokens, seed);
            let ended = catch_unwind(|| entry(&bytes));
            let shown = bytes.escape_ascii();
            assert!(
                ended.is_ok(),
                "{} with seed {seed}: {shown}",
                file.display()
            );
        }
    }
}

#[test]
fn an_edit_of_yaml_changes_one_value_whatever_the_file_holds() {
    survives("yaml_edit", 5, &YAML, crate::yaml_edit::yaml_edit);
}

#[test]
fn an_edit_of_cue_changes_one_literal_whatever_the_file_holds() {
    survives("cue_edit", 2, &CUE, crate::cue_edit::cue_edit);
}
