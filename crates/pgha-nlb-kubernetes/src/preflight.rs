//! What would make a change fail or do less than it seems to, and what tells that it took effect.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt as _;
use kube::api::ListParams;
use pgha_nlb::{BackendId, CutoverError, Finding};
use pgha_objects::Here;

use crate::field::selector_of;
use crate::status::{laggard, rejection, unresolved};

/// Whether every gateway does what a route says now.
pub(crate) fn read_by_gateways(here: &Here<'_>) -> Result<String, String> {
    let label = here.label();
    match rejection(here.live).or_else(|| laggard(here.live)) {
        Some(instead) => Err(format!("{label}: {instead}")),
        None => Ok(format!("Every gateway has read {label} as it is now.")),
    }
}

/// Whether a Service leads to pods that it selects.
pub(crate) async fn behind_service(
    here: &Here<'_>,
) -> Result<Result<String, String>, CutoverError> {
    let label = here.label();
    let (selected, ready) = behind(here).await?;
    // Right after a change the endpoints are still those of the former selector.
    let is_selected = |pod: &Option<String>| pod.as_ref().is_some_and(|pod| selected.contains(pod));
    Ok(if ready.is_empty() {
        Err(format!("No pod behind {label} is ready."))
    } else if !ready.iter().all(is_selected) {
        Err(format!(
            "{label} still leads to pods that it does not select."
        ))
    } else {
        Ok(format!(
            "{label} leads to {} ready pods that it selects.",
            ready.len()
        ))
    })
}

/// The names of the pods that a Service selects, and those of the pods that are ready behind it, `None` for an address that is no
/// pod's.
async fn behind(
    here: &Here<'_>,
) -> Result<(BTreeSet<String>, BTreeSet<Option<String>>), CutoverError> {
    let tried = "look behind the Service";
    let params = ListParams::default().labels(&selector_of(here.live));
    let pods = here.list::<Pod>(tried, &params).await?;
    let pods = pods.into_iter().filter_map(|pod| pod.metadata.name);
    let of_service = format!("kubernetes.io/service-name={}", here.live.name_any());
    let params = ListParams::default().labels(&of_service);
    let slices = here.list::<EndpointSlice>(tried, &params).await?;
    let endpoints = slices.into_iter().flat_map(|slice| slice.endpoints);
    // What is not said counts as ready (Kubernetes, `EndpointConditions`).
    let ready = endpoints.filter(|endpoint| {
        let conditions = endpoint.conditions.as_ref();
        conditions
            .and_then(|conditions| conditions.ready)
            .unwrap_or(true)
    });
    let ready = ready.map(|endpoint| endpoint.target_ref.and_then(|target| target.name));
    Ok((pods.collect(), ready.collect()))
}

/// Whether the gateways of a route are in order.
pub(crate) fn gateway_finding(here: &Here<'_>, id: &BackendId) -> Finding {
    let (check, label) = ("kubernetes-gateway", here.label());
    let advice = "A move has no effect, or not all of it, until the gateway is in order.";
    if let Some(seen) = rejection(here.live) {
        return Finding::fail(id, check, &format!("{label}: {seen}"), advice);
    }
    match laggard(here.live).or_else(|| unresolved(here.live)) {
        Some(seen) => Finding::warn(id, check, &format!("{label}: {seen}"), advice),
        None => Finding::pass(id, check),
    }
}
