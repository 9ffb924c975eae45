//! What the writer and the auditor need to know of a Postgres service: where it is and how to log in.

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::{Endpoint, PodWatch};
use crate::kubectl::Kubectl;
use crate::paths;
use crate::site::{SERVICE_NAMESPACE, Site};

/// The port of `<c>-ha` and of every member.
const PORT: u16 = 5432;
/// The prefix of PGO's labels.
const LABEL: &str = "postgres-operator.crunchydata.com";

/// A login: role, password and database of the service's first user.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) database: String,
}

/// A Postgres pod.
#[derive(Clone, Debug)]
pub(super) struct Pod {
    pub(super) name: String,
    pub(super) address: Option<String>,
}

/// The sites that have the cluster.
pub(crate) fn endpoints(cluster: &str) -> Result<Vec<Endpoint>> {
    let mut endpoints = Vec::new();
    for site in Site::ALL {
        endpoints.extend(endpoint(site, cluster)?);
    }
    ensure!(!endpoints.is_empty(), "no site has a cluster `{cluster}`");
    Ok(endpoints)
}

fn endpoint(site: Site, cluster: &str) -> Result<Option<Endpoint>> {
    let name = format!("{cluster}-ha");
    let Some(service) = Kubectl::new(site).find(&["service", &name])? else {
        return Ok(None);
    };
    let address = service["spec"]["clusterIP"]
        .as_str()
        .with_context(|| format!("the service {name} in {site} has no address"))?;
    Ok(Some(Endpoint {
        site: site.name().to_owned(),
        service: format!("{address}:{PORT}"),
        members: Vec::new(),
        watch: Some(PodWatch {
            kubeconfig: paths::kubeconfig(),
            context: site.name().to_owned(),
            namespace: SERVICE_NAMESPACE.to_owned(),
            selector: selector(cluster),
            port: PORT,
        }),
    }))
}

/// The pods that run Postgres: PGO gives each an instance (`internal/naming/selectors.go`).
fn selector(cluster: &str) -> String {
    format!("{LABEL}/cluster={cluster},{LABEL}/instance")
}

/// The cluster's Postgres pods in a site, by name.
pub(super) fn pods(site: Site, cluster: &str) -> Result<Vec<Pod>> {
    let list = Kubectl::new(site).get(&[
        "pods",
        "--request-timeout=10s",
        "--selector",
        &selector(cluster),
    ])?;
    let items = list["items"].as_array().context("kubectl listed no pods")?;
    items
        .iter()
        .map(|pod| {
            let name = pod["metadata"]["name"]
                .as_str()
                .context("a pod has no name")?
                .to_owned();
            let address = pod["status"]["podIP"].as_str().map(str::to_owned);
            Ok(Pod { name, address })
        })
        .collect()
}

/// The login from the first site that has one; the lab makes them equal on both.
pub(crate) fn login(cluster: &str) -> Result<Login> {
    let selector = format!("{LABEL}/cluster={cluster},{LABEL}/role=pguser");
    for site in Site::ALL {
        let kubectl = Kubectl::new(site);
        let list = kubectl.get(&["secrets", "--selector", &selector])?;
        if let Some(name) = list["items"][0]["metadata"]["name"].as_str() {
            return login_from(kubectl, name)
                .with_context(|| format!("the secret {name} in {site} holds no login"));
        }
    }
    bail!("no site has a user secret of `{cluster}`")
}

fn login_from(kubectl: Kubectl, secret: &str) -> Result<Login> {
    let fields = "{{range $key, $value := .data}}{{$key}} {{$value | base64decode | printf \"%q\"}}\n{{end}}";
    let text = kubectl.run(&[
        "get",
        "secret",
        secret,
        "-o",
        &format!("go-template={fields}"),
    ])?;
    let field = |name: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let quoted = line.with_context(|| format!("it has no `{name}`"))?;
        let value: Value = serde_json::from_str(quoted).context("a field is no text")?;
        Ok::<_, anyhow::Error>(value.as_str().unwrap_or_default().to_owned())
    };
    Ok(Login {
        user: field("user")?,
        password: field("password")?,
        database: field("dbname")?,
    })
}
