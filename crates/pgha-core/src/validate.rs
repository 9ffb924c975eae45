//! A closer look at one side: inside every member, into the repositories, at the secrets and at the permissions.
//!
//! Nothing is changed. What cannot be looked at is `Unseen`, with the reason.

mod inside;
mod permission;
mod repository;
mod secret;

use futures::future::join_all;
use pgha_model::check::inspection::Inspection;
use pgha_model::observed::Observed;
use pgha_model::survey::SiteSurvey;
use serde_json::Value;

pub use self::permission::denied;
use crate::client::SiteClient;
use crate::diagnose::{causes, sanitised};
use crate::exec::Container;
use crate::operator::pgo_v5;

/// Looks at everything at the same time; `object` is the operator's object as it was just read.
pub async fn inspect(
    site: &SiteClient,
    cluster: &str,
    survey: &SiteSurvey,
    object: &Value,
) -> Inspection {
    let containers = containers(survey);
    let peer = inside::Peer::of(object);
    let members = containers.iter().map(|container| {
        let peer = &peer;
        async move {
            let facts = inside::look(site, container, peer.as_ref()).await;
            (container.pod.clone(), seen(facts))
        }
    });
    let branches = async {
        match containers.first() {
            Some(leader) => seen(repository::list_branches(site, leader, object).await),
            None => Observed::unseen("no member holds Patroni's lock"),
        }
    };
    let (members, branches, secrets, permissions) = tokio::join!(
        join_all(members),
        branches,
        secret::read_logins(site, cluster, object),
        permission::review(site, cluster)
    );
    Inspection {
        members,
        branches,
        queue_limit_in_object: queue_limit(object),
        secrets: seen(secrets),
        permissions: seen(permissions),
        operators_pooler: pgo_v5::service::pooler_service(cluster, object)
            .map(|service| service.name),
    }
}

/// The database container of every member, the leader's first; none without a leader.
fn containers(survey: &SiteSurvey) -> Vec<Container> {
    let Some(leader) = survey.lock_holder() else {
        return Vec::new();
    };
    let others = survey
        .members
        .iter()
        .filter(|member| member.pod != leader.pod);
    std::iter::once(leader)
        .chain(others)
        .map(|member| Container {
            pod: member.pod.clone(),
            name: pgo_v5::DATABASE_CONTAINER.to_owned(),
        })
        .collect()
}

fn queue_limit(object: &Value) -> Option<String> {
    let limit = object.pointer("/spec/backups/pgbackrest/global/archive-push-queue-max")?;
    let text = limit
        .as_str()
        .map_or_else(|| limit.to_string(), str::to_owned);
    Some(sanitised(&text))
}

/// A result as a fact, its error as one fragment.
fn seen<T>(result: Result<T, impl std::error::Error>) -> Observed<T> {
    match result {
        Ok(fact) => Observed::Seen(fact),
        Err(error) => {
            let whole = std::iter::once(error.to_string()).chain(causes(&error));
            Observed::unseen(whole.collect::<Vec<_>>().join(": "))
        }
    }
}
