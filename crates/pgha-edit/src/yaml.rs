//! Edits of YAML by path.
//!
//! The parser gives the bytes of each value (`granit-parser` below `serde-saphyr`, which the plugin reads files with); an
//! edit replaces bytes between them. So everything that is not edited stays by construction: comments, order, quotes, line
//! ends. What the text says afterwards is read again and must be what was meant, in every document.

mod change;
mod inline;
mod scalar;
mod tree;
mod walk;

use serde_json::{Map, Value};

use crate::error::{EditError, Place, Problem, shown};
use crate::object::ObjectId;
use crate::pointer::Pointer;
use change::Splice;
pub(crate) use inline::edited_within;
use tree::Node;

/// Which document of a text is edited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The only one there is: values of Helm, a kustomization, a patch.
    Sole,
    /// The only one that is this object.
    Object(ObjectId),
}

/// One edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// A value is there and says this. Keys on the way that are missing are put in, behind the last key of their mapping. A
    /// scalar replaces one of its own kind; a list or a mapping is put in where there is none, and replaces nothing.
    Set {
        /// Where.
        at: Pointer,
        /// The value.
        to: Value,
    },
    /// A key is not there, with its whole value and the comments in it.
    Remove {
        /// Which.
        at: Pointer,
    },
}

impl Edit {
    /// Where it edits.
    pub const fn at(&self) -> &Pointer {
        match self {
            Self::Set { at, .. } | Self::Remove { at } => at,
        }
    }

    fn tried(&self) -> String {
        match self {
            Self::Set { at, .. } => format!("set {at}"),
            Self::Remove { at } => format!("remove {at}"),
        }
    }
}

/// The text after edits, one after the other. An edit whose result is there already changes nothing.
///
/// # Errors
/// The text or the place is not one that can be edited without doubt; or the result would say anything else than the text
/// before and the edits. There is no text then.
pub fn edited(text: &str, target: &Target, edits: &[Edit]) -> Result<String, EditError> {
    let mut text = text.to_owned();
    for edit in edits {
        text = one(&text, target, edit)?;
    }
    Ok(text)
}

/// What the documents of a text say; documents without a value are left out.
///
/// # Errors
/// The text is no YAML, has a key twice, or is a template.
pub fn documents(text: &str) -> Result<Vec<Value>, EditError> {
    read("read the text", text).map(|(_, values)| values)
}

fn one(text: &str, target: &Target, edit: &Edit) -> Result<String, EditError> {
    let tried = edit.tried();
    let (roots, mut values) = read(&tried, text)?;
    let root =
        chosen(target, &roots, id_of_root).map_err(|problem| EditError::new(&tried, problem))?;
    let index = chosen_index(target, &values, ObjectId::of)
        .map_err(|problem| EditError::new(&tried, problem))?;
    let value = &mut values[index];
    let failed = |(offset, problem)| EditError::new(&tried, problem).at(text, offset);
    let Some(splice) = Splice::of(text, root, value, edit).map_err(failed)? else {
        return Ok(text.to_owned());
    };
    apply(value, edit);
    let after = splice.applied(text);
    verify(&tried, &after, &values)?;
    Ok(after)
}

/// What the text says now must be what was meant.
fn verify(tried: &str, after: &str, meant: &[Value]) -> Result<(), EditError> {
    let unequal = |at| EditError::new(tried, Problem::Unequal { at });
    let (_, said) = read(tried, after).map_err(|_| unequal(vec![Pointer::new([""; 0])]))?;
    if said == meant {
        return Ok(());
    }
    let pairs = said.iter().zip(meant);
    Err(unequal(
        pairs
            .flat_map(|(said, meant)| crate::diff::differing(said, meant))
            .collect(),
    ))
}

/// The same edit on what the text says.
fn apply(document: &mut Value, edit: &Edit) {
    let Some((last, way)) = edit.at().tokens().split_last() else {
        return;
    };
    let mut here = document;
    for token in way {
        let Some(next) = step(here, token) else {
            return;
        };
        here = next;
    }
    match (edit, here) {
        (Edit::Set { to, .. }, here) => {
            if let Some(place) = step(here, last) {
                *place = to.clone();
            }
        }
        (Edit::Remove { .. }, Value::Object(entries)) => drop(entries.remove(last)),
        (Edit::Remove { .. }, _) => {}
    }
}

/// What is below a key, which is made where it is missing.
fn step<'v>(value: &'v mut Value, token: &str) -> Option<&'v mut Value> {
    if let Value::Array(items) = value {
        return items.get_mut(token.parse::<usize>().ok()?);
    }
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    Some(value.as_object_mut()?.entry(token).or_insert(Value::Null))
}

fn read(tried: &str, text: &str) -> Result<(Vec<Node>, Vec<Value>), EditError> {
    let roots = tree::read(text).map_err(|(offset, said)| {
        let template = text.find("{{");
        let (offset, problem) = match template {
            Some(at) => (at, Problem::Template),
            None => (offset, Problem::Unreadable { said: shown(&said) }),
        };
        EditError::new(tried, problem).at(text, offset)
    })?;
    if let Some(offset) = lone_return(text) {
        let seen = "a line that ends with a carriage return alone";
        return Err(EditError::new(tried, Problem::Unsupported { seen }).at(text, offset));
    }
    if let Some(offset) = template(text, &roots) {
        return Err(EditError::new(tried, Problem::Template).at(text, offset));
    }
    if let Some((offset, key)) = roots.iter().find_map(tree::twice) {
        return Err(EditError::new(tried, Problem::Duplicate { key }).at(text, offset));
    }
    let values = serde_saphyr::from_multiple(text).map_err(|error| {
        let said = shown(&error.without_snippet().to_string());
        let mut refused = EditError::new(tried, Problem::Unreadable { said });
        refused.place = error.location().and_then(|at| {
            let (line, column) = (at.line().try_into().ok()?, at.column().try_into().ok()?);
            Some(Place { line, column })
        });
        refused
    })?;
    Ok((roots, values))
}

fn lone_return(text: &str) -> Option<usize> {
    let mut all = text.match_indices('\r').map(|(at, _)| at);
    all.find(|at| !text[*at..].starts_with("\r\n"))
}

/// The first `{{` that is not within quotes or a block of text: Helm acts on it in comments too.
fn template(text: &str, roots: &[Node]) -> Option<usize> {
    let mut texts = Vec::new();
    for root in roots {
        root.visit(&mut |node| {
            if node.is_quoted() {
                texts.push(node.range.clone());
            }
        });
    }
    let mut all = text.match_indices("{{").map(|(at, _)| at);
    all.find(|at| !texts.iter().any(|range| range.contains(at)))
}

fn id_of_root(root: &Node) -> Option<ObjectId> {
    let text = |way: &[&str]| {
        let found = way.iter().try_fold(root, |node, key| node.value_of(key))?;
        found.text().map(str::to_owned)
    };
    Some(ObjectId {
        api_version: text(&["apiVersion"])?,
        kind: text(&["kind"])?,
        namespace: text(&["metadata", "namespace"]),
        name: text(&["metadata", "name"])?,
    })
}

fn chosen<'t, T>(
    target: &Target,
    all: &'t [T],
    id: impl Fn(&T) -> Option<ObjectId>,
) -> Result<&'t T, Problem> {
    chosen_index(target, all, id).map(|index| &all[index])
}

fn chosen_index<T>(
    target: &Target,
    all: &[T],
    id: impl Fn(&T) -> Option<ObjectId>,
) -> Result<usize, Problem> {
    let is_it = |it: &T| match target {
        Target::Sole => true,
        Target::Object(wanted) => id(it).is_some_and(|id| wanted.is(&id)),
    };
    let found: Vec<usize> = (0..all.len()).filter(|index| is_it(&all[*index])).collect();
    let wanted = match target {
        Target::Sole => "document".to_owned(),
        Target::Object(id) => shown(&id.to_string()),
    };
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(Problem::Nothing { wanted }),
        several => Err(Problem::Several {
            wanted,
            count: several.len(),
        }),
    }
}
