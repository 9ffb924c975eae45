//! What the commands of every day have in common, which stop, start and restart one side: single writes, each of which is
//! whole by itself, so that they claim no move; and how they end.
//!
//! A write rests on what was decided from, and on the epoch of the last move: one that was claimed meanwhile makes it fail.

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt as _};
use pgha_model::effect::Effect;
use serde_json::Value;

use super::{Side, StepError, changed};
use crate::client::CallError;
use crate::diagnose::Diagnose as _;
use crate::k8s::ListParams;
use crate::operator::pgo_v5;
use crate::patch::{ObjectPatch, while_outdated};
use crate::settle::Look;

/// Takes what happens, as full sentences.
pub type Told<'a> = dyn FnMut(&str) + Send + 'a;

/// Why the work did not come to its end.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct UpkeepError {
    /// What was not done, as a clause.
    pub what: String,
    /// What it has left behind.
    pub effect: Effect,
    /// What was changed has been put back.
    pub is_taken_back: bool,
    /// What stopped it.
    #[source]
    pub source: Box<StepError>,
}

impl UpkeepError {
    /// Nothing was changed, unless the error is of a write of which nobody knows.
    pub(super) fn before(what: impl Into<String>, source: StepError) -> Self {
        let effect = effect_of_call(&source);
        Self {
            what: what.into(),
            effect,
            is_taken_back: false,
            source: Box::new(source),
        }
    }

    /// The change was taken, and the work goes on without us or stands half-way.
    pub(super) fn after(what: impl Into<String>, source: StepError) -> Self {
        let effect = effect_of_call(&source).max(Effect::Applied);
        Self {
            what: what.into(),
            effect,
            is_taken_back: false,
            source: Box::new(source),
        }
    }
}

/// What a write that failed has left behind.
fn effect_of_call(error: &StepError) -> Effect {
    if let StepError::Secret(error) = error {
        return error.effect();
    }
    if let StepError::Call(error) = error {
        return error.effect();
    }
    Effect::None
}

/// What is in the way of what is waited for, told each time that it is something else.
pub(super) struct InTheWay<'a, 't> {
    tell: &'a mut Told<'t>,
    last: String,
}

impl<'a, 't> InTheWay<'a, 't> {
    pub(super) fn new(tell: &'a mut Told<'t>) -> Self {
        Self {
            tell,
            last: String::new(),
        }
    }

    /// This is seen now.
    pub(super) fn not_yet<T>(&mut self, seen: String) -> Look<T, String> {
        if seen != self.last {
            (self.tell)(&seen);
            self.last.clone_from(&seen);
        }
        Look::NotYet(seen)
    }
}

/// The pods of a side's cluster, but for those of Jobs, which end by themselves.
pub(super) async fn pods_beside_jobs(side: &Side) -> Result<Vec<Pod>, CallError> {
    let api: Api<Pod> = Api::namespaced(side.site.client.clone(), &side.site.namespace);
    let params = ListParams::default().labels(&pgo_v5::cluster_selector(&side.cluster));
    let mut pods = side
        .site
        .call("list", "pods", api.list(&params))
        .await?
        .items;
    let is_of_job = |pod: &Pod| {
        pod.owner_references()
            .iter()
            .any(|owner| owner.kind == "Job")
    };
    pods.retain(|pod| !is_of_job(pod));
    Ok(pods)
}

/// The fields that a decision was made from.
const BASIS: [&str; 4] = [
    "/spec/shutdown",
    "/spec/paused",
    "/spec/standby",
    "/metadata/annotations/pgha.dev~1epoch",
];

/// What the operator's object says where a decision looked.
pub(super) fn basis(object: &Value) -> [Option<Value>; 4] {
    BASIS.map(|path| object.pointer(path).cloned())
}

/// Sends one patch of the operator's object, which `patch` makes from the object as it is then, unless something that was
/// decided from has changed.
pub(super) async fn send(
    side: &mut Side,
    decided_from: &[Option<Value>; 4],
    patch: impl Fn(&Side) -> ObjectPatch,
) -> Result<(), StepError> {
    let attempt = async || {
        side.refresh().await?;
        refuse_changed(side, decided_from)?;
        let ready = side.resting_as_seen(patch(side));
        side.send_object(&ready).await
    };
    while_outdated(attempt, StepError::is_outdated).await
}

/// Refuses where the object says something else than what was decided from.
pub(super) fn refuse_changed(
    side: &Side,
    decided_from: &[Option<Value>; 4],
) -> Result<(), StepError> {
    let now = basis(side.object());
    let mut fields = BASIS.iter().zip(decided_from.iter().zip(&now));
    match fields.find(|(_, (before, now))| before != now) {
        None => Ok(()),
        Some((path, _)) if path.starts_with("/metadata") => {
            Err(changed("a move was claimed meanwhile"))
        }
        Some((path, _)) => {
            let field = path.trim_start_matches('/').replace('/', ".");
            Err(changed(format!("somebody has changed {field} meanwhile")))
        }
    }
}

#[cfg(test)]
pub(super) mod inside;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pgha_model::record::Epoch;
    use pgha_model::site::Part;
    use pgha_testkit::FakeCluster;
    use pgha_testkit::pgo::PgoSite;

    use super::*;
    use crate::client::SiteClient;
    use crate::clock;

    const LIMIT: Duration = Duration::from_secs(5);

    async fn open(cluster: &FakeCluster) -> Side {
        let client = SiteClient::from_client("core1", "prod", cluster.client(), LIMIT);
        let opened = Box::pin(Side::open(client, "zitadel", Part::Source)).await;
        opened.unwrap()
    }

    fn site() -> FakeCluster {
        PgoSite::primary("zitadel", "prod", clock::now()).build()
    }

    fn shutdown(cluster: &FakeCluster) -> Option<Value> {
        let object = cluster.object("postgresclusters", "prod", "zitadel");
        object.unwrap().pointer("/spec/shutdown").cloned()
    }

    async fn ask(side: &mut Side, basis: &[Option<Value>; 4]) -> Result<(), StepError> {
        send(side, basis, |side| side.shutdown_patch(true, None)).await
    }

    #[tokio::test]
    async fn a_write_rests_on_the_epoch_of_the_last_move_and_on_what_was_decided_from() {
        let cluster = site();
        let mut side = open(&cluster).await;
        let before = basis(side.object());
        let mut move_of_another = open(&cluster).await;
        move_of_another.stamp(Epoch(7)).await.unwrap();
        let refused = ask(&mut side, &before).await.unwrap_err();
        assert!(
            refused.to_string().contains("a move was claimed"),
            "{refused}"
        );
        let before = basis(side.object());
        cluster.change("postgresclusters", "prod", "zitadel", |object| {
            object["spec"]["paused"] = true.into();
        });
        let refused = ask(&mut side, &before).await.unwrap_err();
        assert!(refused.to_string().contains("spec.paused"), "{refused}");
        assert_eq!(shutdown(&cluster), None);
        let before = basis(side.object());
        ask(&mut side, &before).await.unwrap();
        assert_eq!(shutdown(&cluster), Some(true.into()));
    }

    /// Between the look and the write there is no epoch to test yet, but there is a version.
    #[tokio::test]
    async fn an_object_without_an_epoch_is_written_as_it_was_seen() {
        let cluster = site();
        let mut side = open(&cluster).await;
        let patch = side.resting_as_seen(side.shutdown_patch(true, None));
        cluster.change("postgresclusters", "prod", "zitadel", |object| {
            object["metadata"]["annotations"]["pgha.dev/epoch"] = "1".into();
        });
        assert!(side.send_object(&patch).await.is_err());
        assert_eq!(shutdown(&cluster), None);
    }
}
