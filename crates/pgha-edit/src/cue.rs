//! Edits of one literal in a file of CUE.
//!
//! `cue` itself has no command for it, and `cue fmt` moves comments; so the literal is found by the file's structure and its
//! bytes are replaced. What the file then means is for `cue` to say (`cue eval FILE -e PATH`).

mod lex;
mod place;

use serde_json::Value;

use crate::error::{EditError, Problem, shown};
use lex::{Kind, Token, tokens};
use place::{Field, fields};

/// A path of labels: `#Platform.primaryCluster.name`, or `services."login-ui".on`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(Vec<String>);

/// A text that is no path of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a path is labels with `.` between them, each a name or in double quotes")]
pub struct BadPath;

impl std::str::FromStr for Path {
    type Err = BadPath;

    fn from_str(text: &str) -> Result<Self, BadPath> {
        let tokens = tokens(text).map_err(|_| BadPath)?;
        let mut labels = Vec::new();
        for (index, token) in tokens.iter().enumerate() {
            match (&token.kind, index % 2) {
                (Kind::Name(name), 0) => labels.push(name.clone()),
                (Kind::Text(Some(text)), 0) => labels.push(text.clone()),
                (Kind::Mark('.'), 1) => {}
                _ => return Err(BadPath),
            }
        }
        (tokens.len() % 2 == 1)
            .then_some(Self(labels))
            .ok_or(BadPath)
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let is_name = |c: char| c.is_ascii_alphanumeric() || "#_$".contains(c);
        let labels = self.0.iter().map(|label| {
            if label.chars().all(is_name) && !label.is_empty() {
                label.clone()
            } else {
                format!("\"{label}\"")
            }
        });
        f.write_str(&labels.collect::<Vec<_>>().join("."))
    }
}

/// The text after one literal of it was changed, a text in double quotes or `true` or `false`. The value that is to be there
/// may be there already.
///
/// # Errors
/// The field is not in the file exactly once, is not such a literal, or is neither `from` nor `to`.
pub fn edited(text: &str, path: &Path, from: &Value, to: &Value) -> Result<String, EditError> {
    let tried = format!("set {}", shown(&path.to_string()));
    let failed = |problem| EditError::new(&tried, problem);
    let said = tokens(text).map_err(|(at, said)| failed(unreadable(said)).at(text, at))?;
    let (at, found) = literal(&said, path).map_err(|(at, problem)| {
        let error = failed(problem);
        at.map_or(error.clone(), |at| error.at(text, at))
    })?;
    let token = &said[at];
    if found == *to {
        return Ok(text.to_owned());
    }
    if found != *from {
        let (expected, found) = (plain(from), plain(&found));
        return Err(failed(Problem::Other { expected, found }).at(text, token.range.start));
    }
    let new = written(to, &found).map_err(|problem| failed(problem).at(text, token.range.start))?;
    let mut after = text.to_owned();
    after.replace_range(token.range.clone(), &new);
    if is_meant(&said, at, &after, path, to) {
        return Ok(after);
    }
    Err(failed(Problem::Unequal { at: Vec::new() }))
}

/// A value as a person says it.
fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn unreadable(said: &str) -> Problem {
    let said = said.to_owned();
    Problem::Unreadable { said }
}

/// The edited text has the same tokens but for one, and the path leads to that one.
fn is_meant(before: &[Token], at: usize, after: &str, path: &Path, to: &Value) -> bool {
    let Ok(after) = tokens(after) else {
        return false;
    };
    let same =
        |(index, (one, other)): (usize, (&Token, &Token))| index == at || one.kind == other.kind;
    before.len() == after.len()
        && before.iter().zip(&after).enumerate().all(same)
        && literal(&after, path).is_ok_and(|(place, found)| place == at && found == *to)
}

/// The only place of a path, and what stands there.
fn literal(tokens: &[Token], path: &Path) -> Result<(usize, Value), (Option<usize>, Problem)> {
    let all = fields(tokens).map_err(|(at, said)| (Some(at), unreadable(said)))?;
    let mut found: Vec<&Field> = all.iter().filter(|field| field.path == path.0).collect();
    let wanted = || format!("field {}", shown(&path.to_string()));
    let field = match (found.pop(), found.len()) {
        (None, _) => return Err((None, Problem::Nothing { wanted: wanted() })),
        (Some(field), 0) => field,
        (Some(_), others) => {
            let count = others + 1;
            let at = tokens.get(found[0].value).map(|token| token.range.start);
            return Err((
                at,
                Problem::Several {
                    wanted: wanted(),
                    count,
                },
            ));
        }
    };
    let token = tokens.get(field.value);
    let start = token.map(|token| token.range.start);
    if !field.is_alone {
        let seen = "a value that is no literal of its own";
        return Err((start, Problem::Unsupported { seen }));
    }
    let value = match token.map(|token| &token.kind) {
        Some(Kind::Text(Some(text))) => Value::String(text.clone()),
        Some(Kind::Name(name)) if name == "true" => Value::Bool(true),
        Some(Kind::Name(name)) if name == "false" => Value::Bool(false),
        _ => {
            let seen = "a value that is neither `true`, `false` nor a plain text in double quotes";
            return Err((start, Problem::Unsupported { seen }));
        }
    };
    Ok((field.value, value))
}

fn written(to: &Value, found: &Value) -> Result<String, Problem> {
    let kind = |wanted| Problem::Kind {
        wanted,
        found: format!("`{}`", shown(&plain(found))),
    };
    match (to, found) {
        (Value::Bool(to), Value::Bool(_)) => Ok(to.to_string()),
        (Value::String(to), Value::String(_)) => {
            let is_odd = |c: char| c.is_control() || "\"\\\u{2028}\u{2029}\u{feff}".contains(c);
            if to.contains(is_odd) {
                return Err(Problem::Unwritable);
            }
            Ok(format!("\"{to}\""))
        }
        (Value::Bool(_), _) => Err(kind("true or false")),
        (Value::String(_), _) => Err(kind("text")),
        _ => Err(Problem::Unwritable),
    }
}
