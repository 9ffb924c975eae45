//! What a change may touch, and what it must say afterwards.

use pgha_edit::diff::{self, Difference, Expected};
use pgha_edit::{EditError, ObjectId, yaml};
use serde_json::Value;

use crate::check::{ENABLED, Place};

/// A file before and after; none where there is none.
pub(crate) struct Turned {
    pub(crate) path: String,
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
}

/// In what the objects of a site's files differ. Files are taken together: an object may move from one to another.
///
/// # Errors
/// One of them is no YAML with objects; with its path.
pub(crate) fn differences(files: &[&Turned]) -> Result<Vec<Difference>, EditError> {
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for file in files {
        for (text, all) in [(&file.before, &mut before), (&file.after, &mut after)] {
            if let Some(text) = text {
                let documents = yaml::documents(text);
                all.extend(documents.map_err(|error| error.in_file(&file.path))?);
            }
        }
    }
    diff::objects(&before, &after)
}

/// What nobody expected, each by object and place.
pub(crate) fn unexpected(differences: &[Difference], expected: &[Expected]) -> Vec<String> {
    let unexpected = diff::unexpected(differences, expected);
    let place = |it: &&Difference| match it.at.tokens() {
        [] => it.object.to_string(),
        _ => format!("{} of {}", it.at, it.object),
    };
    unexpected.iter().map(place).collect()
}

/// A cluster's object among documents.
pub(crate) fn cluster<'d>(documents: &'d [Value], place: &Place) -> Option<&'d Value> {
    let wanted = place.object();
    let is_it = |document: &&Value| ObjectId::of(document).is_some_and(|id| wanted.is(&id));
    documents.iter().find(is_it)
}

/// Whether an operator's object says that it is a standby.
pub(crate) fn is_standby(object: &Value) -> bool {
    let enabled = format!("/{}", ENABLED.join("/"));
    object.pointer(&enabled) == Some(&Value::Bool(true))
}

/// The recovery target that an object has in its data source, as pgBackRest reads it: `--target…`, or a `--type` of one
/// (pgBackRest's command reference, "restore").
pub(crate) fn recovery_target(object: &Value) -> Option<String> {
    let sources = ["postgresCluster", "pgbackrest"];
    let sources = sources
        .iter()
        .filter_map(|kind| object.pointer(&format!("/spec/dataSource/{kind}")));
    for source in sources {
        let options = source.get("options").and_then(Value::as_array);
        let options = options.into_iter().flatten().filter_map(Value::as_str);
        let words: Vec<&str> = options.flat_map(str::split_whitespace).collect();
        for (index, word) in words.iter().enumerate() {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            let value = if value.is_empty() {
                words.get(index + 1).copied().unwrap_or_default()
            } else {
                value
            };
            if name.starts_with("--target") || (name == "--type" && is_target(value)) {
                return Some((*word).to_owned());
            }
        }
        let global = source.get("global").and_then(Value::as_object);
        let mut global = global.into_iter().flatten();
        let is_set = |(key, value): &(&String, &Value)| {
            key.starts_with("target") || (*key == "type" && is_target(value.as_str().unwrap_or("")))
        };
        if let Some((key, value)) = global.find(is_set) {
            return Some(format!("{key}: {value}"));
        }
    }
    None
}

/// The types of a restore that recover all there is.
fn is_target(restore: &str) -> bool {
    !["default", "standby", "preserve", "none"].contains(&restore.trim_matches(['"', '\'']))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn target(options: &Value, global: &Value) -> Option<String> {
        recovery_target(&json!({
            "spec": {"dataSource": {"pgbackrest": {"options": options, "global": global}}}
        }))
    }

    #[test]
    fn a_recovery_target_is_found_as_it_may_be_written() {
        for (options, found) in [
            (
                json!(["--type=time", "--target=\"2024-03-11\""]),
                "--type=time",
            ),
            (json!(["--target 5/4"]), "--target"),
            (json!(["--process-max=2", "--type xid"]), "--type"),
            (json!(["--target-timeline=3"]), "--target-timeline=3"),
            (json!(["--type=immediate"]), "--type=immediate"),
        ] {
            assert_eq!(target(&options, &json!({})).as_deref(), Some(found));
        }
        let global = target(&json!([]), &json!({"type": "lsn"}));
        assert_eq!(global.as_deref(), Some("type: \"lsn\""));
    }

    #[test]
    fn whatever_recovers_all_is_none() {
        for options in [
            json!([]),
            json!(["--type=standby"]),
            json!(["--type default", "--delta"]),
        ] {
            assert_eq!(target(&options, &json!({"repo1-path": "/x"})), None);
        }
        assert_eq!(recovery_target(&json!({"spec": {}})), None);
    }
}
