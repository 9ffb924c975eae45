//! Requests to API servers, each bounded in time and none repeated, and how they fail.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use json_patch::PatchOperation;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use pgha_model::effect::Effect;
use pgha_nlb::text::one_line;
use pgha_nlb::{CutoverError, Problem};
use serde::de::DeserializeOwned;
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
pub struct Object {
    /// The context of the kubeconfig.
    pub context: String,
    /// The namespace [default: the context's].
    pub namespace: Option<String>,
    /// The kind. It is named and not discovered: discovery costs a request for what never changes.
    pub resource: ApiResource,
    /// The name.
    pub name: String,
    /// The subresource by which it is changed, if not by the object itself.
    pub changed_by: Option<&'static str>,
}

/// Something that one must be permitted.
#[derive(Clone, Copy, Debug)]
pub struct Need<'a> {
    /// The verb.
    pub verb: &'static str,
    /// The group of the API.
    pub group: &'a str,
    /// The resource, with its subresource where it is about that.
    pub resource: &'a str,
    /// The object; all of them when none is named.
    pub name: Option<&'a str>,
}

impl Need<'static> {
    /// To list all of a resource.
    pub const fn list(group: &'static str, resource: &'static str) -> Self {
        Self {
            verb: "list",
            group,
            resource,
            name: None,
        }
    }
}

/// The contexts that objects are in.
pub(crate) struct Clusters {
    open: Open,
    opened: BTreeMap<String, OnceCell<Opened>>,
}

impl Object {
    /// The object, for a person: `HTTPRoute ingress/login at edge`.
    pub fn label(&self) -> String {
        let namespace = self
            .namespace
            .iter()
            .map(|namespace| format!("{namespace}/"));
        let (kind, namespace) = (&self.resource.kind, namespace.collect::<String>());
        format!("{kind} {namespace}{} at {}", self.name, self.context)
    }

    /// A failure of something that was tried with it, which changed nothing.
    pub fn error(&self, tried: &'static str, problem: Problem, next: &str) -> CutoverError {
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
            let (api, name) = (objects(object, opened), &object.name);
            let patched = match object.changed_by {
                Some(part) => api.patch_subresource(part, name, &params, &patch).await,
                None => api.patch(name, &params, &patch).await,
            };
            match patched {
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
        needed: &[Need<'_>],
        within: Duration,
    ) -> Result<Vec<String>, CutoverError> {
        let mut denied = Vec::new();
        for Need {
            verb,
            group,
            resource,
            name,
        } in needed
        {
            let (plural, part) = match resource.split_once('/') {
                Some((plural, part)) => (plural, Some(part.to_owned())),
                None => (*resource, None),
            };
            let asked = self.ask(object, "ask for permission", within, async |opened| {
                let attributes = ResourceAttributes {
                    namespace: Some(namespace_of(object, opened).to_owned()),
                    verb: Some((*verb).to_owned()),
                    group: Some((*group).to_owned()),
                    resource: Some(plural.to_owned()),
                    subresource: part.clone(),
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

    /// Lists what is in the namespace of an object.
    pub(crate) async fn list<K>(
        &self,
        object: &Object,
        (tried, params): (&'static str, &ListParams),
        within: Duration,
    ) -> Result<Vec<K>, CutoverError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Clone + Debug + DeserializeOwned,
    {
        let asked = self.ask(object, tried, within, async |opened| {
            let namespace = namespace_of(object, opened);
            let api: Api<K> = Api::namespaced(opened.client.clone(), namespace);
            api.list(params).await
        });
        let listed = asked.await.map_err(|error| error.leaving(Effect::None))?;
        Ok(listed.items)
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
            "Ask for a Role that permits it: `kubectl pgha traffic plan` names all that is missing.",
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
