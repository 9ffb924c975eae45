//! In what two documents differ.

use serde_json::Value;

use crate::pointer::Pointer;

/// The deepest pointers at which two values differ.
pub(crate) fn differing(one: &Value, other: &Value) -> Vec<Pointer> {
    let mut found = Vec::new();
    compare(&Pointer::new([""; 0]), one, other, &mut found);
    found
}

fn compare(at: &Pointer, one: &Value, other: &Value, found: &mut Vec<Pointer>) {
    match (one, other) {
        (Value::Object(ones), Value::Object(others)) => {
            for (key, value) in ones {
                match others.get(key) {
                    Some(other) => compare(&at.below(key), value, other, found),
                    None => found.push(at.below(key)),
                }
            }
            let new = others.keys().filter(|key| !ones.contains_key(*key));
            found.extend(new.map(|key| at.below(key)));
        }
        (one, other) if one == other => {}
        _ => found.push(at.clone()),
    }
}
