//! Who else writes the objects that the steps change.

use futures::future::join_all;
use pgha_model::application::{AppStep, At};
use pgha_model::owner::Owner;

use super::field::Held;
use crate::client::SiteClient;
use crate::gitops::{Closeness, owners as owners_of, signs};
use crate::k8s::resource;

/// Everybody who owns an object that a step changes at a site, each object once. An object that may not be read, or is not there, is
/// passed over: what its step needs is asked elsewhere.
pub async fn owners(site: &SiteClient, steps: &[AppStep]) -> Vec<(At, Vec<Owner>)> {
    let mut asked: Vec<(At, Vec<&str>)> = Vec::new();
    for step in steps {
        if let (Some(at), Some(field)) = (step.object(), changed_field(step))
            && !asked.iter().any(|(other, _)| *other == at)
        {
            asked.push((at, field));
        }
    }
    let looks = asked.into_iter().map(|(at, field)| async move {
        let held = Held::of(site, at.clone());
        let seen = held.read().await.ok()?;
        let of = &at.object.resource;
        let kind = seen.types.as_ref().map(|types| types.kind.clone());
        let of = resource(
            &of.group,
            &of.version,
            &kind.unwrap_or_default(),
            &of.plural,
        );
        let (signed, fields) = (signs(&seen), [field.as_slice()]);
        let owners = owners_of(&held.site, signed, &seen, &of, &fields, Closeness::Signed).await;
        (!owners.is_empty()).then_some((at, owners))
    });
    join_all(looks).await.into_iter().flatten().collect()
}

/// Which field a step changes, as names from the top; `None` where what it changes is nobody's desired state.
fn changed_field(step: &AppStep) -> Option<Vec<&str>> {
    match step {
        AppStep::Scale(_) => Some(vec!["spec", "replicas"]),
        AppStep::Annotate(one) => Some(vec!["metadata", "annotations", &one.key]),
        AppStep::Select(_) => Some(vec!["spec", "selector"]),
        AppStep::Restart(_) | AppStep::Job(_) | AppStep::Call(_) | AppStep::Wait(_) => None,
    }
}
