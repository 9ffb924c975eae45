//! A pair that the real Flux or the real Argo CD owns, moved directly while they are held, and let go once Git says the same.

use std::io::{BufRead as _, BufReader};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pgha_judge::Ruling;
use pgha_lab::gitops::{Deployer, flux};
use pgha_lab::kubectl::Kubectl;
use pgha_lab::site::Site;
use pgha_lab::wait;
use pgha_tests::pair::{DEADLINE, await_line, event};
use pgha_tests::{interrupt, kill};

use crate::gitops::object;
use crate::owned::Owned;

#[test]
fn a_pair_of_flux_is_moved_while_it_is_held() -> Result<()> {
    moved(Deployer::Flux)
}

#[test]
fn a_pair_of_argo_cd_is_moved_while_it_is_held() -> Result<()> {
    moved(Deployer::Argo)
}

fn moved(deployer: Deployer) -> Result<()> {
    let Some(owned) = Owned::open(deployer)? else {
        return Ok(());
    };
    let (from, suite) = (owned.pair.primary()?, &owned.pair.suite);
    let refused = suite.run(&owned.pair.switchover(from))?;
    ensure!(refused.code == Some(3), "{refused:?}");
    ensure!(
        refused
            .failing()?
            .iter()
            .all(|check| check == "not-managed"),
        "{refused:?}"
    );
    let writer = suite.writer(owned.pair.kind.cluster, 0)?;
    let ended = suite.run(&owned.switchover(from))?;
    ensure!(ended.code == Some(0), "{ended:?}");
    owned.are_held(true)?;
    owned.take_turns()?;
    let verdict = writer.judge_within(1, DEADLINE)?;
    ensure!(verdict.ruling == Ruling::Pass, "{verdict}");
    is_told(&owned)?;
    // Git says otherwise: whatever else is new there, nobody is let go, and nothing happens to Postgres.
    let unrelated = owned.platform.folder().join("NOTE");
    std::fs::write(unrelated, "unrelated\n")?;
    owned.platform.tree().git(&["add", "NOTE"])?;
    owned.platform.tree().commit(&["NOTE"], "Something else")?;
    owned.platform.tree().push()?;
    let early = owned.release("5s")?;
    ensure!(early.code == Some(3), "{early:?}");
    owned.are_held(true)?;
    ensure!(
        owned.pair.primary()? == from.other(),
        "the primary has moved"
    );
    owned.commit(from.other())?;
    let released = owned.release("2m")?;
    ensure!(released.code == Some(0), "{released:?}");
    if deployer == Deployer::Flux {
        flux_owns_it_again(&owned)?;
    }
    owned.is_left_well(from.other())
}

/// `status` ends with 3 and names who is held, at each side.
fn is_told(owned: &Owned) -> Result<()> {
    let status = owned.pair.suite.status(owned.pair.kind.cluster)?;
    let told = status.stdout.matches("owner-held-by-move").count();
    ensure!((status.code, told) == (Some(3), 2), "{status:?}");
    Ok(())
}

/// What Git no longer names Flux takes away: the field is no longer ours.
fn flux_owns_it_again(owned: &Owned) -> Result<()> {
    for site in Site::ALL {
        let object = [
            "postgrescluster",
            owned.pair.kind.cluster,
            "--show-managed-fields",
        ];
        let what = "the field to be Flux' own";
        Kubectl::new(site).wait_for(what, &object, Duration::from_mins(1), |seen| {
            let fields = seen["metadata"]["managedFields"].as_array();
            let standby = "/fieldsV1/f:spec/f:standby/f:enabled";
            let mut owners = fields
                .into_iter()
                .flatten()
                .filter(|one| one.pointer(standby).is_some());
            owners.all(|one| one["manager"] == "kustomize-controller")
        })?;
        owned.take_turns()?;
    }
    Ok(())
}

/// Dies right after each of its writes: the next one goes on, whatever an owner has done meanwhile.
#[test]
fn a_release_that_dies_at_any_of_its_writes_is_gone_on_with() -> Result<()> {
    let Some(owned) = Owned::open(Deployer::Flux)? else {
        return Ok(());
    };
    let (from, suite) = (owned.pair.primary()?, &owned.pair.suite);
    let ended = suite.run(&owned.switchover(from))?;
    ensure!(ended.code == Some(0), "{ended:?}");
    let cluster = owned.pair.kind.cluster;
    let before = object(from, cluster)?["spec"]["standby"].clone();
    let how = ["--context", from.name(), "--yes", "--wait", "5s"];
    let asked = [&["release", cluster][..], &how].concat();
    for write in 1.. {
        // Something new, so that it is tried.
        let note = owned.platform.folder().join("NOTE");
        std::fs::write(note, format!("{write}\n"))?;
        owned.platform.tree().git(&["add", "NOTE"])?;
        owned.platform.tree().commit(&["NOTE"], "Something else")?;
        owned.platform.tree().push()?;
        let mut dying = suite.plugin();
        dying
            .args(&asked)
            .env("PGHA_TEST_DIE_AT", format!("{write}:after"));
        let died = dying.output()?.status.code().is_none();
        let next = suite.run(&asked)?;
        ensure!(next.code == Some(3), "after write {write}: {next:?}");
        let after = object(from, cluster)?;
        ensure!(
            after["spec"]["standby"] == before,
            "after write {write}: {after}"
        );
        ensure!(
            after["spec"]["paused"] != true,
            "after write {write}: {after}"
        );
        ensure!(
            owned.is_held(from)?,
            "after write {write}: {}",
            owned.owner(from)?
        );
        ensure!(
            owned.pair.primary()? == from.other(),
            "the primary has moved"
        );
        if !died {
            ensure!(write > 8, "it has only {write} writes");
            break;
        }
    }
    owned.commit(from.other())?;
    let released = owned.release("2m")?;
    ensure!(released.code == Some(0), "{released:?}");
    owned.is_left_well(from.other())
}

#[test]
fn a_move_that_is_interrupted_lets_go_whom_it_has_held() -> Result<()> {
    let Some(owned) = Owned::open(Deployer::Flux)? else {
        return Ok(());
    };
    let from = owned.pair.primary()?;
    for at in [event::HELD, event::FENCED] {
        let mut moving = owned.pair.suite.start(&owned.switchover(from))?;
        let stdout = moving.stdout.take().context("no stdout")?;
        await_line(&mut BufReader::new(stdout).lines(), at)?;
        interrupt(&moving)?;
        let ended = pgha_tests::finish(moving)?;
        let wanted = if at == event::HELD { 130 } else { 4 };
        ensure!(ended.code == Some(wanted), "{at}: {ended:?}");
        owned.are_held(false)?;
        owned.pair.is_well(from)?;
    }
    owned.is_left_well(from)
}

#[test]
fn what_a_killed_move_has_held_is_let_go_by_whoever_takes_it_over() -> Result<()> {
    let Some(owned) = Owned::open(Deployer::Flux)? else {
        return Ok(());
    };
    let from = owned.pair.primary()?;
    for (at, verb) in [
        (event::HELD, "abort"),
        (event::FENCED, "abort"),
        (event::FENCED, "resume"),
    ] {
        let mut moving = owned.pair.suite.start(&owned.switchover(from))?;
        let stdout = moving.stdout.take().context("no stdout")?;
        await_line(&mut BufReader::new(stdout).lines(), at)?;
        kill(&moving)?;
        moving.wait()?;
        owned.are_held(true)?;
        let args = [
            &owned.pair.taking_over(verb, from)[..],
            &["--take-over", "--hold-owners"],
        ]
        .concat();
        let over = owned.pair.suite.run(&args)?;
        ensure!(over.code == Some(0), "{verb} after {at}: {over:?}");
        owned.are_held(verb == "resume")?;
    }
    let to = owned.pair.primary()?;
    ensure!(to == from.other(), "{to} is primary");
    owned.commit(to)?;
    let released = owned.release("2m")?;
    ensure!(released.code == Some(0), "{released:?}");
    owned.is_left_well(to)
}

/// A person who lets the owner go while the move is under way, before the source is stopped.
#[test]
fn an_owner_that_was_let_go_meanwhile_is_held_again_before_the_fence() -> Result<()> {
    let Some(owned) = Owned::open(Deployer::Flux)? else {
        return Ok(());
    };
    let from = owned.pair.primary()?;
    let mut moving = owned.pair.suite.start(&owned.switchover(from))?;
    let stdout = moving.stdout.take().context("no stdout")?;
    let mut lines = BufReader::new(stdout).lines();
    await_line(&mut lines, event::HELD)?;
    let name = format!("kustomization/{}", owned.platform.postgres_name());
    for site in Site::ALL {
        flux::suspend(site, &name, false)?;
    }
    for line in lines {
        line?;
    }
    let ended = pgha_tests::finish(moving)?;
    ensure!(ended.code == Some(0), "{ended:?}");
    owned.are_held(true)?;
    owned.commit(from.other())?;
    // A release that is killed in the middle is gone on with by the next one.
    let sites = ["--context", "core1", "--context", "core2"];
    let asked = [
        &["release", owned.pair.kind.cluster][..],
        &sites,
        &["--yes", "-o", "json"],
    ]
    .concat();
    let mut releasing = owned.pair.suite.start(&asked)?;
    let stdout = releasing.stdout.take().context("no stdout")?;
    await_line(&mut BufReader::new(stdout).lines(), event::HELD)?;
    kill(&releasing)?;
    releasing.wait()?;
    let released = owned.release("2m")?;
    ensure!(released.code == Some(0), "{released:?}");
    wait::until("nothing held", DEADLINE, || owned.are_held(false))?;
    owned.is_left_well(from.other())
}
