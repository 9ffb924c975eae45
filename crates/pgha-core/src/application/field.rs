//! One field of an object that says something else where the primary is.

use std::collections::BTreeMap;

use kube::Api;
use pgha_model::application::{Annotate, At, Select, Side};
use serde_json::{Value, json};

use super::{ApplicationError, Tell};
use crate::client::{CallError, SiteClient};
use crate::k8s::{DynamicObject, Patch};
use crate::patch::{PatchBuilder, parameters};

/// An object at a site, one field of which is changed.
pub(super) struct Held {
    pub(super) site: SiteClient,
    pub(super) api: Api<DynamicObject>,
    pub(super) at: At,
}

impl Held {
    pub(super) fn of(site: &SiteClient, at: At) -> Self {
        let (site, api, at) = super::objects(site, at);
        Self { site, api, at }
    }

    pub(super) async fn read(&self) -> Result<DynamicObject, CallError> {
        let request = self.api.get(&self.at.object.name);
        self.site.call("get", &self.at.to_string(), request).await
    }

    /// Changes it by what `change` makes of the object; `None` leaves it. What somebody has changed in between is read once more.
    /// Whether something was changed.
    pub(super) async fn change(
        &self,
        mut change: impl FnMut(&DynamicObject) -> Result<Option<PatchBuilder>, ApplicationError>,
    ) -> Result<bool, ApplicationError> {
        for is_last in [false, true] {
            let Some(patch) = change(&self.read().await?)? else {
                return Ok(false);
            };
            let patch = Patch::Json::<()>(patch.operations());
            let params = parameters();
            let request = self.api.patch(&self.at.object.name, &params, &patch);
            match self.site.call("patch", &self.at.to_string(), request).await {
                Ok(_) => break,
                Err(error) if error.is_outdated() && !is_last => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }
}

/// Makes an annotation say what it says on a side, or be absent.
pub(super) async fn annotate(
    site: &SiteClient,
    annotate: &Annotate,
    on: Side,
    tell: &mut Tell<'_>,
) -> Result<(), ApplicationError> {
    let key = annotate.key.as_str();
    let wanted = match on {
        Side::Primary => annotate.primary.as_deref(),
        Side::Standby => annotate.standby.as_deref(),
    };
    let held = Held::of(site, annotate.at());
    let change = |seen: &DynamicObject| {
        let annotations = seen.metadata.annotations.as_ref();
        let patch = set_text(seen, annotations, &["metadata"], key, wanted);
        Ok(patch)
    };
    if held.change(change).await? {
        let at = &held.at;
        tell(match wanted {
            Some(value) => format!("{at} has the annotation {key}: {value}."),
            None => format!("{at} has the annotation {key} no longer."),
        });
    }
    Ok(())
}

/// The change that makes an annotation below a place of an object say something, or be absent; `None` where it does.
pub(super) fn set_text(
    seen: &DynamicObject,
    annotations: Option<&BTreeMap<String, String>>,
    below: &[&str],
    key: &str,
    wanted: Option<&str>,
) -> Option<PatchBuilder> {
    let now = annotations.and_then(|all| all.get(key));
    if now.map(String::as_str) == wanted {
        return None;
    }
    let place = [below, &["annotations", key]].concat();
    let now = now.map(|value| json!(value));
    let patch = PatchBuilder::default();
    // What is absent cannot be tested: then the patch rests on the object as it was read.
    let unchanged = || {
        let version = Value::from(seen.metadata.resource_version.clone());
        PatchBuilder::default().test(&["metadata", "resourceVersion"], version)
    };
    Some(match (wanted, &now, annotations) {
        (None, now, _) => patch.remove(&place, now.as_ref()),
        (Some(value), Some(now), _) => patch.set(&place, Some(now), json!(value)),
        (Some(value), None, Some(_)) => unchanged().set(&place, None, json!(value)),
        (Some(value), None, None) => {
            let all = [below, &["annotations"]].concat();
            unchanged().set(&all, None, json!({ key: value }))
        }
    })
}

/// Has a Service lead to the pods of a side. One that leads to others is somebody else's.
pub(super) async fn select(
    site: &SiteClient,
    select: &Select,
    on: Side,
    tell: &mut Tell<'_>,
) -> Result<(), ApplicationError> {
    let wanted = labels(select, on);
    let held = Held::of(site, select.at());
    let change = |seen: &DynamicObject| {
        let now = selector(seen);
        if now == *wanted {
            return Ok(None);
        }
        refuse_foreign(select, &held.at, &now)?;
        let patch = PatchBuilder::default();
        Ok(Some(patch.set(
            &["spec", "selector"],
            Some(&json!(now)),
            json!(wanted),
        )))
    };
    if held.change(change).await? {
        tell(format!(
            "{} leads to the pods with {}.",
            held.at,
            shown(wanted)
        ));
    }
    Ok(())
}

/// Why a Service cannot be changed, as a clause.
pub(super) async fn cannot_select(
    site: &SiteClient,
    select: &Select,
) -> Result<Option<String>, CallError> {
    let held = Held::of(site, select.at());
    let now = selector(&held.read().await?);
    Ok(refuse_foreign(select, &held.at, &now)
        .err()
        .map(|error| error.to_string()))
}

const fn labels(select: &Select, side: Side) -> &BTreeMap<String, String> {
    match side {
        Side::Primary => &select.primary,
        Side::Standby => &select.standby,
    }
}

fn selector(seen: &DynamicObject) -> BTreeMap<String, String> {
    let selector = seen.data.pointer("/spec/selector").cloned();
    selector
        .and_then(|selector| serde_json::from_value(selector).ok())
        .unwrap_or_default()
}

fn refuse_foreign(
    select: &Select,
    at: &At,
    now: &BTreeMap<String, String>,
) -> Result<(), ApplicationError> {
    if *now == select.primary || *now == select.standby {
        return Ok(());
    }
    Err(ApplicationError::Foreign {
        at: at.to_string(),
        seen: format!("leads to the pods with {}", shown(now)),
    })
}

fn shown(labels: &BTreeMap<String, String>) -> String {
    let pairs: Vec<_> = labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    if pairs.is_empty() {
        return "no label".to_owned();
    }
    crate::diagnose::sanitised(&pairs.join(","))
}
