//! Argo CD at one site: the application controller, the repository server and their Redis, without an API server.
//!
//! How its objects answer is Argo CD's own contract: <https://argo-cd.readthedocs.io/en/stable/operator-manual/core/>.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{
    GRACE, QUIET_NAMESPACE, delete_namespace, git, make_namespace, remove_daemons, remove_if_there,
    serve_definitions,
};
use crate::daemon::Daemon;
use crate::kubectl::Kubectl;
use crate::paths::{self, Cache};
use crate::program;
use crate::site::{SERVICE_NAMESPACE, Site};

/// The namespace of Argo CD's objects.
pub const NAMESPACE: &str = "argocd";
/// The daemon that compares and applies.
pub const CONTROLLER: &str = "argocd-application-controller";
/// The daemon that reads repositories.
pub const REPOSITORIES: &str = "argocd-repo-server";
/// What both keep things in.
pub const REDIS: &str = "argocd-redis";
/// The daemons of a site, in the order of their start.
pub const DAEMONS: [&str; 3] = [REDIS, REPOSITORIES, CONTROLLER];

/// How long the controller may take to answer a request.
pub const ANSWERS: Duration = Duration::from_mins(1);

/// What a refresh is asked for by.
const REFRESH: &str = "argocd.argoproj.io/refresh";
/// Both daemons are this program.
const PROGRAM: &str = "argocd";
const LABEL: &str = "app.kubernetes.io/part-of";
/// What Argo CD calls the cluster that it runs in.
const IN_CLUSTER: &str = "https://kubernetes.default.svc";

/// The ports in the site's own network.
const REDIS_PORT: &str = "9780";
const REPOSITORIES_PORT: &str = "9781";
const REPOSITORIES_METRICS: &str = "9782";
const CONTROLLER_METRICS: &str = "9783";

/// Starts it with its definitions and its namespace, and waits until all of it is ready.
pub(super) fn start(site: Site, cache: &Cache, built: &Path) -> Result<()> {
    make_namespace(site, NAMESPACE)?;
    serve_definitions(site, built)?;
    let list = json!({"apiVersion": "v1", "kind": "List", "items": settings()});
    Kubectl::new(site).apply(&list.to_string())?;
    for folder in FOLDERS {
        fs::create_dir_all(state(site, cache).join(folder))?;
    }
    let redis = redis(site);
    redis.ensure(GRACE)?;
    redis.await_ready(Duration::from_secs(20), || {
        let mut ping = program::in_netns(site.netns(), "redis-cli");
        let answer = program::output(ping.args(["-p", REDIS_PORT, "ping"]))?;
        ensure!(answer.trim() == "PONG", "Redis says {answer}");
        Ok(())
    })?;
    for (daemon, metrics) in [
        (repositories(site, cache, built), REPOSITORIES_METRICS),
        (controller(site, cache, built), CONTROLLER_METRICS),
    ] {
        daemon.ensure(GRACE)?;
        daemon.await_ready(Duration::from_mins(1), || {
            let url = format!("http://127.0.0.1:{metrics}/healthz");
            let args = ["--silent", "--fail", "--max-time", "3", &url];
            program::output(program::in_netns(site.netns(), "curl").args(args)).map(drop)
        })?;
    }
    Ok(())
}

/// Ends it and removes everything of it from a site but what it applied.
pub(super) fn remove(site: Site, cache: &Cache) -> Result<()> {
    // An Application without a finalizer, as all are here, leaves what it applied.
    remove_daemons(site, &DAEMONS)?;
    delete_namespace(Kubectl::new(site), NAMESPACE)?;
    remove_if_there(fs::remove_dir_all(state(site, cache)))
}

/// Whether a site has Argo CD's definitions.
pub fn is_served(site: Site) -> Result<bool> {
    let definition = ["crd", "applications.argoproj.io"];
    Ok(Kubectl::new(site).find(&definition)?.is_some())
}

const FOLDERS: [&str; 5] = ["home", "tmp", "tls", "ssh", "gpg"];

fn state(site: Site, cache: &Cache) -> PathBuf {
    cache.data(site.place()).join("argocd")
}

fn redis(site: Site) -> Daemon {
    Daemon::new(site.place(), REDIS, "redis-server")
        .args(["--bind", "127.0.0.1", "--port", REDIS_PORT])
        .args(["--save", "", "--appendonly", "no"])
}

fn repositories(site: Site, cache: &Cache, built: &Path) -> Daemon {
    part(site, cache, built, REPOSITORIES)
        .args(["--address", "127.0.0.1", "--port", REPOSITORIES_PORT])
        .args(["--metrics-port", REPOSITORIES_METRICS, "--disable-tls"])
        // Else a new commit is seen three minutes after it was pushed, whatever the controller asks for.
        .args(["--revision-cache-expiration", "5s"])
}

fn controller(site: Site, cache: &Cache, built: &Path) -> Daemon {
    part(site, cache, built, CONTROLLER)
        .args(["--namespace", NAMESPACE])
        .args(["--repo-server", &format!("127.0.0.1:{REPOSITORIES_PORT}")])
        .args([
            "--repo-server-plaintext",
            "--metrics-port",
            CONTROLLER_METRICS,
        ])
        .args(["--app-resync", "30", "--app-resync-jitter", "0"])
}

fn part(site: Site, cache: &Cache, built: &Path, name: &str) -> Daemon {
    let state = state(site, cache);
    let folder = |name: &str| state.join(name).display().to_string();
    let kubeconfig = paths::site_kubeconfig(site).display().to_string();
    Daemon::new(site.place(), name, paths::program(PROGRAM))
        .version(built.display().to_string())
        .env("KUBECONFIG", kubeconfig)
        // The site's own cluster is the one that it runs in, although it runs outside.
        .env("ARGOCD_FAKE_IN_CLUSTER", "true")
        .env("ARGOCD_GPG_ENABLED", "false")
        .env("ARGOCD_GPG_DATA_PATH", folder("gpg"))
        .env("ARGOCD_GNUPGHOME", folder("gpg"))
        .env("ARGOCD_TLS_DATA_PATH", folder("tls"))
        .env("ARGOCD_SSH_DATA_PATH", folder("ssh"))
        .env("HOME", folder("home"))
        .env("TMPDIR", folder("tmp"))
        .arg(name)
        .args(["--redis", &format!("127.0.0.1:{REDIS_PORT}")])
}

/// The objects that it needs before it starts. Its API server would make some of them.
fn settings() -> Vec<Value> {
    let metadata =
        |name: &str| json!({"name": name, "namespace": NAMESPACE, "labels": {LABEL: "argocd"}});
    let maps = [
        "argocd-cm",
        "argocd-rbac-cm",
        "argocd-cmd-params-cm",
        "argocd-gpg-keys-cm",
    ];
    let maps = maps.map(|name| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(name), "data": {}})
    });
    let mut cluster = metadata("in-cluster");
    cluster["labels"]["argocd.argoproj.io/secret-type"] = json!("cluster");
    let mut all = maps.to_vec();
    all.extend([
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": metadata("argocd-secret"),
            "stringData": {"server.secretkey": "lab"},
        }),
        // It watches these namespaces and no others, and nothing of the cluster itself.
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": cluster,
            "stringData": {
                "name": "in-cluster",
                "server": IN_CLUSTER,
                "config": "{}",
                "namespaces": format!("{NAMESPACE},{SERVICE_NAMESPACE},{QUIET_NAMESPACE}"),
                "clusterResources": "false",
            },
        }),
        json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject",
            "metadata": metadata("default"),
            "spec": {
                "sourceRepos": ["*"],
                "destinations": [{"server": "*", "namespace": "*"}],
                "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
            },
        }),
    ]);
    all
}

/// What has a folder of a repository of the lab's git host applied in a namespace, by itself and against every change.
pub fn application(name: &str, repository: &str, folder: &str, namespace: &str) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "project": "default",
            "source": {
                "repoURL": git::url(repository),
                "targetRevision": git::BRANCH,
                "path": folder,
            },
            "destination": {"server": IN_CLUSTER, "namespace": namespace},
            "syncPolicy": {"automated": {"prune": true, "selfHeal": true}},
        },
    })
}

/// The Application as it is.
pub fn get(site: Site, name: &str) -> Result<Value> {
    Kubectl::new(site).get(&["application", name, "--namespace", NAMESPACE])
}

/// Changes an Application by a merge patch.
pub fn patch(site: Site, name: &str, patch: &Value) -> Result<()> {
    let patch = format!("--patch={patch}");
    let place = ["application", name, "--namespace", NAMESPACE];
    let how = ["--type=merge", "--field-manager=pgha-lab", &patch];
    Kubectl::new(site)
        .run(&[&["patch"][..], &place, &how].concat())
        .map(drop)
}

/// Has the controller look at git and at the objects, and waits until it has.
///
/// # Errors
/// It has not within [`ANSWERS`].
pub fn refresh(site: Site, name: &str) -> Result<Value> {
    patch(
        site,
        name,
        &json!({"metadata": {"annotations": {REFRESH: "normal"}}}),
    )?;
    wait_for(site, name, "to be refreshed", |seen| {
        seen["metadata"]["annotations"].get(REFRESH).is_none()
    })
}

/// Waits until an Application shows that it is at this commit and equals it.
///
/// # Errors
/// It does not within [`ANSWERS`].
pub fn await_synced(site: Site, name: &str, commit: &str) -> Result<Value> {
    wait_for(site, name, "to be synced", |seen| {
        let sync = &seen["status"]["sync"];
        sync["status"] == "Synced" && sync["revision"] == commit
    })
}

fn wait_for(
    site: Site,
    name: &str,
    what: &str,
    condition: impl Fn(&Value) -> bool,
) -> Result<Value> {
    let get = ["application", name, "--namespace", NAMESPACE];
    let what = format!("application {name} {what}");
    Kubectl::new(site).wait_for(&what, &get, ANSWERS, condition)
}

/// Deletes an Application, which leaves what it applied.
pub fn delete(site: Site, name: &str) -> Result<()> {
    let place = ["application", name, "--namespace", NAMESPACE];
    Kubectl::new(site)
        .run(
            &[
                &["delete"][..],
                &place,
                &["--ignore-not-found", super::GOES],
            ]
            .concat(),
        )
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_watches_three_namespaces_and_nothing_of_the_cluster() {
        let all = settings();
        let cluster = all
            .iter()
            .find(|one| one["stringData"]["server"] == IN_CLUSTER)
            .unwrap();
        let data = &cluster["stringData"];
        assert_eq!(data["namespaces"], "argocd,prod-iam-zitadel,pgha-gitops");
        assert_eq!(data["clusterResources"], "false");
        let is_labelled = |one: &Value| one["metadata"]["labels"][LABEL] == "argocd";
        assert!(all.iter().all(is_labelled));
    }
}
