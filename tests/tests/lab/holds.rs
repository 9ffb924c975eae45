//! A pair that the real Flux or the real Argo CD owns, moved directly while they are held, and let go once Git says the same.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pgha_judge::Ruling;
use pgha_lab::gitops::platform::SITE_FILE;
use pgha_lab::gitops::{Deployer, Platform, argo, flux, git};
use pgha_lab::kubectl::Kubectl;
use pgha_lab::paths::{self, Cache};
use pgha_lab::progress::Progress;
use pgha_lab::site::{SERVICE_NAMESPACE, Site};
use pgha_lab::wait;
use pgha_tests::pair::{ARCHIVE, DEADLINE, Pair, await_line, event};
use pgha_tests::{Ended, Suite, interrupt, kill};
use serde_json::{Value, json};

use crate::gitops::{Running, object};

/// What the product leaves on what it holds.
const HOLD: &str = "pgha.dev/hold";

/// A pair in the hands of what applies, for one test.
struct Owned {
    pair: Pair,
    deployer: Deployer,
    platform: Platform,
    _running: Running,
}

impl Owned {
    fn open(deployer: Deployer) -> Result<Option<Self>> {
        if Suite::open_for_full()?.is_none() {
            return Ok(None);
        }
        let pair = Pair::open(ARCHIVE)?.context("no lab")?;
        let running = Running::up(deployer)?;
        let progress = Progress::to_stderr();
        Platform::release(ARCHIVE.cluster, &progress)?;
        Ok(Some(Self {
            pair,
            deployer,
            platform: Platform::adopt(ARCHIVE.cluster, deployer, &progress)?,
            _running: running,
        }))
    }

    /// A move in which the owners are held.
    fn switchover(&self, from: Site) -> Vec<&'static str> {
        [&self.pair.switchover(from)[..], &["--hold-owners"]].concat()
    }

    fn owner(&self, site: Site) -> Result<Value> {
        let name = self.platform.postgres_name();
        match self.deployer {
            Deployer::Flux => {
                Kubectl::new(site).get(&["kustomization", &name, "--namespace", flux::NAMESPACE])
            }
            Deployer::Argo => argo::get(site, &name),
        }
    }

    fn is_held(&self, site: Site) -> Result<bool> {
        let owner = self.owner(site)?;
        let is_suspended = match self.deployer {
            Deployer::Flux => owner["spec"]["suspend"] == true,
            Deployer::Argo => owner["spec"]["syncPolicy"]["automated"]["enabled"] == false,
        };
        let is_marked = !owner["metadata"]["annotations"][HOLD].is_null();
        ensure!(is_suspended == is_marked, "half held: {owner}");
        Ok(is_suspended)
    }

    fn are_held(&self, wanted: bool) -> Result<()> {
        for site in Site::ALL {
            ensure!(
                self.is_held(site)? == wanted,
                "{site}: {}",
                self.owner(site)?
            );
        }
        Ok(())
    }

    /// Has the owners take a turn, as their controllers do by themselves sooner or later.
    fn take_turns(&self) -> Result<()> {
        let name = self.platform.postgres_name();
        for site in Site::ALL {
            match self.deployer {
                Deployer::Flux => drop(flux::reconcile(site, &format!("kustomization/{name}"))?),
                Deployer::Argo => drop(argo::refresh(site, &name)?),
            }
        }
        Ok(())
    }

    fn release(&self, wait: &str) -> Result<Ended> {
        let sites = ["--context", "core1", "--context", "core2"];
        let how = ["--yes", "-o", "json", "--wait", wait];
        let asked = [&["release", self.pair.kind.cluster][..], &sites, &how].concat();
        self.pair.suite.run(&asked)
    }

    fn commit(&self, primary: Site) -> Result<()> {
        self.platform.name_primary(primary)?;
        self.platform.render()?;
        self.platform.tree().commit(&["."], "Move the primary")?;
        self.platform.tree().push()
    }

    /// Everything is as a user wants to find it: the owners at work, and nothing for them to change.
    fn is_left_well(&self, primary: Site) -> Result<()> {
        self.are_held(false)?;
        self.take_turns()?;
        self.pair.is_well(primary)?;
        let says =
            |site| Ok::<_, anyhow::Error>(object(site, self.pair.kind.cluster)?["spec"].clone());
        for site in Site::ALL {
            let wanted = site != primary;
            ensure!(
                says(site)?["standby"]["enabled"] == wanted,
                "{site}: {}",
                says(site)?
            );
        }
        Platform::release(self.pair.kind.cluster, &Progress::to_stderr())
    }
}

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
    let Some(owned) = Owned::open(deployer)? else {
        return Ok(());
    };
    let house = tempfile::tempdir()?;
    let (from, file) = (owned.pair.primary()?, owned.service_file(house.path())?);
    let tip = owned.tip()?;
    let writer = owned.pair.suite.writer(owned.pair.kind.cluster, 0)?;
    let moved = owned.fast(&file, from)?.output()?;
    let verdict = writer.judge_within(1, DEADLINE)?;
    ensure!(moved.status.code() == Some(0), "{moved:?}");
    ensure!(verdict.ruling == Ruling::Pass, "{verdict}");
    owned.has_both_commits(from, &tip)?;
    owned.is_left_well(from.other())
}

/// Git is away from the hold on: the move goes through, the owners stay held, and whoever comes next commits and lets them go.
#[test]
fn a_fast_move_without_git_is_finished_by_a_release() -> Result<()> {
    let Some(owned) = Owned::open(Deployer::Flux)? else {
        return Ok(());
    };
    let house = tempfile::tempdir()?;
    let (from, file) = (owned.pair.primary()?, owned.service_file(house.path())?);
    let (tip, cache) = (owned.tip()?, Cache::in_use()?);
    git::answer_with(&cache, Some(503))?;
    let refused = owned.fast(&file, from)?.output()?;
    git::answer_with(&cache, None)?;
    ensure!(refused.status.code() == Some(3), "{refused:?}");
    owned.are_held(false)?;
    let mut moving = owned.fast(&file, from)?;
    let mut moving = moving
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let stdout = moving.stdout.take().context("no stdout")?;
    let mut lines = BufReader::new(stdout).lines();
    await_line(&mut lines, event::HELD)?;
    git::answer_with(&cache, Some(503))?;
    for line in lines {
        line?;
    }
    let ended = pgha_tests::finish(moving);
    git::answer_with(&cache, None)?;
    let ended = ended?;
    ensure!(ended.code == Some(4), "{ended:?}");
    owned.are_held(true)?;
    ensure!(owned.tip()? == tip, "something was pushed");
    let cluster = owned.pair.kind.cluster;
    let mut release = owned.plugin()?;
    release
        .args([
            "release", cluster, "--yes", "-o", "json", "--wait", "2m", "-f",
        ])
        .arg(&file);
    let released = release.output()?;
    ensure!(released.status.code() == Some(0), "{released:?}");
    owned.has_both_commits(from, &tip)?;
    owned.is_left_well(from.other())
}

impl Owned {
    /// The service's file of a platform, in a folder.
    fn service_file(&self, folder: &Path) -> Result<PathBuf> {
        let cluster = self.pair.kind.cluster;
        let site = |site: Site| json!({"name": site.name(), "context": site.name(), "namespace": SERVICE_NAMESPACE, "cluster": cluster});
        let rendered = |site| [format!("{}/**", Platform::rendered(site))];
        let service = json!({"apiVersion": "pgha.dev/v1alpha1", "kind": "Service", "metadata": {"name": cluster}, "spec": {
            "sites": Site::ALL.map(site),
            "change": {
                "way": "git",
                "repository": self.platform.folder(),
                "edits": [{"file": SITE_FILE, "field": "#Platform.primaryCluster.name"}],
                "render": {"command": ["sh", "render.sh"],
                    "paths": {"core1": rendered(Site::Core1), "core2": rendered(Site::Core2)}},
                "expect": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": self.platform.app_name(),
                    "at": ["/metadata/annotations"]}],
            },
        }});
        let file = folder.join("service.yaml");
        std::fs::write(&file, service.to_string())?;
        Ok(file)
    }

    /// The plugin, with the program that renders on its path.
    fn plugin(&self) -> Result<Command> {
        let bin = paths::program("cue");
        let bin = bin.parent().context("a program without a folder")?;
        let mut plugin = self.pair.suite.plugin();
        plugin.env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
        Ok(plugin)
    }

    fn fast(&self, file: &Path, from: Site) -> Result<Command> {
        let mut plugin = self.plugin()?;
        let cluster = self.pair.kind.cluster;
        plugin.args([
            "switchover",
            cluster,
            "--to",
            from.other().name(),
            "--fast",
            "--yes",
            "-o",
            "json",
            "-f",
        ]);
        plugin.arg(file);
        Ok(plugin)
    }

    /// What the branch is at.
    fn tip(&self) -> Result<String> {
        let tree = self.platform.tree();
        tree.git(&["fetch", "--quiet"])?;
        Ok(tree.git(&["rev-parse", "origin/main"])?.trim().to_owned())
    }

    /// Two commits, the source's first, each with files of its own site alone; the line is in the target's.
    fn has_both_commits(&self, from: Site, tip: &str) -> Result<()> {
        self.tip()?;
        let tree = self.platform.tree();
        let commits = tree.git(&["rev-list", "--reverse", &format!("{tip}..origin/main")])?;
        let commits: Vec<&str> = commits.lines().collect();
        ensure!(commits.len() == 2, "{commits:?}");
        for (commit, site) in commits.into_iter().zip([from, from.other()]) {
            let files = tree.git(&["show", "--format=", "--name-only", commit])?;
            let folder = Platform::rendered(site);
            let is_own =
                |file: &str| file.starts_with(&folder) || (site != from && file == SITE_FILE);
            ensure!(
                files.lines().count() >= 2 && files.lines().all(is_own),
                "{site}: {files}"
            );
        }
        // The person's copy follows, for what it renders next.
        tree.git(&["merge", "--quiet", "--ff-only", "origin/main"])
            .map(drop)
    }
}
