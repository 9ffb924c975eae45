//! What happens beside the steps of a move, in its record.

use std::sync::Arc;

use pgha_model::event::{Followed, Follower};
use pgha_model::record::BackupBefore;
use tokio::sync::Mutex;

use crate::journal::Claim;

/// Who notes what happens beside the steps of a move: clients, application and users follow while the move goes on, and may
/// arrive after its end.
#[derive(Clone, Default)]
pub struct Aside {
    pub(super) claim: Arc<Mutex<Option<Claim>>>,
    pub(super) followers: Vec<Follower>,
    pub(super) backup: Option<BackupBefore>,
}

impl Aside {
    /// Those who are to follow.
    pub fn of(followers: Vec<Follower>) -> Self {
        Self {
            followers,
            ..Self::default()
        }
    }

    /// The same move, with the backup that was made for it.
    #[must_use]
    pub fn after(self, backup: Option<BackupBefore>) -> Self {
        Self { backup, ..self }
    }

    /// Notes a full sentence in the record of the move, where there is one, and whom it tells of. What cannot be written any more is
    /// lost: it decides nothing.
    pub async fn note(&self, text: String, followed: Option<Followed>) {
        if let Some(claim) = self.claim.lock().await.as_mut() {
            for lost in claim.note_beside(text, followed).await {
                tracing::warn!("{lost}");
            }
        }
    }
}
