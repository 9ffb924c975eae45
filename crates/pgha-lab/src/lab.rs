//! The whole lab: up, down, clean, and whether it is well.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::json;

use crate::built::Key;
use crate::control_plane;
use crate::daemon::{self, Daemon};
use crate::go;
use crate::host;
use crate::image;
use crate::kubectl::Kubectl;
use crate::leftover;
use crate::lock::Lock;
use crate::network;
use crate::node;
use crate::operator::{self, Operator};
use crate::paths::{self, Cache};
use crate::progress::Progress;
use crate::site::{Place, SERVICE_NAMESPACE, Site};
use crate::store;
use crate::volume;
use crate::wait;
use crate::writer;

/// What `up` needs to be told.
#[derive(Clone, Debug)]
pub struct Options {
    /// A folder of manifests that the operator needs before it starts.
    pub crds: PathBuf,
    /// The operator.
    pub operator: Operator,
}

/// What was built and installed, and the key of it all.
struct Parts {
    programs: Vec<PathBuf>,
    images: Vec<PathBuf>,
    key: String,
}

/// Brings the lab up, or verifies that it is.
///
/// # Errors
/// A part fails; what runs by then is left for a look at it, and the next `up` replaces it.
pub fn up(options: &Options, progress: &Progress) -> Result<()> {
    let lock = Lock::take()?;
    let cache = Cache::of_user()?;
    let parts = build(&cache, progress)?;
    let state = Path::new(paths::RUN).join("state");
    if fs::read_to_string(&state).is_ok_and(|key| key == parts.key) {
        match progress.part("verify what runs", |_| verify_sites()) {
            Ok(()) => return start_operators(options, progress),
            Err(error) => progress.line(&format!("starting anew: {error:#}")),
        }
    }
    progress.part("remove what was left", |_| {
        for cache in [&Cache::in_use()?, &cache] {
            leftover::remove_all(cache)?;
            remove_data(cache)?;
        }
        empty_run_folder()
    })?;
    prepare_run_folder(&cache, &parts)?;
    progress.part("network", |_| network::make())?;
    start(&cache, &parts, options, progress)?;
    fs::write(state, &parts.key)?;
    drop(lock);
    Ok(())
}

/// Ends everything of the lab; what was built stays.
pub fn down(progress: &Progress) -> Result<()> {
    let lock = Lock::take()?;
    end(progress)?;
    lock.remove_run_folder()
}

/// Ends everything of the lab and removes the cache.
pub fn clean(progress: &Progress) -> Result<()> {
    let lock = Lock::take()?;
    end(progress)?;
    let cache = Cache::of_user()?;
    progress.part("cache", |part| {
        part.note(cache.root().display().to_string());
        remove_folder(cache.root())
    })?;
    lock.remove_run_folder()
}

fn end(progress: &Progress) -> Result<()> {
    let cache = Cache::in_use()?;
    progress.part("writers", |_| writer::stop_all())?;
    progress.part("containers", |_| remove_containers())?;
    progress.part("processes, network, mounts", |_| {
        leftover::remove_all(&cache)
    })?;
    progress.part("data", |_| remove_data(&cache))
}

/// Succeeds when everything that `up` started runs and answers.
pub fn verify() -> Result<()> {
    verify_sites()?;
    for site in Site::ALL {
        verify_daemon(site.place(), operator::DAEMON)?;
    }
    Ok(())
}

/// As [`verify`], but for the operators: an operator can be started again without harm to what it made.
fn verify_sites() -> Result<()> {
    ensure!(network::is_made(), "a network namespace is missing");
    for place in Place::ALL {
        for name in daemon::names(place)? {
            if name != operator::DAEMON {
                verify_daemon(place, &name)?;
            }
        }
    }
    store::answers()?;
    for site in Site::ALL {
        control_plane::is_ready(site)?;
        node::is_ready(site)?;
    }
    Ok(())
}

fn verify_daemon(place: Place, name: &str) -> Result<()> {
    let daemon = Daemon::load(place, name)?;
    ensure!(daemon.is_alive(), "{name} of {place} does not run");
    Ok(())
}

/// Installs and builds what is not there: Go's programs one after the other, for Go uses all cores by itself, and the
/// images beside them.
fn build(cache: &Cache, progress: &Progress) -> Result<Parts> {
    let versions = progress.part("packages", host::ensure_packages)?;
    let (programs, images) = thread::scope(|scope| {
        let images = scope.spawn(|| -> Result<Vec<PathBuf>> {
            Ok(vec![
                progress.part("image pause", |_| image::ensure_pause(cache))?,
                progress.part("image postgres", |part| image::ensure_postgres(cache, part))?,
            ])
        });
        let programs = [go::KUBERNETES, go::COREDNS, go::VERSITYGW]
            .into_iter()
            .map(|recipe| progress.part(recipe.name, |part| recipe.ensure(cache, part)))
            .collect::<Result<Vec<_>>>();
        (programs, join(images))
    });
    let (programs, images) = (programs?, images?);
    let mut key = Key::default().with("host", versions);
    for folder in programs.iter().chain(&images) {
        key = key.with("built", folder.display().to_string());
    }
    Ok(Parts {
        programs,
        images,
        key: key.text(),
    })
}

fn prepare_run_folder(cache: &Cache, parts: &Parts) -> Result<()> {
    symlink(cache.root(), paths::in_use())?;
    let bin = Path::new(paths::RUN).join("bin");
    fs::create_dir_all(&bin)?;
    for folder in &parts.programs {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            symlink(entry.path(), bin.join(entry.file_name()))?;
        }
    }
    for place in Place::ALL {
        fs::create_dir_all(paths::pids(place))?;
        fs::create_dir_all(paths::logs(place))?;
    }
    Ok(fs::write(
        paths::kubeconfig(),
        control_plane::kubeconfig(&Site::ALL)?,
    )?)
}

fn start(cache: &Cache, parts: &Parts, options: &Options, progress: &Progress) -> Result<()> {
    thread::scope(|scope| {
        let edge = scope.spawn(|| progress.part("edge: S3", |_| store::start(cache)));
        let sites = Site::ALL
            .map(|site| scope.spawn(move || start_site(site, cache, parts, options, progress)));
        join(edge)?;
        for site in sites {
            join(site)?;
        }
        Ok(())
    })
}

fn start_site(
    site: Site,
    cache: &Cache,
    parts: &Parts,
    options: &Options,
    progress: &Progress,
) -> Result<()> {
    thread::scope(|scope| {
        let containerd = scope.spawn(|| {
            progress.part(&format!("{site}: containerd"), |_| {
                node::start_containerd(site, cache, &parts.images)
            })
        });
        let volumes = scope
            .spawn(|| progress.part(&format!("{site}: volumes"), |_| volume::make(site, cache)));
        progress.part(&format!("{site}: control plane"), |_| {
            control_plane::start(site, cache)
        })?;
        join(volumes)?;
        join(containerd)
    })?;
    progress.part(&format!("{site}: node"), |_| {
        node::start_kubelet(site)?;
        node::start_dns(site)?;
        node::await_ready(site)
    })?;
    progress.part(&format!("{site}: operator"), |_| {
        let kubectl = Kubectl::new(site);
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SERVICE_NAMESPACE},
        });
        kubectl.apply(&namespace.to_string())?;
        kubectl.apply(&volume::manifest(site, cache).to_string())?;
        start_operator(site, options)
    })
}

fn start_operators(options: &Options, progress: &Progress) -> Result<()> {
    for site in Site::ALL {
        progress.part(&format!("{site}: operator"), |_| {
            start_operator(site, options)
        })?;
    }
    Ok(())
}

fn start_operator(site: Site, options: &Options) -> Result<()> {
    let kubectl = Kubectl::new(site);
    kubectl.apply_folder(&options.crds)?;
    // `kubectl wait` fails at once on a definition that has no condition yet.
    let limit = Duration::from_secs(30);
    wait::until("the custom resources to be served", limit, || {
        let established = [
            "wait",
            "--for=condition=Established",
            "crd",
            "--all",
            "--timeout=5s",
        ];
        kubectl.run(&established).map(drop)
    })?;
    options.operator.ensure(site).map(drop)
}

/// While containerd still runs it can forget its containers, which saves the next `up` a restart of it.
fn remove_containers() -> Result<()> {
    for site in Site::ALL {
        let Ok(containerd) = Daemon::load(site.place(), "containerd") else {
            continue;
        };
        if !containerd.is_alive() {
            continue;
        }
        for name in ["kubelet", operator::DAEMON] {
            if let Ok(daemon) = Daemon::load(site.place(), name) {
                daemon
                    .signal(rustix::process::Signal::KILL)
                    .or_else(|error| {
                        if daemon.is_alive() {
                            Err(error)
                        } else {
                            Ok(())
                        }
                    })?;
            }
        }
        node::kill_containers(site)?;
    }
    Ok(())
}

fn remove_data(cache: &Cache) -> Result<()> {
    remove_folder(&cache.root().join("sites"))
}

fn empty_run_folder() -> Result<()> {
    for entry in fs::read_dir(paths::RUN)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_folder(&entry.path())?;
        } else if entry.file_name() != "lock" {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn remove_folder(folder: &Path) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))
}

fn join<T>(handle: thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    handle
        .join()
        .map_err(|_| anyhow!("a part of the lab panicked"))?
}
