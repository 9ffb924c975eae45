//! What a check found.

use serde::Serialize;

use crate::guard;
use crate::site::Part;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// As it should be.
    Pass,
    /// Worth knowing; does not stop a move.
    Warn,
    /// A move would do harm, or cannot be proved harmless.
    Fail,
}

/// One check of one subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Stable name of the check, kebab-case.
    pub check: &'static str,
    /// The side it looked at; `None` when it compares both.
    pub part: Option<Part>,
    /// How it ended.
    pub severity: Severity,
    /// What was seen, as a full sentence.
    pub seen: String,
    /// What to do, as a full sentence; empty on a pass.
    pub advice: String,
}

/// Collects the findings of one run.
#[derive(Debug, Default)]
pub struct Findings(pub Vec<Finding>);

impl Findings {
    /// Notes a pass when `seen` is `None`, and a failure with what was seen otherwise.
    pub fn fail_if(
        &mut self,
        check: &'static str,
        part: impl Into<Option<Part>>,
        seen: Option<String>,
        advice: &str,
    ) {
        self.note(Severity::Fail, check, part.into(), seen, advice);
    }

    /// Notes a pass when `seen` is `None`, and a warning with what was seen otherwise.
    pub fn warn_if(
        &mut self,
        check: &'static str,
        part: impl Into<Option<Part>>,
        seen: Option<String>,
        advice: &str,
    ) {
        self.note(Severity::Warn, check, part.into(), seen, advice);
    }

    fn note(
        &mut self,
        severity: Severity,
        check: &'static str,
        part: Option<Part>,
        seen: Option<String>,
        advice: &str,
    ) {
        let seen = seen.filter(|_| guard::may_speak(check));
        self.0.push(match seen {
            None => Finding {
                check,
                part,
                severity: Severity::Pass,
                seen: String::new(),
                advice: String::new(),
            },
            Some(seen) => Finding {
                check,
                part,
                severity,
                seen,
                advice: advice.to_owned(),
            },
        });
    }

    /// The findings that forbid a move.
    pub fn failures(&self) -> impl Iterator<Item = &Finding> {
        self.0
            .iter()
            .filter(|finding| finding.severity == Severity::Fail)
    }
}
