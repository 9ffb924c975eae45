//! Which bytes an edit replaces.

use std::ops::Range;

use serde_json::{Map, Value};

use super::Edit;
use super::scalar::{Look, block, pair, scalar};
use super::tree::{Kind, Mapping, Node, Style};
use super::walk::{Place, Stopped, described, walk};
use crate::error::Problem;

/// Bytes that take the place of others.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Splice {
    range: Range<usize>,
    with: String,
}

impl Splice {
    /// What an edit does to a document; none where its result is there already.
    pub(crate) fn of(
        text: &str,
        root: &Node,
        said: &Value,
        edit: &Edit,
    ) -> Result<Option<Self>, Stopped> {
        let place = walk(root, edit.at().tokens())?;
        match (edit, place) {
            (Edit::Remove { .. }, Place::Missing { .. }) => Ok(None),
            (Edit::Remove { .. }, Place::Value { node, within }) => {
                let whole = || unsupported(node, "a whole document or an item of a list");
                let (mapping, index) = within.ok_or_else(whole)?;
                removed(text, mapping, index).map(Some)
            }
            (Edit::Set { to, .. }, Place::Missing { mapping, keys }) => {
                let is_flow = matches!(root.kind, Kind::Mapping(Mapping { is_flow: true, .. }));
                let look = if is_flow { Look::Json } else { Look::Yaml };
                inserted(text, mapping, keys, to, look).map(Some)
            }
            (Edit::Set { at, to }, Place::Value { node, .. }) => {
                match said.pointer(&at.to_string()) {
                    Some(said) if said == to => Ok(None),
                    said => replaced(node, said.unwrap_or(&Value::Null), to).map(Some),
                }
            }
        }
    }

    pub(crate) fn applied(&self, text: &str) -> String {
        let mut after = text.to_owned();
        after.replace_range(self.range.clone(), &self.with);
        after
    }
}

const fn unsupported(node: &Node, seen: &'static str) -> Stopped {
    (node.range.start, Problem::Unsupported { seen })
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "this list, or absent",
        Value::Object(_) => "this mapping, or absent",
    }
}

fn replaced(node: &Node, said: &Value, to: &Value) -> Result<Splice, Stopped> {
    let of_kind = |value: &Value| std::mem::discriminant(value);
    if of_kind(said) != of_kind(to) || said.is_array() || said.is_object() {
        let problem = Problem::Kind {
            wanted: kind_of(to),
            found: described(node),
        };
        return Err((node.range.start, problem));
    }
    let style = match &node.kind {
        Kind::Scalar(Style::Block, _) => return Err(unsupported(node, "a block of text")),
        Kind::Scalar(_, text) if text.contains("{{") => {
            return Err((node.range.start, Problem::Template));
        }
        Kind::Scalar(style, _) => *style,
        Kind::List(_) | Kind::Mapping(_) | Kind::Alias => Style::Plain,
    };
    let with = scalar(to, style).ok_or((node.range.start, Problem::Unwritable))?;
    let range = node.range.clone();
    Ok(Splice { range, with })
}

fn inserted(
    text: &str,
    mapping: &Node,
    keys: &[String],
    to: &Value,
    look: Look,
) -> Result<Splice, Stopped> {
    let (Kind::Mapping(inner), Some((key, deeper))) = (&mapping.kind, keys.split_first()) else {
        return Err(unsupported(mapping, "what is no mapping"));
    };
    let within = |value: Value, key: &String| Value::Object(Map::from_iter([(key.clone(), value)]));
    let value = deeper.iter().rev().fold(to.clone(), within);
    let unwritable = (mapping.range.start, Problem::Unwritable);
    if inner.is_flow {
        let pair = pair(key, &value, look).ok_or(unwritable)?;
        return inserted_in_flow(text, mapping, inner, pair);
    }
    let column = column_of(text, mapping, inner)?;
    let end = mapping.range.end;
    let line_end = line_end_of(text, end);
    let lines = block(key, &value, column, line_end).ok_or(unwritable)?;
    let at = behind_line(text, end).ok_or_else(|| unsupported(mapping, "a block like this"))?;
    let at = behind_comments(text, at, column);
    let with = if text[..at].ends_with('\n') {
        lines + line_end
    } else if ends_in_block(mapping) {
        // Readers differ in whether such a text ends with a line's end.
        let seen = "a block of text whose last line has no end";
        return Err(unsupported(mapping, seen));
    } else {
        format!("{line_end}{lines}")
    };
    Ok(Splice {
        range: at..at,
        with,
    })
}

fn inserted_in_flow(
    text: &str,
    node: &Node,
    mapping: &Mapping,
    pair: String,
) -> Result<Splice, Stopped> {
    let Some((_, last)) = mapping.entries.last() else {
        let open = node.range.start;
        let is_open = text[open..].starts_with('{');
        let at = is_open.then_some(open + 1);
        let at = at.ok_or_else(|| unsupported(node, "a mapping without braces"))?;
        return Ok(Splice {
            range: at..at,
            with: pair,
        });
    };
    if matches!(last.kind, Kind::Scalar(Style::Empty, _))
        || !text[node.range.clone()].starts_with('{')
    {
        return Err(unsupported(last, "a mapping in braces like this"));
    }
    let at = last.range.end;
    Ok(Splice {
        range: at..at,
        with: format!(", {pair}"),
    })
}

fn ends_in_block(mapping: &Node) -> bool {
    let mut found = false;
    mapping.visit(&mut |node| {
        found |= matches!(node.kind, Kind::Scalar(Style::Block, _))
            && node.range.end == mapping.range.end;
    });
    found
}

/// The column of a block's keys, in characters from 0.
fn column_of(text: &str, node: &Node, mapping: &Mapping) -> Result<usize, Stopped> {
    let odd = || unsupported(node, "a block like this");
    let (key, _) = mapping.entries.first().ok_or_else(odd)?;
    if !is_simple(text, key) || key.range.start != node.range.start {
        return Err(odd());
    }
    Ok(text[line_start(text, key.range.start)..key.range.start]
        .chars()
        .count())
}

/// A key with its colon behind it, and no `?` before.
fn is_simple(text: &str, key: &Node) -> bool {
    let behind = text[key.range.end..].trim_start_matches([' ', '\t']);
    let before = text[..key.range.start].trim_end_matches([' ', '\t']);
    behind.starts_with(':') && !before.ends_with('?')
}

fn removed(text: &str, node: &Node, index: usize) -> Result<Splice, Stopped> {
    let Kind::Mapping(mapping) = &node.kind else {
        return Err(unsupported(node, "what is no mapping"));
    };
    let (key, value) = &mapping.entries[index];
    let mut anchored = None;
    value.visit(&mut |node| {
        if node.is_anchored {
            anchored.get_or_insert(node.range.start);
        }
    });
    if let Some(at) = anchored {
        return Err((at, Problem::Shared));
    }
    if !is_simple(text, key) {
        return Err(unsupported(key, "a key like this"));
    }
    if mapping.is_flow {
        return removed_in_flow(text, mapping, index);
    }
    let start = line_start(text, key.range.start);
    let indent = &text[start..key.range.start];
    if !indent.chars().all(|c| c == ' ') {
        return Err(unsupported(key, "a key that shares its line with another"));
    }
    let end = behind_line(text, value.range.end)
        .ok_or_else(|| unsupported(value, "a value like this"))?;
    let end = behind_comments(text, end, indent.len());
    let with = if mapping.entries.len() == 1 {
        format!("{indent}{{}}{}", line_end_of(text, key.range.start))
    } else {
        String::new()
    };
    Ok(Splice {
        range: start..end,
        with,
    })
}

fn removed_in_flow(text: &str, mapping: &Mapping, index: usize) -> Result<Splice, Stopped> {
    let (key, value) = &mapping.entries[index];
    let next = mapping.entries.get(index + 1);
    let before = index.checked_sub(1).and_then(|at| mapping.entries.get(at));
    let range = match (next, before) {
        (Some((next, _)), _) => key.range.start..next.range.start,
        (None, Some((_, before))) => before.range.end..value.range.end,
        (None, None) => key.range.start..value.range.end,
    };
    let around = [
        range.start..key.range.start,
        key.range.end..value.range.start,
        value.range.end..range.end,
    ];
    let has_comment = |range: Range<usize>| text.get(range).is_none_or(|text| text.contains('#'));
    if around.into_iter().any(has_comment) {
        return Err(unsupported(key, "a comment between values in braces"));
    }
    Ok(Splice {
        range,
        with: String::new(),
    })
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |end| end + 1)
}

/// Where the next line begins behind a value that only a comment may follow; where it begins at once, that is there.
fn behind_line(text: &str, at: usize) -> Option<usize> {
    if text[..at].ends_with('\n') {
        return Some(at);
    }
    let rest = &text[at..];
    let line = rest.split_inclusive('\n').next().unwrap_or_default();
    let tail = line.trim();
    let is_comment = tail.starts_with('#') && line.starts_with([' ', '\t']);
    (tail.is_empty() || is_comment).then_some(at + line.len())
}

/// Comments that stand deeper than a key belong to its value.
fn behind_comments(text: &str, mut at: usize, column: usize) -> usize {
    for line in text[at..].split_inclusive('\n') {
        let words = line.trim_start_matches(' ');
        if !words.starts_with('#') || line.len() - words.len() <= column {
            break;
        }
        at += line.len();
    }
    at
}

/// As the line before, or else the first one, ends.
fn line_end_of(text: &str, at: usize) -> &'static str {
    let end = text[at..].find('\n').map(|end| at + end);
    match end.or_else(|| text.find('\n')) {
        Some(end) if text[..end].ends_with('\r') => "\r\n",
        Some(_) | None => "\n",
    }
}
