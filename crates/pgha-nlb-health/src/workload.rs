//! What the workload of an endpoint has, and the budget of its pods.

use std::collections::BTreeMap;

use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{DynamicObject, ListParams};
use pgha_nlb::{BackendId, Finding};
use pgha_objects::Here;

use crate::budget::{covers, trouble};

/// Whether the pods of a workload are ready, or gone, as its status tells: a pod that is being deleted counts no longer, and gets no
/// requests any more (Kubernetes API reference, `DeploymentStatus`).
pub(crate) fn pods(here: &Here<'_>) -> Result<String, String> {
    let (label, status) = (here.label(), &here.live.data["status"]);
    let number = |field: &str| status[field].as_i64().unwrap_or_default();
    let generation = here.live.metadata.generation.unwrap_or_default();
    if number("observedGeneration") < generation {
        return Err(format!(
            "{label}: its generation {generation} was not seen by its controller."
        ));
    }
    let wanted = wanted(here.live);
    let (there, ready) = (number("replicas"), number("readyReplicas"));
    match wanted {
        0 if there > 0 => Err(format!("{label}: {there} pods are still there.")),
        0 => Ok(format!("{label} has no pod.")),
        _ if ready < wanted => Err(format!("{label}: {ready} of {wanted} pods are ready.")),
        _ => Ok(format!("{label} has {ready} ready pods.")),
    }
}

fn wanted(live: &DynamicObject) -> i64 {
    live.data["spec"]["replicas"].as_i64().unwrap_or_default()
}

/// Whether the budget of a workload's pods fits so many of them.
pub(crate) async fn budget_finding(here: &Here<'_>, count: u32, id: &BackendId) -> Finding {
    let (check, label) = ("health-budget", here.label());
    let (tried, all) = ("look for a PodDisruptionBudget", ListParams::default());
    let asked = here.list::<PodDisruptionBudget>(tried, &all);
    let budgets = match asked.await {
        Ok(budgets) => budgets,
        Err(error) => return Finding::warn(id, check, &error.to_string(), &error.next),
    };
    let labels = here.live.data["spec"]["template"]["metadata"]["labels"].clone();
    let labels: BTreeMap<_, _> = serde_json::from_value(labels).unwrap_or_default();
    let own = budgets.iter().filter(|budget| covers(budget, &labels));
    let told: Vec<_> = own.filter_map(|budget| trouble(budget, count)).collect();
    if told.is_empty() {
        return Finding::pass(id, check);
    }
    let advice = "It does not hold the move back. `maxUnavailable: 1` is right at both sites, for 2 pods or more.";
    Finding::warn(id, check, &format!("{label}: {}", told.join(" ")), advice)
}
