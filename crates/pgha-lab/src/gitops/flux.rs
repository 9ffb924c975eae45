//! Flux at one site: its two controllers, and what is said to them through their objects.
//!
//! How each answers is Flux's own contract: <https://fluxcd.io/flux/components/kustomize/kustomizations/>.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{
    GOES, GRACE, delete_namespace, git, make_namespace, remove_daemons, remove_if_there,
    serve_definitions,
};
use crate::daemon::Daemon;
use crate::kubectl::Kubectl;
use crate::paths::{self, Cache};
use crate::program;
use crate::site::Site;

/// The namespace of Flux's objects: the controllers see no others.
pub const NAMESPACE: &str = "flux-system";
/// The controller of sources, and its program.
pub const SOURCE: &str = "source-controller";
/// The controller that applies, and its program.
pub const KUSTOMIZE: &str = "kustomize-controller";
/// Both daemons of a site, in the order of their start.
pub const DAEMONS: [&str; 2] = [SOURCE, KUSTOMIZE];

/// How long a controller may take to answer a request; a running reconcile may last its own minute.
pub const ANSWERS: Duration = Duration::from_secs(90);

/// What a request is written into.
const REQUESTED: &str = "reconcile.fluxcd.io/requestedAt";

/// The ports in the site's own network.
const ARTIFACTS: &str = "127.0.0.1:9790";
const SOURCE_HEALTH: &str = "127.0.0.1:9791";
const KUSTOMIZE_HEALTH: &str = "127.0.0.1:9792";

/// Starts both controllers of a site, with their definitions and their namespace, and waits until they are ready.
pub(super) fn start(site: Site, cache: &Cache, source: &Path, kustomize: &Path) -> Result<()> {
    make_namespace(site, NAMESPACE)?;
    let state = state(site, cache);
    for folder in ["artifacts", "tmp"] {
        fs::create_dir_all(state.join(folder))?;
    }
    let artifacts = state.join("artifacts").display().to_string();
    let daemons = [
        controller(site, cache, SOURCE, SOURCE_HEALTH, source)
            .arg(format!("--storage-path={artifacts}"))
            .arg(format!("--storage-addr={ARTIFACTS}"))
            .arg(format!("--storage-adv-addr={ARTIFACTS}")),
        controller(site, cache, KUSTOMIZE, KUSTOMIZE_HEALTH, kustomize),
    ];
    let healths = [(source, SOURCE_HEALTH), (kustomize, KUSTOMIZE_HEALTH)];
    for (daemon, (folder, health)) in daemons.iter().zip(healths) {
        serve_definitions(site, folder)?;
        daemon.ensure(GRACE)?;
        daemon.await_ready(Duration::from_mins(1), || is_ready(site, health))?;
    }
    Ok(())
}

/// Ends the controllers and removes everything of Flux from a site but what it applied.
pub(super) fn remove(site: Site, cache: &Cache) -> Result<()> {
    if is_served(site)? {
        remove_objects(site)?;
    }
    remove_daemons(site, &DAEMONS)?;
    delete_namespace(Kubectl::new(site), NAMESPACE)?;
    remove_if_there(fs::remove_dir_all(state(site, cache)))
}

/// Whether a site has Flux's definitions.
pub fn is_served(site: Site) -> Result<bool> {
    let definition = ["crd", "kustomizations.kustomize.toolkit.fluxcd.io"];
    Ok(Kubectl::new(site).find(&definition)?.is_some())
}

/// What a Kustomization has applied stays: it is suspended before it goes.
fn remove_objects(site: Site) -> Result<()> {
    // The objects have finalizers that only the controllers take away.
    for name in DAEMONS {
        if let Ok(daemon) = Daemon::load(site.place(), name) {
            daemon.start()?;
            daemon.signal(Signal::CONT)?;
        }
    }
    for name in kustomizations(Kubectl::new(site))? {
        let object = format!("kustomization/{name}");
        suspend(site, &object, true)?;
        reconcile(site, &object)?;
    }
    for kind in ["kustomizations", "gitrepositories"] {
        let all = ["delete", kind, "--all", "--namespace", NAMESPACE, GOES];
        Kubectl::new(site).run(&all)?;
    }
    Ok(())
}

fn controller(site: Site, cache: &Cache, name: &str, health: &str, built: &Path) -> Daemon {
    let state = state(site, cache);
    let folder = |name: &str| state.join(name).display().to_string();
    Daemon::new(site.place(), name, paths::program(name))
        .version(built.display().to_string())
        .env(
            "KUBECONFIG",
            paths::site_kubeconfig(site).display().to_string(),
        )
        .env("RUNTIME_NAMESPACE", NAMESPACE)
        .env("HOME", folder("tmp"))
        .env("TMPDIR", folder("tmp"))
        // Where sigstore would keep what it downloads.
        .env("TUF_ROOT", folder("tmp"))
        .args([
            "--watch-all-namespaces=false",
            "--enable-leader-election=false",
        ])
        .args(["--events-addr=", "--metrics-addr=0"])
        .arg(format!("--health-addr={health}"))
}

fn state(site: Site, cache: &Cache) -> PathBuf {
    cache.data(site.place()).join("flux")
}

/// Succeeds when a controller says that it is ready.
fn is_ready(site: Site, health: &str) -> Result<()> {
    let url = format!("http://{health}/readyz");
    let args = ["--silent", "--fail", "--max-time", "3", &url];
    program::output(program::in_netns(site.netns(), "curl").args(args)).map(drop)
}

/// A source that is a repository of the lab's git host.
pub fn repository(name: &str) -> Value {
    json!({
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "GitRepository",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "url": git::url(name),
            "ref": {"branch": git::BRANCH},
            "interval": "1m",
            "timeout": "20s",
        },
    })
}

/// What has a folder of a source applied, and removed when it leaves the source.
pub fn kustomization(name: &str, source: &str, folder: &str) -> Value {
    json!({
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "sourceRef": {"kind": "GitRepository", "name": source},
            "path": folder,
            "prune": true,
            "interval": "1m",
            "timeout": "1m",
        },
    })
}

/// The names of a site's Kustomizations, those that apply others first.
fn kustomizations(kubectl: Kubectl) -> Result<Vec<String>> {
    let list = kubectl.get(&["kustomizations", "--namespace", NAMESPACE])?;
    let items = list["items"].as_array().context("a list without items")?;
    // Flux labels what a Kustomization applies with the name of that.
    let is_applied =
        |item: &Value| item["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/name"].is_string();
    let mut found: Vec<(bool, String)> = items
        .iter()
        .filter_map(|item| {
            Some((
                is_applied(item),
                item["metadata"]["name"].as_str()?.to_owned(),
            ))
        })
        .collect();
    found.sort();
    Ok(found.into_iter().map(|(_, name)| name).collect())
}

/// Suspends an object, or lets it go on.
pub fn suspend(site: Site, object: &str, is_suspended: bool) -> Result<()> {
    let value = if is_suspended {
        json!(true)
    } else {
        json!(null)
    };
    let patch = json!({"spec": {"suspend": value}});
    patch_object(site, object, &patch)
}

/// Asks for an object to be reconciled now, by a token that [`await_handled`] waits for. `object` is `kustomization/NAME` or
/// `gitrepository/NAME`.
pub fn request(site: Site, object: &str) -> Result<String> {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let number = LAST.fetch_add(1, Ordering::Relaxed);
    let token = format!("lab-{}-{number}", std::process::id());
    patch_object(
        site,
        object,
        &json!({"metadata": {"annotations": {REQUESTED: token}}}),
    )?;
    Ok(token)
}

/// Waits until the controller has answered a token, and returns the object. A suspended object's is answered too.
///
/// # Errors
/// It has not within [`ANSWERS`].
pub fn await_handled(site: Site, object: &str, token: &str) -> Result<Value> {
    let what = format!("{object} to be reconciled");
    let get = [object, "--namespace", NAMESPACE];
    Kubectl::new(site).wait_for(&what, &get, ANSWERS, |seen| {
        seen["status"]["lastHandledReconcileAt"] == token
    })
}

/// [`request`] and [`await_handled`].
pub fn reconcile(site: Site, object: &str) -> Result<Value> {
    let token = request(site, object)?;
    await_handled(site, object, &token)
}

/// Waits until a Kustomization has applied this commit and says that all is well.
///
/// # Errors
/// It has not within [`ANSWERS`].
pub fn await_applied(site: Site, name: &str, commit: &str) -> Result<Value> {
    let revision = format!("{}@sha1:{commit}", git::BRANCH);
    let what = format!("kustomization {name} to apply {commit}");
    let get = ["kustomization", name, "--namespace", NAMESPACE];
    Kubectl::new(site).wait_for(&what, &get, ANSWERS, |seen| {
        seen["status"]["lastAppliedRevision"] == revision.as_str() && is_condition(seen, "Ready")
    })
}

/// Deletes an object of Flux's, and waits until its controller has let it go. A Kustomization takes what it applied with it,
/// unless it is suspended.
pub fn delete(site: Site, object: &str) -> Result<()> {
    let args = [
        "delete",
        object,
        "--namespace",
        NAMESPACE,
        "--ignore-not-found",
        GOES,
    ];
    Kubectl::new(site).run(&args).map(drop)
}

/// Whether a condition of an object is `True`.
pub fn is_condition(object: &Value, kind: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|one| one["type"] == kind && one["status"] == "True")
}

fn patch_object(site: Site, object: &str, patch: &Value) -> Result<()> {
    let patch = format!("--patch={patch}");
    let manager = "--field-manager=pgha-lab";
    Kubectl::new(site)
        .run(&[
            "patch",
            object,
            "--namespace",
            NAMESPACE,
            "--type=merge",
            manager,
            &patch,
        ])
        .map(drop)
}
