//! Field managers: what survives, what is put back, and how a field is handed over to git.

use anyhow::{Context as _, Result, ensure};
use pgha_lab::gitops::flux;
use serde_json::{Value, json};

use super::{House, KUBECTL, NAMESPACE, PGHA, SITE, cluster, owns, patch_as, with};

const FLUX: &str = "kustomize-controller";
const PAUSED: &str = "f:paused";

#[test]
fn a_field_that_git_has_is_put_back() -> Result<()> {
    let Some(house) = House::open("reverted")? else {
        return Ok(());
    };
    for manager in [PGHA, KUBECTL] {
        house.git.demote(manager)?;
        ensure!(house.git.is_standby()?, "the patch did nothing");
        house.reconcile()?;
        ensure!(!house.git.is_standby()?, "{manager}'s value is still there");
    }
    Ok(())
}

#[test]
fn a_field_that_git_lacks_stays_when_pgha_wrote_it_and_goes_when_kubectl_did() -> Result<()> {
    let Some(house) = House::open("foreign")? else {
        return Ok(());
    };
    let pause = json!({"spec": {"paused": true}});
    house.git.patch(PGHA, &pause)?;
    house.reconcile()?;
    ensure!(
        house.git.value("/paused")? == true,
        "{PGHA}'s value is gone"
    );
    house.sync(&with(&cluster(house.git.name), "/shutdown", &json!(false))?)?;
    ensure!(
        house.git.value("/paused")? == true,
        "a commit has removed it"
    );

    house.git.patch(PGHA, &json!({"spec": {"paused": null}}))?;
    house.git.patch(KUBECTL, &pause)?;
    house.reconcile()?;
    ensure!(
        house.git.value("/paused")?.is_null(),
        "{KUBECTL}'s value is still there"
    );
    Ok(())
}

/// A value that git came to say later stays the patcher's, and outlives its removal from git: ownership has to be handed over.
#[test]
fn a_field_is_gits_only_after_it_was_handed_over() -> Result<()> {
    let Some(house) = House::open("handover")? else {
        return Ok(());
    };
    pause_before_git_does(&house)?;
    let live = house.git.live()?;
    ensure!(owns(&live, PGHA, PAUSED), "{PGHA} does not own it");
    ensure!(!owns(&live, FLUX, PAUSED), "{FLUX} has taken it");

    hand_over(&house, &live)?;
    house.reconcile()?;
    let live = house.git.live()?;
    ensure!(house.git.value("/paused")? == true, "the value went away");
    ensure!(owns(&live, FLUX, PAUSED), "{FLUX} has not taken it");
    ensure!(!owns(&live, PGHA, PAUSED), "{PGHA} still owns it");
    house.sync(&cluster(house.git.name))?;
    let now = house.git.value("/paused")?;
    ensure!(now.is_null(), "git has removed it, and it is {now}");
    Ok(())
}

#[test]
fn what_was_not_handed_over_outlives_its_removal_from_git() -> Result<()> {
    let Some(house) = House::open("kept")? else {
        return Ok(());
    };
    pause_before_git_does(&house)?;
    house.sync(&cluster(house.git.name))?;
    ensure!(house.git.value("/paused")? == true, "git has removed it");
    Ok(())
}

/// Writes a value under suspension, has git say the same, and lets Flux go on.
fn pause_before_git_does(house: &House) -> Result<()> {
    house.suspend(PGHA, &json!(true))?;
    house.reconcile()?;
    house.git.patch(PGHA, &json!({"spec": {"paused": true}}))?;
    let paused = with(&cluster(house.git.name), "/paused", &json!(true))?;
    let commit = house.git.push(&paused)?;
    house.fetch()?;
    house.suspend(PGHA, &json!(null))?;
    flux::await_applied(SITE, house.git.name, &commit).map(drop)
}

/// Renames the product's entry to a name that Flux takes for a person's kubectl, so that it takes over what the entry has.
fn hand_over(house: &House, live: &Value) -> Result<()> {
    let entries = live["metadata"]["managedFields"]
        .as_array()
        .context("no managers")?;
    let index = entries
        .iter()
        .position(|entry| entry["manager"] == PGHA)
        .context("no entry of ours")?;
    let manager = format!("/metadata/managedFields/{index}/manager");
    let version = &live["metadata"]["resourceVersion"];
    let patch = json!([
        {"op": "test", "path": "/metadata/resourceVersion", "value": version},
        {"op": "test", "path": manager, "value": PGHA},
        {"op": "replace", "path": manager, "value": "kubectl-handover"},
    ]);
    let object = format!("postgrescluster/{}", house.git.name);
    patch_as(PGHA, &object, NAMESPACE, "json", &patch)
}
