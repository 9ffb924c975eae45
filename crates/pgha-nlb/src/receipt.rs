//! What a backend did.

use serde::{Deserialize, Serialize};

use crate::name::BackendId;
use crate::plan::{Change, inverse};
use crate::state::Fence;

/// Whether a call changed anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Did {
    /// It made the changes.
    Change,
    /// The product said already what the changes would make it say.
    Nothing,
}

/// What a backend did, and all that it needs to take it back. It is journaled, so it never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Receipt {
    /// The backend that it is of.
    pub backend: BackendId,
    /// Whether it changed anything.
    pub did: Did,
    /// The changes that hold now.
    pub changes: Vec<Change>,
    /// The product's token after them. A rollback rests on it.
    pub fence: Fence,
    /// What the product showed afterwards, each a full sentence.
    pub evidence: Vec<String>,
}

impl Receipt {
    /// The changes that would take it back; none when it changed nothing.
    pub fn inverse(&self) -> Vec<Change> {
        match self.did {
            Did::Change => inverse(&self.changes),
            Did::Nothing => Vec::new(),
        }
    }
}
