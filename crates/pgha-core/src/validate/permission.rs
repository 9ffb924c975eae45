//! Whether everything that a move does is permitted, by the API server's own word.

use futures::future::try_join_all;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::Api;
use pgha_model::check::inspection::Permission as Reviewed;

use crate::client::{CallError, SiteClient};
use crate::k8s::PostParams;
use crate::permission::{Permission, moving};

/// Asks about each of them, at the same time.
pub(super) async fn review(site: &SiteClient, cluster: &str) -> Result<Vec<Reviewed>, CallError> {
    ask_each(site, moving(cluster)).await
}

/// Which of these the API server denies to whoever asks, each as a verb and a resource: `create jobs`.
pub async fn denied(site: &SiteClient, needed: Vec<Permission>) -> Result<Vec<String>, CallError> {
    let reviewed = ask_each(site, needed).await?;
    let denied = reviewed.into_iter().filter(|one| !one.allowed);
    Ok(denied
        .map(|one| format!("{} {}", one.verb, one.resource))
        .collect())
}

async fn ask_each(site: &SiteClient, needed: Vec<Permission>) -> Result<Vec<Reviewed>, CallError> {
    try_join_all(needed.into_iter().map(|needed| ask(site, needed))).await
}

async fn ask(site: &SiteClient, needed: Permission) -> Result<Reviewed, CallError> {
    let Permission {
        verb,
        group,
        resource,
        subresource,
        name,
        namespace,
    } = needed;
    let mut shown = resource.clone().into_owned();
    for (separator, word) in [("/", subresource), (" ", name.as_deref())] {
        shown.extend(word.iter().flat_map(|word| [separator, word]));
    }
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                namespace: Some(namespace.unwrap_or(&site.namespace).to_owned()),
                verb: Some(verb.to_owned()),
                group: Some(group.into_owned()),
                resource: Some(resource.into_owned()),
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
    Ok(Reviewed {
        verb,
        resource: shown,
        allowed,
    })
}
