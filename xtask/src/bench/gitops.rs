//! `cargo xtask bench gitops`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use pgha_judge::bench::{GitopsFile, GitopsRun, Method, Mode, Spread, Standby, spread};
use pgha_lab::cluster::{self, Pair, Patroni, primary_site};
use pgha_lab::gitops::{self, Deployer, Platform};
use pgha_lab::paths::{self, Cache};
use pgha_lab::progress::Progress;
use pgha_lab::site::Site;
use pgha_lab::writer::{self, Load};
use tempfile::TempDir;

use super::moves;
use crate::lab;
use crate::part::say;

const CLUSTER: &str = "bench-gitops";

const PROBE: Load = Load {
    connections: 0,
    rate: 200,
};

/// Measures every way in turn and writes the file after each move, so that an interrupted run keeps what it has.
pub(super) fn run(runs: u32, file: &Path) -> Result<()> {
    let progress = Progress::to_stderr();
    let plugin = progress.part("kubectl pgha", |_| crate::demo::build_plugin())?;
    lab::up_with_standin(&progress)?;
    let writer = lab::build_program("pgha-writer")?;
    // Whoever applied its objects in an earlier run is named in them still.
    cluster::remove(CLUSTER, &Cache::in_use()?, &progress)?;
    cluster::ensure(
        &Pair {
            name: CLUSTER.to_owned(),
            standby: cluster::Standby::Archive,
            patroni: Patroni::V4_1,
            instances: 2,
        },
        &progress,
    )?;
    let mut all = GitopsFile::default();
    let of_flux = [Mode::Direct, Mode::Fast, Mode::GitFlux];
    for (deployer, modes) in [
        (Deployer::Flux, &of_flux[..]),
        (Deployer::Argo, &[Mode::GitArgo]),
    ] {
        let house = House::open(deployer, (&plugin, &writer), &progress)?;
        for _ in 0..runs {
            for mode in modes {
                all.runs.push(house.measure(*mode)?);
                fs::write(file, serde_json::to_vec_pretty(&all)?)?;
            }
        }
        Platform::release(CLUSTER, &progress)?;
        gitops::down(&progress)?;
    }
    report(&all);
    Ok(())
}

/// A pair in the hands of what applies, and the service's file.
struct House<'a> {
    plugin: &'a PathBuf,
    writer: &'a PathBuf,
    platform: Platform,
    folder: TempDir,
}

impl<'a> House<'a> {
    fn open(
        deployer: Deployer,
        (plugin, writer): (&'a PathBuf, &'a PathBuf),
        progress: &Progress,
    ) -> Result<Self> {
        gitops::up(deployer, progress)?;
        Platform::release(CLUSTER, progress)?;
        let platform = Platform::adopt(CLUSTER, deployer, progress)?;
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("pgha.yaml");
        fs::write(file, platform.service().to_string())?;
        Ok(Self {
            plugin,
            writer,
            platform,
            folder,
        })
    }

    /// One move to the other site.
    fn measure(&self, mode: Mode) -> Result<GitopsRun> {
        let to = primary_site(CLUSTER)?.other();
        let reconcile_s = self.reconcile(to)?;
        writer::stop(CLUSTER)?;
        writer::start(CLUSTER, self.writer, PROBE)?;
        let moved = self
            .switch_over(mode, to)
            .and_then(|()| moves::await_rows_after(CLUSTER));
        writer::stop(CLUSTER)?;
        moved?;
        let measured = moves::measured(CLUSTER, Standby::Archive, 0, Method::Pgha)?;
        if mode == Mode::Direct {
            self.commit(to)?;
        }
        self.follow()?;
        let run = GitopsRun {
            mode,
            gap_s: measured.gap_s,
            missing: measured.missing,
            reconcile_s,
        };
        say(&serde_json::to_string(&run)?);
        Ok(run)
    }

    /// How long a commit of something else takes to the site's owner, in seconds.
    fn reconcile(&self, site: Site) -> Result<f64> {
        let tree = self.platform.tree();
        let note = self.platform.folder().join("NOTE");
        fs::write(note, format!("{}\n", tree.head()?))?;
        tree.git(&["add", "NOTE"])?;
        tree.commit(&["NOTE"], "Something else")?;
        let begun = Instant::now();
        tree.push()?;
        self.platform.reconcile(site)?;
        Ok(begun.elapsed().as_secs_f64())
    }

    fn switch_over(&self, mode: Mode, to: Site) -> Result<()> {
        let from = to.other();
        let contexts = ["--from", from.name(), "--to", to.name()];
        let mut plugin = self.plugin(&["switchover", CLUSTER])?;
        match mode {
            Mode::Direct => plugin.args(contexts).arg("--hold-owners"),
            Mode::Fast => plugin
                .args(["--to", to.name(), "--fast", "-f"])
                .arg(self.file()),
            Mode::GitFlux | Mode::GitArgo => {
                plugin.args(["--to", to.name(), "-f"]).arg(self.file())
            }
        };
        ended(plugin)
    }

    /// What a person commits after a direct move, and lets the owners go.
    fn commit(&self, primary: Site) -> Result<()> {
        self.platform.name_primary(primary)?;
        self.platform.render()?;
        self.platform.tree().commit(&["."], "Move the primary")?;
        self.platform.tree().push()?;
        let mut release = self.plugin(&["release", CLUSTER])?;
        release.args(["--context", "core1", "--context", "core2", "--wait", "2m"]);
        ended(release)
    }

    /// The person's copy has what was pushed.
    fn follow(&self) -> Result<()> {
        let tree = self.platform.tree();
        tree.git(&["fetch", "--quiet"])?;
        let merge = ["merge", "--quiet", "--ff-only", "origin/main"];
        tree.git(&merge).map(drop)
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("pgha.yaml")
    }

    /// The plugin, with the program that renders on its path.
    fn plugin(&self, args: &[&str]) -> Result<Command> {
        let cue = paths::program("cue");
        let bin = cue.parent().context("a program without a folder")?;
        let mut plugin = Command::new(self.plugin);
        plugin.args(args).args(["--yes", "-o", "json"]);
        plugin.env("KUBECONFIG", paths::kubeconfig());
        plugin.env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
        plugin.env("XDG_STATE_HOME", self.folder.path());
        plugin.stdin(Stdio::null()).stderr(Stdio::inherit());
        Ok(plugin)
    }
}

fn ended(mut plugin: Command) -> Result<()> {
    let output = plugin.output().context("kubectl-pgha does not start")?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{plugin:?} ended badly:\n{said}");
    Ok(())
}

fn report(file: &GitopsFile) {
    say("mode       runs  median s  p95 s  missing  reconcile s  by direct");
    let gaps = |mode| -> Vec<f64> {
        let of_mode = file.runs.iter().filter(|run| run.mode == mode);
        of_mode.map(|run| run.gap_s).collect()
    };
    let direct = spread(&gaps(Mode::Direct)).map(|spread| spread.median);
    for mode in [Mode::Direct, Mode::Fast, Mode::GitFlux, Mode::GitArgo] {
        let Some(Spread { median, p95 }) = spread(&gaps(mode)) else {
            continue;
        };
        let runs: Vec<_> = file.runs.iter().filter(|run| run.mode == mode).collect();
        let missing: u64 = runs.iter().map(|run| run.missing).sum();
        let reconciles: Vec<_> = runs.iter().map(|run| run.reconcile_s).collect();
        let reconcile = spread(&reconciles).map_or(0.0, |spread| spread.median);
        let ratio = direct.map_or(0.0, |direct| median / direct);
        let (name, runs) = (format!("{mode:?}").to_lowercase(), runs.len());
        say(&format!(
            "{name:<9} {runs:>5}  {median:>8.3} {p95:>6.3}  {missing:>7}  {reconcile:>11.3}  {ratio:>9.3}"
        ));
    }
}
