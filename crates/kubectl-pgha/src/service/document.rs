//! The documents of a text, told apart before any of them is read as a service.

use pgha_core::diagnose::sanitised;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::mistake::{at, said};
use crate::view::API_VERSION;

/// The one kind of document that is read here.
pub(super) const KIND: &str = "Service";

/// No text of a person has as many documents as this.
const MOST: usize = 1000;

/// One document of a text, below as many empty lines as others take before it: its lines keep their numbers.
pub(super) struct Document {
    /// What the parser gets.
    pub(super) text: String,
    /// What it is.
    pub(super) sort: Sort,
}

/// What a document is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// A service of pgha in some version, or what means to be one; with its name, where that can be read.
    Service(Option<String>),
    /// Something else, with its name.
    Other(Option<String>),
    /// No YAML, or nothing with names and values in it; why.
    Unread(String),
}

impl Sort {
    /// Its name, where it has one that can be read.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Service(name) | Self::Other(name) => name.as_deref(),
            Self::Unread(_) => None,
        }
    }
}

/// What every object has, read without regard to the rest.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    #[serde(default)]
    api_version: Option<Spanned<String>>,
    #[serde(default)]
    kind: Option<Spanned<String>>,
    #[serde(default)]
    metadata: Option<Metadata>,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    #[serde(default)]
    name: Option<String>,
}

/// The documents of a text, in its order.
///
/// # Errors
/// There are too many.
pub(super) fn documents(text: &str) -> Result<Vec<Document>, String> {
    let parts = split(text);
    if parts.len() > MOST {
        return Err(format!("it has more than {MOST} documents"));
    }
    let documents = parts.into_iter().map(|(before, part)| {
        let text = format!("{}{part}", "\n".repeat(before));
        let sort = sort(&text);
        Document { text, sort }
    });
    Ok(documents.collect())
}

/// Each document, and how many lines are before it. A line that begins with `---` or `...` and nothing or white space behind it is
/// no part of any value (YAML 1.2.2, `c-forbidden`), so that lines tell.
fn split(text: &str) -> Vec<(usize, &str)> {
    let mut parts = Vec::new();
    let (mut start, mut before, mut offset) = (0, 0, 0);
    let (mut is_empty, mut has_begun) = (true, false);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let end = offset + line.len();
        if is_marker(line, "---") {
            if !is_empty {
                parts.push((before, &text[start..offset]));
            }
            // Directives stand before the first marker, and belong to what is behind it.
            if has_begun || !is_empty {
                (start, before) = (offset, number);
            }
            (is_empty, has_begun) = (true, true);
        }
        if is_marker(line, "...") {
            if !is_empty {
                parts.push((before, &text[start..end]));
            }
            (start, before) = (end, number + 1);
            (is_empty, has_begun) = (true, false);
        } else {
            is_empty = is_empty && says_nothing(line);
        }
        offset = end;
    }
    if !is_empty {
        parts.push((before, &text[start..]));
    }
    parts
}

fn is_marker(line: &str, marker: &str) -> bool {
    let rest = line.strip_prefix(marker);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}

/// A comment, a directive, a bare marker, or nothing.
fn says_nothing(line: &str) -> bool {
    let line = line.trim_start_matches('\u{feff}');
    let line = if is_marker(line, "---") {
        &line[3..]
    } else {
        line
    };
    let line = line.trim();
    line.is_empty() || line.starts_with(['#', '%'])
}

fn sort(text: &str) -> Sort {
    let head: Head = match serde_saphyr::from_str(text) {
        Ok(head) => head,
        Err(_) if means_to_be_one(text) => return Sort::Service(None),
        Err(error) => return Sort::Unread(said(&error)),
    };
    let name = head.metadata.and_then(|metadata| metadata.name);
    let is_kind = head.kind.is_some_and(|kind| kind.value == KIND);
    let is_ours = head.api_version.is_some_and(|it| group(&it.value) == OURS);
    if is_kind && is_ours {
        Sort::Service(name)
    } else {
        Sort::Other(name)
    }
}

/// The group of our version.
const OURS: &str = "pgha.dev";

fn group(api_version: &str) -> &str {
    api_version.split('/').next().unwrap_or_default()
}

/// What cannot be read may still say in one line what it should be.
fn means_to_be_one(text: &str) -> bool {
    let mut versions = text
        .lines()
        .filter_map(|line| line.strip_prefix("apiVersion:"));
    versions.any(|version| group(version.trim().trim_matches(['"', '\''])) == OURS)
}

/// What a document that cannot be read as a service says of its version and kind, where that is the reason.
pub(super) fn mistake_of_head(text: &str) -> Option<String> {
    let head: Head = serde_saphyr::from_str(text).ok()?;
    mistake(head.api_version.as_ref(), head.kind.as_ref())
}

/// Why a document is of another version or kind.
pub(super) fn mistake(
    version: Option<&Spanned<String>>,
    kind: Option<&Spanned<String>>,
) -> Option<String> {
    let version = version.and_then(|it| unexpected(it, "apiVersion", API_VERSION));
    version.or_else(|| kind.and_then(|it| unexpected(it, "kind", KIND)))
}

fn unexpected(found: &Spanned<String>, key: &str, expected: &str) -> Option<String> {
    let is_expected = found.value == expected;
    let because = || {
        format!(
            "{key} is `{}`, expected `{key}: {expected}`",
            sanitised(&found.value)
        )
    };
    (!is_expected).then(|| at(found.referenced, because()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorts(text: &str) -> Vec<Sort> {
        let documents = documents(text).unwrap();
        documents.into_iter().map(|it| it.sort).collect()
    }

    fn service(name: &str) -> Sort {
        Sort::Service(Some(name.to_owned()))
    }

    #[test]
    fn documents_are_told_apart_and_keep_their_lines() {
        let text = "# a comment\n---\napiVersion: v1\nkind: Service\nmetadata: { name: a }\n--- # next\n\
            kind: Service\napiVersion: pgha.dev/v7\nmetadata: { name: b }\ntext: |\n  ---\n  x\n...\n%YAML 1.2\n---\n- c\n---\n";
        let found = documents(text).unwrap();
        let sorts: Vec<&Sort> = found.iter().map(|it| &it.sort).collect();
        assert_eq!(sorts[0], &Sort::Other(Some("a".to_owned())));
        assert_eq!(sorts[1], &service("b"));
        assert!(
            matches!(sorts[2], Sort::Unread(because) if because.starts_with("line 16 column 1"))
        );
        assert_eq!(sorts.len(), 3);
        let said = mistake_of_head(&found[1].text).unwrap();
        assert!(
            said.starts_with("line 8 column 13: apiVersion is `pgha.dev/v7`"),
            "{said}"
        );
    }

    #[test]
    fn what_is_no_service_of_pgha_is_something_else() {
        for text in [
            "apiVersion: v1\nkind: Service\n",
            "apiVersion: pgha.dev/v1alpha1\nkind: ServiceStatus\n",
            "apiVersion: pgha.dev.example/v1\nkind: Service\n",
            "values: { a: 1 }\n",
        ] {
            assert_eq!(sorts(text), [Sort::Other(None)], "{text}");
        }
        for text in [
            "- 1\n",
            "{{ if .Values.x }}\na: b\n",
            "a: [\n",
            "a: 1\na: 2\n",
        ] {
            assert!(matches!(sorts(text)[..], [Sort::Unread(_)]), "{text}");
        }
        assert_eq!(sorts("\u{feff}# nothing\n---\n"), []);
        let late = "---\n# nothing\n---\n---\n{ apiVersion: pgha.dev/v1, kind: Service }\n";
        assert_eq!(sorts(late), [Sort::Service(None)]);
    }

    #[test]
    fn what_cannot_be_read_may_still_mean_to_be_one() {
        for version in ["pgha.dev/v1alpha1", "'pgha.dev/v1alpha1'"] {
            let text = format!("apiVersion: {version}\nkind: Service\nspec: [\n");
            assert_eq!(sorts(&text), [Sort::Service(None)]);
        }
    }

    #[test]
    fn there_is_a_limit() {
        assert!(documents(&"---\na\n".repeat(MOST)).is_ok());
        assert!(documents(&"---\na\n".repeat(MOST + 1)).is_err());
    }
}
