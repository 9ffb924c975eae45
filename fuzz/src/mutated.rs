//! A file of a corpus with a few edits, for the tests of edits. The crate that takes this in has `random` beside it.

use crate::random::Random;

/// The bytes with one to four edits: a token in place of some bytes, a copy of others put in, or some taken out. The same come of the
/// same seed.
pub(crate) fn mutated<T: AsRef<[u8]>>(bytes: &[u8], tokens: &[T], seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(12)).min(bytes.len());
        let token = random.one_of(tokens).as_ref();
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
