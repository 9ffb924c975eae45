//! A pair in the hands of the real Flux or the real Argo CD, by a platform as Holos has it.

use anyhow::{Context as _, Result, ensure};
use pgha_lab::gitops::{self, Deployer, Platform};
use pgha_lab::kubectl::Kubectl;
use pgha_lab::progress::Progress;
use pgha_lab::site::Site;
use pgha_tests::Suite;
use pgha_tests::pair::{ARCHIVE, Kind, Pair, STREAMING};
use serde_json::Value;

/// Ends what applies, whatever became of the test.
struct Running;

impl Running {
    fn up(deployer: Deployer) -> Result<Self> {
        gitops::up(deployer, &Progress::to_stderr())?;
        Ok(Self)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that failed has its own error to show.
        drop(gitops::down(&Progress::to_stderr()));
    }
}

#[test]
fn flux_adopts_a_pair_without_a_change() -> Result<()> {
    if Suite::open_for_full()?.is_none() {
        return Ok(());
    }
    for kind in [ARCHIVE, STREAMING] {
        adopts(kind, Deployer::Flux)?;
    }
    Ok(())
}

#[test]
fn argo_adopts_a_pair_without_a_change() -> Result<()> {
    if Suite::open_for_full()?.is_none() {
        return Ok(());
    }
    adopts(ARCHIVE, Deployer::Argo)
}

fn adopts(kind: Kind, deployer: Deployer) -> Result<()> {
    let pair = Pair::open(kind)?.context("no lab")?;
    let primary = pair.primary()?;
    let _running = Running::up(deployer)?;
    let progress = Progress::to_stderr();
    Platform::release(kind.cluster, &progress)?;
    let before = both(kind.cluster)?;
    let platform = Platform::adopt(kind.cluster, deployer, &progress)?;
    unchanged(&before, &both(kind.cluster)?)?;
    for site in Site::ALL {
        is_owned(&object(site, kind.cluster)?, deployer, &platform)?;
        let app = ["deployment", &platform.app_name()];
        let is_there = Kubectl::new(site).find(&app)?.is_some();
        let is_wanted = site == primary && deployer == Deployer::Flux;
        ensure!(is_there == is_wanted, "the application of {site}");
    }
    one_line_moves_the_primary(&platform, primary)?;
    Platform::release(kind.cluster, &progress)?;
    let after = both(kind.cluster)?;
    unchanged(&before, &after)?;
    for (old, new) in before.iter().zip(&after) {
        for marks in ["labels", "annotations"] {
            let [old, new] = [old, new].map(|it| &it["metadata"][marks]);
            ensure!(old == new, "{marks}: {old} became {new}");
        }
    }
    pair.is_well(primary)
}

fn is_owned(object: &Value, deployer: Deployer, platform: &Platform) -> Result<()> {
    let (marks, mark) = match deployer {
        Deployer::Flux => ("labels", "kustomize.toolkit.fluxcd.io/name"),
        Deployer::Argo => ("annotations", "argocd.argoproj.io/tracking-id"),
    };
    let owner = object["metadata"][marks][mark].as_str().unwrap_or_default();
    let owner = owner.split(':').next();
    ensure!(
        owner == Some(platform.postgres_name().as_str()),
        "{owner:?}"
    );
    Ok(())
}

/// Rendered, not committed: of each site's Postgres one line changes.
fn one_line_moves_the_primary(platform: &Platform, primary: Site) -> Result<()> {
    platform.name_primary(primary.other())?;
    platform.render()?;
    let tree = platform.tree();
    for site in Site::ALL {
        let file = platform.postgres_file(site);
        let diff = tree.git(&["diff", "--unified=0", "--", &file])?;
        let is_changed = |line: &&str| {
            line.starts_with(['+', '-']) && !line.starts_with("+++") && !line.starts_with("---")
        };
        let changed: Vec<&str> = diff.lines().filter(is_changed).collect();
        let now = site == primary;
        let wanted = [!now, now].map(|it| format!("    enabled: {it}"));
        let wanted = [format!("-{}", wanted[0]), format!("+{}", wanted[1])];
        ensure!(changed == wanted, "{diff}");
    }
    let files = tree.git(&["diff", "--name-only"])?;
    ensure!(files.lines().count() == 5, "{files}");
    Ok(())
}

fn both(cluster: &str) -> Result<Vec<Value>> {
    Site::ALL
        .into_iter()
        .map(|site| object(site, cluster))
        .collect()
}

fn object(site: Site, cluster: &str) -> Result<Value> {
    Kubectl::new(site).get(&["postgrescluster", cluster])
}

fn unchanged(before: &[Value], after: &[Value]) -> Result<()> {
    for (old, new) in before.iter().zip(after) {
        ensure!(old["spec"] == new["spec"], "{old}\n{new}");
        for field in ["uid", "generation"] {
            let (old, new) = (&old["metadata"][field], &new["metadata"][field]);
            ensure!(old == new, "{field}: {old} became {new}");
        }
    }
    Ok(())
}
