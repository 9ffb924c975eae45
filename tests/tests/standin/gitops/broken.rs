//! Parts that are broken: a controller that is down, a host that refuses, a commit that cannot be read.

use anyhow::{Result, ensure};
use pgha_lab::fault::process;
use pgha_lab::gitops::{flux, git};
use pgha_lab::wait;
use serde_json::{Value, json};

use super::{House, PGHA, SITE, cluster, get, has_applied, with};

/// Starts a controller again, whatever became of the test.
struct Stopped;

impl Stopped {
    fn stop() -> Result<Self> {
        process::stop_daemon(SITE.place(), flux::KUSTOMIZE)?;
        Ok(Self)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // The next test brings Flux up, and says what is in the way.
        drop(process::start_daemon(SITE.place(), flux::KUSTOMIZE));
    }
}

#[test]
fn a_controller_that_was_down_acts_on_what_waited_for_it() -> Result<()> {
    let Some(house) = House::open("down")? else {
        return Ok(());
    };
    let stopped = Stopped::stop()?;
    house.git.demote(PGHA)?;
    let token = flux::request(SITE, &house.kustomization())?;
    let before = house.flux()?;
    ensure!(before["status"]["lastHandledReconcileAt"] != token.as_str());
    ensure!(flux::is_condition(&before, "Ready"), "{before}");
    ensure!(house.git.is_standby()?, "nobody could revert it");
    drop(stopped);
    flux::await_handled(SITE, &house.kustomization(), &token)?;
    ensure!(!house.git.is_standby()?, "it was not reverted");
    Ok(())
}

#[test]
fn a_git_host_that_refuses_leaves_the_last_commit_in_force() -> Result<()> {
    let Some(house) = House::open("refused")? else {
        return Ok(());
    };
    for status in [401, 503] {
        git::answer_with(&house.git.cache, Some(status))?;
        flux::request(SITE, &house.source())?;
        await_source(&house, false)?;
        ensure!(
            house.git.tree.git(&["fetch", "--quiet"]).is_err(),
            "{status}"
        );
        house.git.demote(PGHA)?;
        let seen = house.reconcile()?;
        ensure!(flux::is_condition(&seen, "Ready"), "{seen}");
        ensure!(!house.git.is_standby()?, "it was not reverted");
        git::answer_with(&house.git.cache, None)?;
        house.fetch()?;
        await_source(&house, true)?;
    }
    Ok(())
}

fn await_source(house: &House, is_ready: bool) -> Result<Value> {
    wait::until("the source to know", flux::ANSWERS, || {
        let source = get(&house.source(), flux::NAMESPACE)?;
        ensure!(flux::is_condition(&source, "Ready") == is_ready, "{source}");
        Ok(source)
    })
}

#[test]
fn a_commit_that_cannot_be_read_changes_nothing() -> Result<()> {
    let Some(house) = House::open("unreadable")? else {
        return Ok(());
    };
    let good = house.git.tree.head()?;
    let bad = house.git.push_file("live/object.yaml", "kind: [\n")?;
    house.fetch()?;
    let seen = wait::until("the commit to be refused", flux::ANSWERS, || {
        let seen = house.flux()?;
        let attempted = seen["status"]["lastAttemptedRevision"].as_str();
        ensure!(attempted.is_some_and(|it| it.ends_with(&bad)), "{seen}");
        Ok(seen)
    })?;
    ensure!(!flux::is_condition(&seen, "Ready"), "{seen}");
    ensure!(has_applied(&seen, &good), "{seen}");
    house.sync(&with(&cluster(house.git.name), "/paused", &json!(true))?)?;
    ensure!(house.git.value("/paused")? == true, "it was not applied");
    Ok(())
}
