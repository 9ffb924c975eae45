//! Whom an API server takes the bearer of a token for.

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::Api;
use kube::api::PostParams;

use crate::client::{CallError, SiteClient};

/// Whom an API server sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reviewed {
    /// The name by which roles are bound to it.
    pub username: String,
    /// The groups by which roles are bound to it.
    pub groups: Vec<String>,
}

/// Asks a site's API server who we are, as `kubectl auth whoami` does (`SelfSubjectReview`, in every Kubernetes since 1.28).
/// It changes nothing there. Whoever is not let in gets [`crate::client::CallKind::Unauthorized`].
pub async fn review(site: &SiteClient) -> Result<Reviewed, CallError> {
    let api: Api<SelfSubjectReview> = Api::all(site.client.clone());
    let (parameters, question) = (PostParams::default(), SelfSubjectReview::default());
    let asked = api.create(&parameters, &question);
    let answer = site.call("create", "selfsubjectreview", asked).await?;
    let user = answer.status.and_then(|status| status.user_info);
    let user = user.unwrap_or_default();
    Ok(Reviewed {
        username: user.username.unwrap_or_default(),
        groups: user.groups.unwrap_or_default(),
    })
}
