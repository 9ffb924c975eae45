//! Argo CD's `Application`.

pub(super) mod windows;

use kube::Api;
use pgha_model::owner::{Owner, OwnerKind, OwnerState, Reverts, label_tracked};
use serde_json::Value;

use super::{Subject, Tool, described, is_true, problem, text_at};
use crate::client::{CallKind, SiteClient};
use crate::diagnose::{chain_of, sanitised};
use crate::k8s::{DynamicObject, ListParams};

/// Where Argo CD is, by its own manifests, and with it the applications whose sign names no namespace.
const NAMESPACE: &str = "argocd";

/// Reads the application that a sign names, on the subject where one is given; why it could not be read, as a fragment.
pub(super) async fn fetch(
    site: &SiteClient,
    owner: &Owner,
    subject: Option<&Subject<'_>>,
) -> Result<DynamicObject, String> {
    let Some(name) = &owner.name else {
        return Err("its sign names no application".to_owned());
    };
    find(site, owner.namespace.as_deref(), name, subject).await
}

/// The application that a label names. An object that Argo CD or Helm has signed otherwise has the label from there.
pub(super) fn label_of(subject: &Subject<'_>, signed: &[Owner]) -> Option<String> {
    let has_sign = signed.iter().any(|owner| {
        matches!(
            owner.kind,
            OwnerKind::ArgoCdApplication | OwnerKind::HelmRelease | OwnerKind::FluxHelmRelease
        )
    });
    label_tracked(&subject.metadata, sanitised).filter(|_| !has_sign)
}

/// The application of that name, where its own object says the same: then Argo CD tracks by labels. The label alone means nothing.
pub(super) async fn find_by_label(
    site: &SiteClient,
    label: Option<String>,
    subject: &Subject<'_>,
) -> Option<Owner> {
    let name = label?;
    let found = find(site, None, &name, Some(subject)).await.ok()?;
    if !lists(&found, subject) {
        return None;
    }
    let evidence = "label app.kubernetes.io/instance";
    let owner = Owner::by_sign(OwnerKind::ArgoCdApplication, None, Some(name), evidence);
    Some(described(site, (Tool::Application, owner), &found, subject).await)
}

/// The application of this name: where Argo CD usually is, or the only one anywhere that is it.
async fn find(
    site: &SiteClient,
    namespace: Option<&str>,
    name: &str,
    subject: Option<&Subject<'_>>,
) -> Result<DynamicObject, String> {
    let told = format!("Argo CD application {name}");
    let at = site.in_namespace(namespace.unwrap_or(NAMESPACE));
    let got = at
        .call(
            "get",
            &told,
            at.objects(&Tool::Application.resource()).get(name),
        )
        .await;
    let error = match got {
        Ok(found) => return Ok(found),
        Err(error) => error,
    };
    let elsewhere = "Argo CD may run in another cluster";
    if error.is_unknown_resource() {
        return Err(format!("`{}` has no Argo CD: {elsewhere}", site.context));
    }
    let may_be_elsewhere = matches!(error.kind, CallKind::NotFound | CallKind::Forbidden { .. });
    if namespace.is_some() || !may_be_elsewhere {
        return Err(chain_of(&error));
    }
    let api: Api<DynamicObject> = Api::all_with(site.client.clone(), &Tool::Application.resource());
    let params = ListParams::default().fields(&format!("metadata.name={name}"));
    let listed = site.call("list", "applications", api.list(&params)).await;
    let mut found = listed.map_err(|error| chain_of(&error))?.items;
    if found.len() > 1
        && let Some(subject) = subject
    {
        found.retain(|found| lists(found, subject));
    }
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(format!(
            "`{}` has no such application: {elsewhere}",
            site.context
        )),
        many => Err(format!(
            "`{}` has {many} applications of this name",
            site.context
        )),
    }
}

/// What an application says (Argo CD documentation, "Automated Sync Policy"; 3.2 has `enabled`). One at which an operation is under
/// way is not held, whatever it says.
pub(super) fn state(found: &DynamicObject) -> OwnerState {
    OwnerState {
        reverts: reverts(found),
        source: None,
        revision: text_at(found, "/status/sync/revision"),
        problem: problem(found, is_error),
    }
}

fn reverts(found: &DynamicObject) -> Reverts {
    const SKIP: &str = "argocd.argoproj.io/skip-reconcile";
    let held = |by: &str| Reverts::Held { by: by.to_owned() };
    let annotations = found.metadata.annotations.as_ref();
    let skips = annotations.is_some_and(|all| all.get(SKIP).is_some_and(|value| value == "true"));
    if skips {
        return held("annotation argocd.argoproj.io/skip-reconcile");
    }
    let phase = text_at(found, "/status/operationState/phase");
    let has_operation = found
        .data
        .get("operation")
        .is_some_and(|operation| !operation.is_null());
    if has_operation || phase.as_deref() == Some("Running") {
        return Reverts::AtOnce;
    }
    match found.data.pointer("/spec/syncPolicy/automated") {
        None | Some(Value::Null) => Reverts::ByHand,
        Some(automated) if automated["enabled"] == false => {
            held("spec.syncPolicy.automated.enabled is false")
        }
        Some(_) if is_true(found, "/spec/syncPolicy/automated/selfHeal") => Reverts::AtOnce,
        Some(_) => Reverts::NextChange,
    }
}

fn is_error(condition: &Value) -> bool {
    condition["type"]
        .as_str()
        .is_some_and(|kind| kind.ends_with("Error"))
}

/// Whether the application has the subject among what it manages.
pub(super) fn lists(found: &DynamicObject, subject: &Subject<'_>) -> bool {
    entry(found, subject).is_some()
}

/// Whether it shows the subject as different from Git.
pub(super) fn drift(found: &DynamicObject, subject: &Subject<'_>) -> Option<String> {
    let is_out = entry(found, subject)?["status"] == "OutOfSync";
    is_out.then(|| "It shows the object as out of sync already.".to_owned())
}

/// What it says of an object: `Synced`, `OutOfSync`.
pub(super) fn sync_status(
    found: &DynamicObject,
    kind: &str,
    (namespace, name): (&str, &str),
) -> Option<String> {
    let listed = found.data.pointer("/status/resources")?.as_array()?;
    let is_it = |entry: &&Value| {
        entry["kind"] == kind && entry["namespace"] == namespace && entry["name"] == name
    };
    let entry = listed.iter().find(is_it)?;
    entry["status"].as_str().map(sanitised)
}

fn entry<'a>(found: &'a DynamicObject, subject: &Subject<'_>) -> Option<&'a Value> {
    let listed = found.data.pointer("/status/resources")?.as_array()?;
    listed.iter().find(|entry| {
        let is = |key: &str, value: &str| entry[key].as_str().unwrap_or_default() == value;
        is("group", subject.group)
            && is("kind", subject.kind)
            && is("namespace", &subject.namespace)
            && is("name", &subject.name)
    })
}
