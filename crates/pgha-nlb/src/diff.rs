//! What a change looks like to a person.

use similar::TextDiff;

use crate::plan::Change;

/// A unified diff with three lines of context; empty when nothing differs. Bytes that are no UTF-8 are shown as `U+FFFD`.
pub fn unified(name: &str, before: &[u8], after: &[u8]) -> String {
    if before == after {
        return String::new();
    }
    let (before, after) = (
        String::from_utf8_lossy(before),
        String::from_utf8_lossy(after),
    );
    TextDiff::from_lines(before.as_ref(), after.as_ref())
        .unified_diff()
        .header(&format!("a/{name}"), &format!("b/{name}"))
        .to_string()
}

/// The same for places that are not lines of a file: one line a place, with what it says.
pub fn of_changes(name: &str, changes: &[Change]) -> String {
    let side = |value: fn(&Change) -> &String| {
        let lines = changes
            .iter()
            .map(|change| format!("{} = {}\n", change.at, value(change)));
        lines.collect::<String>()
    };
    let (before, after) = (side(|change| &change.from), side(|change| &change.to));
    unified(name, before.as_bytes(), after.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_names_the_file_and_shows_the_line_twice() {
        assert_eq!(
            unified("map", b"a core2\nb core2\n", b"a core1\nb core2\n"),
            "--- a/map\n+++ b/map\n@@ -1,2 +1,2 @@\n-a core2\n+a core1\n b core2\n"
        );
    }

    #[test]
    fn places_are_shown_as_lines() {
        let change = Change {
            route: "https".into(),
            at: "row of https".to_owned(),
            from: "b".to_owned(),
            to: "a".to_owned(),
        };
        let wanted = "--- a/t\n+++ b/t\n@@ -1 +1 @@\n-row of https = b\n+row of https = a\n";
        assert_eq!(of_changes("t", &[change]), wanted);
        assert_eq!(of_changes("t", &[]), "");
    }

    #[test]
    fn equal_bytes_have_no_diff() {
        assert_eq!(unified("map", b"a\n", b"a\n"), "");
    }
}
