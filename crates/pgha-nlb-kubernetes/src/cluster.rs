//! Requests to API servers, each bounded in time and none repeated, and how they fail.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use json_patch::PatchOperation;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use pgha_model::effect::Effect;
use pgha_nlb::text::one_line;
use pgha_nlb::{CutoverError, Problem};
use tokio::sync::OnceCell;
use tokio::time::timeout;

/// Our name in `managedFields`, as everywhere in pgha.
const FIELD_MANAGER: &str = "pgha";

/// A context of the kubeconfig that was opened.
#[derive(Clone)]
pub struct Opened {
    /// Its client. It repeats nothing by itself.
    pub client: Client,
    /// The namespace where nobody names another one.
    pub namespace: String,
}

/// A context on the way to be opened; otherwise why it cannot be, without a secret.
pub type Opening = Pin<Box<dyn Future<Output = Result<Opened, String>> + Send>>;

/// Opens the context of this name, when it is needed for the first time.
pub type Open = Arc<dyn Fn(String) -> Opening + Send + Sync>;

/// One object by its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) context: String,
    pub(crate) namespace: Option<String>,
    pub(crate) resource: ApiResource,
    pub(crate) name: String,
}

/// The contexts that objects are in.
pub(crate) struct Clusters {
    open: Open,
    opened: BTreeMap<String, OnceCell<Opened>>,
}

impl Object {
    /// The object, for a person: `HTTPRoute ingress/login at edge`.
    pub(crate) fn label(&self) -> String {
        let namespace = self
            .namespace
            .iter()
            .map(|namespace| format!("{namespace}/"));
        let (kind, namespace) = (&self.resource.kind, namespace.collect::<String>());
        format!("{kind} {namespace}{} at {}", self.name, self.context)
    }

    pub(crate) fn error(&self, tried: &'static str, problem: Problem, next: &str) -> CutoverError {
        CutoverError::new(tried, self.label(), problem, next)
    }
}

impl Clusters {
    pub(crate) fn new(open: Open, objects: &[Object]) -> Self {
        let contexts = objects.iter().map(|object| object.context.clone());
        let opened = contexts.map(|context| (context, OnceCell::new())).collect();
        Self { open, opened }
    }

    /// Reads an object.
    pub(crate) async fn get(
        &self,
        object: &Object,
        within: Duration,
    ) -> Result<DynamicObject, CutoverError> {
        let asked = self.ask(object, "read the object", within, async |opened| {
            objects(object, opened).get(&object.name).await
        });
        asked.await.map_err(|error| error.leaving(Effect::None))
    }

    /// Changes an object; `false` where it is not as a test says, and nothing was changed. An error's effect is none where the
    /// API server was not asked, or said no.
    pub(crate) async fn patch(
        &self,
        object: &Object,
        operations: Vec<PatchOperation>,
        within: Duration,
    ) -> Result<bool, CutoverError> {
        let patch = Patch::Json::<()>(json_patch::Patch(operations));
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        self.ask(object, "change the object", within, async |opened| {
            let api = objects(object, opened);
            match api.patch(&object.name, &params, &patch).await {
                Err(kube::Error::Api(status)) if is_stale(&status) => Ok(false),
                patched => patched.map(|_| true),
            }
        })
        .await
    }

    /// Which of these verbs on resources, each with its group, the API server denies to us.
    pub(crate) async fn denied(
        &self,
        object: &Object,
        needed: &[(&'static str, &str, &str, Option<&str>)],
        within: Duration,
    ) -> Result<Vec<String>, CutoverError> {
        let mut denied = Vec::new();
        for (verb, group, resource, name) in needed {
            let asked = self.ask(object, "ask for permission", within, async |opened| {
                let attributes = ResourceAttributes {
                    namespace: Some(namespace_of(object, opened).to_owned()),
                    verb: Some((*verb).to_owned()),
                    group: Some((*group).to_owned()),
                    resource: Some((*resource).to_owned()),
                    name: name.map(str::to_owned),
                    ..ResourceAttributes::default()
                };
                let spec = SelfSubjectAccessReviewSpec {
                    resource_attributes: Some(attributes),
                    ..SelfSubjectAccessReviewSpec::default()
                };
                let review = SelfSubjectAccessReview {
                    spec,
                    ..SelfSubjectAccessReview::default()
                };
                let api: Api<SelfSubjectAccessReview> = Api::all(opened.client.clone());
                api.create(&PostParams::default(), &review).await
            });
            let review = asked.await.map_err(|error| error.leaving(Effect::None))?;
            if !review.status.is_some_and(|status| status.allowed) {
                denied.push(format!("{verb} {resource}"));
            }
        }
        Ok(denied)
    }

    /// The names of the pods that a selector selects, and those of the pods that are ready behind a Service, `None` for an
    /// address that is no pod's.
    pub(crate) async fn behind(
        &self,
        service: &Object,
        selector: &str,
        within: Duration,
    ) -> Result<(BTreeSet<String>, BTreeSet<Option<String>>), CutoverError> {
        let asked = self.ask(service, "look behind the Service", within, async |opened| {
            let (client, namespace) = (&opened.client, namespace_of(service, opened));
            let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
            let pods = pods
                .list_metadata(&ListParams::default().labels(selector))
                .await?;
            let of_service = format!("kubernetes.io/service-name={}", service.name);
            let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
            let slices = slices
                .list(&ListParams::default().labels(&of_service))
                .await?;
            Ok((pods, slices))
        });
        let (pods, slices) = asked.await.map_err(|error| error.leaving(Effect::None))?;
        let pods = pods.items.into_iter().filter_map(|pod| pod.metadata.name);
        let endpoints = slices.items.into_iter().flat_map(|slice| slice.endpoints);
        // What is not said counts as ready (Kubernetes, `EndpointConditions`).
        let ready = endpoints.filter(|endpoint| {
            let conditions = endpoint.conditions.as_ref();
            conditions
                .and_then(|conditions| conditions.ready)
                .unwrap_or(true)
        });
        let ready = ready.map(|endpoint| endpoint.target_ref.and_then(|target| target.name));
        Ok((pods.collect(), ready.collect()))
    }

    async fn ask<T>(
        &self,
        object: &Object,
        tried: &'static str,
        within: Duration,
        request: impl AsyncFnOnce(&Opened) -> kube::Result<T>,
    ) -> Result<T, CutoverError> {
        let unopened = |seen: String| object.error(tried, Problem::Unfit { seen }, RENEW);
        let mut was_opened = false;
        let asked = timeout(within, async {
            let cell = self.opened.get(&object.context);
            let cell = cell.ok_or_else(|| unopened("its context is not known".to_owned()))?;
            let opened = cell.get_or_try_init(|| (self.open)(object.context.clone()));
            let opened = opened.await.map_err(unopened)?;
            was_opened = true;
            Ok(request(opened).await)
        });
        match asked.await {
            Ok(Ok(Ok(answer))) => Ok(answer),
            Ok(Ok(Err(error))) => Err(failed(object, tried, &error)),
            Ok(Err(unopened)) => Err(unopened),
            Err(_elapsed) => {
                let late = object.error(tried, Problem::NoAnswer { within }, REACH);
                Err(late.leaving(if was_opened {
                    Effect::Unknown
                } else {
                    Effect::None
                }))
            }
        }
    }
}

const RENEW: &str = "See that the kubeconfig has the context, and renew your login: `kubectl auth whoami` tries it.";

const REACH: &str = "See that the API server of the context answers: `kubectl version` with it.";

fn namespace_of<'a>(object: &'a Object, opened: &'a Opened) -> &'a str {
    object.namespace.as_deref().unwrap_or(&opened.namespace)
}

fn objects(object: &Object, opened: &Opened) -> Api<DynamicObject> {
    let namespace = namespace_of(object, opened);
    Api::namespaced_with(opened.client.clone(), namespace, &object.resource)
}

/// A patch that does not apply is answered with 422 and no causes, an object that would not be valid with one for each field
/// (Kubernetes `apiserver`, `endpoints/handlers/patch.go`).
fn is_stale(status: &kube::core::Status) -> bool {
    let details = status.details.as_ref();
    let has_causes = details.is_some_and(|details| !details.causes.is_empty());
    status.code == 409 || (status.code == 422 && !has_causes)
}

/// The error and what lies below it.
fn links<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&link| link.source())
}

/// How a request failed. Its effect is none where it is clear that nothing was changed.
fn failed(object: &Object, tried: &'static str, error: &kube::Error) -> CutoverError {
    // Its text may hold what a program of the kubeconfig has printed.
    if links(error).any(<dyn Error>::is::<kube::client::AuthError>) {
        let said = "there are no credentials for it".to_owned();
        return object.error(tried, Problem::Denied { said }, RENEW);
    }
    let kube::Error::Api(status) = error else {
        let cause = links(error)
            .last()
            .map(ToString::to_string)
            .unwrap_or_default();
        let lost = object.error(tried, Problem::Unreachable, REACH);
        return lost.caused_by(one_line(&cause)).leaving(Effect::Unknown);
    };
    let said = status.message.clone();
    let (problem, next) = match status.code {
        401 => (Problem::Denied { said }, RENEW),
        403 => (
            Problem::Denied { said },
            "Ask for a Role with `get` and `patch` on the object.",
        ),
        // A path that no handler serves is answered without details, and an object that is not there with them.
        404 if status.details.is_none() => (
            Problem::Unfit {
                seen: format!("there is no such resource: {said}"),
            },
            "See which versions the cluster serves: `kubectl api-resources`.",
        ),
        404 => (
            Problem::Unfit { seen: said },
            "Correct the name or the namespace in the service's file.",
        ),
        _ => (
            Problem::Denied { said },
            "Correct what the API server says, and plan again.",
        ),
    };
    let is_clear = status.code < 500;
    let failed = object.error(tried, problem, next);
    failed.leaving(if is_clear {
        Effect::None
    } else {
        Effect::Unknown
    })
}
