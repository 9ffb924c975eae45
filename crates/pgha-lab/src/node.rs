//! A site's node: containerd, kubelet, kube-proxy, and the cluster's DNS.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use crate::control_group;
use crate::daemon::Daemon;
use crate::kubectl::Kubectl;
use crate::paths::{self, Cache};
use crate::program;
use crate::site::{IMAGE_PAUSE, Place, S3_HOST, Site};

/// Where containerd keeps what ends with the containers.
pub(crate) fn containerd_state(site: Site) -> PathBuf {
    paths::place(site.place()).join("containerd")
}

fn containerd_socket(site: Site) -> PathBuf {
    paths::pids(site.place()).join("containerd.sock")
}

/// Starts containerd without any container of an earlier run, and gives it the images that it lacks.
pub fn start_containerd(site: Site, cache: &Cache, images: &[PathBuf]) -> Result<()> {
    control_group::prepare_parent()?;
    let folder = paths::place(site.place());
    let root = cache.containerd(site);
    let networks = folder.join("cni");
    fs::create_dir_all(&root)?;
    fs::create_dir_all(&networks)?;
    fs::write(networks.join("10-lab.conflist"), network_config(site)?)?;
    let config = folder.join("containerd.toml");
    fs::write(&config, containerd_config(site, &root, &networks))?;
    let daemon = Daemon::new(site.place(), "containerd", "containerd")
        .arg("--config")
        .arg(config.display().to_string());
    start_and_wait(site, &daemon)?;
    if remove_containers(site)? {
        // The part of containerd that kubelet talks to reads the containers once, when it starts.
        daemon.stop(Duration::from_secs(10))?;
        start_and_wait(site, &daemon)?;
    }
    for image in images {
        import(site, &root, image)?;
    }
    Ok(())
}

fn start_and_wait(site: Site, daemon: &Daemon) -> Result<()> {
    daemon.start()?;
    daemon.await_ready(Duration::from_secs(30), || {
        ctr(site, &["version"]).map(drop)
    })
}

/// Removes the containers that an earlier run left in containerd's store; says whether there were any.
pub fn remove_containers(site: Site) -> Result<bool> {
    let list = ctr(site, &["containers", "list", "--quiet"])?;
    let ids: Vec<&str> = list.split_whitespace().collect();
    if ids.is_empty() {
        return Ok(false);
    }
    let mut args = vec!["containers", "delete"];
    args.extend(ids);
    ctr(site, &args)?;
    Ok(true)
}

/// Starts kubelet and kube-proxy. The API server must be ready.
pub fn start_kubelet(site: Site) -> Result<()> {
    let folder = paths::place(site.place());
    let kubeconfig = paths::site_kubeconfig(site).display().to_string();
    let config = folder.join("kubelet.yaml");
    fs::write(&config, kubelet_config(site)?)?;
    fs::write(folder.join("empty"), "")?;
    fs::write(paths::resolv_conf(site), resolv_conf(site))?;
    Daemon::new(site.place(), "kubelet", paths::program("kubelet"))
        .arg(format!("--kubeconfig={kubeconfig}"))
        .arg(format!("--config={}", config.display()))
        .arg(format!("--root-dir={}", folder.join("kubelet").display()))
        .arg(format!(
            "--cert-dir={}",
            folder.join("kubelet-pki").display()
        ))
        .arg(format!("--hostname-override={}", site.node_name()))
        .arg(format!("--node-ip={}", site.node_ip()))
        .start()?;
    Daemon::new(site.place(), "kube-proxy", paths::program("kube-proxy"))
        .arg(format!("--kubeconfig={kubeconfig}"))
        .arg(format!("--hostname-override={}", site.node_name()))
        .arg(format!("--cluster-cidr={}", site.pod_range()))
        .args(["--proxy-mode=iptables", "--conntrack-max-per-core=0"])
        // The kernel's limits belong to the machine, not to a site.
        .args([
            "--conntrack-tcp-timeout-established=0",
            "--conntrack-tcp-timeout-close-wait=0",
        ])
        .args([
            "--healthz-bind-address=127.0.0.1:10256",
            "--metrics-bind-address=127.0.0.1:10249",
        ])
        .start()
}

/// Starts the cluster's DNS.
pub fn start_dns(site: Site) -> Result<()> {
    let file = paths::place(site.place()).join("Corefile");
    let config = format!(
        ".:53 {{\n  errors\n  ready 127.0.0.1:8181\n  cache 5\n  hosts {{\n    {} {S3_HOST}\n    \
         fallthrough\n  }}\n  kubernetes cluster.local in-addr.arpa {{\n    kubeconfig {} {site}\n    \
         pods insecure\n    endpoint_pod_names\n  }}\n}}\n",
        Place::Edge.ip(),
        paths::site_kubeconfig(site).display(),
    );
    fs::write(&file, config)?;
    let daemon = Daemon::new(site.place(), "coredns", paths::program("coredns"))
        .arg("-conf")
        .arg(file.display().to_string());
    daemon.start()?;
    daemon.await_ready(Duration::from_secs(30), || {
        let mut curl = program::in_netns(site.netns(), "curl");
        curl.args([
            "--silent",
            "--fail",
            "--max-time",
            "2",
            "http://127.0.0.1:8181/ready",
        ]);
        program::output(&mut curl).map(drop)
    })
}

/// Waits until the node can take pods.
pub fn await_ready(site: Site) -> Result<()> {
    Daemon::load(site.place(), "kubelet")?.await_ready(Duration::from_secs(90), || is_ready(site))
}

/// Succeeds when the node can take pods.
pub fn is_ready(site: Site) -> Result<()> {
    let path = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
    let status = Kubectl::new(site).run(&["get", "node", &site.node_name(), "-o", path])?;
    ensure!(
        status == "True",
        "{site}: the node's condition Ready is `{status}`"
    );
    Ok(())
}

/// Kills every container of a site and makes containerd forget them. kubelet must not run.
pub fn kill_containers(site: Site) -> Result<()> {
    let tasks = ctr(site, &["tasks", "list", "--quiet"])?;
    for id in tasks.split_whitespace() {
        // With its first process a container's others end too.
        drop(ctr(site, &["tasks", "delete", "--force", id]));
    }
    remove_containers(site).map(drop)
}

/// What a process in the site's network, but outside a pod, uses for names.
fn resolv_conf(site: Site) -> String {
    format!(
        "nameserver {}\nsearch default.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n",
        site.dns_ip()
    )
}

fn ctr(site: Site, args: &[&str]) -> Result<String> {
    let mut command = Command::new("ctr");
    command
        .arg("--address")
        .arg(containerd_socket(site))
        .args(["--namespace", "k8s.io"]);
    program::output(command.args(args))
}

/// Gives a site the images of an archive.
pub(crate) fn load(site: Site, archive: &Path) -> Result<()> {
    let path = archive.display().to_string();
    ctr(site, &["images", "import", &path])
        .with_context(|| format!("cannot import {path} in {site}"))?;
    Ok(())
}

/// An archive's path holds the key of what it was made from, so its name alone tells whether it was imported.
fn import(site: Site, root: &Path, archive: &Path) -> Result<()> {
    let list = root.join("imported");
    let imported = fs::read_to_string(&list).unwrap_or_default();
    let line = archive.display().to_string();
    if imported.lines().any(|known| known == line) {
        return Ok(());
    }
    load(site, archive)?;
    let mut text = imported;
    writeln!(text, "{line}")?;
    Ok(fs::write(list, text)?)
}

fn containerd_config(site: Site, root: &Path, networks: &Path) -> String {
    let state = containerd_state(site);
    format!(
        r#"version = 2
root = "{root}"
state = "{state}"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]

[grpc]
address = "{socket}"

[plugins."io.containerd.internal.v1.opt"]
path = "{opt}"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{IMAGE_PAUSE}"
disable_apparmor = true
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
stream_server_address = "127.0.0.1"
stream_server_port = "0"

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{networks}"

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
Root = "{runc}"
"#,
        root = root.display(),
        state = state.display(),
        socket = containerd_socket(site).display(),
        opt = state.join("opt").display(),
        runc = state.join("runc").display(),
        networks = networks.display(),
    )
}

/// Every pod has a link of its own to the node, so that all its traffic is routed and kube-proxy sees it.
fn network_config(site: Site) -> Result<String> {
    Ok(serde_json::to_string_pretty(&json!({
        "cniVersion": "0.4.0",
        "name": site.netns(),
        "plugins": [{
            "type": "ptp",
            "ipMasq": false,
            "ipam": {
                "type": "host-local",
                "dataDir": paths::place(site.place()).join("addresses"),
                "ranges": [[{"subnet": site.pod_range()}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }],
    }))?)
}

fn kubelet_config(site: Site) -> Result<String> {
    let folder = paths::place(site.place());
    let socket = containerd_socket(site);
    Ok(serde_json::to_string_pretty(&json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": false,
        "failSwapOn": false,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": "/",
        "cgroupsPerQOS": false,
        "enforceNodeAllocatable": [],
        "containerRuntimeEndpoint": format!("unix://{}", socket.display()),
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": false},
            "x509": {"clientCAFile": folder.join("pki/ca.crt")},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "clusterDNS": [site.dns_ip()],
        "clusterDomain": "cluster.local",
        // Names outside the cluster are nothing that a pod of the lab may depend on.
        "resolvConf": folder.join("empty"),
        "evictionHard": {
            "memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%",
        },
        "imageGCHighThresholdPercent": 100,
        "podLogsDir": folder.join("pods"),
        "volumePluginDir": folder.join("plugins"),
        "healthzBindAddress": "127.0.0.1",
        "maxPods": 60,
        "registryPullQPS": 0,
        "eventRecordQPS": 0,
        "kubeAPIQPS": 100,
        "kubeAPIBurst": 200,
    }))?)
}
