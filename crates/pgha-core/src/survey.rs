//! Reading one site: the operator's object, Patroni's objects, the members' pods, and the members themselves.
//!
//! Every read goes to the API server without a resource version, which makes it a read of the store and not of a cache
//! (Kubernetes documentation, API concepts, "Resource versions"). What cannot be read becomes [`Observed::Unseen`].

mod error;
mod live;
mod member;
mod patroni;
mod sql;

use futures::future::join_all;
use kube::Api;
use pgha_model::observed::Observed;
use pgha_model::site::Place;
use pgha_model::survey::{ClusterObject, LeaderLock, Member, SiteSurvey};

pub use self::error::SurveyError;
pub use self::live::{LiveError, fetch_live_status};
use self::member::Pod;
pub use self::member::read_status;
pub use self::patroni::read_objects as read_patroni_objects;
pub use self::sql::{ask_for_record, ask_postgres_instead};
use crate::client::{CallError, SiteClient};
use crate::clock;
use crate::gitops::{self, Closeness};
use crate::k8s::{self, DynamicObject, ListParams};
use crate::operator::pgo_v5;

/// Whom a survey asks live, beside the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The member that holds Patroni's lock: four requests in all.
    Leader,
    /// Every member, at the same time: three requests and one for each member.
    Members,
}

/// Where to look for clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The site's namespace.
    Namespace,
    /// Every namespace.
    AllNamespaces,
}

/// Reads everything about one cluster that can be read without running anything in it.
///
/// The three reads of the API server run at the same time; the members are asked after them. Errs when the operator's
/// object or the pods cannot be read; everything else that cannot be read is `Unseen` in the survey.
pub async fn survey_site(
    site: &SiteClient,
    cluster: &str,
    depth: Depth,
) -> Result<SiteSurvey, SurveyError> {
    survey(site, cluster, depth, None).await
}

/// The same, and asks everybody who owns the object, at the same time as the members.
pub async fn survey_with_owners(
    site: &SiteClient,
    cluster: &str,
    depth: Depth,
    closeness: Closeness,
) -> Result<SiteSurvey, SurveyError> {
    survey(site, cluster, depth, Some(closeness)).await
}

async fn survey(
    site: &SiteClient,
    cluster: &str,
    depth: Depth,
    closeness: Option<Closeness>,
) -> Result<SiteSurvey, SurveyError> {
    let seen_at = clock::now();
    let (object, stores, pods) = tokio::join!(
        fetch_object(site, cluster),
        list_patroni_objects(site, cluster),
        list_pods(site, cluster)
    );
    let object = match object {
        Ok(object) => object,
        Err(error) => return Err(error::explained(site, cluster, error).await),
    };
    let pods = pods.map_err(SurveyError::Call)?;
    let (lock, store) = match &stores {
        Ok(objects) => patroni::read_objects(objects, cluster),
        Err(error) => (Observed::unseen(said(error)), Observed::unseen(said(error))),
    };
    let port = pgo_v5::patroni_port(&object);
    let read = pgo_v5::read_object(&object);
    let signed = read.owners;
    let owners = async {
        let Some(closeness) = closeness else {
            return signed;
        };
        let (resource, fields) = (pgo_v5::resource(), pgo_v5::MOVED_FIELDS);
        gitops::owners(site, signed, &object, &resource, fields, closeness).await
    };
    let members = look_at_members(site, pods, port, asked(depth, &lock));
    let (members, owners) = Box::pin(async { tokio::join!(members, owners) }).await;
    Ok(SiteSurvey {
        place: site.place(cluster),
        seen_at,
        object: ClusterObject { owners, ..read },
        lock,
        store,
        members,
    })
}

/// The clusters of known operators, by name.
pub async fn list_clusters(site: &SiteClient, scope: Scope) -> Result<Vec<Place>, SurveyError> {
    let resource = pgo_v5::resource();
    let api: Api<DynamicObject> = match scope {
        Scope::Namespace => site.objects(&resource),
        Scope::AllNamespaces => Api::all_with(site.client.clone(), &resource),
    };
    let params = ListParams::default();
    let list = site
        .call("list", "postgresclusters", api.list_metadata(&params))
        .await;
    let list = list.map_err(|error| error::of_list(site, error))?;
    let mut places: Vec<Place> = list
        .items
        .into_iter()
        .filter_map(|object| {
            let namespace = object
                .metadata
                .namespace
                .unwrap_or_else(|| site.namespace.clone());
            let cluster = object.metadata.name?;
            Some(Place {
                context: site.context.clone(),
                namespace,
                cluster,
            })
        })
        .collect();
    places.sort();
    Ok(places)
}

async fn fetch_object(site: &SiteClient, cluster: &str) -> Result<DynamicObject, CallError> {
    let api = site.objects(&pgo_v5::resource());
    site.call(
        "get",
        &format!("postgrescluster {cluster}"),
        api.get(cluster),
    )
    .await
}

async fn list_patroni_objects(
    site: &SiteClient,
    cluster: &str,
) -> Result<Vec<DynamicObject>, CallError> {
    let api = site.objects(&k8s::endpoints());
    let params = ListParams::default().labels(&pgo_v5::patroni_selector(cluster));
    Ok(site
        .call("list", "endpoints", api.list(&params))
        .await?
        .items)
}

async fn list_pods(site: &SiteClient, cluster: &str) -> Result<Vec<Pod>, CallError> {
    let api: Api<Pod> = Api::namespaced_with(site.client.clone(), &site.namespace, &k8s::pods());
    let params = ListParams::default().labels(&pgo_v5::instances_selector(cluster));
    Ok(site.call("list", "pods", api.list(&params)).await?.items)
}

/// Which members a survey asks.
enum Asked<'a> {
    Nobody,
    Only(&'a str),
    Everybody,
}

fn asked(depth: Depth, lock: &Observed<LeaderLock>) -> Asked<'_> {
    match depth {
        Depth::Members => Asked::Everybody,
        Depth::Leader => lock
            .as_seen()
            .and_then(|lock| lock.holder.as_deref())
            .map_or(Asked::Nobody, Asked::Only),
    }
}

async fn look_at_members(
    site: &SiteClient,
    pods: Vec<Pod>,
    port: u16,
    asked: Asked<'_>,
) -> Vec<Member> {
    let members = pods.into_iter().map(|pod| {
        let mut member = member::read_pod(&pod);
        let is_asked = match asked {
            Asked::Nobody => false,
            Asked::Only(holder) => holder == member.pod,
            Asked::Everybody => true,
        };
        async move {
            if is_asked {
                member.live = live::observe(site, &member, port).await;
            }
            member
        }
    });
    let mut members = join_all(members).await;
    members.sort_by(|a, b| a.pod.cmp(&b.pod));
    members
}

/// An error with its causes as one fragment, for `Unseen`.
fn said(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    for cause in crate::diagnose::causes(error) {
        text.push_str(": ");
        text.push_str(&cause);
    }
    text
}
