//! The application of the demo: an OpenID provider at each site that keeps everything in the Postgres of that site, and a HAProxy
//! that leads users to one of them.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pgha_lab::cluster::service_file;
use pgha_lab::pooled::{Entrance, entrance};
use pgha_lab::site::Site;
use pgha_lab::wait;
use serde_json::{Value, json};

use super::kubectl;
use super::person::CLIENT;
use super::program::Program;
use crate::part::say;
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

/// The running application; all of it ends with its value.
#[derive(Debug)]
pub(super) struct App {
    haproxy: Haproxy,
    _sites: Vec<Program>,
}

impl App {
    /// Starts it with its users at a site, and writes the service's file; `None`, said aloud, where this machine cannot run it.
    ///
    /// # Errors
    /// A part of it does not start, or no user is answered by the site.
    pub(super) fn open(oidc: Option<&Path>, cluster: &str, site: Site) -> Result<Option<Self>> {
        let (Some(oidc), Some(peers)) = (oidc, crate::peers::ensure()?) else {
            say("== users and their logins: left out");
            return Ok(None);
        };
        let at = free_address()?;
        let entrance = entrance(cluster)?;
        let mut sites = Vec::new();
        let mut ports = Vec::new();
        for site in Site::ALL {
            let mut program = start(oidc, site)?;
            let config = config(&entrance, site, at)?;
            let port = port(&mut program, &config);
            ports.push(port.with_context(|| format!("the provider at {site}"))?);
            sites.push(program);
        }
        let backend = |name: &str| {
            let found = Site::ALL.iter().zip(&ports);
            let port = found.into_iter().find(|(site, _)| site.name() == name);
            server(name, port.map_or(0, |(_, port)| *port))
        };
        let front = Front {
            at,
            host: HOST,
            site: site.name(),
            backend: &backend,
        };
        let haproxy = Haproxy::start(&peers, &folder("haproxy")?, front)?;
        let login = format!(
            "  login: {{ issuer: {}, clientId: {CLIENT}, scopes: [email, groups] }}\n",
            issuer(at)
        );
        let service = service_file(cluster, &(haproxy.traffic() + &login));
        fs::write(kubectl::folder().join("pgha.yaml"), service)?;
        let app = Self {
            haproxy,
            _sites: sites,
        };
        app.await_users(site)?;
        Ok(Some(app))
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
fn server(site: &str, port: u64) -> String {
    format!("  http-request set-header x-forwarded-proto http\n  server {site} 127.0.0.1:{port}\n")
}
