//! The annotation by which Flux leaves an object alone. A Kustomization says that all is well while it does: only the object
//! itself tells.

use anyhow::{Result, ensure};
use pgha_lab::gitops::flux;
use serde_json::json;

use super::{House, PGHA, SITE, cluster, with};

const GATE: &str = "kustomize.toolkit.fluxcd.io/reconcile";

#[test]
fn an_object_with_the_annotation_is_left_alone_and_the_kustomization_is_ready() -> Result<()> {
    let Some(house) = House::open("gated")? else {
        return Ok(());
    };
    let gate = |value| json!({"metadata": {"annotations": {GATE: value}}});
    house.git.patch(PGHA, &gate(Some("disabled")))?;
    house.git.demote(PGHA)?;
    let newest = house
        .git
        .push(&with(&cluster(house.git.name), "/paused", &json!(true))?)?;
    house.fetch()?;
    flux::await_applied(SITE, house.git.name, &newest)?;
    ensure!(house.git.is_standby()?, "it was reverted");
    ensure!(house.git.value("/paused")?.is_null(), "it was applied");

    house.git.patch(PGHA, &gate(None))?;
    house.reconcile()?;
    ensure!(!house.git.is_standby()?, "it was not reverted");
    ensure!(house.git.value("/paused")? == true, "it was not applied");
    Ok(())
}

/// So a standby's file that has it can neither be demoted nor get the annotation itself.
#[test]
fn an_annotation_in_git_alone_never_reaches_the_object() -> Result<()> {
    let Some(house) = House::open("gate-in-git")? else {
        return Ok(());
    };
    let mut gated = with(&cluster(house.git.name), "/standby/enabled", &json!(true))?;
    gated["metadata"]["annotations"] = json!({GATE: "disabled"});
    house.sync(&gated)?;
    ensure!(!house.git.is_standby()?, "it was applied");
    let annotations = house.git.live()?["metadata"]["annotations"].clone();
    ensure!(annotations.get(GATE).is_none(), "{annotations}");
    Ok(())
}
