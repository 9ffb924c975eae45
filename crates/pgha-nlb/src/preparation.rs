//! What makes a later move take effect sooner.

use std::time::Duration;

use serde::Serialize;

use crate::diff;
use crate::name::BackendId;
use crate::plan::Change;
use crate::receipt::{Did, Receipt};
use crate::state::Fence;

/// Changes that move nobody, and after which a move takes effect sooner: a name that is remembered for a shorter time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Preparation {
    /// The backend that it is for.
    pub backend: BackendId,
    /// What it rests on: the backend changes nothing when this is another one.
    pub fence: Fence,
    /// The changes; empty when nothing is needed. No route leads elsewhere after them.
    pub changes: Vec<Change>,
    /// The same for a person, as a unified diff.
    pub diff: String,
    /// How long what was before is still remembered after the changes; whole seconds.
    #[serde(rename = "remembersForSeconds", serialize_with = "seconds")]
    pub remembers_for: Duration,
}

impl Preparation {
    /// None is needed: nobody remembers what the product said, or only for as long as was asked for.
    pub fn none(backend: &BackendId, fence: Fence) -> Self {
        Self::of_changes(backend, "", fence, Vec::new(), Duration::ZERO)
    }

    /// A preparation of changes, shown as a diff of `at`.
    pub fn of_changes(
        backend: &BackendId,
        at: &str,
        fence: Fence,
        changes: Vec<Change>,
        remembers_for: Duration,
    ) -> Self {
        Self {
            backend: backend.clone(),
            fence,
            diff: diff::of_changes(at, &changes),
            changes,
            remembers_for,
        }
    }

    /// Whether nothing is to be done.
    pub const fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The receipt of one that changed nothing.
    pub fn nothing_done(&self) -> Receipt {
        Receipt {
            backend: self.backend.clone(),
            did: Did::Nothing,
            changes: Vec::new(),
            fence: self.fence.clone(),
            evidence: Vec::new(),
        }
    }
}

fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(duration.as_secs())
}
