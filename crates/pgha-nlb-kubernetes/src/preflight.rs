//! What would make a change fail, or do less than it seems to.

use std::time::Duration;

use kube::api::DynamicObject;
use pgha_nlb::{CutoverError, Finding};

use crate::Field;
use crate::backend::Kubernetes;
use crate::field::selector_of;
use crate::owner::owners_of;
use crate::route::Leading;
use crate::status::{laggard, rejection, unresolved};

impl Kubernetes {
    /// The route of an object that changes a field of this kind, if there is one.
    fn route_of(&self, number: usize, is_so: fn(&Field) -> bool) -> Option<&Leading> {
        let mut routes = self.routes.iter();
        routes.find(|route| route.objects.contains(&number) && is_so(&route.settings.field))
    }

    /// What tells that an object's field has an effect, or what is seen instead.
    pub(crate) async fn effect(
        &self,
        number: usize,
        live: &DynamicObject,
        within: Duration,
    ) -> Result<Result<String, String>, CutoverError> {
        let label = self.objects[number].label();
        if self.route_of(number, is_weights).is_some() {
            return Ok(match rejection(live).or_else(|| laggard(live)) {
                Some(instead) => Err(format!("{label}: {instead}")),
                None => Ok(format!("Every gateway has read {label} as it is now.")),
            });
        }
        if self.route_of(number, is_selector).is_none() {
            let told = format!("{label} says so; only a probe shows what comes of it.");
            return Ok(Ok(told));
        }
        let selector = selector_of(live);
        let clusters = &self.clusters;
        let (selected, ready) = clusters
            .behind(&self.objects[number], &selector, within)
            .await?;
        // Right after a change the endpoints are still those of the former selector.
        let is_selected =
            |pod: &Option<String>| pod.as_ref().is_some_and(|pod| selected.contains(pod));
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

    /// What is found at an object.
    pub(crate) async fn found(
        &self,
        number: usize,
        live: &DynamicObject,
        within: Duration,
    ) -> Vec<Finding> {
        let mut findings = vec![
            self.permission_finding(number, within).await,
            self.owner_finding(number, live),
        ];
        if self.route_of(number, is_weights).is_some() {
            findings.push(self.gateway_finding(number, live));
        }
        findings
    }

    async fn permission_finding(&self, number: usize, within: Duration) -> Finding {
        let (id, check) = (&self.settings.id, "kubernetes-permission");
        let object = &self.objects[number];
        let (group, plural) = (&*object.resource.group, &*object.resource.plural);
        let name = Some(&*object.name);
        let mut needed = vec![("get", group, plural, name), ("patch", group, plural, name)];
        if self.route_of(number, is_selector).is_some() {
            needed.push(("list", "", "pods", None));
            needed.push(("list", "discovery.k8s.io", "endpointslices", None));
        }
        match self.clusters.denied(object, &needed, within).await {
            Err(error) => Finding::of_error(id, check, &error),
            Ok(denied) if denied.is_empty() => Finding::pass(id, check),
            Ok(denied) => {
                let seen = format!("For {}, you may not {}.", object.label(), denied.join(", "));
                Finding::fail(id, check, &seen, "Ask for a Role that permits it.")
            }
        }
    }

    fn owner_finding(&self, number: usize, live: &DynamicObject) -> Finding {
        let (id, check) = (&self.settings.id, "kubernetes-owner");
        let owners = owners_of(live);
        if owners.is_empty() {
            return Finding::pass(id, check);
        }
        let label = self.objects[number].label();
        let seen = format!("{label} is also written by {}.", owners.join(", "));
        let advice = "See that it does not put the field back: suspend it, or have it leave the field alone.";
        Finding::warn(id, check, &seen, advice)
    }

    fn gateway_finding(&self, number: usize, live: &DynamicObject) -> Finding {
        let (id, check) = (&self.settings.id, "kubernetes-gateway");
        let label = self.objects[number].label();
        let advice = "A move has no effect, or not all of it, until the gateway is in order.";
        if let Some(seen) = rejection(live) {
            return Finding::fail(id, check, &format!("{label}: {seen}"), advice);
        }
        match laggard(live).or_else(|| unresolved(live)) {
            Some(seen) => Finding::warn(id, check, &format!("{label}: {seen}"), advice),
            None => Finding::pass(id, check),
        }
    }
}

const fn is_weights(field: &Field) -> bool {
    matches!(field, Field::Weights { .. })
}

const fn is_selector(field: &Field) -> bool {
    matches!(field, Field::Selector { .. })
}
