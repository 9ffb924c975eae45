//! The whole list with the two answers that it leads to.

use jiff::Timestamp;
use serde::Serialize;

use super::catalog::find;
use super::{Consent, SideFacts, judge_switchover};
use crate::finding::{Finding, Severity};
use crate::site::Part;

/// What every check found, and what it means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Validation {
    /// Whether a planned move would start.
    pub ready_for_switchover: Readiness,
    /// Whether the target could take over without the source.
    pub ready_for_failover: Readiness,
    /// Each check of each side.
    pub findings: Vec<Finding>,
}

/// An answer with what stands in the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Readiness {
    /// The answer.
    pub ready: bool,
    /// The checks that fail.
    pub blocked_by: Vec<&'static str>,
}

impl Readiness {
    fn of<'a>(blocking: impl Iterator<Item = &'a Finding>) -> Self {
        let mut blocked_by: Vec<_> = blocking.map(|finding| finding.check).collect();
        blocked_by.dedup();
        Self {
            ready: blocked_by.is_empty(),
            blocked_by,
        }
    }
}

/// Makes every check. `switchover` refuses by exactly the failures that `ready_for_switchover` names.
pub fn validate(
    source: &SideFacts,
    target: &SideFacts,
    consent: Consent,
    now: Timestamp,
) -> Validation {
    let mut findings = judge_switchover(source, target, consent, now).0;
    for finding in &mut findings {
        if finding.severity == Severity::Pass && finding.seen.is_empty() {
            finding.seen = find(finding.check)
                .map_or("", |check| check.holds)
                .to_owned();
        }
    }
    let failing = || {
        findings
            .iter()
            .filter(|finding| finding.severity == Severity::Fail)
    };
    Validation {
        ready_for_switchover: Readiness::of(failing()),
        ready_for_failover: Readiness::of(failing().filter(|finding| stops_failover(finding))),
        findings,
    }
}

/// A failover cannot ask the source, and does not change it.
fn stops_failover(finding: &Finding) -> bool {
    finding.part != Some(Part::Source) && find(finding.check).is_none_or(|check| check.for_failover)
}
