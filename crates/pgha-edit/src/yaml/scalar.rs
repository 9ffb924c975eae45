//! How a value is written.

use serde_json::Value;

use super::tree::Style;

/// Words that some reader of YAML 1.1 or 1.2 takes for something else than text.
const WORDS: [&str; 12] = [
    "true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf", "none",
];

/// How new text is to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// As people write YAML.
    Yaml,
    /// Keys and texts in double quotes: the file is JSON, or written like it.
    Json,
}

/// A scalar, as text in the style of the one that it replaces; none where it is none, or cannot be one line.
pub(crate) fn scalar(value: &Value, style: Style) -> Option<String> {
    match value {
        Value::Null => Some("null".to_owned()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => quoted(text, style),
        Value::Array(_) | Value::Object(_) => None,
    }
}

fn quoted(text: &str, style: Style) -> Option<String> {
    if !text.chars().all(is_plain_character) {
        return None;
    }
    match style {
        Style::Single => Some(format!("'{}'", text.replace('\'', "''"))),
        Style::Plain | Style::Empty if may_be_plain(text) => Some(text.to_owned()),
        Style::Plain | Style::Empty | Style::Double | Style::Block => Some(in_double_quotes(text)),
    }
}

fn in_double_quotes(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// What every reader takes as it is, in one line.
fn is_plain_character(character: char) -> bool {
    let is_odd = matches!(character,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}');
    !character.is_control() && !is_odd
}

fn may_be_plain(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

const fn style_of(look: Look) -> Style {
    match look {
        Look::Yaml => Style::Plain,
        Look::Json => Style::Double,
    }
}

/// A value in one line, its lists and mappings in brackets.
pub(crate) fn flow(value: &Value, look: Look) -> Option<String> {
    match value {
        Value::Array(items) => {
            let items = items.iter().map(|item| flow(item, look));
            Some(format!(
                "[{}]",
                items.collect::<Option<Vec<_>>>()?.join(", ")
            ))
        }
        Value::Object(entries) => {
            let entries = entries.iter().map(|(key, value)| pair(key, value, look));
            let entries = entries.collect::<Option<Vec<_>>>()?;
            Some(format!("{{{}}}", entries.join(", ")))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            scalar(value, style_of(look))
        }
    }
}

/// A key and its value in one line.
pub(crate) fn pair(key: &str, value: &Value, look: Look) -> Option<String> {
    let key = quoted(key, style_of(look))?;
    Some(format!("{key}: {}", flow(value, look)?))
}

/// A key and its value as lines of a block, without the last line's end.
pub(crate) fn block(key: &str, value: &Value, column: usize, line_end: &str) -> Option<String> {
    let indent = " ".repeat(column);
    let entries = match value {
        Value::Object(entries) if !entries.is_empty() => entries,
        Value::Object(_)
        | Value::Array(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_) => return Some(format!("{indent}{}", pair(key, value, Look::Yaml)?)),
    };
    let mut lines = format!("{indent}{}:", quoted(key, Style::Plain)?);
    for (key, value) in entries {
        lines.push_str(line_end);
        lines.push_str(&block(key, value, column + 2, line_end)?);
    }
    Some(lines)
}
