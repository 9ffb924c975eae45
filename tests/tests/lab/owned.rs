//! A pair in the hands of Flux or Argo CD, and the moves of it.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use pgha_lab::gitops::git::WorkTree;
use pgha_lab::gitops::platform::SITE_FILE;
use pgha_lab::gitops::{Deployer, Platform, argo, flux};
use pgha_lab::kubectl::Kubectl;
use pgha_lab::paths;
use pgha_lab::progress::Progress;
use pgha_lab::site::Site;
use pgha_tests::pair::{ARCHIVE, Pair, await_line};
use pgha_tests::{Ended, Suite};
use serde_json::Value;
use tempfile::TempDir;

use crate::gitops::{Running, object};

/// What the product leaves on what it holds.
const HOLD: &str = "pgha.dev/hold";

/// A pair in the hands of what applies, for one test.
pub(crate) struct Owned {
    pub(crate) pair: Pair,
    deployer: Deployer,
    pub(crate) platform: Platform,
    _running: Running,
}

impl Owned {
    pub(crate) fn open(deployer: Deployer) -> Result<Option<Self>> {
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
    pub(crate) fn switchover(&self, from: Site) -> Vec<&'static str> {
        [&self.pair.switchover(from)[..], &["--hold-owners"]].concat()
    }

    pub(crate) fn owner(&self, site: Site) -> Result<Value> {
        let name = self.platform.postgres_name();
        match self.deployer {
            Deployer::Flux => {
                Kubectl::new(site).get(&["kustomization", &name, "--namespace", flux::NAMESPACE])
            }
            Deployer::Argo => argo::get(site, &name),
        }
    }

    pub(crate) fn is_held(&self, site: Site) -> Result<bool> {
        let owner = self.owner(site)?;
        let is_suspended = match self.deployer {
            Deployer::Flux => owner["spec"]["suspend"] == true,
            Deployer::Argo => owner["spec"]["syncPolicy"]["automated"]["enabled"] == false,
        };
        let is_marked = !owner["metadata"]["annotations"][HOLD].is_null();
        ensure!(is_suspended == is_marked, "half held: {owner}");
        Ok(is_suspended)
    }

    pub(crate) fn are_held(&self, wanted: bool) -> Result<()> {
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
    pub(crate) fn take_turns(&self) -> Result<()> {
        let name = self.platform.postgres_name();
        for site in Site::ALL {
            match self.deployer {
                Deployer::Flux => drop(flux::reconcile(site, &format!("kustomization/{name}"))?),
                Deployer::Argo => drop(argo::refresh(site, &name)?),
            }
        }
        Ok(())
    }

    pub(crate) fn release(&self, wait: &str) -> Result<Ended> {
        let sites = ["--context", "core1", "--context", "core2"];
        let how = ["--yes", "-o", "json", "--wait", wait];
        let asked = [&["release", self.pair.kind.cluster][..], &sites, &how].concat();
        self.pair.suite.run(&asked)
    }

    pub(crate) fn commit(&self, primary: Site) -> Result<()> {
        self.platform.name_primary(primary)?;
        self.platform.render()?;
        self.platform.tree().commit(&["."], "Move the primary")?;
        self.platform.tree().push()
    }

    /// Everything is as a user wants to find it: the owners at work, and nothing for them to change.
    pub(crate) fn is_left_well(&self, primary: Site) -> Result<()> {
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

/// Such a pair before a move by its service's file.
pub(crate) struct House {
    pub(crate) owned: Owned,
    /// The service's file.
    pub(crate) file: PathBuf,
    /// Who is primary before.
    pub(crate) from: Site,
    /// What the branch is at before.
    pub(crate) tip: String,
    folder: TempDir,
}

impl House {
    pub(crate) fn open(deployer: Deployer) -> Result<Option<Self>> {
        let Some(owned) = Owned::open(deployer)? else {
            return Ok(None);
        };
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("service.yaml");
        std::fs::write(&file, owned.platform.service().to_string())?;
        Ok(Some(Self {
            file,
            from: owned.pair.primary()?,
            tip: owned.tip()?,
            owned,
            folder,
        }))
    }

    /// Changes are proposed by merge requests from now on.
    pub(crate) fn by_merge_request(self) -> Result<Self> {
        let mut service = self.owned.platform.service();
        service["spec"]["change"]["way"] = "mergeRequest".into();
        std::fs::write(&self.file, service.to_string())?;
        Ok(self)
    }

    /// Another person's copy of the repository.
    pub(crate) fn colleague(&self) -> Result<WorkTree> {
        let folder = self.folder.path().join("colleague");
        if folder.exists() {
            let tree = WorkTree::at(folder);
            tree.git(&["fetch", "--quiet"])?;
            tree.git(&["reset", "--quiet", "--hard", "origin/main"])?;
            return Ok(tree);
        }
        WorkTree::clone_of(self.owned.pair.kind.cluster, folder)
    }

    /// A move by the service's file, under way, that has told this.
    pub(crate) fn moving(&self, how: &[&str], told: &str) -> Result<Child> {
        started(self.owned.moving(&self.file, self.from, how)?, told)
    }

    /// What the branch has more than before, the oldest first.
    pub(crate) fn subjects(&self) -> Result<Vec<String>> {
        self.owned.tip()?;
        let range = format!("{}..origin/main", self.tip);
        let log = ["log", "--reverse", "--format=%s", &range];
        let subjects = self.owned.platform.tree().git(&log)?;
        Ok(subjects.lines().map(str::to_owned).collect())
    }
}

/// How a command ends.
pub(crate) fn ended(mut command: Command) -> Result<Ended> {
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    pgha_tests::finish(command.spawn()?)
}

/// A command under way that has told this.
pub(crate) fn started(mut command: Command, told: &str) -> Result<Child> {
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = command.spawn()?;
    let mut lines = BufReader::new(running.stdout.take().context("no stdout")?).lines();
    await_line(&mut lines, told)?;
    // Whatever else it says is taken from it, or it would wait for a reader.
    std::thread::spawn(move || lines.for_each(drop));
    Ok(running)
}

impl Owned {
    /// The plugin, with the program that renders on its path.
    pub(crate) fn plugin(&self) -> Result<Command> {
        let bin = paths::program("cue");
        let bin = bin.parent().context("a program without a folder")?;
        let mut plugin = self.pair.suite.plugin();
        plugin.env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
        Ok(plugin)
    }

    /// A move by the service's file.
    pub(crate) fn moving(&self, file: &Path, from: Site, how: &[&str]) -> Result<Command> {
        let mut plugin = self.plugin()?;
        plugin.args([
            "switchover",
            self.pair.kind.cluster,
            "--to",
            from.other().name(),
        ]);
        plugin
            .args(how)
            .args(["--yes", "-o", "json", "-f"])
            .arg(file);
        Ok(plugin)
    }

    /// A move whose tool is dead is gone on with, or taken back, by the service's file.
    pub(crate) fn take_over(&self, verb: &str, file: &Path, from: Site) -> Result<Ended> {
        let mut over = self.plugin()?;
        let sides = ["--from", from.name(), "--to", from.other().name()];
        over.args([verb, self.pair.kind.cluster]).args(sides);
        over.args(["--take-over", "--yes", "-o", "json", "-f"])
            .arg(file);
        ended(over)
    }

    /// Whoever is held is let go by the service's file, which says what is committed.
    pub(crate) fn release_by(&self, file: &Path) -> Result<Ended> {
        ended(self.releasing(file)?)
    }

    /// The same, as a command that is not run yet.
    pub(crate) fn releasing(&self, file: &Path) -> Result<Command> {
        let mut release = self.plugin()?;
        release.args(["release", self.pair.kind.cluster, "--yes", "-o", "json"]);
        release.args(["--wait", "2m", "-f"]).arg(file);
        Ok(release)
    }

    /// The branch has so many commits more, and says what it said.
    pub(crate) fn is_as_at(&self, tip: &str, commits: usize) -> Result<()> {
        self.tip()?;
        let tree = self.platform.tree();
        let range = format!("{tip}..origin/main");
        let made = tree.git(&["log", "--oneline", &range])?;
        ensure!(made.lines().count() == commits, "{made}");
        let differs = tree.git(&["diff", "--stat", tip, "origin/main"])?;
        ensure!(differs.is_empty(), "{differs}");
        tree.git(&["merge", "--quiet", "--ff-only", "origin/main"])
            .map(drop)
    }

    /// What the branch is at.
    pub(crate) fn tip(&self) -> Result<String> {
        let tree = self.platform.tree();
        tree.git(&["fetch", "--quiet"])?;
        Ok(tree.git(&["rev-parse", "origin/main"])?.trim().to_owned())
    }

    /// Two commits, the source's first, each with files of its own site alone; the line is in the target's.
    pub(crate) fn has_both_commits(&self, from: Site, tip: &str) -> Result<()> {
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
