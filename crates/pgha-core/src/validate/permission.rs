//! Whether everything that a move does is permitted, by the API server's own word.

use futures::future::try_join_all;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::Api;
use pgha_model::check::inspection::Permission;

use crate::client::{CallError, SiteClient};
use crate::journal;
use crate::k8s::PostParams;
use crate::operator::pgo_v5;

/// A verb on a resource; a name where one object is enough.
struct Needed {
    verb: &'static str,
    group: &'static str,
    resource: &'static str,
    subresource: Option<&'static str>,
    name: Option<String>,
}

/// Everything that surveying and moving a cluster needs. Of exec both verbs: a connection over WebSocket is a `get`, and
/// from Kubernetes 1.35 on `create` is asked for as well (KEP-4006).
fn needed(cluster: &str) -> Vec<Needed> {
    let one = |verb, group, resource, name: Option<String>| Needed {
        verb,
        group,
        resource,
        subresource: None,
        name,
    };
    let exec = |verb| Needed {
        subresource: Some("exec"),
        ..one(verb, "", "pods", None)
    };
    let journal = Some(journal::name_of(cluster));
    let (object, lock, store) = (
        Some(cluster.to_owned()),
        Some(pgo_v5::lock_name(cluster)),
        Some(pgo_v5::store_name(cluster)),
    );
    vec![
        one("get", pgo_v5::PREFIX, "postgresclusters", object.clone()),
        one("patch", pgo_v5::PREFIX, "postgresclusters", object),
        one("list", "", "endpoints", None),
        one("get", "", "endpoints", lock),
        one("get", "", "endpoints", store.clone()),
        one("patch", "", "endpoints", store),
        one("list", "", "pods", None),
        one("get", "", "pods", None),
        exec("get"),
        exec("create"),
        one("get", "", "configmaps", journal.clone()),
        one("patch", "", "configmaps", journal),
        one("create", "", "configmaps", None),
    ]
}

/// Asks about each of them, at the same time.
pub(super) async fn review(site: &SiteClient, cluster: &str) -> Result<Vec<Permission>, CallError> {
    try_join_all(needed(cluster).into_iter().map(|needed| ask(site, needed))).await
}

async fn ask(site: &SiteClient, needed: Needed) -> Result<Permission, CallError> {
    let Needed {
        verb,
        group,
        resource,
        subresource,
        name,
    } = needed;
    let mut shown = resource.to_owned();
    for (separator, word) in [("/", subresource), (" ", name.as_deref())] {
        shown.extend(word.iter().flat_map(|word| [separator, word]));
    }
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                namespace: Some(site.namespace.clone()),
                verb: Some(verb.to_owned()),
                group: Some(group.to_owned()),
                resource: Some(resource.to_owned()),
                subresource: subresource.map(str::to_owned),
                name,
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let api: Api<SelfSubjectAccessReview> = Api::all(site.client.clone());
    let params = PostParams::default();
    let answer = site.call(
        "create",
        "selfsubjectaccessreview",
        api.create(&params, &review),
    );
    let allowed = answer.await?.status.is_some_and(|status| status.allowed);
    Ok(Permission {
        verb,
        resource: shown,
        allowed,
    })
}
