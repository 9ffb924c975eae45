//! How a check's result becomes a finding.

use super::catalog::{Check, find};
use super::inspection::{Inspection, MemberFacts};
use crate::finding::{Findings, Severity};
use crate::site::Part;

/// What was seen amiss, `None` when nothing; or why it could not be looked at.
pub(super) type Seen = Result<Option<String>, String>;

/// Notes a check with the severity that the list gives it. What could not be looked at does not hold.
pub(super) fn report(
    findings: &mut Findings,
    check: &'static str,
    part: impl Into<Option<Part>>,
    seen: Seen,
    advice: &str,
) {
    let (seen, advice) = match seen {
        Ok(seen) => (seen, advice),
        Err(because) => (
            Some(format!("This could not be looked at: {because}.")),
            "Make it readable; what is not seen is not proved.",
        ),
    };
    match find(check).map(|check: &Check| check.severity) {
        Some(Severity::Fail) => findings.fail_if(check, part, seen, advice),
        Some(Severity::Warn | Severity::Pass) | None => {
            findings.warn_if(check, part, seen, advice);
        }
    }
}

/// What is amiss in any member. A member that was not seen counts only where nothing is amiss in the others.
pub(super) fn any_member(
    inspection: &Inspection,
    amiss: impl Fn(&MemberFacts) -> Option<String>,
) -> Seen {
    let mut texts = Vec::new();
    let mut unseen = None;
    for (member, facts) in &inspection.members {
        match facts.seen() {
            Ok(facts) => texts.extend(amiss(facts).map(|text| format!("{member}: {text}"))),
            Err(because) => unseen = Some(format!("{member}: {because}")),
        }
    }
    match (texts.is_empty(), unseen) {
        (false, _) => Ok(Some(format!("{}.", texts.join("; ")))),
        (true, Some(because)) => Err(because),
        (true, None) if inspection.members.is_empty() => {
            Err("no member was looked into".to_owned())
        }
        (true, None) => Ok(None),
    }
}

/// A sentence of several fragments; `None` of none.
pub(super) fn sentence(fragments: &[String]) -> Option<String> {
    (!fragments.is_empty()).then(|| format!("{}.", fragments.join("; ")))
}
