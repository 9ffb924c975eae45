//! What stands around a cluster in its namespace: the programs that use it, and how users come to them.
//!
//! Everything is read from lists of whole kinds, a page at a time, and nothing is changed. No Secret is read: which of them a
//! program refers to stands in the program's own template.

mod entrance;
mod workload;

use std::collections::BTreeMap;

use futures::future::try_join_all;
use kube::ResourceExt as _;
use serde_json::Value;

pub use self::entrance::Entrance;
pub use self::workload::{PoolerPart, RECONCILE, Workload, WorkloadKind};

use self::entrance::Lead;
use self::workload::Names;
use crate::client::{CallError, CallKind, SiteClient};
use crate::diagnose::{chain_of, sanitised};
use crate::k8s::{self, ApiResource, DynamicObject, ListParams};
use crate::operator::pgo_v5;
use crate::operator::pgo_v5::service::{Service, pooler_service, writable_services};

/// The group of the Gateway API.
const GATEWAY_API: &str = "gateway.networking.k8s.io";

/// Objects that are asked for at once.
const PAGE: u32 = 500;

/// Objects of one kind that are looked at; a namespace with more is no service's own.
pub const MOST: usize = 5_000;

/// What was found around a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// What refers to the cluster, or is a pooler of somebody's, by kind and name; the operator's own is left out.
    pub workloads: Vec<Workload>,
    /// The hosts by which users come to these workloads, by host.
    pub entrances: Vec<Entrance>,
    /// The cluster's services that lead to the primary.
    pub services: Vec<Service>,
    /// The service of the operator's own pooler, where one runs.
    pub operators_pooler: Option<String>,
    /// What could not be looked at and why, a clause each.
    pub unread: Vec<String>,
}

/// Looks at every kind at the same time. What is not permitted, and what there is too much of, is told in `unread`.
///
/// # Errors
/// A request failed for another reason.
pub async fn look_around(site: &SiteClient, cluster: &str) -> Result<Surroundings, CallError> {
    let (workloads, leads, selectors, object) = tokio::try_join!(
        Box::pin(list_workloads(site, cluster)),
        Box::pin(list_leads(site)),
        Box::pin(list(site, [services()], selector)),
        Box::pin(fetch_object(site, cluster)),
    )?;
    let mut around = Surroundings {
        services: writable_services(cluster, &object),
        operators_pooler: pooler_service(cluster, &object).map(|service| service.name),
        ..Surroundings::default()
    };
    for listed in workloads {
        let found = around.take(listed);
        around.workloads.extend(found);
    }
    let selectors = around.take(selectors);
    for listed in leads {
        let leads = around.take(listed);
        let found = entrance::enter(leads, &selectors, &around.workloads);
        around.entrances.extend(found);
    }
    around
        .workloads
        .sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    around.entrances.sort();
    Ok(around)
}

async fn list_workloads(
    site: &SiteClient,
    cluster: &str,
) -> Result<Vec<Listed<Workload>>, CallError> {
    let names = Names::of(cluster, &site.namespace);
    let lists = WorkloadKind::ALL.map(|kind| {
        let names = &names;
        async move {
            let read = |object: &DynamicObject| Workload::read(kind, object, names);
            list(site, [kind.resource()], read).await
        }
    });
    try_join_all(lists).await
}

/// Ingresses, and the routes of the Gateway API in each version in which they were served: `HTTPRoute` is v1 since 1.0, `TLSRoute`
/// since 1.5 (kubernetes-sigs/gateway-api, `apis`).
async fn list_leads(site: &SiteClient) -> Result<Vec<Listed<Lead>>, CallError> {
    let route = |version, kind, plural| k8s::resource(GATEWAY_API, version, kind, plural);
    let http = ["v1", "v1beta1"].map(|it| route(it, "HTTPRoute", "httproutes"));
    let tls = ["v1", "v1alpha3", "v1alpha2"].map(|it| route(it, "TLSRoute", "tlsroutes"));
    let ingresses = k8s::resource("networking.k8s.io", "v1", "Ingress", "ingresses");
    let (ingresses, http, tls) = tokio::try_join!(
        list(site, [ingresses], Lead::of_ingress),
        list(site, http, Lead::of_http_route),
        list(site, tls, Lead::of_tls_route),
    )?;
    Ok(vec![ingresses, http, tls])
}

impl Surroundings {
    fn take<T>(&mut self, listed: Listed<T>) -> Vec<T> {
        self.unread.extend(listed.unread);
        listed.found
    }
}

/// What was made of a list.
struct Listed<T> {
    found: Vec<T>,
    unread: Option<String>,
}

impl<T> Listed<T> {
    const fn nothing(unread: Option<String>) -> Self {
        Self {
            found: Vec::new(),
            unread,
        }
    }
}

/// Lists the first of these versions that the API server knows; none of them is no object.
async fn list<T>(
    site: &SiteClient,
    versions: impl IntoIterator<Item = ApiResource>,
    read: impl Fn(&DynamicObject) -> Option<T>,
) -> Result<Listed<T>, CallError> {
    for resource in versions {
        match list_all(site, &resource, &read).await {
            Ok(listed) => return Ok(listed),
            Err(error) if error.is_unknown_resource() => {}
            Err(error) if matches!(error.kind, CallKind::Forbidden { .. }) => {
                return Ok(Listed::nothing(Some(chain_of(&error))));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Listed::nothing(None))
}

/// Reads page after page, and keeps of each object what is made of it.
async fn list_all<T>(
    site: &SiteClient,
    resource: &ApiResource,
    read: impl Fn(&DynamicObject) -> Option<T>,
) -> Result<Listed<T>, CallError> {
    let api = site.objects(resource);
    let mut params = ListParams::default().limit(PAGE);
    let mut found = Vec::new();
    let mut seen = 0;
    loop {
        let page = site
            .call("list", &resource.plural, api.list(&params))
            .await?;
        seen += page.items.len();
        found.extend(page.items.iter().filter_map(&read));
        let more = page.metadata.continue_.filter(|token| !token.is_empty());
        match more {
            Some(token) if seen < MOST => params = params.continue_token(&token),
            Some(_) => {
                let (context, namespace) = (&site.context, &site.namespace);
                let text = format!(
                    "namespace `{namespace}` at `{context}` has more than {MOST} {}, of which the first {seen} were looked at",
                    resource.plural
                );
                let unread = Some(sanitised(&text));
                return Ok(Listed { found, unread });
            }
            None => {
                return Ok(Listed {
                    found,
                    unread: None,
                });
            }
        }
    }
}

/// A Service and the labels of the pods that it leads to; one without a selector leads to none that are known.
type Selector = (String, BTreeMap<String, String>);

fn services() -> ApiResource {
    k8s::resource("", "v1", "Service", "services")
}

fn selector(service: &DynamicObject) -> Option<Selector> {
    let selector = labels_at(&service.data, "/spec/selector");
    (!selector.is_empty()).then(|| (service.name_any(), selector))
}

async fn fetch_object(site: &SiteClient, cluster: &str) -> Result<Value, CallError> {
    let api = site.objects(&pgo_v5::resource());
    let object = format!("postgrescluster {cluster}");
    let found = site.call("get", &object, api.get(cluster)).await?;
    Ok(found.data)
}

fn labels_at(data: &Value, pointer: &str) -> BTreeMap<String, String> {
    let labels = data.pointer(pointer).and_then(Value::as_object);
    let pairs = labels.into_iter().flatten();
    pairs
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

fn items<'a>(data: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    data.pointer(pointer)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn text<'a>(data: &'a Value, pointer: &str) -> Option<&'a str> {
    data.pointer(pointer).and_then(Value::as_str)
}
