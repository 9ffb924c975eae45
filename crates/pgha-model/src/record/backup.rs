//! The backup that was made for a move, before it.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A backup of the source that was made right before a move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupBefore {
    /// The id of the request that it was made by.
    pub id: String,
    /// The repository.
    pub repo: String,
    /// What pgBackRest calls it, where it was seen in the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// When it was seen to be there, by the writer's clock.
    pub at: Timestamp,
    /// From the request until then.
    #[serde(rename = "tookSeconds", with = "crate::seconds")]
    pub took: Duration,
    /// What proves it, as a full sentence.
    pub evidence: String,
}
