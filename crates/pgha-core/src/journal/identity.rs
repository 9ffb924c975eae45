//! What tells one Kubernetes site from another, and who asks.

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::PostParams;
use pgha_model::record::SiteIdentity;

use crate::client::SiteClient;
use crate::diagnose::sanitised;

/// The identity of a site that holds an object of this UID. What may not be read is left out.
pub async fn identify(site: &SiteClient, object_uid: &str) -> SiteIdentity {
    let api: Api<Namespace> = Api::all(site.client.clone());
    let found = site.call("get", "namespace kube-system", api.get("kube-system"));
    SiteIdentity {
        kube_system_uid: found.await.ok().and_then(|object| object.metadata.uid),
        server_ca: site.server_ca.clone(),
        object_uid: object_uid.to_owned(),
    }
}

/// Who the API server takes us for; `None` when it does not say.
pub(super) async fn user(site: &SiteClient) -> Option<String> {
    let api: Api<SelfSubjectReview> = Api::all(site.client.clone());
    let review = SelfSubjectReview::default();
    let params = PostParams::default();
    let answer = site.call("create", "selfsubjectreview", api.create(&params, &review));
    let status = answer.await.ok()?.status?;
    status.user_info?.username.map(|name| sanitised(&name))
}
