//! A pair that the real Flux or the real Argo CD owns, moved through Git: what is committed before the move, and after it.

use anyhow::{Result, bail, ensure};
use pgha_judge::Ruling;
use pgha_lab::daemon::Daemon;
use pgha_lab::gitops::{Deployer, argo, flux, git};
use pgha_lab::kubectl::Kubectl;
use pgha_lab::paths::Cache;
use pgha_lab::site::Site;
use pgha_tests::pair::{DEADLINE, event};
use pgha_tests::{interrupt, kill};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::owned::{House, started};

#[test]
fn a_fast_move_of_flux_is_in_git_once_it_has_ended() -> Result<()> {
    committed(Deployer::Flux)
}

#[test]
fn a_fast_move_of_argo_cd_is_in_git_once_it_has_ended() -> Result<()> {
    committed(Deployer::Argo)
}

/// One line of CUE names the primary, and a render makes both sites' files of it.
fn committed(deployer: Deployer) -> Result<()> {
    let Some(house) = House::open(deployer)? else {
        return Ok(());
    };
    let (owned, from, file) = (&house.owned, house.from, &house.file);
    let tip = &house.tip;
    let writer = owned.pair.suite.writer(owned.pair.kind.cluster, 0)?;
    let moved = owned.moving(file, from, &["--fast"])?.output()?;
    let verdict = writer.judge_within(1, DEADLINE)?;
    ensure!(moved.status.code() == Some(0), "{moved:?}");
    ensure!(verdict.ruling == Ruling::Pass, "{verdict}");
    owned.has_both_commits(from, tip)?;
    owned.is_left_well(from.other())
}

/// Git is away from the hold on: the move goes through, the owners stay held, and whoever comes next commits and lets them go.
#[test]
fn a_fast_move_without_git_is_finished_by_a_release() -> Result<()> {
    let Some(house) = House::open(Deployer::Flux)? else {
        return Ok(());
    };
    let (owned, from, file) = (&house.owned, house.from, &house.file);
    let (tip, cache) = (&house.tip, Cache::in_use()?);
    git::answer_with(&cache, Some(503))?;
    let refused = owned.moving(file, from, &["--fast"])?.output()?;
    git::answer_with(&cache, None)?;
    ensure!(refused.status.code() == Some(3), "{refused:?}");
    owned.are_held(false)?;
    let moving = house.moving(&["--fast"], event::HELD)?;
    git::answer_with(&cache, Some(503))?;
    let ended = pgha_tests::finish(moving);
    git::answer_with(&cache, None)?;
    let ended = ended?;
    ensure!(ended.code == Some(4), "{ended:?}");
    owned.are_held(true)?;
    ensure!(owned.tip()? == *tip, "something was pushed");
    let released = owned.release_by(file)?;
    ensure!(released.code == Some(0), "{released:?}");
    owned.has_both_commits(from, tip)?;
    owned.is_left_well(from.other())
}

#[test]
fn a_move_of_flux_follows_git() -> Result<()> {
    followed(Deployer::Flux)
}

#[test]
fn a_move_of_argo_cd_follows_git() -> Result<()> {
    followed(Deployer::Argo)
}

/// Git says first what each site is to be, and those who apply it write the objects.
fn followed(deployer: Deployer) -> Result<()> {
    let Some(house) = House::open(deployer)? else {
        return Ok(());
    };
    let (owned, from, file) = (&house.owned, house.from, &house.file);
    let tip = &house.tip;
    let writer = owned.pair.suite.writer(owned.pair.kind.cluster, 0)?;
    let moved = owned.moving(file, from, &[])?.output()?;
    let verdict = writer.judge_within(1, DEADLINE)?;
    ensure!(moved.status.code() == Some(0), "{moved:?}");
    ensure!(verdict.ruling == Ruling::Pass, "{verdict}");
    let told = String::from_utf8(moved.stdout)?;
    let order = [
        &says(from),
        "has applied it to the object of the source",
        event::FENCED,
        event::PROVED,
        &says(from.other()),
        "has applied it to the object of the target",
        event::PROMOTED,
    ];
    let at: Vec<_> = order.iter().map(|line| told.find(*line)).collect();
    ensure!(
        at.iter().all(Option::is_some) && at.is_sorted(),
        "{at:?}: {told}"
    );
    owned.has_both_commits(from, tip)?;
    owned.is_left_well(from.other())
}

/// What is told once Git says of a site what it is to be.
fn says(site: Site) -> String {
    format!("says now that {site} is")
}

/// After the source's commit, and after the fence: the way back ends where Git says again what was before.
#[test]
fn a_move_that_is_interrupted_is_taken_back_in_git() -> Result<()> {
    let Some(house) = House::open(Deployer::Flux)? else {
        return Ok(());
    };
    let (owned, from) = (&house.owned, house.from);
    for (at, wanted) in [(says(from).as_str(), 130), (event::FENCED, 4)] {
        let tip = owned.tip()?;
        let moving = house.moving(&[], at)?;
        interrupt(&moving)?;
        let ended = pgha_tests::finish(moving)?;
        ensure!(ended.code == Some(wanted), "{at}: {ended:?}");
        owned.is_as_at(&tip, 2)?;
        owned.are_held(false)?;
        owned.pair.is_well(from)?;
    }
    owned.is_left_well(from)
}

/// Whoever takes a killed move over ends it in Git too.
#[test]
fn a_killed_move_is_ended_in_git_by_whoever_takes_it_over() -> Result<()> {
    let Some(house) = House::open(Deployer::Flux)? else {
        return Ok(());
    };
    let (owned, from, file) = (&house.owned, house.from, &house.file);
    for (at, verb) in [
        ("has applied it to the object of the source", "abort"),
        (event::FENCED, "abort"),
        (says(from.other()).as_str(), "resume"),
    ] {
        let tip = owned.tip()?;
        let mut moving = house.moving(&[], at)?;
        kill(&moving)?;
        moving.wait()?;
        let over = owned.take_over(verb, file, from)?;
        ensure!(over.code == Some(0), "{verb} after {at}: {over:?}");
        if verb == "abort" {
            owned.is_as_at(&tip, 2)?;
            owned.are_held(false)?;
        } else {
            owned.has_both_commits(from, &tip)?;
        }
    }
    owned.is_left_well(from.other())
}

/// Git goes away once the source is fenced: the move goes back, the owners stay held until Git says so too.
#[test]
fn a_move_whose_git_goes_away_goes_back_and_stays_held() -> Result<()> {
    let Some(house) = House::open(Deployer::Flux)? else {
        return Ok(());
    };
    let (owned, from, file) = (&house.owned, house.from, &house.file);
    let (tip, cache) = (&house.tip, Cache::in_use()?);
    let writer = owned.pair.suite.writer(owned.pair.kind.cluster, 0)?;
    let moving = house.moving(&[], event::FENCED)?;
    git::answer_with(&cache, Some(503))?;
    let ended = pgha_tests::finish(moving);
    let status = owned.pair.suite.status(owned.pair.kind.cluster);
    git::answer_with(&cache, None)?;
    let (ended, status) = (ended?, status?);
    ensure!(ended.code == Some(4), "{ended:?}");
    ensure!(status.code == Some(3), "{status:?}");
    let verdict = writer.judge_within(0, DEADLINE)?;
    ensure!(verdict.ruling == Ruling::Pass, "{verdict}");
    ensure!(owned.pair.primary()? == from, "the primary has moved");
    owned.are_held(true)?;
    owned.take_turns()?;
    let released = owned.release_by(file)?;
    ensure!(released.code == Some(0), "{released:?}");
    owned.is_as_at(tip, 2)?;
    owned.is_left_well(from)
}

/// Flux goes away at the target once the source is fenced: the target is promoted all the same, and a release sees to the rest.
#[test]
fn a_target_whose_flux_goes_away_is_promoted_all_the_same() -> Result<()> {
    let Some(house) = House::open(Deployer::Flux)? else {
        return Ok(());
    };
    let (owned, from, file) = (&house.owned, house.from, &house.file);
    let tip = &house.tip;
    let writer = owned.pair.suite.writer(owned.pair.kind.cluster, 0)?;
    let moving = house.moving(&[], event::FENCED)?;
    let flux = Daemon::load(from.other().place(), flux::KUSTOMIZE)?;
    flux.signal(Signal::STOP)?;
    let ended = pgha_tests::finish(moving);
    flux.signal(Signal::CONT)?;
    let ended = ended?;
    ensure!(ended.code == Some(4), "{ended:?}");
    let verdict = writer.judge_within(1, DEADLINE)?;
    ensure!(verdict.ruling == Ruling::Pass, "{verdict}");
    ensure!(
        owned.pair.primary()? == from.other(),
        "the primary has not moved"
    );
    let released = owned.release_by(file)?;
    ensure!(released.code == Some(0), "{released:?}");
    owned.has_both_commits(from, tip)?;
    owned.is_left_well(from.other())
}

/// Flux goes away at the source before it has applied the commit there: nothing is fenced, nobody is let go unseen, and `abort` ends it.
#[test]
fn a_source_whose_flux_goes_away_is_not_fenced() -> Result<()> {
    let Some(house) = House::open(Deployer::Flux)? else {
        return Ok(());
    };
    let (owned, from, file) = (&house.owned, house.from, &house.file);
    let tip = &house.tip;
    let how = ["--timeout", "10s"];
    let moving = house.moving(&how, event::HELD)?;
    let flux = Daemon::load(from.place(), flux::KUSTOMIZE)?;
    flux.signal(Signal::STOP)?;
    let ended = pgha_tests::finish(moving);
    let primary = owned.pair.primary();
    flux.signal(Signal::CONT)?;
    let ended = ended?;
    ensure!(ended.code == Some(5), "{ended:?}");
    ensure!(primary? == from, "the primary has moved");
    let aborted = owned.take_over("abort", file, from)?;
    ensure!(aborted.code == Some(0), "{aborted:?}");
    owned.is_as_at(tip, 2)?;
    owned.are_held(false)?;
    owned.is_left_well(from)
}

/// In a window that denies Argo CD applies nothing: that is told beforehand, and the move goes back before the fence.
#[test]
fn a_move_in_a_window_that_denies_is_taken_back() -> Result<()> {
    let Some(house) = House::open(Deployer::Argo)? else {
        return Ok(());
    };
    let (owned, from, file) = (&house.owned, house.from, &house.file);
    let window =
        json!({"kind": "deny", "schedule": "* * * * *", "duration": "1h", "applications": ["*"]});
    open_windows(&json!([window]))?;
    let planned = owned.moving(file, from, &["--dry-run"])?.output();
    let moved = owned.moving(file, from, &["--timeout", "10s"])?.output();
    open_windows(&json!([]))?;
    let (planned, moved) = (planned?, moved?);
    let told = "deny `* * * * *` for 1h";
    let says = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(told);
    ensure!(says(&planned.stdout), "{planned:?}");
    ensure!(moved.status.code() == Some(4), "{moved:?}");
    ensure!(says(&moved.stdout), "{moved:?}");
    owned.is_as_at(&house.tip, 2)?;
    owned.are_held(false)?;
    owned.is_left_well(from)
}

/// The sync windows of the project that every application here is of, at both sites.
fn open_windows(windows: &Value) -> Result<()> {
    let patch = json!({"spec": {"syncWindows": windows}}).to_string();
    for site in Site::ALL {
        let project = [
            "patch",
            "appproject",
            "default",
            "--namespace",
            argo::NAMESPACE,
        ];
        Kubectl::new(site).run(&[&project[..], &["--type=merge", "--patch", &patch]].concat())?;
    }
    Ok(())
}

/// Both changes are merged by a colleague, who sees the target's only once the source's is merged. Who waits may give up meanwhile.
#[test]
fn a_fast_move_is_followed_by_merge_requests() -> Result<()> {
    let Some(house) = House::open(Deployer::Flux)? else {
        return Ok(());
    };
    let house = house.by_merge_request()?;
    let (owned, from, file) = (&house.owned, house.from, &house.file);
    let refused = owned.moving(file, from, &[])?.output()?;
    ensure!(refused.status.code() == Some(2), "{refused:?}");
    let writer = owned.pair.suite.writer(owned.pair.kind.cluster, 0)?;
    let moving = house.moving(&["--fast"], PROPOSED)?;
    interrupt(&moving)?;
    let ended = pgha_tests::finish(moving)?;
    ensure!(ended.code == Some(4), "{ended:?}");
    let verdict = writer.judge_within(1, DEADLINE)?;
    ensure!(verdict.ruling == Ruling::Pass, "{verdict}");
    owned.are_held(true)?;
    ensure!(house.subjects()?.is_empty(), "{:?}", house.subjects()?);
    merge(&house, "source")?;
    let releasing = started(owned.releasing(file)?, PROPOSED)?;
    owned.are_held(true)?;
    merge(&house, "target")?;
    let ended = pgha_tests::finish(releasing)?;
    ensure!(ended.code == Some(0), "{ended:?}");
    owned.has_both_commits(from, &house.tip)?;
    owned.is_left_well(from.other())
}

/// What is told of a branch that waits to be merged.
const PROPOSED: &str = "proposes to origin refs/heads/main";

/// A colleague merges the one branch of a move's part that is there.
fn merge(house: &House, part: &str) -> Result<()> {
    let tree = house.colleague()?;
    let ours = ["branch", "--remotes", "--format=%(refname:short)", "--list"];
    let listed = tree.git(&[&ours[..], &[&format!("origin/pgha/*-{part}")]].concat())?;
    let mut branches = listed.lines();
    let (Some(branch), None) = (branches.next(), branches.next()) else {
        bail!("there is not one branch of the {part}: {listed}");
    };
    tree.git(&["merge", "--quiet", "--ff-only", branch])?;
    tree.push()
}
