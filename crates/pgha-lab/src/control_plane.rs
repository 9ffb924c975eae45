//! A site's control plane: etcd, kube-apiserver, kube-controller-manager, kube-scheduler.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

use crate::daemon::Daemon;
use crate::kubectl::Kubectl;
use crate::paths::{self, Cache};
use crate::pki;
use crate::site::{SERVICE_NAMESPACE, Site};

const ETCD_URL: &str = "http://127.0.0.1:2379";

/// Starts it and waits until the API server is ready.
pub fn start(site: Site, cache: &Cache) -> Result<()> {
    let folder = paths::place(site.place());
    let pki = folder.join("pki");
    pki::write_site(site, &pki)?;
    fs::write(paths::site_kubeconfig(site), kubeconfig(&[site])?)?;
    fs::write(folder.join("audit.yaml"), AUDIT_POLICY)?;

    etcd(site, cache)?.start()?;
    let apiserver = apiserver(site, &pki);
    apiserver.start()?;
    apiserver.await_ready(Duration::from_mins(1), || is_ready(site))?;

    let kubeconfig = paths::site_kubeconfig(site).display().to_string();
    let pki = |file: &str| pki.join(file).display().to_string();
    Daemon::new(
        site.place(),
        "kube-controller-manager",
        paths::program("kube-controller-manager"),
    )
    .arg(format!("--kubeconfig={kubeconfig}"))
    .arg(format!(
        "--service-account-private-key-file={}",
        pki("sa.key")
    ))
    .arg(format!("--root-ca-file={}", pki("ca.crt")))
    .arg(format!("--cluster-cidr={}", site.pod_range()))
    .args([
        "--allocate-node-cidrs=false",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
    ])
    .args(["--kube-api-qps=100", "--kube-api-burst=200"])
    .start()?;
    Daemon::new(
        site.place(),
        "kube-scheduler",
        paths::program("kube-scheduler"),
    )
    .arg(format!("--kubeconfig={kubeconfig}"))
    .args(["--leader-elect=false", "--bind-address=127.0.0.1"])
    .start()
}

/// Succeeds when the site's API server says that it is ready.
pub fn is_ready(site: Site) -> Result<()> {
    let answer = Kubectl::new(site).run(&["get", "--raw", "/readyz", "--request-timeout=3s"])?;
    ensure!(answer.trim() == "ok", "the API server says {answer}");
    Ok(())
}

/// A kubeconfig with a context for each of these sites, named as the site.
pub fn kubeconfig(sites: &[Site]) -> Result<String> {
    let pki = |site: &Site| paths::place(site.place()).join("pki");
    let clusters: Vec<_> = sites
        .iter()
        .map(|site| {
            json!({"name": site.name(), "cluster": {
                "server": site.api_server(), "certificate-authority": pki(site).join("ca.crt"),
            }})
        })
        .collect();
    let users: Vec<_> = sites
        .iter()
        .map(|site| {
            json!({"name": site.name(), "user": {
                "client-certificate": pki(site).join("admin.crt"),
                "client-key": pki(site).join("admin.key"),
            }})
        })
        .collect();
    let contexts: Vec<_> = sites
        .iter()
        .map(|site| {
            json!({"name": site.name(), "context": {
                "cluster": site.name(), "user": site.name(), "namespace": SERVICE_NAMESPACE,
            }})
        })
        .collect();
    Ok(serde_yaml_ng::to_string(&json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": clusters,
        "users": users,
        "contexts": contexts,
        "current-context": sites.first().map(|site| site.name()),
    }))?)
}

/// One line for each request when its answer is complete, so that requests can be counted.
const AUDIT_POLICY: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\n\
                            rules: [{level: Metadata}]\n";

fn etcd(site: Site, cache: &Cache) -> Result<Daemon> {
    let data = cache.data(site.place()).join("etcd");
    fs::create_dir_all(&data)?;
    Ok(Daemon::new(site.place(), "etcd", "etcd")
        .arg("--data-dir")
        .arg(data.display().to_string())
        .args([
            "--listen-client-urls",
            ETCD_URL,
            "--advertise-client-urls",
            ETCD_URL,
        ])
        .args(["--listen-peer-urls", "http://127.0.0.1:2380"])
        // A lab that loses power is made anew.
        .args(["--unsafe-no-fsync", "--log-level", "warn"]))
}

fn apiserver(site: Site, pki: &Path) -> Daemon {
    let file = |name: &str| pki.join(name).display().to_string();
    Daemon::new(
        site.place(),
        "kube-apiserver",
        paths::program("kube-apiserver"),
    )
    .arg(format!("--etcd-servers={ETCD_URL}"))
    .arg(format!("--advertise-address={}", site.node_ip()))
    .args(["--bind-address=0.0.0.0", "--secure-port=6443"])
    .arg(format!(
        "--service-cluster-ip-range={}",
        site.service_range()
    ))
    .arg(format!("--client-ca-file={}", file("ca.crt")))
    .arg(format!("--tls-cert-file={}", file("apiserver.crt")))
    .arg(format!("--tls-private-key-file={}", file("apiserver.key")))
    .arg(format!("--service-account-key-file={}", file("sa.pub")))
    .arg(format!(
        "--service-account-signing-key-file={}",
        file("sa.key")
    ))
    .arg("--service-account-issuer=https://kubernetes.default.svc")
    .arg("--authorization-mode=Node,RBAC")
    .arg(format!(
        "--kubelet-client-certificate={}",
        file("kubelet-client.crt")
    ))
    .arg(format!(
        "--kubelet-client-key={}",
        file("kubelet-client.key")
    ))
    .args([
        "--kubelet-preferred-address-types=InternalIP",
        "--allow-privileged=true",
    ])
    .arg("--endpoint-reconciler-type=master-count")
    .arg(format!(
        "--audit-policy-file={}",
        paths::place(site.place()).join("audit.yaml").display()
    ))
    .arg(format!(
        "--audit-log-path={}",
        paths::audit_log(site).display()
    ))
    .args(["--audit-log-maxsize=200", "--audit-log-maxbackup=1"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_site_is_a_context_of_its_name_with_the_services_namespace() {
        let text = kubeconfig(&Site::ALL).unwrap();
        let config: serde_json::Value = serde_yaml_ng::from_str(&text).unwrap();
        assert_eq!(config["contexts"][1]["name"], "core2");
        assert_eq!(
            config["contexts"][1]["context"]["namespace"],
            SERVICE_NAMESPACE
        );
        assert_eq!(
            config["clusters"][0]["cluster"]["server"],
            "https://10.101.0.2:6443"
        );
    }
}
