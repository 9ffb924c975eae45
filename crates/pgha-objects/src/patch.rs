//! Operations that rest on what was seen: pure.

use json_patch::{PatchOperation, ReplaceOperation, TestOperation};
use jsonptr::PointerBuf;
use serde_json::Value;

/// A place in an object.
pub fn pointer(path: &[&str]) -> PointerBuf {
    PointerBuf::from_tokens(path.iter().copied())
}

/// Rests a patch on what was seen at a place.
pub fn test(path: &[&str], seen: &Value) -> PatchOperation {
    let (path, value) = (pointer(path), seen.clone());
    PatchOperation::Test(TestOperation { path, value })
}

/// Puts a value where another one was seen.
pub fn swap(path: &[&str], seen: &Value, value: Value) -> [PatchOperation; 2] {
    let replace = ReplaceOperation {
        path: pointer(path),
        value,
    };
    [test(path, seen), PatchOperation::Replace(replace)]
}
