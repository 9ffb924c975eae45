//! A GitOps house beside the lab: a git host in the edge, and at each site the real source-controller and kustomize-controller
//! of Flux; for some tests the real Argo CD too.
//!
//! None of it is part of `lab up`: it is built when somebody asks for it. Its daemons run like the lab's others, each in its
//! place's network, so that `lab status` shows them, `lab fault stop|start|kill|pause|resume` works on them, and `lab down` ends
//! them. How the controllers behave is measured in their tests (`tests/tests/standin/gitops.rs`).

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use serde_json::json;

use crate::daemon::Daemon;
use crate::go::DEFINITIONS;
use crate::kubectl::Kubectl;
use crate::lab;
use crate::lock::Lock;
use crate::paths::{self, Cache};
use crate::progress::Progress;
use crate::site::{Place, Site};
use crate::wait;

pub mod argo;
pub mod flux;
pub mod git;
pub mod platform;
mod recipe;

pub use platform::{Platform, Provider};

/// A namespace that no operator watches: for looking at what becomes of an object alone.
pub const QUIET_NAMESPACE: &str = "pgha-gitops";

/// How long a daemon may take to end by itself.
const GRACE: Duration = Duration::from_secs(10);
/// How long a definition may take to be served.
const SERVED: Duration = Duration::from_secs(30);
/// How long an object may take to go.
const GOES: &str = "--timeout=60s";

/// Who applies what git says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deployer {
    /// Flux's source-controller and kustomize-controller.
    Flux,
    /// Argo CD's application controller and repository server, with their Redis.
    Argo,
}

impl Deployer {
    /// The daemons that it is at each site, in the order of their start.
    pub const fn daemons(self) -> &'static [&'static str] {
        match self {
            Self::Flux => &flux::DAEMONS,
            Self::Argo => &argo::DAEMONS,
        }
    }

    /// Whether it and the git host run.
    pub fn is_up(self) -> bool {
        let runs = |place: Place, name: &str| {
            Daemon::load(place, name).is_ok_and(|daemon| daemon.is_alive())
        };
        let is_at = |site: Site| self.daemons().iter().all(|name| runs(site.place(), name));
        runs(Place::Edge, git::DAEMON) && Site::ALL.into_iter().all(is_at)
    }
}

impl FromStr for Deployer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "flux" => Ok(Self::Flux),
            "argo" => Ok(Self::Argo),
            _ => Err(format!("`{text}` applies nothing here: flux or argo")),
        }
    }
}

impl fmt::Display for Deployer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flux => "flux",
            Self::Argo => "argo",
        })
    }
}

/// Builds what is not there and brings it up on a lab that is up, with the git host; what runs already stays.
///
/// # Errors
/// The lab is not up, a build fails, or a part does not get ready.
pub fn up(deployer: Deployer, progress: &Progress) -> Result<()> {
    let lock = Lock::take()?;
    lab::verify().context("it runs beside a lab that is up: cargo xtask lab up")?;
    let cache = Cache::in_use()?;
    let parts = recipe::ensure(deployer, &cache, progress)?;
    for folder in parts.all() {
        link_programs(folder)?;
    }
    progress.part("edge: git", |_| git::start(&cache, &parts.git))?;
    at_each_site(&deployer.to_string(), progress, |site| {
        make_namespace(site, QUIET_NAMESPACE)?;
        match &parts.deployer {
            recipe::Built::Flux { source, kustomize } => {
                flux::start(site, &cache, source, kustomize)
            }
            recipe::Built::Argo(argo) => argo::start(site, &cache, argo),
        }
    })?;
    drop(lock);
    Ok(())
}

/// Ends all of it and removes its objects, its definitions, and the repositories. What was applied stays.
///
/// # Errors
/// A site does not answer; `lab down` ends it all the same.
pub fn down(progress: &Progress) -> Result<()> {
    let lock = Lock::take()?;
    let cache = Cache::in_use()?;
    at_each_site("flux and argo", progress, |site| {
        flux::remove(site, &cache)?;
        argo::remove(site, &cache)?;
        delete_namespace(Kubectl::new(site), QUIET_NAMESPACE)
    })?;
    progress.part("edge: git", |_| git::remove(&cache))?;
    drop(lock);
    Ok(())
}

/// Does it at both sites at once.
fn at_each_site(
    what: &str,
    progress: &Progress,
    act: impl Fn(Site) -> Result<()> + Sync,
) -> Result<()> {
    thread::scope(|scope| {
        let sites = Site::ALL.map(|site| {
            let act = &act;
            scope.spawn(move || progress.part(&format!("{site}: {what}"), |_| act(site)))
        });
        sites.into_iter().try_for_each(|site| {
            site.join()
                .map_err(|_| anyhow!("a part of {what} panicked"))?
        })
    })
}

/// Puts the programs of a folder where the lab's others are.
fn link_programs(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let target = entry?.path();
        let Some(name) = target.file_name().filter(|_| target.is_file()) else {
            continue;
        };
        let link = paths::program(&name.to_string_lossy());
        if fs::read_link(&link).is_ok_and(|old| old == target) {
            continue;
        }
        remove_if_there(fs::remove_file(&link))?;
        std::os::unix::fs::symlink(&target, &link)
            .with_context(|| format!("cannot make {}", link.display()))?;
    }
    Ok(())
}

fn make_namespace(site: Site, name: &str) -> Result<()> {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    Kubectl::new(site).apply(&namespace.to_string())
}

fn delete_namespace(kubectl: Kubectl, name: &str) -> Result<()> {
    let args = ["delete", "namespace", name, "--ignore-not-found", GOES];
    kubectl.run(&args).map(drop)
}

/// Ends a site's daemons, and deletes the definitions that came with them.
fn remove_daemons(site: Site, names: &[&str]) -> Result<()> {
    let mut folders = BTreeSet::new();
    for name in names {
        if let Ok(daemon) = Daemon::load(site.place(), name) {
            folders.insert(PathBuf::from(daemon.version_text()));
            daemon.remove(GRACE)?;
        }
    }
    for folder in folders {
        let definitions = folder.join(DEFINITIONS);
        if folder.is_absolute() && definitions.exists() {
            let file = definitions.display().to_string();
            let delete = ["delete", "--filename", &file, "--ignore-not-found", GOES];
            Kubectl::new(site).run(&delete)?;
        }
    }
    Ok(())
}

/// Applies the definitions beside a program, and waits until they are served.
fn serve_definitions(site: Site, folder: &Path) -> Result<()> {
    let kubectl = Kubectl::new(site);
    let folder = folder.join(DEFINITIONS);
    kubectl.apply_folder(&folder)?;
    let file = folder.display().to_string();
    let args = ["wait", "--for=condition=Established", "--timeout=5s"];
    let args = [&args[..], &["--filename", &file]].concat();
    // `kubectl wait` fails at once on a definition that has no condition yet.
    wait::until("definitions to be served", SERVED, || {
        kubectl.run(&args).map(drop)
    })
}

/// What is gone already is as good as removed.
fn remove_if_there(removed: std::io::Result<()>) -> Result<()> {
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployer_is_read_back_and_others_are_refused() {
        for deployer in [Deployer::Flux, Deployer::Argo] {
            assert_eq!(deployer.to_string().parse(), Ok(deployer));
        }
        assert!("helm".parse::<Deployer>().unwrap_err().contains("helm"));
    }
}
