//! Replacing the pods of a workload, as `kubectl rollout restart` does: by an annotation of its template.

use std::collections::BTreeMap;
use std::time::Duration;

use pgha_model::application::{At, Restart};
use serde_json::Value;

use super::field::{Held, set_text};
use super::{ApplicationError, LOOK, Tell, settled};
use crate::client::{CallError, SiteClient};
use crate::clock;
use crate::k8s::DynamicObject;
use crate::settle::{Look, await_until};

/// When pgha has restarted a workload last.
const KEY: &str = "pgha.dev/restartedAt";

/// Replaces the pods of a workload, and waits until all are new and available. Whether it has any.
pub(super) async fn restart(
    site: &SiteClient,
    restart: &Restart,
    limit: Duration,
    tell: &mut Tell<'_>,
) -> Result<bool, ApplicationError> {
    let held = Held::of(site, restart.at());
    let at = held.at.clone();
    let seen = held.read().await?;
    if wanted(&seen, &at) == Some(0) {
        tell(format!("{at} has no pods, and is not restarted."));
        return Ok(false);
    }
    let now = clock::now().to_string();
    let template = ["spec", "template", "metadata"];
    held.change(|seen| {
        let annotations = annotations(seen);
        Ok(set_text(
            seen,
            annotations.as_ref(),
            &template,
            KEY,
            Some(&now),
        ))
    })
    .await?;
    tell(format!("{at} is restarted."));
    let settlement = await_until(clock::monotonic() + limit, LOOK, async || {
        match held.read().await {
            Ok(seen) => look(&seen, &at),
            Err(error) if error.may_pass() => Ok(Look::NotYet(error.to_string())),
            Err(error) => Err(error.into()),
        }
    });
    settled(&at, "its pods were not replaced", limit, settlement.await?)?;
    Ok(true)
}

/// Why a workload's pods would not be replaced, as a clause.
pub(super) async fn cannot_restart(
    site: &SiteClient,
    restart: &Restart,
) -> Result<Option<String>, CallError> {
    let held = Held::of(site, restart.at());
    let seen = held.read().await?;
    let at = &held.at;
    let strategy = seen.data.pointer("/spec/updateStrategy/type");
    let partition = seen
        .data
        .pointer("/spec/updateStrategy/rollingUpdate/partition");
    Ok(
        if seen.data.pointer("/spec/paused") == Some(&Value::Bool(true)) {
            Some(format!("the rollout of {at} is paused"))
        } else if strategy.is_some_and(|strategy| strategy == "OnDelete") {
            Some(format!(
                "{at} replaces no pod by itself (updateStrategy OnDelete)"
            ))
        } else if partition
            .and_then(Value::as_i64)
            .is_some_and(|partition| partition > 0)
        {
            Some(format!("{at} does not replace all of its pods (partition)"))
        } else {
            None
        },
    )
}

fn annotations(seen: &DynamicObject) -> Option<BTreeMap<String, String>> {
    let all = seen.data.pointer("/spec/template/metadata/annotations")?;
    serde_json::from_value(all.clone()).ok()
}

/// How many pods it is to have; `None` for a `DaemonSet`, which has one on each node.
fn wanted(seen: &DynamicObject, at: &At) -> Option<i64> {
    let replicas = seen.data.pointer("/spec/replicas").and_then(Value::as_i64);
    (at.object.resource.plural != "daemonsets").then(|| replicas.unwrap_or(1))
}

/// What `kubectl rollout status` waits for (Kubernetes documentation: Deployments, Deployment status; `StatefulSet`s, Rolling
/// Updates; `DaemonSet`s, Performing a Rolling Update).
fn look(seen: &DynamicObject, at: &At) -> Result<Look<(), String>, ApplicationError> {
    let status = |field: &str| seen.data.pointer(&format!("/status/{field}"));
    let number = |field: &str| status(field).and_then(Value::as_i64).unwrap_or(0);
    if number("observedGeneration") < seen.metadata.generation.unwrap_or(0) {
        return Ok(Look::NotYet(
            "its controller has not seen the change".to_owned(),
        ));
    }
    let conditions = status("conditions").and_then(Value::as_array);
    let mut conditions = conditions.into_iter().flatten();
    if conditions.any(|it| it["reason"] == "ProgressDeadlineExceeded") {
        return Err(ApplicationError::Failed {
            at: at.to_string(),
            because: "its rollout does not come forward (ProgressDeadlineExceeded)".to_owned(),
        });
    }
    let (wanted, new, all, ready) = match wanted(seen, at) {
        None => {
            let wanted = number("desiredNumberScheduled");
            let ready = number("numberAvailable");
            (wanted, number("updatedNumberScheduled"), wanted, ready)
        }
        Some(wanted) => {
            let ready = number("readyReplicas");
            (wanted, number("updatedReplicas"), number("replicas"), ready)
        }
    };
    Ok(if new >= wanted && all == wanted && ready >= wanted {
        Look::Settled(())
    } else {
        Look::NotYet(format!(
            "{new} of {wanted} pods are new, {ready} are ready, and there are {all}"
        ))
    })
}
