//! What a look at a product found before anything is changed.

pub use pgha_model::finding::Severity;
use serde::Serialize;

use crate::error::CutoverError;
use crate::name::BackendId;
use crate::state::{Active, Route};
use crate::text::one_line;

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

    /// Whether a route leads to one site; `advice` is for one that is split or unknown, which cannot be planned.
    pub fn of_route(backend: &BackendId, check: &str, route: &Route, advice: &str) -> Self {
        match &route.active {
            Active::Site(_) => Self::pass(backend, check),
            Active::Split { seen: because } | Active::Unknown { because } => {
                Self::fail(backend, check, because, advice)
            }
        }
    }

    /// A look that failed, with what lies below the failure.
    pub fn of_error(backend: &BackendId, check: &str, error: &CutoverError) -> Self {
        let below = std::error::Error::source(error).map(|source| format!(": {source}"));
        let seen = format!("{error}{}", one_line(&below.unwrap_or_default()));
        Self::fail(backend, check, &seen, &error.next)
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
