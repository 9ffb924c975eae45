//! Edits of YAML that is a text within YAML: a patch in a kustomization.

use serde_json::Value;

use super::tree::{Kind, Style};
use super::walk::{Place, walk};
use super::{Edit, Target, chosen, edited, id_of_root, read};
use crate::error::{EditError, Problem};
use crate::pointer::Pointer;

/// Why a text within a text is left alone.
const ODD: Problem = Problem::Unsupported {
    seen: "a text that is not a plain block of lines (`|`)",
};

/// The text after an edit of the YAML that a block of it says.
pub(crate) fn edited_within(
    text: &str,
    at: &Pointer,
    target: &Target,
    edit: &Edit,
) -> Result<String, EditError> {
    let tried = edit.tried();
    let failed = |(offset, problem)| EditError::new(&tried, problem).at(text, offset);
    let (roots, before) = read(&tried, text)?;
    let root = chosen(&Target::Sole, &roots, id_of_root)
        .map_err(|problem| EditError::new(&tried, problem))?;
    let place = walk(root, at.tokens()).map_err(failed)?;
    let Place::Value { node, .. } = place else {
        return Err(EditError::new(&tried, ODD));
    };
    let Kind::Scalar(Style::Block, said) = &node.kind else {
        return Err(failed((node.range.start, ODD)));
    };
    let start = text[..node.range.start].rfind('\n').map_or(0, |at| at + 1);
    let end = text[node.range.end..].find('\n');
    let is_behind = text[..node.range.end].ends_with('\n');
    let end = match end {
        _ if is_behind => node.range.end,
        Some(end) => node.range.end + end + 1,
        None => text.len(),
    };
    let indent = node.range.start - start;
    let lines: Vec<&str> = text[start..end].split_inclusive('\n').collect();
    let inner: String = lines.iter().map(|line| stripped(line, indent)).collect();
    if inner.replace("\r\n", "\n").trim_end() != said.trim_end() {
        return Err(failed((node.range.start, ODD)));
    }
    let new = edited(&inner, target, std::slice::from_ref(edit)).map_err(|mut error| {
        if let Some(place) = &mut error.place {
            place.line += text[..start].matches('\n').count();
            place.column += indent;
        }
        error
    })?;
    let after = format!(
        "{}{}{}",
        &text[..start],
        relined(&lines, &inner, &new, indent),
        &text[end..]
    );
    let meant = |said: &str| said.replace("\r\n", "\n").trim_end().to_owned();
    let (_, said) = read(&tried, &after)?;
    if with_text(before, at, &meant(&new)) == with_text_trimmed(said, at) {
        return Ok(after);
    }
    let at = vec![at.clone()];
    Err(EditError::new(&tried, Problem::Unequal { at }))
}

/// A line without the indentation of its block; an empty line may have less of it.
fn stripped(line: &str, indent: usize) -> &str {
    let blank = line.len() - line.trim_start_matches(' ').len();
    &line[blank.min(indent)..]
}

/// The lines of a block with those replaced that are not as they were.
fn relined(lines: &[&str], old: &str, new: &str, indent: usize) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (
        old.split_inclusive('\n').collect(),
        new.split_inclusive('\n').collect(),
    );
    let same = |(one, other): &(&&str, &&str)| one == other;
    let first = old.iter().zip(&new).take_while(same).count();
    let most = old.len().min(new.len()) - first;
    let ends = old.iter().rev().zip(new.iter().rev());
    let last = ends.take_while(same).count().min(most);
    let changed = &new[first..new.len() - last];
    let changed = changed
        .iter()
        .map(|line| format!("{}{line}", " ".repeat(indent)));
    let head = lines[..first].iter().map(|line| (*line).to_owned());
    let tail = lines[lines.len() - last..]
        .iter()
        .map(|line| (*line).to_owned());
    head.chain(changed).chain(tail).collect()
}

fn with_text(mut documents: Vec<Value>, at: &Pointer, text: &str) -> Vec<Value> {
    let value = documents
        .first_mut()
        .and_then(|one| one.pointer_mut(&at.to_string()));
    if let Some(value) = value {
        *value = Value::String(text.to_owned());
    }
    documents
}

fn with_text_trimmed(documents: Vec<Value>, at: &Pointer) -> Vec<Value> {
    let said = documents
        .first()
        .and_then(|one| one.pointer(&at.to_string()));
    let said = said.and_then(Value::as_str).unwrap_or_default();
    let said = said.trim_end().to_owned();
    with_text(documents, at, &said)
}
