//! The application of a service at one site: looked at, stopped, started.
//!
//! Workloads are scaled by the subresource `scale`, which names their pods as well (Kubernetes API reference, Scale v1
//! autoscaling), so that nothing else of them need be permitted.

use std::time::Duration;

use futures::future::try_join_all;
use k8s_openapi::api::autoscaling::v1::Scale as ScaleObject;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use pgha_model::application::{Annotate, AppStep, Application, At, Scale};
use serde_json::{Value, json};

use crate::client::{CallError, SiteClient};
use crate::clock;
use crate::k8s::{DynamicObject, ListParams, Patch, resource};
use crate::patch::{PatchBuilder, parameters};
use crate::permission::Permission;
use crate::settle::{Look, Settlement, await_until};

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// Why an application was not stopped or started. Steps that were taken before stay taken.
#[derive(Debug, thiserror::Error)]
pub enum ApplicationError {
    /// A request failed.
    #[error("a request failed")]
    Call(#[source] Box<CallError>),
    /// What was awaited did not come.
    #[error("{what} within {} s: {seen}", limit.as_secs())]
    NotSettled {
        /// What did not happen, as a clause.
        what: String,
        /// How long was waited.
        limit: Duration,
        /// What was seen last.
        seen: String,
    },
    /// Somebody else keeps a workload running.
    #[error("{at} was scaled to 0 and is scaled to {replicas} again: somebody else decides on it")]
    PutBack {
        /// Which.
        at: At,
        /// To how many pods.
        replicas: i32,
    },
    /// Which pods are a workload's is not told.
    #[error("{at} does not say which pods are its own")]
    Blind {
        /// Which.
        at: At,
    },
}

impl From<CallError> for ApplicationError {
    fn from(error: CallError) -> Self {
        Self::Call(Box::new(error))
    }
}

/// Takes what is done, a full sentence each.
pub type Tell<'a> = dyn FnMut(String) + Send + 'a;

/// What the steps need to be permitted at each site.
pub fn permissions(steps: &[AppStep]) -> Vec<(Option<String>, Permission)> {
    let mut needed = Vec::new();
    for step in steps {
        let at = step.at();
        let of = |verb, part| Permission::of_object(verb, &at.object, part);
        let all = match step {
            AppStep::Scale(_) => vec![
                of("get", Some("scale")),
                of("patch", Some("scale")),
                Permission::on("list", "", "pods"),
            ],
            AppStep::Annotate(_) => vec![of("get", None), of("patch", None)],
        };
        needed.extend(all.into_iter().map(|one| (at.namespace.clone(), one)));
    }
    needed.sort();
    needed.dedup();
    needed
}

/// Which of them a site denies, each as a verb and a resource.
pub async fn denied(site: &SiteClient, steps: &[AppStep]) -> Result<Vec<String>, CallError> {
    let asked = permissions(steps).into_iter().map(|(namespace, needed)| {
        let site = in_namespace(site, namespace.as_deref());
        async move { crate::validate::denied(&site, vec![needed]).await }
    });
    Ok(try_join_all(asked).await?.into_iter().flatten().collect())
}

/// How many pods a workload is to have at a site now.
pub async fn replicas(site: &SiteClient, scale: &Scale) -> Result<u32, CallError> {
    let workload = Workload::of(site, scale);
    let seen = workload.read().await?;
    Ok(u32::try_from(replicas_of(&seen)).unwrap_or_default())
}

/// Leaves a site: every step says what is so where the standby is, in reverse order, each awaited, and all of it within the
/// limit: whoever waits for it is silent meanwhile. Returns what has come of it, as a full sentence.
pub async fn stop(
    site: &SiteClient,
    application: &Application,
    limit: Duration,
    tell: &mut Tell<'_>,
) -> Result<String, ApplicationError> {
    let deadline = clock::monotonic() + limit;
    for step in application.steps.iter().rev() {
        match step {
            AppStep::Scale(scale) => {
                let left = deadline.saturating_duration_since(clock::monotonic());
                Workload::of(site, scale).stop(left, tell).await?;
            }
            AppStep::Annotate(one) => annotate(site, one, one.standby.as_deref(), tell).await?,
        }
    }
    let stopped = workloads(application);
    Ok(format!("No pod is left of {stopped}."))
}

/// Enters a site: every step says what is so where the primary is, in order, each awaited. Returns what has come of it, as a
/// full sentence.
pub async fn start(
    site: &SiteClient,
    application: &Application,
    limit: Duration,
    tell: &mut Tell<'_>,
) -> Result<String, ApplicationError> {
    for step in &application.steps {
        match step {
            AppStep::Scale(scale) => match application.count(&step.at()) {
                Some(count) => Workload::of(site, scale).start(count, limit, tell).await?,
                None => tell(format!("{} did not run, and is left alone.", step.at())),
            },
            AppStep::Annotate(one) => annotate(site, one, one.primary.as_deref(), tell).await?,
        }
    }
    let started = workloads(application);
    Ok(format!("Every pod is ready of {started}."))
}

fn workloads(application: &Application) -> String {
    let scales = application.steps.iter().filter_map(|step| match step {
        AppStep::Scale(_) => Some(step.at().to_string()),
        AppStep::Annotate(_) => None,
    });
    let names: Vec<_> = scales.collect();
    if names.is_empty() {
        return "nothing".to_owned();
    }
    names.join(", ")
}

fn in_namespace(site: &SiteClient, namespace: Option<&str>) -> SiteClient {
    namespace.map_or_else(|| site.clone(), |namespace| site.in_namespace(namespace))
}

fn objects(site: &SiteClient, at: &At) -> (SiteClient, Api<DynamicObject>) {
    let site = in_namespace(site, at.namespace.as_deref());
    let of = &at.object.resource;
    let api = site.objects(&resource(&of.group, &of.version, &of.plural, &of.plural));
    (site, api)
}

/// A workload at a site.
struct Workload {
    site: SiteClient,
    api: Api<DynamicObject>,
    at: At,
}

fn replicas_of(scale: &ScaleObject) -> i32 {
    let spec = scale.spec.as_ref();
    spec.and_then(|spec| spec.replicas).unwrap_or_default()
}

impl Workload {
    fn of(site: &SiteClient, scale: &Scale) -> Self {
        let at = scale.at();
        let (site, api) = objects(site, &at);
        Self { site, api, at }
    }

    async fn read(&self) -> Result<ScaleObject, CallError> {
        let request = self.api.get_scale(&self.at.object.name);
        let object = format!("scale of {}", self.at);
        self.site.call("get", &object, request).await
    }

    async fn stop(&self, limit: Duration, tell: &mut Tell<'_>) -> Result<(), ApplicationError> {
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

    async fn start(
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

fn settled<T>(
    at: &At,
    what: &str,
    limit: Duration,
    settlement: Settlement<T, String>,
) -> Result<T, ApplicationError> {
    match settlement {
        Settlement::Settled(value) => Ok(value),
        Settlement::TimedOut { last_seen } => Err(ApplicationError::NotSettled {
            what: format!("{at}: {what}"),
            limit,
            seen: last_seen.unwrap_or_else(|| "nothing was seen".to_owned()),
        }),
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

/// Makes an annotation say something, or be absent. What somebody has changed in between is read once more.
async fn annotate(
    site: &SiteClient,
    annotate: &Annotate,
    wanted: Option<&str>,
    tell: &mut Tell<'_>,
) -> Result<(), ApplicationError> {
    let at = annotate.at();
    let (site, api) = objects(site, &at);
    let key = annotate.key.as_str();
    for is_last in [false, true] {
        let request = api.get(&at.object.name);
        let seen = site.call("get", &at.to_string(), request).await?;
        let annotations = seen.metadata.annotations.as_ref();
        let now = annotations.and_then(|all| all.get(key));
        if now.map(String::as_str) == wanted {
            return Ok(());
        }
        let patch = annotation_patch(&seen, key, wanted);
        let params = parameters();
        let request = api.patch(&at.object.name, &params, &patch);
        match site.call("patch", &at.to_string(), request).await {
            Ok(_) => break,
            Err(error) if error.is_outdated() && !is_last => {}
            Err(error) => return Err(error.into()),
        }
    }
    tell(match wanted {
        Some(value) => format!("{at} has the annotation {key}: {value}."),
        None => format!("{at} has the annotation {key} no longer."),
    });
    Ok(())
}

fn annotation_patch(seen: &DynamicObject, key: &str, wanted: Option<&str>) -> Patch<()> {
    let place = ["metadata", "annotations", key];
    let annotations = seen.metadata.annotations.as_ref();
    let now = annotations
        .and_then(|all| all.get(key))
        .map(|value| json!(value));
    // What is absent cannot be tested: then the patch rests on the object as it was read.
    let version = || Value::from(seen.metadata.resource_version.clone());
    let patch = PatchBuilder::default();
    let patch =
        match (wanted, &now, annotations) {
            (None, now, _) => patch.remove(&place, now.as_ref()),
            (Some(value), Some(now), _) => patch.set(&place, Some(now), json!(value)),
            (Some(value), None, Some(_)) => patch
                .test(&["metadata", "resourceVersion"], version())
                .set(&place, None, json!(value)),
            (Some(value), None, None) => patch
                .test(&["metadata", "resourceVersion"], version())
                .set(&["metadata", "annotations"], None, json!({ key: value })),
        };
    Patch::Json(patch.operations())
}
