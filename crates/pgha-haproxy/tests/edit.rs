//! The entry of the fuzz target over its stored corpus and seeded mutations of it: what a stable compiler can run.
//!
//! The same bytes come of the same seed; a failure shows the seed and the bytes.
#![expect(
    clippy::unwrap_used,
    reason = "a corpus that cannot be read fails the test"
)]

#[path = "../../../fuzz/src/haproxy_edit.rs"]
mod haproxy_edit;

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

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

/// Steele, Lea and Flood's `SplitMix64`: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }
}

fn mutated(bytes: &[u8], seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(12)).min(bytes.len());
        let token = TOKENS[random.below(TOKENS.len())];
        let from = random.below(bytes.len() + 1);
        let copy = bytes[from..(from + 40).min(bytes.len())].to_vec();
        match random.below(3) {
            0 => drop(bytes.splice(at..end, token.iter().copied())),
            1 => drop(bytes.splice(at..at, copy)),
            _ => drop(bytes.drain(at..end)),
        }
    }
    bytes
}

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
            let bytes = mutated(&bytes, seed);
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
