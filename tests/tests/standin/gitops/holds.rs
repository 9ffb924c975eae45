//! Suspension: what it holds, what it still says, and what ends it.

use anyhow::{Result, ensure};
use pgha_lab::gitops::flux;
use pgha_lab::kubectl::Kubectl;
use serde_json::json;

use super::{House, KUBECTL, NAMESPACE, PGHA, SITE, cluster, get, has_applied, with};

/// The acknowledgement is a barrier, for reconciles of one object come one after the other; it is no proof that anything was
/// applied.
#[test]
fn a_suspended_kustomization_acknowledges_a_token_and_reverts_nothing() -> Result<()> {
    let Some(house) = House::open("suspended")? else {
        return Ok(());
    };
    house.suspend(PGHA, &json!(true))?;
    house.reconcile()?;
    house.git.demote(PGHA)?;
    let newest = house
        .git
        .push(&with(&cluster(house.git.name), "/paused", &json!(true))?)?;
    house.fetch()?;
    let seen = house.reconcile()?;
    ensure!(flux::is_condition(&seen, "Ready"), "{seen}");
    ensure!(!has_applied(&seen, &newest), "{seen}");
    ensure!(seen["spec"]["suspend"] == true, "{seen}");
    ensure!(house.git.is_standby()?, "it was reverted");
    ensure!(house.git.value("/paused")?.is_null(), "it was applied");

    // Letting it go on is a request by itself.
    house.suspend(PGHA, &json!(null))?;
    flux::await_applied(SITE, house.git.name, &newest)?;
    house.git.await_standby(false)?;
    ensure!(house.git.value("/paused")? == true, "it was not applied");
    Ok(())
}

#[test]
fn a_suspended_source_does_not_stop_its_kustomization() -> Result<()> {
    let Some(house) = House::open("source")? else {
        return Ok(());
    };
    flux::suspend(SITE, &house.source(), true)?;
    let newest = house
        .git
        .push(&with(&cluster(house.git.name), "/paused", &json!(true))?)?;
    house.fetch()?;
    house.git.demote(PGHA)?;
    let seen = house.reconcile()?;
    ensure!(!house.git.is_standby()?, "it was not reverted");
    ensure!(!has_applied(&seen, &newest), "{seen}");
    Ok(())
}

#[test]
fn a_suspended_kustomization_that_is_deleted_leaves_what_it_applied() -> Result<()> {
    let Some(house) = House::open("deleted")? else {
        return Ok(());
    };
    house.suspend(PGHA, &json!(true))?;
    house.reconcile()?;
    let uid = house.git.live()?["metadata"]["uid"].clone();
    flux::delete(SITE, &house.kustomization())?;
    ensure!(
        house.git.live()?["metadata"]["uid"] == uid,
        "it is another one"
    );

    let again = flux::kustomization(house.git.name, house.git.name, "./live");
    Kubectl::new(SITE).apply(&again.to_string())?;
    flux::await_applied(SITE, house.git.name, &house.git.tree.head()?)?;
    ensure!(
        house.git.live()?["metadata"]["uid"] == uid,
        "it is another one"
    );
    flux::delete(SITE, &house.kustomization())?;
    let args = ["postgrescluster", house.git.name, "--namespace", NAMESPACE];
    let left = Kubectl::new(SITE).find(&args)?;
    ensure!(left.is_none(), "it was not pruned: {left:?}");
    Ok(())
}

/// Whoever holds a Kustomization has to hold the one that applies it, and its name decides whether the hold lasts.
#[test]
fn the_parent_of_a_kustomization_applies_it_again() -> Result<()> {
    let Some(house) = House::open("child")? else {
        return Ok(());
    };
    let root = format!("{}-root", house.git.name);
    let mut child = flux::kustomization(house.git.name, house.git.name, "./live");
    let pushed = |text: &str| house.git.push_file("flux/child.yaml", text);
    let first = pushed(&child.to_string())?;
    let parent = flux::kustomization(&root, house.git.name, "./flux");
    Kubectl::new(SITE).apply(&parent.to_string())?;
    flux::await_applied(SITE, &root, &first)?;
    let parent = format!("kustomization/{root}");
    let is_suspended = || Ok::<_, anyhow::Error>(house.flux()?["spec"]["suspend"] == true);

    house.suspend(PGHA, &json!(true))?;
    flux::reconcile(SITE, &parent)?;
    ensure!(is_suspended()?, "the hold of {PGHA} is gone");
    house.suspend(PGHA, &json!(null))?;
    house.suspend(KUBECTL, &json!(true))?;
    flux::reconcile(SITE, &parent)?;
    ensure!(!is_suspended()?, "the hold of {KUBECTL} is still there");

    child["spec"]["suspend"] = json!(false);
    let second = pushed(&child.to_string())?;
    house.fetch()?;
    flux::await_applied(SITE, &root, &second)?;
    house.suspend(PGHA, &json!(true))?;
    flux::reconcile(SITE, &parent)?;
    ensure!(!is_suspended()?, "git says that it is not suspended");

    flux::suspend(SITE, &parent, true)?;
    flux::reconcile(SITE, &parent)?;
    house.suspend(PGHA, &json!(true))?;
    flux::reconcile(SITE, &parent)?;
    ensure!(is_suspended()?, "a parent that is held has applied it");
    let seen = get(&parent, flux::NAMESPACE)?;
    ensure!(flux::is_condition(&seen, "Ready"), "{seen}");
    Ok(())
}
