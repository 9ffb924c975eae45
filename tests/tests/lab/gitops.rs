//! A pair in the hands of the real Flux or the real Argo CD, by a platform as Holos has it.

use anyhow::{Context as _, Result, ensure};
use pgha_lab::gitops::{self, Deployer, Platform, argo, flux};
use pgha_lab::kubectl::Kubectl;
use pgha_lab::progress::Progress;
use pgha_lab::site::Site;
use pgha_tests::Suite;
use pgha_tests::pair::{ARCHIVE, Kind, Pair, STREAMING};
use serde_json::{Value, json};

/// Ends what applies, whatever became of the test.
pub(super) struct Running;

impl Running {
    pub(super) fn up(deployer: Deployer) -> Result<Self> {
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
    owners_are_told(&pair, deployer, &platform)?;
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

/// Owners that are at work stop a move, by what their own objects say; owners that are held stop none.
fn owners_are_told(pair: &Pair, deployer: Deployer, platform: &Platform) -> Result<()> {
    let at_work = found(pair, "not-managed")?;
    ensure!(at_work.iter().all(|one| one.0 == "fail"), "{at_work:?}");
    let (name, root) = (platform.postgres_name(), platform.root_name());
    let (owner, root, when) = match deployer {
        Deployer::Flux => (
            format!("Flux Kustomization {}/{name}", flux::NAMESPACE),
            format!("Flux Kustomization {}/{root}", flux::NAMESPACE),
            "takes a change back within",
        ),
        Deployer::Argo => (
            format!("Argo CD application {}/{name}", argo::NAMESPACE),
            format!("Argo CD application {root}"),
            "takes a change back at once",
        ),
    };
    for (_, told) in &at_work {
        let wanted = format!("{owner} owns the object and {when}");
        ensure!(told.starts_with(&wanted), "{told}");
        let wanted = format!("{root} writes it and would leave a hold alone.");
        ensure!(told.ends_with(&wanted), "{told}");
    }
    hold(deployer, &name, true)?;
    let held = found(pair, "owner-held");
    let at_work = found(pair, "not-managed");
    hold(deployer, &name, false)?;
    let (held, at_work) = (held?, at_work?);
    ensure!(at_work.iter().all(|one| one.0 == "pass"), "{at_work:?}");
    let wanted = format!("{owner} owns the object and is held");
    let is_told = |one: &(String, String)| one.0 == "warn" && one.1.starts_with(&wanted);
    ensure!(held.len() == 2 && held.iter().all(is_told), "{held:?}");
    Ok(())
}

/// What a check found at each side: its severity and what was seen.
fn found(pair: &Pair, check: &str) -> Result<Vec<(String, String)>> {
    let ran = pair.suite.validate(pair.kind.cluster, pair.primary()?)?;
    let view: Value = serde_json::from_str(&ran.stdout).with_context(|| ran.stderr.clone())?;
    let all = view["findings"].as_array().context("no findings")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of_check = all.iter().filter(|finding| finding["check"] == check);
    let found = of_check.map(|finding| (text(&finding["severity"]), text(&finding["seen"])));
    Ok(found.collect())
}

/// Holds what owns the Postgres of both sites, or lets it go on, as a person would.
fn hold(deployer: Deployer, name: &str, is_held: bool) -> Result<()> {
    for site in Site::ALL {
        match deployer {
            Deployer::Flux => {
                let object = format!("kustomization/{name}");
                flux::suspend(site, &object, is_held)?;
                flux::reconcile(site, &object)?;
            }
            Deployer::Argo => {
                let enabled = if is_held { json!(false) } else { json!(null) };
                let policy = json!({"automated": {"enabled": enabled}});
                argo::patch(site, name, &json!({"spec": {"syncPolicy": policy}}))?;
                argo::refresh(site, name)?;
            }
        }
    }
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

pub(super) fn object(site: Site, cluster: &str) -> Result<Value> {
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
