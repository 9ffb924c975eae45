//! Flux' `Kustomization` and `HelmRelease`.

use std::time::Duration;

use pgha_model::owner::{Owner, OwnerState, Reverts, writer_of};
use serde_json::{Value, json};

use super::{Subject, Tool, is_true, problem, text_at};
use crate::client::{CallError, CallKind, SiteClient};
use crate::clock;
use crate::diagnose::{chain_of, sanitised};
use crate::k8s::{self, DynamicObject, Patch};
use crate::patch::parameters;
use crate::settle::{Look, Settlement, await_eagerly};

/// By what Flux is asked for a turn (Flux documentation, "Kustomization", "Triggering a reconcile").
pub(super) const ASK: &str = "reconcile.fluxcd.io/requestedAt";

/// The longest pause between two looks.
const LOOK: Duration = Duration::from_millis(250);

/// How Flux' controllers sign what they apply.
pub(super) const MANAGERS: [&str; 2] = ["kustomize-controller", "helm-controller"];

/// Reads the owner's object; why it could not be read, as a fragment.
pub(super) async fn fetch(
    site: &SiteClient,
    tool: Tool,
    owner: &Owner,
) -> Result<DynamicObject, String> {
    let (Some(namespace), Some(name)) = (&owner.namespace, &owner.name) else {
        return Err("its name is not known".to_owned());
    };
    let site = site.in_namespace(namespace.clone());
    let api = site.objects(&tool.resource());
    let object = format!("{owner}");
    let got = site.call("get", &object, api.get(name)).await;
    got.map_err(|error| {
        if error.kind != CallKind::NotFound {
            return chain_of(&error);
        }
        // One Flux can apply to many clusters (Flux documentation, "Kustomization", "Remote Clusters").
        let context = &site.context;
        format!("`{context}` has no such object: Flux may run in another cluster")
    })
}

/// What a Kustomization says (Flux documentation, "Kustomization", "Suspend", "Interval"). One that is still at work is not held,
/// whatever it says: its turn ends first.
pub(super) fn kustomization_state(found: &DynamicObject) -> OwnerState {
    OwnerState {
        reverts: suspended(found).unwrap_or_else(|| within_interval(found)),
        source: source(found, "/spec/sourceRef"),
        revision: text_at(found, "/status/lastAppliedRevision"),
        problem: problem(found, is_not_ready),
    }
}

/// What a `HelmRelease` says: only one that detects drift takes a change back before its next upgrade (Flux documentation,
/// "`HelmRelease`", "Drift detection").
pub(super) fn release_state(found: &DynamicObject) -> OwnerState {
    let detects = text_at(found, "/spec/driftDetection/mode").as_deref() == Some("enabled");
    let unless_suspended = || {
        if detects {
            within_interval(found)
        } else {
            Reverts::NextChange
        }
    };
    OwnerState {
        reverts: suspended(found).unwrap_or_else(unless_suspended),
        source: source(found, "/spec/chartRef")
            .or_else(|| source(found, "/spec/chart/spec/sourceRef")),
        revision: text_at(found, "/status/lastAttemptedRevision"),
        problem: problem(found, is_not_ready),
    }
}

fn suspended(found: &DynamicObject) -> Option<Reverts> {
    let is_held = is_true(found, "/spec/suspend") && !is_at_work(found);
    is_held.then(|| Reverts::Held {
        by: "spec.suspend is true".to_owned(),
    })
}

fn within_interval(found: &DynamicObject) -> Reverts {
    let interval = text_at(found, "/spec/interval");
    interval.map_or(Reverts::AtOnce, |interval| Reverts::Within { interval })
}

pub(super) fn is_at_work(found: &DynamicObject) -> bool {
    let conditions = found
        .data
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    let is =
        |condition: &Value| condition["type"] == "Reconciling" && condition["status"] == "True";
    conditions.is_some_and(|conditions| conditions.iter().any(is))
}

fn is_not_ready(condition: &Value) -> bool {
    condition["type"] == "Ready" && condition["status"] == "False"
}

fn source(found: &DynamicObject, pointer: &str) -> Option<String> {
    let kind = text_at(found, &format!("{pointer}/kind"))?;
    let name = text_at(found, &format!("{pointer}/name"))?;
    let namespace = text_at(found, &format!("{pointer}/namespace"));
    let own = || found.metadata.namespace.as_deref().map(sanitised);
    let namespace = namespace.or_else(own).unwrap_or_default();
    Some(format!("{kind} {namespace}/{name}"))
}

/// From where a Kustomization takes what it applies.
pub(super) struct SourceRef {
    kind: String,
    namespace: String,
    name: String,
}

/// The source that a Kustomization names, where it is whole.
pub(super) fn source_of(found: &DynamicObject) -> Option<SourceRef> {
    let text = |key: &str| {
        let value = found.data.pointer(&format!("/spec/sourceRef/{key}"));
        value.and_then(Value::as_str).map(str::to_owned)
    };
    Some(SourceRef {
        kind: text("kind")?,
        name: text("name")?,
        namespace: text("namespace").or_else(|| found.metadata.namespace.clone())?,
    })
}

/// Has a source fetched, and reads its newest revision; `None` where pgha may not ask it. One that does not answer in time says what
/// it had before.
pub(super) async fn fetch_source(
    site: &SiteClient,
    source: &SourceRef,
    limit: Duration,
) -> Result<Option<String>, CallError> {
    let (version, plural) = match source.kind.as_str() {
        "GitRepository" => ("v1", "gitrepositories"),
        "OCIRepository" => ("v1", "ocirepositories"),
        "Bucket" => ("v1", "buckets"),
        _ => return Ok(None),
    };
    let resource = k8s::resource("source.toolkit.fluxcd.io", version, &source.kind, plural);
    let at = site.in_namespace(source.namespace.clone());
    let (api, object) = (
        at.objects(&resource),
        format!("{} {}", source.kind, source.name),
    );
    let token = clock::now().to_string();
    let asked = json!({"metadata": {"annotations": {ASK: token}}});
    let patch = Patch::Merge(asked);
    let sent = at
        .call(
            "patch",
            &object,
            api.patch(&source.name, &parameters(), &patch),
        )
        .await;
    match sent {
        Ok(_) => {}
        Err(error) if matches!(error.kind, CallKind::Forbidden { .. }) => return Ok(None),
        Err(error) => return Err(error),
    }
    let settled = await_eagerly(clock::monotonic() + limit, LOOK, async || {
        let found = at.call("get", &object, api.get(&source.name)).await?;
        let handled = text_at(&found, "/status/lastHandledReconcileAt");
        let revision = text_at(&found, "/status/artifact/revision");
        Ok::<_, CallError>(if handled.as_deref() == Some(token.as_str()) {
            Look::Settled(revision)
        } else {
            Look::NotYet(revision)
        })
    });
    Ok(match settled.await? {
        Settlement::Settled(revision) => revision,
        Settlement::TimedOut { last_seen } => last_seen.flatten(),
    })
}

/// Whether a Kustomization has the subject in its inventory, whose ids are `<namespace>_<name>_<group>_<kind>` (Flux documentation,
/// "Kustomization", "Inventory").
pub(super) fn lists(found: &DynamicObject, subject: &Subject<'_>) -> bool {
    let Subject {
        group,
        kind,
        namespace,
        name,
        ..
    } = subject;
    let id = format!("{namespace}_{name}_{group}_{kind}");
    let entries = found
        .data
        .pointer("/status/inventory/entries")
        .and_then(Value::as_array);
    entries.is_some_and(|entries| entries.iter().any(|entry| entry["id"] == id.as_str()))
}

/// Which field of those that we would change somebody else has taken from Flux, or Flux never had.
pub(super) fn drift(subject: &Subject<'_>) -> Option<String> {
    subject.fields.iter().find_map(|field| {
        let writer = writer_of(&subject.metadata, field, &MANAGERS)?;
        let (field, writer) = (field.join("."), sanitised(writer));
        Some(format!(
            "Its {field} was last written by {writer}: it differs from Git, or Git does not name it."
        ))
    })
}
