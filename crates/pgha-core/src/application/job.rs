//! A Job that is to be complete, and may have to be made again for that.
//!
//! The template of a Job cannot be changed, so one that is to run again is removed and created anew. Its manifest is nowhere else,
//! and may hold what nobody is to see: until the new one is there it is kept beside it, in a suspended Job that runs nothing.
//! Whoever is killed in between finds it there.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{DeleteParams, Preconditions, TypeMeta};
use pgha_model::application::{At, Job};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{ApplicationError, LOOK, Tell, settled};
use crate::client::{CallError, CallKind, FIELD_MANAGER, SiteClient};
use crate::clock;
use crate::diagnose::sanitised;
use crate::k8s::{DynamicObject, PostParams};
use crate::settle::{Look, await_until};

/// What the name of a kept Job ends with.
const SUFFIX: &str = "-pgha-kept";

/// What a kept Job says of the one that it stands for.
pub(crate) const KEY: &str = "pgha.dev/kept";

/// No name of a Job is longer: its pods carry it as a label (Kubernetes documentation, Jobs, Writing a Job spec).
const LONGEST: usize = 63;

/// Labels that the API server gives the pods of a Job from its own identity (Kubernetes API reference, Well-Known Labels).
const GIVEN: [&str; 4] = [
    "controller-uid",
    "job-name",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
];

/// What of a Job a suspended one cannot carry as its own.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    uid: Option<String>,
    metadata: ObjectMeta,
    suspend: Option<Value>,
}

/// A Job at a site.
pub(super) struct Work<'a> {
    job: &'a Job,
    site: SiteClient,
    api: Api<DynamicObject>,
    at: At,
}

/// How a Job stands.
enum State {
    Missing,
    Running(String),
    Complete,
    Failed(String),
}

impl<'a> Work<'a> {
    pub(super) fn of(site: &SiteClient, job: &'a Job) -> Self {
        let (site, api, at) = super::objects(site, job.at());
        Self { job, site, api, at }
    }

    /// Waits until no pod of it runs.
    pub(super) async fn await_rest(&self, limit: Duration) -> Result<(), ApplicationError> {
        let look = async || {
            let seen = self.read(&self.at.object.name).await?;
            let active = seen.as_ref().map_or(0, |job| number(job, "active"));
            Ok(match active {
                0 => Look::Settled(()),
                _ => Look::NotYet(format!("{active} of its pods run")),
            })
        };
        self.settle("it did not end", limit, look).await
    }

    /// Waits until it is complete; one that has ended before is made again where that is wanted.
    pub(super) async fn complete(
        &self,
        limit: Duration,
        tell: &mut Tell<'_>,
    ) -> Result<(), ApplicationError> {
        let deadline = clock::monotonic() + limit;
        if self.job.recreate {
            self.make_again(limit, tell).await?;
        }
        let look = async || {
            let seen = self.read(&self.at.object.name).await?;
            match state(seen.as_ref()) {
                State::Complete => Ok(Look::Settled(())),
                State::Missing => Ok(Look::NotYet("there is no such Job".to_owned())),
                State::Running(seen) => Ok(Look::NotYet(seen)),
                State::Failed(because) => Err(ApplicationError::Failed {
                    at: self.at.to_string(),
                    because,
                }),
            }
        };
        let left = deadline.saturating_duration_since(clock::monotonic());
        self.settle("it was not complete", left, look).await
    }

    /// Makes one that has ended again, or goes on with that. One that runs, or that nobody has made yet, is left alone.
    async fn make_again(
        &self,
        limit: Duration,
        tell: &mut Tell<'_>,
    ) -> Result<(), ApplicationError> {
        let name = self.at.object.name.as_str();
        let kept_name = kept_name(name);
        let old = self.read(name).await?;
        let kept = match self.read(&kept_name).await? {
            Some(kept) => kept,
            None => match (&old, state(old.as_ref())) {
                (Some(old), State::Complete | State::Failed(_)) => {
                    self.create(&kept_name, &self.keep(old)?).await?
                }
                _ => return Ok(()),
            },
        };
        let (manifest, uid) = self.manifest(&kept)?;
        if let Some(old) = old.filter(|old| old.metadata.uid == uid) {
            self.remove(&old, limit).await?;
        }
        if self.read(name).await?.is_none() {
            self.create(name, &manifest).await?;
            tell(format!("{} is made again.", self.at));
        }
        self.remove(&kept, limit).await
    }

    async fn read(&self, name: &str) -> Result<Option<DynamicObject>, CallError> {
        let request = self.api.get_opt(name);
        self.site.call("get", &format!("job {name}"), request).await
    }

    async fn create(
        &self,
        name: &str,
        manifest: &DynamicObject,
    ) -> Result<DynamicObject, CallError> {
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let request = self.api.create(&params, manifest);
        self.site
            .call("create", &format!("job {name}"), request)
            .await
    }

    /// Removes this very Job, with its pods, and sees it gone.
    async fn remove(&self, job: &DynamicObject, limit: Duration) -> Result<(), ApplicationError> {
        let name = job.metadata.name.as_deref().unwrap_or_default();
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: job.metadata.uid.clone(),
                resource_version: None,
            }),
            ..DeleteParams::background()
        };
        let request = self.api.delete(name, &params);
        match self
            .site
            .call("delete", &format!("job {name}"), request)
            .await
        {
            // Gone, or another one by now: both are what is wanted.
            Err(error) if !matches!(error.kind, CallKind::NotFound | CallKind::Conflict) => {
                return Err(error.into());
            }
            Ok(_) | Err(_) => {}
        }
        let look = async || {
            let seen = self.read(name).await?;
            let is_there = seen.is_some_and(|seen| seen.metadata.uid == job.metadata.uid);
            Ok(if is_there {
                Look::NotYet("it is still there".to_owned())
            } else {
                Look::Settled(())
            })
        };
        self.settle("it was not removed", limit, look).await
    }

    async fn settle(
        &self,
        what: &str,
        limit: Duration,
        mut look: impl AsyncFnMut() -> Result<Look<(), String>, ApplicationError>,
    ) -> Result<(), ApplicationError> {
        let settlement = await_until(clock::monotonic() + limit, LOOK, async || {
            match look().await {
                Err(ApplicationError::Call(error)) if error.may_pass() => {
                    Ok(Look::NotYet(error.to_string()))
                }
                looked => looked,
            }
        });
        settled(&self.at, what, limit, settlement.await?)
    }

    /// The suspended Job that keeps another.
    fn keep(&self, job: &DynamicObject) -> Result<DynamicObject, ApplicationError> {
        let of = &job.metadata;
        let mut spec = spec(job);
        let suspend = spec["suspend"].take();
        spec["suspend"] = json!(true);
        let kept = Kept {
            uid: of.uid.clone(),
            metadata: ObjectMeta {
                name: of.name.clone(),
                namespace: of.namespace.clone(),
                labels: of.labels.clone(),
                annotations: of.annotations.clone(),
                owner_references: of.owner_references.clone(),
                ..ObjectMeta::default()
            },
            suspend: Some(suspend).filter(|suspend| !suspend.is_null()),
        };
        let text = serde_json::to_string(&kept).map_err(|error| ApplicationError::Failed {
            at: self.at.to_string(),
            because: error.to_string(),
        })?;
        let metadata = ObjectMeta {
            name: Some(kept_name(&self.at.object.name)),
            namespace: of.namespace.clone(),
            annotations: Some([(KEY.to_owned(), text)].into()),
            ..ObjectMeta::default()
        };
        Ok(object(metadata, json!({ "spec": spec })))
    }

    /// Why it could not be made again, as a clause.
    pub(super) async fn cannot_recreate(&self) -> Result<Option<String>, CallError> {
        let (at, name) = (&self.at, &self.at.object.name);
        if !self.job.recreate {
            return Ok(None);
        }
        if kept_name(name).len() > LONGEST {
            let because =
                format!("{at} cannot be made again: its name leaves no room for `{SUFFIX}`");
            return Ok(Some(because));
        }
        let seen = self.read(name).await?;
        let chooses = seen.is_some_and(|job| {
            job.data.pointer("/spec/manualSelector") == Some(&Value::Bool(true))
        });
        Ok(chooses.then(|| {
            format!("{at} cannot be made again: it chooses its pods itself (manualSelector)")
        }))
    }

    /// What a kept Job stands for, and the one that it was made of.
    fn manifest(
        &self,
        kept: &DynamicObject,
    ) -> Result<(DynamicObject, Option<String>), ApplicationError> {
        let text = kept
            .metadata
            .annotations
            .as_ref()
            .and_then(|all| all.get(KEY));
        let read = text.map(|text| serde_json::from_str::<Kept>(text));
        let Some(Ok(of)) = read else {
            let name = kept.metadata.name.as_deref().unwrap_or_default();
            return Err(ApplicationError::Foreign {
                at: self.at.to_string(),
                seen: format!("has a Job {name} beside it that pgha has not made"),
            });
        };
        let mut data = json!({ "spec": spec(kept) });
        match of.suspend {
            Some(suspend) => data["spec"]["suspend"] = suspend,
            None => drop(
                data["spec"]
                    .as_object_mut()
                    .and_then(|spec| spec.remove("suspend")),
            ),
        }
        Ok((object(of.metadata, data), of.uid))
    }
}

/// The name under which a Job is kept while it is made again.
pub(super) fn kept_name(name: &str) -> String {
    format!("{name}{SUFFIX}")
}

fn object(metadata: ObjectMeta, data: Value) -> DynamicObject {
    DynamicObject {
        types: Some(TypeMeta {
            api_version: "batch/v1".to_owned(),
            kind: "Job".to_owned(),
        }),
        metadata,
        data,
    }
}

/// What a Job says, without what the API server has given it.
fn spec(job: &DynamicObject) -> Value {
    let mut spec = job.data.get("spec").cloned().unwrap_or_else(|| json!({}));
    if let Some(spec) = spec.as_object_mut() {
        spec.remove("selector");
    }
    let labels = spec.pointer_mut("/template/metadata/labels");
    if let Some(labels) = labels.and_then(Value::as_object_mut) {
        for label in GIVEN {
            labels.remove(label);
        }
    }
    spec
}

fn number(job: &DynamicObject, field: &str) -> i64 {
    let number = job.data.pointer(&format!("/status/{field}"));
    number.and_then(Value::as_i64).unwrap_or(0)
}

/// By its conditions (Kubernetes documentation, Jobs, Terminal Job conditions).
fn state(job: Option<&DynamicObject>) -> State {
    let Some(job) = job else {
        return State::Missing;
    };
    let conditions = job
        .data
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    let mut conditions = conditions.into_iter().flatten();
    let ended = conditions
        .find(|it| it["status"] == "True" && (it["type"] == "Complete" || it["type"] == "Failed"));
    match ended {
        Some(it) if it["type"] == "Complete" => State::Complete,
        Some(it) => {
            let said = |field: &str| it[field].as_str().unwrap_or_default().to_owned();
            State::Failed(sanitised(&format!(
                "{}: {}",
                said("reason"),
                said("message")
            )))
        }
        None => State::Running(format!(
            "{} of its pods run, {} have failed",
            number(job, "active"),
            number(job, "failed")
        )),
    }
}
