//! What the controllers of a route say of it, by its status: pure.

use kube::api::DynamicObject;
use pgha_nlb::text::one_line;
use serde_json::Value;

/// Why no gateway does what the route says, if that is so.
pub(crate) fn rejection(route: &DynamicObject) -> Option<String> {
    let parents = parents(route);
    if parents.is_empty() {
        return Some("No gateway's controller has taken it up.".to_owned());
    }
    parents.iter().find_map(|parent| {
        let accepted = condition(parent, "Accepted");
        let is_accepted = accepted.is_some_and(|accepted| accepted["status"] == "True");
        (!is_accepted).then(|| said(parent, "has not accepted it", accepted))
    })
}

/// Which gateway has not read it as it is now, if there is one.
pub(crate) fn laggard(route: &DynamicObject) -> Option<String> {
    let generation = route.metadata.generation.unwrap_or_default();
    let is_behind = |parent: &&Value| {
        let accepted = condition(parent, "Accepted");
        let read = accepted.and_then(|accepted| accepted["observedGeneration"].as_i64());
        read.unwrap_or_default() < generation
    };
    let behind = parents(route).iter().find(is_behind)?;
    Some(said(
        behind,
        &format!("has not read its generation {generation}"),
        None,
    ))
}

/// Which gateway does not find a backend of it, if there is one.
pub(crate) fn unresolved(route: &DynamicObject) -> Option<String> {
    parents(route).iter().find_map(|parent| {
        let resolved = condition(parent, "ResolvedRefs")?;
        let is_resolved = resolved["status"] != "False";
        (!is_resolved).then(|| said(parent, "does not find a backend", Some(resolved)))
    })
}

fn parents(route: &DynamicObject) -> &[Value] {
    let parents = route.data["status"]["parents"].as_array();
    parents.map(Vec::as_slice).unwrap_or_default()
}

fn condition<'a>(parent: &'a Value, kind: &str) -> Option<&'a Value> {
    let mut conditions = parent["conditions"].as_array()?.iter();
    conditions.find(|condition| condition["type"] == kind)
}

fn said(parent: &Value, what: &str, condition: Option<&Value>) -> String {
    let text = |value: &Value| one_line(value.as_str().unwrap_or_default());
    let gateway = text(&parent["parentRef"]["name"]);
    let message = condition.map(|condition| text(&condition["message"]));
    let message = message.filter(|message| !message.is_empty());
    let message = message
        .map(|message| format!(": {message}"))
        .unwrap_or_default();
    format!(
        "Gateway {gateway} ({}) {what}{message}.",
        text(&parent["controllerName"])
    )
}
