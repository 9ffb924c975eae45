//! What a `PodDisruptionBudget` means for the pods of an endpoint: pure.
//!
//! It holds back evictions, as the drain of a node makes them, and never a change of how many pods there are to be (Kubernetes
//! documentation, "Disruptions"). How many pods it wants is counted as the disruption controller does
//! (`pkg/controller/disruption/disruption.go`): a percentage is rounded up, and a `minAvailable` that is a number counts even where
//! the workload has no pod.

use std::collections::BTreeMap;

use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt as _;
use kube::core::{Selector, SelectorExt as _};

/// Whether a budget is of pods with these labels. Without a selector it is of none.
pub(crate) fn covers(budget: &PodDisruptionBudget, labels: &BTreeMap<String, String>) -> bool {
    let spec = budget.spec.as_ref();
    let selector = spec.and_then(|spec| spec.selector.clone());
    let selector = selector.and_then(|selector| Selector::try_from(selector).ok());
    selector.is_some_and(|selector| selector.matches(labels))
}

/// What is wrong with a budget for so many pods, or for none, as a full sentence.
pub(crate) fn trouble(budget: &PodDisruptionBudget, count: u32) -> Option<String> {
    let spec = budget.spec.as_ref()?;
    let (field, value) = match (&spec.max_unavailable, &spec.min_available) {
        (Some(most), _) => ("maxUnavailable", most),
        (None, Some(least)) => ("minAvailable", least),
        (None, None) => return None,
    };
    let is_least = field == "minAvailable";
    let pods = of_pods(value, count)?;
    let least = if is_least {
        pods
    } else {
        i64::from(count).saturating_sub(pods)
    };
    let seen = match value {
        _ if least >= i64::from(count) => {
            format!("lets none of {count} pods be evicted, and the drain of a node waits for that")
        }
        _ if least <= 0 => {
            format!("lets all of {count} pods be evicted at once, and the endpoint is gone then")
        }
        IntOrString::Int(_) if is_least => {
            "cannot be met where there is no pod, and monitoring may report that".to_owned()
        }
        IntOrString::Int(_) | IntOrString::String(_) => return None,
    };
    let value = match value {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(text) => text.clone(),
    };
    let name = budget.name_any();
    Some(format!(
        "PodDisruptionBudget {name} ({field}: {value}) {seen}."
    ))
}

/// How many of these pods it is; `None` where that cannot be read.
fn of_pods(value: &IntOrString, count: u32) -> Option<i64> {
    match value {
        IntOrString::Int(number) => Some(i64::from(*number)),
        IntOrString::String(text) => {
            let percent: i64 = text.strip_suffix('%')?.parse().ok()?;
            let hundredths = i64::from(count).checked_mul(percent)?;
            Some(hundredths.checked_add(99)?.div_euclid(100))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn budget(spec: &Value) -> PodDisruptionBudget {
        serde_json::from_value(json!({"metadata": {"name": "health"}, "spec": spec})).unwrap()
    }

    #[test]
    fn what_a_budget_wants_is_counted_as_its_controller_does() {
        for (spec, count, words) in [
            (json!({"maxUnavailable": 1}), 2, None),
            (json!({"maxUnavailable": "50%"}), 2, None),
            (json!({"minAvailable": "50%"}), 2, None),
            (json!({}), 2, None),
            (json!({"minAvailable": "many"}), 2, None),
            (json!({"minAvailable": 2}), 2, Some("lets none of 2 pods")),
            (json!({"minAvailable": 3}), 2, Some("lets none of 2 pods")),
            (json!({"minAvailable": "51%"}), 2, Some("lets none of 2")),
            (
                json!({"minAvailable": "1%"}),
                1,
                Some("lets none of 1 pods"),
            ),
            (json!({"maxUnavailable": 0}), 2, Some("lets none of 2 pods")),
            (json!({"minAvailable": 1}), 1, Some("lets none of 1 pods")),
            (json!({"minAvailable": 0}), 2, Some("lets all of 2 pods")),
            (json!({"maxUnavailable": 2}), 2, Some("lets all of 2 pods")),
            (json!({"maxUnavailable": "51%"}), 2, Some("lets all of 2")),
            (json!({"minAvailable": 1}), 2, Some("where there is no pod")),
        ] {
            let said = trouble(&budget(&spec), count);
            let is_so = match (&said, words) {
                (Some(said), Some(words)) => said.contains(words),
                (said, words) => said.is_none() && words.is_none(),
            };
            assert!(is_so, "{spec} of {count}: {said:?}");
        }
    }

    #[test]
    fn a_budget_is_of_the_pods_that_it_selects() {
        let labels = BTreeMap::from([("app".to_owned(), "health".to_owned())]);
        for (selector, is_theirs) in [
            (json!({"matchLabels": {"app": "health"}}), true),
            (json!({"matchLabels": {"app": "web"}}), false),
            (
                json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]}),
                true,
            ),
            (json!({}), true),
            (Value::Null, false),
        ] {
            let of = covers(&budget(&json!({"selector": selector})), &labels);
            assert_eq!(of, is_theirs, "{selector}");
        }
    }
}
