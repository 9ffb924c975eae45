//! What a user has lifted: told in the record of the move, where `history` finds it.

use crate::check::catalog::find;
use crate::finding::{Finding, Severity};

/// What is told of each check that did not hold and was lifted, as full sentences. `by_force` tells whether `promote
/// --force` was given; a check that only warns was lifted by nobody.
pub fn lifted(warnings: &[Finding], by_force: bool) -> Vec<String> {
    let flag = |finding: &Finding| match finding.check {
        "not-managed" => Some("--allow-managed"),
        check if by_force && stops(check) => Some("--force"),
        _ => None,
    };
    let told = warnings.iter().filter_map(|finding| {
        let (check, seen) = (finding.check, &finding.seen);
        Some(sentence(check, flag(finding)?, seen))
    });
    told.collect()
}

/// What is told of one guard that was lifted; `seen` is a full sentence.
pub fn sentence(guard: &str, flag: &str, seen: &str) -> String {
    format!("`{guard}` was lifted by {flag}. {seen}")
}

/// Whether the check refuses by itself: those of a single step that can be lifted do.
fn stops(check: &str) -> bool {
    let single = ["peer-seen", "peer-stays-standby", "holds-everything"];
    find(check).is_some_and(|check| check.severity == Severity::Fail) || single.contains(&check)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warning(check: &'static str) -> Finding {
        Finding {
            check,
            part: None,
            severity: Severity::Warn,
            seen: "It was seen.".to_owned(),
            advice: String::new(),
        }
    }

    #[test]
    fn only_what_refuses_by_itself_was_lifted() {
        let all = ["not-managed", "holds-everything", "long-transactions"].map(warning);
        let managed = "`not-managed` was lifted by --allow-managed. It was seen.";
        assert_eq!(lifted(&all, false), [managed]);
        let forced = "`holds-everything` was lifted by --force. It was seen.";
        assert_eq!(lifted(&all, true), [managed, forced]);
    }
}
