//! The patches of a kustomization.

use serde_json::Value;

use super::{Search, Setter, joined};
use crate::error::EditError;
use crate::object::ObjectId;
use crate::pointer::Pointer;
use crate::yaml::{Target, documents};

/// A patch: where its text is, and which objects it is for.
pub(super) struct Patch<'d> {
    target: Option<&'d Value>,
    source: Source<'d>,
}

enum Source<'d> {
    File(&'d str),
    /// A text in the kustomization, and where.
    Inline(Pointer, &'d str),
}

/// What is not understood of it.
type Odd = &'static str;

const ODD: Odd = "a patch in this form";

impl<'d> Patch<'d> {
    /// All of a kustomization, in its order.
    pub(super) fn all_of(document: &'d Value) -> Vec<Result<Self, Odd>> {
        let list = |key: &'static str| {
            let all = document.get(key).and_then(Value::as_array);
            let all = all.into_iter().flatten().enumerate();
            all.map(move |(index, value)| (Pointer::new([key, &index.to_string()]), value))
        };
        let with_target = list("patches").chain(list("patchesJson6902"));
        let merges = list("patchesStrategicMerge").map(|(at, value)| Self::merge(at, value));
        let all = merges.chain(with_target.map(|(at, value)| Self::of(&at, value)));
        all.collect()
    }

    fn merge(at: Pointer, value: &'d Value) -> Result<Self, Odd> {
        let text = value.as_str().ok_or(ODD)?;
        let source = if text.contains('\n') {
            Source::Inline(at, text)
        } else {
            Source::File(text)
        };
        let target = None;
        Ok(Self { target, source })
    }

    fn of(at: &Pointer, value: &'d Value) -> Result<Self, Odd> {
        let entries = value.as_object().ok_or(ODD)?;
        let known = ["path", "patch", "target"];
        if !entries.keys().all(|key| known.contains(&key.as_str())) {
            return Err("a patch with options");
        }
        let text = |key: &str| entries.get(key).and_then(Value::as_str);
        let source = match (text("path"), text("patch")) {
            (Some(path), None) => Source::File(path),
            (None, Some(patch)) => Source::Inline(at.below("patch"), patch),
            (None, None) | (Some(_), Some(_)) => return Err(ODD),
        };
        let target = entries.get("target");
        Ok(Self { target, source })
    }
}

impl Search<'_> {
    /// Notes where a patch sets the field.
    pub(super) fn patch(
        &mut self,
        folder: &str,
        kustomization: &str,
        patch: &Patch<'_>,
    ) -> Result<(), EditError> {
        let odd = |search: &Self, seen| search.unsupported(kustomization, seen);
        let is_for = match patch.target {
            Some(target) => Some(hits(target, &self.object).map_err(|seen| odd(self, seen))?),
            None => None,
        };
        if is_for == Some(false) {
            return Ok(());
        }
        let (file, within, all) = match &patch.source {
            Source::File(name) => {
                let file = joined(folder, name).ok_or_else(|| odd(self, ODD))?;
                let all = self.documents(&file)?;
                (file, None, all)
            }
            Source::Inline(at, text) => {
                let all = documents(text).map_err(|error| error.in_file(kustomization))?;
                (kustomization.to_owned(), Some(at.clone()), all)
            }
        };
        if let [Value::Array(operations)] = all.as_slice() {
            if is_for.is_none() {
                return Err(odd(self, "a JSON patch without a target"));
            }
            return self.operations(&file, within.as_ref(), operations);
        }
        for document in &all {
            let id = ObjectId::of(document);
            let target = match (is_for, id) {
                (Some(true), _) if all.len() == 1 => Target::Sole,
                (None, Some(id)) if self.object.is(&id) => Target::Object(id),
                (None, Some(_)) => continue,
                (None | Some(_), _) => return Err(odd(self, ODD)),
            };
            if has_directive(document) {
                return Err(self.unsupported(&file, "a patch with `$patch`"));
            }
            let is_set = sets(document, self.at).map_err(|seen| self.unsupported(&file, seen))?;
            let at = self.at.clone();
            self.note(&file, within.clone(), target, at, (is_set, false));
        }
        Ok(())
    }

    fn operations(
        &mut self,
        file: &str,
        within: Option<&Pointer>,
        operations: &[Value],
    ) -> Result<(), EditError> {
        for (index, operation) in operations.iter().enumerate() {
            let text = |key: &str| operation.get(key).and_then(Value::as_str);
            let pointers: Option<Vec<Pointer>> = ["path", "from"]
                .into_iter()
                .filter_map(text)
                .map(|pointer| pointer.parse().ok())
                .collect();
            let odd =
                |search: &Self| search.unsupported(file, "an operation like this on the field");
            let pointers = pointers.ok_or_else(|| odd(self))?;
            let touches = |it: &Pointer| it.covers(self.at) || self.at.covers(it);
            if !pointers.iter().any(touches) {
                continue;
            }
            let is_set = matches!(text("op"), Some("add" | "replace"));
            if !is_set || pointers != [self.at.clone()] {
                return Err(odd(self));
            }
            let at = Pointer::new([&index.to_string(), "value"]);
            self.note(file, within.cloned(), Target::Sole, at, (true, true));
        }
        Ok(())
    }

    fn note(
        &mut self,
        file: &str,
        within: Option<Pointer>,
        target: Target,
        at: Pointer,
        (is_set, is_operation): (bool, bool),
    ) {
        self.found.push(Setter {
            file: file.to_owned(),
            within,
            target,
            at,
            is_set,
            is_operation,
            is_patch: true,
            chain: self.chain.clone(),
        });
    }
}

/// Whether a target is the object. Names in it are patterns, which are not read here beyond a plain name.
fn hits(target: &Value, object: &ObjectId) -> Result<bool, Odd> {
    let entries = target.as_object().ok_or(ODD)?;
    let (group, version) = object
        .api_version
        .split_once('/')
        .unwrap_or(("", &object.api_version));
    let mut is_it = true;
    for (key, value) in entries {
        let value = value.as_str().ok_or(ODD)?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
        if !value.chars().all(is_plain) {
            return Err("a patch whose target is a pattern");
        }
        is_it &= match key.as_str() {
            "group" => value == group,
            "version" => value == version,
            "kind" => value == object.kind,
            "name" => value == object.name,
            "namespace" => object.namespace.as_deref().is_none_or(|name| name == value),
            _ => return Err("a patch for objects by their labels"),
        };
    }
    Ok(is_it)
}

/// Whether a patch sets a field. A list is merged by rules that an index does not follow.
fn sets(patch: &Value, at: &Pointer) -> Result<bool, Odd> {
    let mut here = patch;
    for token in at.tokens() {
        here = match here {
            Value::Object(entries) => match entries.get(token) {
                Some(below) => below,
                None => return Ok(false),
            },
            Value::Array(_) => return Err("a list in a patch"),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                return Err("a patch that takes away what the field is in");
            }
        };
    }
    Ok(true)
}

fn has_directive(value: &Value) -> bool {
    match value {
        Value::Object(entries) => entries
            .iter()
            .any(|(key, value)| key.starts_with('$') || has_directive(value)),
        Value::Array(items) => items.iter().any(has_directive),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
