//! In what two streams of objects differ, and whether that is what was meant.
//!
//! Objects are compared and not lines: a render may change the order of keys and of documents with a change of one value
//! (CUE does).

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::{EditError, Problem, shown};
use crate::object::ObjectId;
use crate::pointer::Pointer;

/// One value of one object that is not as it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The object.
    pub object: ObjectId,
    /// Where in it; the whole object where it is new or gone. Lists are compared whole where their lengths differ.
    pub at: Pointer,
    /// What was there; none where nothing was.
    pub old: Option<Value>,
    /// What is there now; none where nothing is.
    pub new: Option<Value>,
}

/// What of an object may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The object. Without a namespace it is meant in any.
    pub object: ObjectId,
    /// The pointers that may change, with all that is below them. A `*` in one is any one key or index.
    pub at: Vec<Pointer>,
}

impl Expected {
    fn covers(&self, difference: &Difference) -> bool {
        let is_one = |pattern: &Pointer| {
            let (pattern, tokens) = (pattern.tokens(), difference.at.tokens());
            let pairs = || pattern.iter().zip(tokens);
            pattern.len() <= tokens.len() && pairs().all(|(one, token)| one == "*" || one == token)
        };
        self.object.is(&difference.object) && self.at.iter().any(is_one)
    }
}

/// The differences that nobody expected; the render gate is open where there are none.
pub fn unexpected<'d>(differences: &'d [Difference], expected: &[Expected]) -> Vec<&'d Difference> {
    let is_covered = |it: &Difference| expected.iter().any(|expected| expected.covers(it));
    differences.iter().filter(|it| !is_covered(it)).collect()
}

/// In what the objects of two streams of documents differ, whatever their order. Items of a `List` count as objects.
///
/// # Errors
/// A document is no object with a name, or an object is there twice: which of them counts is for others to say.
pub fn objects(before: &[Value], after: &[Value]) -> Result<Vec<Difference>, EditError> {
    let (before, after) = (by_id(before)?, by_id(after)?);
    let mut found = Vec::new();
    for (id, old) in &before {
        compare_objects(id, Some(old), after.get(id).copied(), &mut found);
    }
    for (id, new) in after.iter().filter(|(id, _)| !before.contains_key(id)) {
        compare_objects(id, None, Some(new), &mut found);
    }
    Ok(found)
}

fn compare_objects(
    id: &ObjectId,
    old: Option<&Value>,
    new: Option<&Value>,
    found: &mut Vec<Difference>,
) {
    let root = Pointer::new([""; 0]);
    let mut all = Vec::new();
    match (old, new) {
        (Some(old), Some(new)) => compare(&root, Some(old), Some(new), &mut all),
        (old, new) => all.push((root, old, new)),
    }
    found.extend(all.into_iter().map(|(at, old, new)| Difference {
        object: id.clone(),
        at,
        old: old.cloned(),
        new: new.cloned(),
    }));
}

fn by_id(documents: &[Value]) -> Result<BTreeMap<ObjectId, &Value>, EditError> {
    let failed = |problem| EditError::new("compare objects", problem);
    let mut all = BTreeMap::new();
    for document in documents {
        let items = match document.get("items") {
            Some(Value::Array(items)) if is_list(document) => items.iter().collect(),
            _ => vec![document],
        };
        for item in items {
            let wanted = "object with apiVersion, kind and name in a document".to_owned();
            let id = ObjectId::of(item).ok_or_else(|| failed(Problem::Nothing { wanted }))?;
            if all.contains_key(&id) {
                let (wanted, count) = (shown(&id.to_string()), 2);
                return Err(failed(Problem::Several { wanted, count }));
            }
            all.insert(id, item);
        }
    }
    Ok(all)
}

fn is_list(document: &Value) -> bool {
    let kind = document.get("kind").and_then(Value::as_str);
    kind.is_some_and(|kind| kind.ends_with("List"))
}

/// The deepest pointers at which two values differ.
pub(crate) fn differing(one: &Value, other: &Value) -> Vec<Pointer> {
    let mut found = Vec::new();
    let root = Pointer::new([""; 0]);
    compare(&root, Some(one), Some(other), &mut found);
    found.into_iter().map(|(at, ..)| at).collect()
}

type Found<'v> = Vec<(Pointer, Option<&'v Value>, Option<&'v Value>)>;

fn compare<'v>(
    at: &Pointer,
    old: Option<&'v Value>,
    new: Option<&'v Value>,
    found: &mut Found<'v>,
) {
    match (old, new) {
        (old, new) if old == new => {}
        (Some(Value::Array(olds)), Some(Value::Array(news))) if olds.len() == news.len() => {
            for (index, (old, new)) in olds.iter().zip(news).enumerate() {
                compare(&at.below(&index.to_string()), Some(old), Some(new), found);
            }
        }
        // A mapping that is new or gone is told key by key, so that what may change in it decides.
        (Some(Value::Object(olds)), Some(Value::Object(news))) => {
            for (key, value) in olds {
                compare(&at.below(key), Some(value), news.get(key), found);
            }
            for (key, value) in news.iter().filter(|(key, _)| !olds.contains_key(*key)) {
                compare(&at.below(key), None, Some(value), found);
            }
        }
        (Some(Value::Object(olds)), None) if !olds.is_empty() => {
            for (key, value) in olds {
                compare(&at.below(key), Some(value), None, found);
            }
        }
        (None, Some(Value::Object(news))) if !news.is_empty() => {
            for (key, value) in news {
                compare(&at.below(key), None, Some(value), found);
            }
        }
        (old, new) => found.push((at.clone(), old, new)),
    }
}
