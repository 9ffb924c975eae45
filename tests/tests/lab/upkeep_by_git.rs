//! The commands of every day where Flux or Argo CD owns the object: nobody asks beside Git, and what Git asks for is waited for
//! and proved.

use std::fs;

use anyhow::{Result, ensure};
use pgha_judge::Ruling;
use pgha_lab::gitops::Deployer;
use pgha_tests::pair::DEADLINE;

use crate::owned::House;
use crate::upkeep::{done, ensure_nothing_runs, refused, run};

#[test]
fn a_side_is_stopped_and_started_by_git_and_flux() -> Result<()> {
    stopped_and_started(Deployer::Flux)
}

#[test]
fn a_side_is_stopped_and_started_by_git_and_argo_cd() -> Result<()> {
    stopped_and_started(Deployer::Argo)
}

fn stopped_and_started(deployer: Deployer) -> Result<()> {
    let Some(house) = House::open(deployer)? else {
        return Ok(());
    };
    let (owned, standby) = (&house.owned, house.from.other());
    let (suite, cluster) = (&owned.pair.suite, owned.pair.kind.cluster);
    let (platform, tree) = (&owned.platform, owned.platform.tree());
    let writer = suite.writer(cluster, 0)?;
    let beside = run(suite, "shutdown", cluster, standby, &[])?;
    refused(&beside, "not-managed")?;

    let name = platform.postgres_file(standby);
    let file = tree.folder().join(&name);
    let before = fs::read_to_string(&file)?;
    let asking = before.replacen("\nspec:\n", "\nspec:\n  shutdown: true\n", 1);
    ensure!(asking != before, "there is no spec in {before}");
    fs::write(&file, asking)?;
    tree.commit(&[&name], "Stop the standby")?;
    tree.push()?;
    platform.reconcile(standby)?;
    let stopped = done(suite, "shutdown", cluster, standby, &[])?;
    ensure!(stopped["changed"] == true, "{stopped}");
    ensure_nothing_runs(standby, cluster)?;

    tree.git(&["revert", "--no-edit", "HEAD"])?;
    tree.push()?;
    platform.reconcile(standby)?;
    let peer = ["--peer", house.from.name()];
    let started = done(suite, "startup", cluster, standby, &peer)?;
    ensure!(started["place"]["context"] == standby.name(), "{started}");
    let verdict = writer.judge_within(0, DEADLINE)?;
    ensure!(verdict.ruling == Ruling::Pass, "{verdict}");
    owned.is_left_well(house.from)
}
