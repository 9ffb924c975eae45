//! The application of the demo: an OpenID provider at each site that keeps everything in the Postgres of that site, and a HAProxy
//! that leads users to one of them. The providers are programs beside the lab, or pods that Flux applies.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pgha_lab::cluster::service_file;
use pgha_lab::gitops::{Deployer, Platform, Provider};
use pgha_lab::pooled::{Entrance, entrance};
use pgha_lab::progress::Progress;
use pgha_lab::site::Site;
use pgha_lab::wait;
use serde_json::{Value, json};

use super::kubectl;
use super::person::CLIENT;
use super::program::Program;
use crate::users::haproxy::{Front, Haproxy, free_address};
use crate::users::load::{self, Load, Seen, Users};

/// The service's file, as a user in the workspace would name it.
pub(super) const FILE: &str = "target/demo/pgha.yaml";

/// The host that users ask for: logins need an address that nobody on a network can stand for.
const HOST: &str = "127.0.0.1";

/// How long the first users may wait: they have the provider make its keys.
const DEADLINE: Duration = Duration::from_secs(30);

/// Users a second while the service moves.
const RATE: u32 = 50;

/// So many that each has given up before its next user comes.
const LANES: u32 = 100;

/// By which Flux leaves an object alone.
const RECONCILE: &str = "kustomize.toolkit.fluxcd.io/reconcile";

/// What the application and its HAProxy are made of.
#[derive(Debug)]
pub(super) struct Parts {
    /// The programs of `tests/oidc` with their packages.
    pub(super) oidc: PathBuf,
    /// The root file system with HAProxy.
    peers: PathBuf,
}

impl Parts {
    /// Builds what is not there; `None` where this machine cannot run it.
    ///
    /// # Errors
    /// A build fails.
    pub(super) fn ensure() -> Result<Option<Self>> {
        let parts = crate::provider::ensure()?.zip(crate::peers::ensure()?);
        Ok(parts.map(|(oidc, peers)| Self { oidc, peers }))
    }
}

/// The running application; what of it is beside the lab ends with its value.
#[derive(Debug)]
pub(super) struct App {
    haproxy: Haproxy,
    _sites: Vec<Program>,
}

impl App {
    /// Starts it beside the lab with its users at a site, and writes the service's file.
    ///
    /// # Errors
    /// A part of it does not start, or no user is answered by the site.
    pub(super) fn open(parts: &Parts, cluster: &str, site: Site) -> Result<Self> {
        let at = free_address()?;
        let entrance = entrance(cluster)?;
        let mut sites = Vec::new();
        let mut servers = BTreeMap::new();
        for site in Site::ALL {
            let mut program = start(&parts.oidc, site)?;
            let config = config(&entrance, site, at)?;
            let port = port(&mut program, &config);
            let port = port.with_context(|| format!("the provider at {site}"))?;
            servers.insert(site.name(), format!("127.0.0.1:{port}"));
            sites.push(program);
        }
        let haproxy = lead(&parts.peers, at, site, &servers)?;
        let traffic = format!("  traffic: {}\n", haproxy.traffic());
        let login = format!("  login: {}\n", login(at));
        write_file(&service_file(cluster, &(traffic + &login)))?;
        Self::with(haproxy, sites, site)
    }

    /// Has Flux run it in pods at both sites, with its users at the primary's, and writes the service's file: the whole run book.
    ///
    /// # Errors
    /// A part of it does not start, or no user is answered by the site.
    pub(super) fn open_by_git(
        parts: &Parts,
        cluster: &str,
        site: Site,
        progress: &Progress,
    ) -> Result<Self> {
        let at = free_address()?;
        let provider = Provider {
            node: node()?,
            folder: parts.oidc.clone(),
            issuer: issuer(at),
        };
        let platform = Platform::adopt_with(Some(&provider), cluster, Deployer::Flux, progress)?;
        let mut servers = BTreeMap::new();
        for site in Site::ALL {
            servers.insert(site.name(), format!("{}:80", platform.app_address(site)?));
        }
        let haproxy = lead(&parts.peers, at, site, &servers)?;
        let mut service = platform.service();
        let spec = &mut service["spec"];
        spec["change"]["repository"] = beside(platform.folder())?.into();
        spec["backup"] = json!({});
        let object = format!("deployment/{}", platform.app_name());
        let annotation = json!({"object": object, "key": RECONCILE, "standby": "disabled"});
        spec["app"] = json!([{"scale": {"object": object}}, {"annotate": annotation}]);
        spec["traffic"] = haproxy.traffic();
        spec["login"] = login(at);
        write_file(&serde_yaml_ng::to_string(&service)?)?;
        Self::with(haproxy, Vec::new(), site)
    }

    fn with(haproxy: Haproxy, sites: Vec<Program>, site: Site) -> Result<Self> {
        let app = Self {
            haproxy,
            _sites: sites,
        };
        app.await_users(site)?;
        Ok(app)
    }

    /// The issuer as all tokens name it, whichever site gives them.
    pub(super) fn issuer(&self) -> String {
        issuer(self.haproxy.at())
    }

    /// Users who come until it ends.
    pub(super) fn users(&self) -> Load {
        Load::start(Users {
            at: self.haproxy.at(),
            host: HOST,
            rate: RATE,
            lanes: LANES,
        })
    }

    fn await_users(&self, site: Site) -> Result<()> {
        let what = format!("users to be answered by {site}");
        wait::until(&what, DEADLINE, || {
            let by = load::ask(self.haproxy.at(), HOST)?;
            ensure!(by == site.name(), "they are answered by {by}");
            Ok(())
        })
    }
}

/// What users saw of the move, in words that say what was measured and what was not.
pub(super) fn report(seen: &Seen, from: Site, to: Site) -> String {
    let (count, errors) = (seen.count(), seen.errors);
    let gap = match seen.gap(from.name(), to.name()) {
        Some(gap) => format!(
            "{:.2} s from the last answer of {from} to the first of {to}",
            gap.as_secs_f64()
        ),
        None => format!("not one was answered by {to} after {from}"),
    };
    format!(
        "\nUsers: {gap}; {errors} of {count} requests got none, one sent each {} ms.\n\
         A site answers while its Postgres takes writes. That is no login yet: the login after the move is.",
        1000 / RATE
    )
}

fn folder(name: &str) -> Result<PathBuf> {
    let folder = kubectl::folder().join(name);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn start(oidc: &Path, site: Site) -> Result<Program> {
    let log = kubectl::folder().join(format!("{site}.log"));
    Program::start(&oidc.join("site.mjs"), &log)
}

/// Starts the HAProxy, with the servers by the names of their sites.
fn lead(
    peers: &Path,
    at: SocketAddr,
    site: Site,
    servers: &BTreeMap<&str, String>,
) -> Result<Haproxy> {
    let backend = |name: &str| {
        servers
            .get(name)
            .map_or_else(String::new, |to| server(name, to))
    };
    let front = Front {
        at,
        host: HOST,
        site: site.name(),
        backend: &backend,
    };
    Haproxy::start(peers, &folder("haproxy")?, front)
}

fn login(at: SocketAddr) -> Value {
    json!({"issuer": issuer(at), "clientId": CLIENT, "scopes": ["email", "groups"]})
}

fn write_file(service: &str) -> Result<()> {
    Ok(fs::write(kubectl::folder().join("pgha.yaml"), service)?)
}

/// Puts a name of the platform beside the service's file, as a user would have it.
fn beside(platform: &Path) -> Result<&'static str> {
    const NAME: &str = "platform";
    kubectl::link(platform, &kubectl::folder().join(NAME))?;
    Ok(NAME)
}

/// The program itself, whatever leads to it on the path.
fn node() -> Result<PathBuf> {
    let mut node = Command::new("node");
    let node = node.args(["--print", "process.execPath"]);
    let output = node.output().context("node does not start")?;
    ensure!(output.status.success(), "node ended with {}", output.status);
    Ok(String::from_utf8(output.stdout)?.trim().into())
}

/// It holds a password, so it goes by standard input.
fn config(entrance: &Entrance, site: Site, at: SocketAddr) -> Result<String> {
    let host = entrance.hosts.get(site.name());
    let host = host.with_context(|| format!("there is no Postgres at {site}"))?;
    let Entrance {
        user,
        password,
        database,
        ..
    } = entrance;
    let postgres = json!({"host": host, "port": 5432, "user": user, "password": password, "database": database});
    let config = json!({"site": site.name(), "issuer": issuer(at), "postgres": postgres});
    Ok(config.to_string())
}

fn port(program: &mut Program, config: &str) -> Result<u64> {
    let said = program.ask(config, |line| line.starts_with('{'))?;
    let said: Value = serde_json::from_str(&said)?;
    said["port"].as_u64().context("it says no port")
}

fn issuer(at: SocketAddr) -> String {
    format!("http://{at}")
}

/// The provider behind it has to know what users asked for, which is not itself.
fn server(site: &str, to: &str) -> String {
    format!("  http-request set-header x-forwarded-proto http\n  server {site} {to}\n")
}
