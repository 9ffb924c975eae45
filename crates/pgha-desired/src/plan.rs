//! What a change would be, for people.

use pgha_edit::diff::Difference;
use pgha_model::text::one_line;
use pgha_nlb::SiteName;
use serde::Serialize;
use serde_json::Value;

/// Both commits of a move, as they would be now. Nothing of them was pushed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Planned {
    /// The remote and the branch.
    pub at: String,
    /// The commit that they rest on.
    pub base: String,
    /// Whether each is proposed by a merge request.
    pub by_merge_request: bool,
    /// The one that makes the source a standby.
    pub source: PlannedCommit,
    /// The one that makes the target the primary.
    pub target: PlannedCommit,
}

/// One commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedCommit {
    /// The site.
    pub site: SiteName,
    /// The files that it changes. None where the branch says so already, and there is no commit.
    pub files: Vec<String>,
    /// What it changes in them.
    pub changes: Vec<Changed>,
    /// A unified diff of each file.
    pub diff: Vec<String>,
}

/// One value that changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    /// The object, or the file.
    pub of: String,
    /// Where in it.
    pub at: String,
    /// What was there; none where nothing was.
    pub old: Option<String>,
    /// What is there then; none where nothing is.
    pub new: Option<String>,
}

impl Changed {
    pub(crate) fn of(difference: &Difference) -> Self {
        let shown = |value: &Value| one_line(&value.to_string());
        Self {
            of: one_line(&difference.object.to_string()),
            at: one_line(&difference.at.to_string()),
            old: difference.old.as_ref().map(shown),
            new: difference.new.as_ref().map(shown),
        }
    }
}

impl std::fmt::Display for Changed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let none = || "nothing".to_owned();
        let value = |value: &Option<String>| value.clone().unwrap_or_else(none);
        let (old, new) = (value(&self.old), value(&self.new));
        write!(f, "{} of {}: {old} -> {new}", self.at, self.of)
    }
}
