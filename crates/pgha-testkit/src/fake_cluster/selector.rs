//! Label and field selectors (Kubernetes documentation, "Labels and Selectors").

use serde_json::Value;

/// Whether an object's labels match every requirement of a selector.
pub(super) fn labels_match(selector: &str, object: &Value) -> bool {
    let label = |key: &str| {
        object["metadata"]["labels"]
            .get(key)
            .and_then(Value::as_str)
    };
    requirements(selector)
        .iter()
        .all(|requirement| holds(requirement, label))
}

/// Whether an object's fields match; only `=`, `==` and `!=` exist here.
pub(super) fn fields_match(selector: &str, object: &Value) -> bool {
    let field = |path: &str| {
        object
            .pointer(&format!("/{}", path.replace('.', "/")))
            .and_then(Value::as_str)
    };
    requirements(selector)
        .iter()
        .all(|requirement| holds(requirement, field))
}

/// Splits at the commas that are not within parentheses.
fn requirements(selector: &str) -> Vec<String> {
    let mut depth = 0_u32;
    let mut parts = vec![String::new()];
    for character in selector.chars() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(character);
        }
    }
    parts
        .into_iter()
        .map(|part| part.trim().to_owned())
        .filter(|part| !part.is_empty())
        .collect()
}

fn holds<'a>(requirement: &str, value: impl Fn(&str) -> Option<&'a str>) -> bool {
    if let Some((key, wanted)) = requirement.split_once("!=") {
        return value(key.trim()) != Some(wanted.trim());
    }
    if let Some((key, wanted)) = requirement.split_once('=') {
        return value(key.trim()) == Some(wanted.trim_start_matches('=').trim());
    }
    if let Some((key, set)) = requirement.split_once(" notin ") {
        return !value(key.trim()).is_some_and(|value| members(set).any(|one| one == value));
    }
    if let Some((key, set)) = requirement.split_once(" in ") {
        return value(key.trim()).is_some_and(|value| members(set).any(|one| one == value));
    }
    match requirement.strip_prefix('!') {
        Some(key) => value(key.trim()).is_none(),
        None => value(requirement).is_some(),
    }
}

fn members(set: &str) -> impl Iterator<Item = &str> {
    set.trim()
        .trim_start_matches('(')
        .trim_end_matches(')')
        .split(',')
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_requirement_must_hold() {
        let object = json!({"metadata": {"name": "x", "labels": {"a": "1", "b": ""}}});
        for selector in [
            "",
            "a=1",
            "a==1",
            "a=1,b",
            "a in (2, 1),b",
            "a notin (2,3)",
            "!c",
            "a!=2",
            "c!=1",
            "c notin (1)",
        ] {
            assert!(labels_match(selector, &object), "{selector}");
        }
        for selector in [
            "a=2",
            "a=1,c",
            "a in (2,3)",
            "a notin (1)",
            "!a",
            "a!=1",
            "c in (1)",
        ] {
            assert!(!labels_match(selector, &object), "{selector}");
        }
    }

    #[test]
    fn fields_are_paths() {
        let object = json!({"metadata": {"name": "x"}});
        assert!(fields_match("metadata.name=x", &object));
        assert!(!fields_match("metadata.name=y", &object));
    }
}
