//! The entry for CUE: an edit changes one literal and no byte around it.
//!
//! It stands by itself because `pgha-core`, whose test runs the other entries, edits nothing.

use pgha_edit::cue::{Path, edited};
use serde_json::{Value, json};

/// A file of CUE.
///
/// # Panics
/// An edit changed something else than its literal, or cannot be taken back.
pub(crate) fn cue_edit(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let paths = [
        "#Platform.primaryCluster.name",
        "#Platform.services.zitadel.on",
        "role.name",
    ];
    for path in paths.map(str::parse) {
        let path = path.unwrap_or_else(|bad| panic!("{bad}"));
        for from in [json!("core1"), json!("core2"), json!(true)] {
            flip(text, &path, &from);
        }
    }
}

fn flip(text: &str, path: &Path, from: &Value) {
    let to = from
        .as_bool()
        .map_or_else(|| json!("elsewhere"), |old| json!(!old));
    let after = match edited(text, path, from, &to) {
        Ok(after) => after,
        Err(error) => {
            let said = format!("{error} {}", error.advice());
            assert!(!said.contains(char::is_control), "{said:?}");
            return;
        }
    };
    let back = edited(&after, path, &to, from);
    if after == text {
        return;
    }
    assert_eq!(back.as_deref(), Ok(text), "there and back: {after}");
    let (old, new) = (from.to_string(), to.to_string());
    let is_one = text
        .match_indices(&old)
        .any(|(at, _)| after == format!("{}{new}{}", &text[..at], &text[at + old.len()..]));
    assert!(is_one, "{after}");
}
