//! What happens beside the steps of a move, in its record.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::journal::Claim;

/// Who notes what happens beside the steps of a move: clients, application and users follow while the move goes on, and may
/// arrive after its end.
#[derive(Clone, Default)]
pub struct Aside {
    pub(super) claim: Arc<Mutex<Option<Claim>>>,
}

impl Aside {
    /// Notes a full sentence in the record of the move, where there is one. What cannot be written any more is lost: it decides
    /// nothing.
    pub async fn note(&self, text: String) {
        if let Some(claim) = self.claim.lock().await.as_mut() {
            for lost in claim.note_beside(text).await {
                tracing::warn!("{lost}");
            }
        }
    }
}
