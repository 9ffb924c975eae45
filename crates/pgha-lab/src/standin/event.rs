//! Events on the `PostgresCluster`, with the operator's reasons and in its form: those of the core API, counted.

use anyhow::Result;
use k8s_openapi::api::core::v1::Event;
use kube::api::{Patch, PatchParams};
use kube::{Resource as _, ResourceExt as _};
use serde_json::{Value, json};

use super::name;
use super::reconcile::Turn;
use super::status::now;
use super::types;

/// What an event says; a second one that says the same is counted with the first.
struct Said<'a> {
    kind: &'a str,
    reason: &'a str,
    message: &'a str,
}

impl Turn<'_> {
    /// Publishes a warning; a failure to do so is only logged, as an event must not stop a reconcile.
    pub(crate) async fn warn(&self, reason: &str, note: &str) {
        self.publish("Warning", reason, note).await;
    }

    pub(crate) async fn inform(&self, reason: &str, note: &str) {
        self.publish("Normal", reason, note).await;
    }

    async fn publish(&self, kind: &str, reason: &str, note: &str) {
        let message: String = note.chars().take(1000).collect();
        let said = Said {
            kind,
            reason,
            message: &message,
        };
        if let Err(error) = self.count(&said).await {
            tracing::warn!(name = self.name, reason, "event not published: {error:#}");
        }
    }

    async fn count(&self, said: &Said<'_>) -> Result<()> {
        let uid = self.pg_cluster.uid().unwrap_or_default();
        let content = [&uid, said.kind, said.reason, said.message].join("\n");
        let event = format!("{}.{}", self.name, name::safe_hash(&content));
        let api = self.api::<Event>();
        let earlier = api.get_opt(&event).await?;
        let involved = json!(self.pg_cluster.object_ref(&types::api_resource()));
        let mut whole = body(said, earlier.as_ref(), &now());
        whole["metadata"] = json!({"name": event, "namespace": self.namespace});
        whole["involvedObject"] = involved;
        let params = PatchParams::apply(name::FIELD_MANAGER).force();
        api.patch(&event, &params, &Patch::Apply(&whole)).await?;
        Ok(())
    }
}

fn body(said: &Said<'_>, earlier: Option<&Event>, now: &str) -> Value {
    let first = earlier.and_then(|event| event.first_timestamp.as_ref());
    let count = earlier.and_then(|event| event.count).unwrap_or_default();
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "type": said.kind,
        "reason": said.reason,
        "message": said.message,
        "source": {"component": name::FIELD_MANAGER},
        "reportingComponent": name::FIELD_MANAGER,
        "reportingInstance": "",
        "count": count + 1,
        "firstTimestamp": first.map_or_else(|| json!(now), |first| json!(first)),
        "lastTimestamp": now,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_said_twice_is_one_event_that_is_counted() {
        let said = Said {
            kind: "Warning",
            reason: "InvalidBackupRepo",
            message: "Unable to find status",
        };
        let first = body(&said, None, "2026-11-21T19:11:17Z");
        assert_eq!(first["count"], 1);
        assert_eq!(first["firstTimestamp"], first["lastTimestamp"]);
        assert_eq!(first["source"]["component"], "postgrescluster-controller");
        let first: Event = serde_json::from_value(first).unwrap();
        let second = body(&said, Some(&first), "2026-11-21T19:11:22Z");
        assert_eq!(second["count"], 2);
        assert_eq!(second["firstTimestamp"], "2026-11-21T19:11:17Z");
        assert_eq!(second["lastTimestamp"], "2026-11-21T19:11:22Z");
    }
}
