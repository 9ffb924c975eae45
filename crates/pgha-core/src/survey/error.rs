//! Why a cluster could not be surveyed.

use futures::future::join_all;
use pgha_model::effect::Effect;

use crate::client::{CallError, CallKind, SiteClient};
use crate::diagnose::{Diagnose, sanitised};
use crate::k8s::{self, Api, ApiResource, DynamicObject};

/// Why a cluster could not be surveyed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// The namespace does not exist.
    #[error("`{site}` has no namespace `{namespace}`")]
    NoNamespace {
        /// The kubeconfig context.
        site: String,
        /// The namespace.
        namespace: String,
    },
    /// The namespace has no such cluster.
    #[error("`{site}` has no Postgres cluster `{cluster}` in namespace `{namespace}`")]
    NoCluster {
        /// The kubeconfig context.
        site: String,
        /// The namespace.
        namespace: String,
        /// The name that was asked for.
        cluster: String,
    },
    /// No operator that pgha knows is installed, or not in a version that it knows.
    #[error(
        "`{site}` does not know the resource `postgresclusters.v1beta1.postgres-operator.crunchydata.com`"
    )]
    NotInstalled {
        /// The kubeconfig context.
        site: String,
    },
    /// There is a cluster of this name, of an operator that pgha does not know.
    #[error(
        "`{cluster}` in namespace `{namespace}` at `{site}` is a cluster of {operator}, not of Crunchy PGO v5"
    )]
    OtherOperator {
        /// The kubeconfig context.
        site: String,
        /// The namespace.
        namespace: String,
        /// The name that was asked for.
        cluster: String,
        /// Whose it is.
        operator: &'static str,
    },
    /// A request did not end well.
    #[error(transparent)]
    Call(CallError),
}

impl Diagnose for SurveyError {
    fn effect(&self) -> Effect {
        Effect::None
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Call(error) => error.hint(),
            Self::NoNamespace { site, .. } | Self::NoCluster { site, .. } => Some(format!(
                "See what is there with `kubectl pgha status --context {site} -A`."
            )),
            Self::NotInstalled { .. } => Some(
                "pgha moves clusters of Crunchy PGO v5 (5.3 to 6.0): name the context where one runs.".to_owned(),
            ),
            Self::OtherOperator { .. } => None,
        }
    }
}

/// Operators whose clusters people have beside PGO v5, to tell "not there" from "not ours".
const OTHER_OPERATORS: [(&str, &str, &str, &str, &str); 4] = [
    (
        "the Zalando postgres-operator",
        "acid.zalan.do",
        "v1",
        "postgresql",
        "postgresqls",
    ),
    (
        "CloudNativePG",
        "postgresql.cnpg.io",
        "v1",
        "Cluster",
        "clusters",
    ),
    (
        "the Percona operator",
        "pgv2.percona.com",
        "v2",
        "PerconaPGCluster",
        "perconapgclusters",
    ),
    (
        "Crunchy PGO v4",
        "crunchydata.com",
        "v1",
        "Pgcluster",
        "pgclusters",
    ),
];

/// Finds out what it means that the object could not be read: the API server answers 404 alike for a name, a namespace
/// and a resource that it does not have. Costs requests, but only on the way to an error.
pub(super) async fn explained(site: &SiteClient, cluster: &str, error: CallError) -> SurveyError {
    if error.kind != CallKind::NotFound {
        return SurveyError::Call(error);
    }
    let (namespace_is_missing, operator) = tokio::join!(
        is_namespace_missing(site),
        find_other_operator(site, cluster)
    );
    let namespace = sanitised(&site.namespace);
    let cluster = sanitised(cluster);
    let site = sanitised(&site.context);
    if namespace_is_missing {
        return SurveyError::NoNamespace { site, namespace };
    }
    if let Some(operator) = operator {
        return SurveyError::OtherOperator {
            site,
            namespace,
            cluster,
            operator,
        };
    }
    if error.is_unknown_resource() {
        return SurveyError::NotInstalled { site };
    }
    SurveyError::NoCluster {
        site,
        namespace,
        cluster,
    }
}

/// What it means that the list could not be read.
pub(super) fn of_list(site: &SiteClient, error: CallError) -> SurveyError {
    if error.is_unknown_resource() {
        return SurveyError::NotInstalled {
            site: sanitised(&site.context),
        };
    }
    SurveyError::Call(error)
}

/// A namespace that may not be read counts as there.
async fn is_namespace_missing(site: &SiteClient) -> bool {
    let namespaces: Api<DynamicObject> = Api::all_with(site.client.clone(), &k8s::namespaces());
    let answer = site
        .call("get", "namespace", namespaces.get_metadata(&site.namespace))
        .await;
    answer.is_err_and(|error| error.kind == CallKind::NotFound)
}

async fn find_other_operator(site: &SiteClient, cluster: &str) -> Option<&'static str> {
    let looks = OTHER_OPERATORS.map(|(operator, group, version, kind, plural)| async move {
        let resource = k8s::resource(group, version, kind, plural);
        has_object(site, &resource, cluster)
            .await
            .then_some(operator)
    });
    join_all(looks).await.into_iter().flatten().next()
}

async fn has_object(site: &SiteClient, resource: &ApiResource, name: &str) -> bool {
    let api = site.objects(resource);
    site.call("get", "another operator's cluster", api.get_metadata(name))
        .await
        .is_ok()
}
