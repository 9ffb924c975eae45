//! The way along a pointer through a document, and what may not lie on it.

use super::tree::{Kind, Mapping, Node, Style};
use crate::error::{Problem, shown};

/// Where a pointer leads.
pub(crate) enum Place<'t, 'p> {
    /// To a value; in the mapping whose entry it is, where it is one's.
    Value {
        node: &'t Node,
        within: Option<(&'t Node, usize)>,
    },
    /// To a mapping in which the first of these keys is missing.
    Missing {
        mapping: &'t Node,
        keys: &'p [String],
    },
}

/// What stands against a way, and the byte where.
pub(crate) type Stopped = (usize, Problem);

/// Goes along the keys and indexes.
pub(crate) fn walk<'t, 'p>(root: &'t Node, tokens: &'p [String]) -> Result<Place<'t, 'p>, Stopped> {
    let (mut node, mut within) = (root, None);
    for (depth, token) in tokens.iter().enumerate() {
        refuse_shared(node)?;
        match &node.kind {
            Kind::Mapping(mapping) => {
                let Some(index) = entry_of(mapping, token)? else {
                    let (mapping, keys) = (node, &tokens[depth..]);
                    return Ok(Place::Missing { mapping, keys });
                };
                (node, within) = (&mapping.entries[index].1, Some((node, index)));
            }
            Kind::List(items) => {
                let item = token.parse().ok().and_then(|at: usize| items.get(at));
                let wanted = || format!("item {} in a list of {}", shown(token), items.len());
                let lacking = || (node.range.start, Problem::Nothing { wanted: wanted() });
                (node, within) = (item.ok_or_else(lacking)?, None);
            }
            Kind::Scalar(..) | Kind::Alias => {
                let problem = Problem::Kind {
                    wanted: "a mapping",
                    found: described(node),
                };
                return Err((node.range.start, problem));
            }
        }
    }
    refuse_shared(node)?;
    Ok(Place::Value { node, within })
}

fn refuse_shared(node: &Node) -> Result<(), Stopped> {
    let problem = match node.kind {
        Kind::Alias => Problem::Shared,
        _ if node.is_anchored => Problem::Shared,
        _ if node.is_tagged => Problem::Unsupported {
            seen: "a value with a tag",
        },
        Kind::Scalar(..) | Kind::List(_) | Kind::Mapping(_) => return Ok(()),
    };
    Err((node.range.start, problem))
}

/// The entry with this key; none stands twice, for the text was read.
fn entry_of(mapping: &Mapping, token: &str) -> Result<Option<usize>, Stopped> {
    let merge = mapping.entries.iter().find(|(key, _)| key.is_text("<<"));
    if let Some((key, _)) = merge {
        return Err((key.range.start, Problem::Shared));
    }
    let found = mapping
        .entries
        .iter()
        .position(|(key, _)| key.is_text(token));
    if let Some(index) = found {
        refuse_shared(&mapping.entries[index].0)?;
    }
    Ok(found)
}

/// What a value is, for a person who expected something else.
pub(crate) fn described(node: &Node) -> String {
    match &node.kind {
        Kind::Scalar(Style::Empty, _) => "empty (null)".to_owned(),
        Kind::Scalar(Style::Plain, text) => format!("`{}`", shown(text)),
        Kind::Scalar(Style::Block, text) => format!("the text `{}`", shown(text.trim_end())),
        Kind::Scalar(_, text) => format!("the text `\"{}\"`", shown(text)),
        Kind::List(_) => "a list".to_owned(),
        Kind::Mapping(_) => "a mapping".to_owned(),
        Kind::Alias => "an alias".to_owned(),
    }
}
