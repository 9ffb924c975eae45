//! Events on the `PostgresCluster`, with the operator's reasons.

use kube::Resource as _;
use kube::runtime::events::{Event, EventType};

use super::reconcile::Turn;
use super::types;

impl Turn<'_> {
    /// Publishes a warning; a failure to do so is only logged, as an event must not stop a reconcile.
    pub(crate) async fn warn(&self, reason: &str, note: &str) {
        self.publish(EventType::Warning, reason, note).await;
    }

    pub(crate) async fn inform(&self, reason: &str, note: &str) {
        self.publish(EventType::Normal, reason, note).await;
    }

    async fn publish(&self, type_: EventType, reason: &str, note: &str) {
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(note.chars().take(1000).collect()),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        let reference = self.pg_cluster.object_ref(&types::api_resource());
        if let Err(error) = self.operator.recorder.publish(&event, &reference).await {
            tracing::warn!(name = self.name, reason, "event not published: {error}");
        }
    }
}
