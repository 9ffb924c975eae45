//! A workload that has pods only where the primary is.
//!
//! It is scaled by the subresource `scale`, which names its pods as well (Kubernetes API reference, Scale v1 autoscaling), so
//! that nothing else of it need be permitted.

use std::time::Duration;

use k8s_openapi::api::autoscaling::v1::Scale as ScaleObject;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use pgha_model::application::{At, Scale};
use serde_json::json;

use super::{ApplicationError, LOOK, Tell, settled};
use crate::client::{CallError, SiteClient};
use crate::clock;
use crate::k8s::{DynamicObject, ListParams, Patch};
use crate::patch::{PatchBuilder, parameters};
use crate::settle::{Look, await_until};

/// A workload at a site.
pub(super) struct Workload {
    site: SiteClient,
    api: Api<DynamicObject>,
    at: At,
}

pub(super) fn replicas_of(scale: &ScaleObject) -> i32 {
    let spec = scale.spec.as_ref();
    spec.and_then(|spec| spec.replicas).unwrap_or_default()
}

impl Workload {
    pub(super) fn of(site: &SiteClient, scale: &Scale) -> Self {
        let (site, api, at) = super::objects(site, scale.at());
        Self { site, api, at }
    }

    pub(super) async fn read(&self) -> Result<ScaleObject, CallError> {
        let request = self.api.get_scale(&self.at.object.name);
        let object = format!("scale of {}", self.at);
        self.site.call("get", &object, request).await
    }

    pub(super) async fn stop(
        &self,
        limit: Duration,
        tell: &mut Tell<'_>,
    ) -> Result<(), ApplicationError> {
        let before = self.scale_from_any_to(0, limit).await?;
        if before > 0 {
            tell(format!("{} is scaled from {before} to 0.", self.at));
        }
        self.await_pods("its pods were not gone", limit, async |replicas, pods| {
            if replicas != 0 {
                let at = self.at.clone();
                return Err(ApplicationError::PutBack { at, replicas });
            }
            Ok(match pods.iter().find(|pod| !has_ended(pod)) {
                None => Look::Settled(()),
                Some(pod) => Look::NotYet(format!("pod {} is still there", name_of(pod))),
            })
        })
        .await
    }

    pub(super) async fn start(
        &self,
        count: u32,
        limit: Duration,
        tell: &mut Tell<'_>,
    ) -> Result<(), ApplicationError> {
        let count = i32::try_from(count).unwrap_or(i32::MAX);
        // One that runs already has its own count.
        if replicas_of(&self.read().await?) == 0 {
            self.scale_from_any_to(count, limit).await?;
            tell(format!("{} is scaled from 0 to {count}.", self.at));
        }
        self.await_pods("its pods were not ready", limit, async |replicas, pods| {
            let ready = pods.iter().filter(|pod| is_ready(pod)).count();
            let wanted = usize::try_from(replicas).unwrap_or_default().max(1);
            Ok(if ready >= wanted {
                Look::Settled(())
            } else {
                Look::NotYet(format!("{ready} of {wanted} pods are ready"))
            })
        })
        .await
    }

    /// Says once how many pods it is to have, from whatever it says now; returns that. A number that somebody has changed
    /// in between is read again.
    async fn scale_from_any_to(
        &self,
        wanted: i32,
        limit: Duration,
    ) -> Result<i32, ApplicationError> {
        let settlement = await_until(clock::monotonic() + limit, LOOK, async || {
            let seen = self.read().await?;
            let now = replicas_of(&seen);
            if now == wanted {
                return Ok(Look::Settled(now));
            }
            match self.scale(&seen, wanted).await {
                Ok(()) => Ok(Look::Settled(now)),
                Err(error) if error.is_outdated() => Ok(Look::NotYet(error.to_string())),
                Err(error) => Err(ApplicationError::from(error)),
            }
        });
        settled(&self.at, "it was not scaled", limit, settlement.await?)
    }

    async fn scale(&self, seen: &ScaleObject, wanted: i32) -> Result<(), CallError> {
        let now = replicas_of(seen);
        // A count of 0 is left out of what the API server sends, and what is absent cannot be tested.
        let (patch, tested) = if now == 0 {
            let version = seen.metadata.resource_version.clone();
            let patch =
                PatchBuilder::default().test(&["metadata", "resourceVersion"], json!(version));
            (patch, None)
        } else {
            (PatchBuilder::default(), Some(json!(now)))
        };
        let patch = patch.set(&["spec", "replicas"], tested.as_ref(), json!(wanted));
        let patch = Patch::Json::<()>(patch.operations());
        let params = parameters();
        let request = self.api.patch_scale(&self.at.object.name, &params, &patch);
        let object = format!("scale of {}", self.at);
        self.site.call("patch", &object, request).await.map(drop)
    }

    /// Looks at its count and its pods until a condition holds. A site that does not answer is asked again.
    async fn await_pods(
        &self,
        what: &str,
        limit: Duration,
        judge: impl AsyncFn(i32, &[Pod]) -> Result<Look<(), String>, ApplicationError>,
    ) -> Result<(), ApplicationError> {
        let settlement = await_until(clock::monotonic() + limit, LOOK, async || {
            match self.look().await {
                Ok((replicas, pods)) => judge(replicas, &pods).await,
                Err(ApplicationError::Call(error)) if error.may_pass() => {
                    Ok(Look::NotYet(error.to_string()))
                }
                Err(error) => Err(error),
            }
        });
        settled(&self.at, what, limit, settlement.await?)
    }

    async fn look(&self) -> Result<(i32, Vec<Pod>), ApplicationError> {
        let scale = self.read().await?;
        let status = scale.status.as_ref();
        let selector = status.and_then(|status| status.selector.as_deref());
        let selector = selector.filter(|it| !it.is_empty());
        let selector = selector.ok_or_else(|| ApplicationError::Blind {
            at: self.at.clone(),
        })?;
        let api: Api<Pod> = Api::namespaced(self.site.client.clone(), &self.site.namespace);
        let params = ListParams::default().labels(selector);
        let pods = self.site.call("list", "pods", api.list(&params)).await?;
        Ok((replicas_of(&scale), pods.items))
    }
}

fn name_of(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

/// Whether its containers have ended for good: such a pod stays to be looked at.
fn has_ended(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

fn is_ready(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_ref());
    let says_so = conditions.is_some_and(|conditions| {
        let mut conditions = conditions.iter();
        conditions.any(|it| it.type_ == "Ready" && it.status == "True")
    });
    says_so && pod.metadata.deletion_timestamp.is_none()
}
