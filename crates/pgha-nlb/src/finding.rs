//! What a look at a product found before anything is changed.

pub use pgha_model::finding::Severity;
use serde::Serialize;

use crate::name::BackendId;

/// One check of one backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The backend it looked at.
    pub backend: BackendId,
    /// Stable name of the check, kebab-case.
    pub check: String,
    /// How it ended.
    pub severity: Severity,
    /// What was seen, as a full sentence; empty on a pass.
    pub seen: String,
    /// What to do, as a full sentence; empty on a pass.
    pub advice: String,
}

impl Finding {
    /// A check that ended well.
    pub fn pass(backend: &BackendId, check: &str) -> Self {
        Self::new(backend, check, Severity::Pass, "", "")
    }

    /// Worth knowing; does not stop a move.
    pub fn warn(backend: &BackendId, check: &str, seen: &str, advice: &str) -> Self {
        Self::new(backend, check, Severity::Warn, seen, advice)
    }

    /// A move of the users would fail, or do harm.
    pub fn fail(backend: &BackendId, check: &str, seen: &str, advice: &str) -> Self {
        Self::new(backend, check, Severity::Fail, seen, advice)
    }

    fn new(backend: &BackendId, check: &str, severity: Severity, seen: &str, advice: &str) -> Self {
        Self {
            backend: backend.clone(),
            check: check.to_owned(),
            severity,
            seen: seen.to_owned(),
            advice: advice.to_owned(),
        }
    }
}
