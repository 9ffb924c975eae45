//! What the traffic of a service's file is made into.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use pgha_core::clock;
use pgha_nlb::{BackendId, Composite, Cutover, Probe, RouteName, SiteName};
use pgha_nlb_cloudflare::Cloudflare;
use pgha_nlb_cloudflare_dns::CloudflareDns;
use pgha_nlb_exec::Exec;
use pgha_nlb_f5::BigIp;
use pgha_nlb_haproxy_git::HaproxyGit;
use pgha_nlb_haproxy_runtime::HaproxyRuntime;
use pgha_nlb_health::Health;
use pgha_nlb_kubernetes::{Kubernetes, Whereabouts};
use pgha_nlb_manual::{Manual, Tell};
use pgha_nlb_powerdns::PowerDns;
use pgha_nlb_probe::HttpProbe;
use pgha_nlb_rfc2136::Rfc2136;
use serde::Deserialize;

use super::Service;
use crate::failure::Failure;
use crate::session::Reach;
use crate::ui;

#[cfg(feature = "aws")]
type Aws = pgha_nlb_aws::Settings;
/// Whatever is written there.
#[cfg(not(feature = "aws"))]
type Aws = serde::de::IgnoredAny;

/// One entry of the traffic of a service.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) enum Entry {
    /// Records of a DNS zone.
    Rfc2136(pgha_nlb_rfc2136::Settings),
    /// Rules and maps of HAProxy in a git repository.
    HaproxyGit(pgha_nlb_haproxy_git::Settings),
    /// HAProxy's runtime API.
    HaproxyRuntime(pgha_nlb_haproxy_runtime::Settings),
    /// A load balancer of Cloudflare's.
    Cloudflare(pgha_nlb_cloudflare::Settings),
    /// Records of a zone at Cloudflare.
    CloudflareDns(pgha_nlb_cloudflare_dns::Settings),
    /// Pools of BIG-IP DNS.
    F5(pgha_nlb_f5::Settings),
    /// Weights at AWS.
    Aws(
        #[cfg_attr(
            all(feature = "schema", not(feature = "aws")),
            schemars(with = "serde_json::Value")
        )]
        Aws,
    ),
    /// Record sets of a zone of PowerDNS.
    Powerdns(pgha_nlb_powerdns::Settings),
    /// Fields of objects in Kubernetes.
    Kubernetes(pgha_nlb_kubernetes::Settings),
    /// The endpoint that a global load balancer watches at each site.
    Health(pgha_nlb_health::Settings),
    /// A program.
    Exec(pgha_nlb_exec::Settings),
    /// A person.
    Manual(pgha_nlb_manual::Settings),
    /// A question that a user would ask.
    Probe(pgha_nlb_probe::Settings),
}

/// A probe and the route by which it comes.
pub(crate) type Routed = (RouteName, Box<dyn Probe>);

/// What moves the users of a service, and what proves that they were moved.
#[derive(Debug)]
pub(crate) struct Traffic {
    /// The backends, in the order of the file.
    pub(crate) backends: Composite,
    /// The probes, each with its route.
    pub(crate) probes: Vec<Routed>,
}

/// Makes the backends and the probes of a service that `file` describes; asks nobody anything yet. `reach` is what they
/// may use of this process.
///
/// # Errors
/// There is none, two backends have one name, or one cannot be made from its settings.
pub(crate) fn build(service: &Service, file: &Path, reach: &Reach) -> Result<Traffic, Failure> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut backends: Vec<Box<dyn Cutover>> = Vec::new();
    for entry in &service.traffic {
        if let Some(backend) = backend(entry, service, folder, reach)? {
            let id = backend.describe().id;
            if backends.iter().any(|other| other.describe().id == id) {
                return Err(Failure::usage(format!(
                    "two traffic backends are called {id}"
                )));
            }
            backends.push(backend);
        }
    }
    if backends.is_empty() {
        let name = &service.name;
        return Err(Failure::usage(format!(
            "the file of service {name} names no traffic backend"
        ))
        .hinting("Add one to spec.traffic: docs/traffic.md shows each."));
    }
    Ok(Traffic {
        backends: Composite::new(backends),
        probes: probes(&service.traffic, folder, None)?,
    })
}

fn backend(
    entry: &Entry,
    service: &Service,
    folder: &Path,
    reach: &Reach,
) -> Result<Option<Box<dyn Cutover>>, Failure> {
    let bad = |error: &dyn std::fmt::Display| Failure::usage(error.to_string());
    Ok(Some(match entry {
        Entry::HaproxyGit(settings) => {
            let mut settings = settings.clone();
            settings.checkout = folder.join(&settings.checkout);
            Box::new(HaproxyGit::new(settings).map_err(|error| bad(&error))?)
        }
        Entry::HaproxyRuntime(settings) => {
            Box::new(HaproxyRuntime::new(settings.clone()).map_err(|error| bad(&error))?)
        }
        Entry::Cloudflare(settings) => {
            let mut settings = settings.clone();
            settings.api_token_file = folder.join(settings.api_token_file);
            settings.ca_file = settings.ca_file.map(|file| folder.join(file));
            Box::new(Cloudflare::new(settings).map_err(|error| bad(&error))?)
        }
        Entry::CloudflareDns(settings) => {
            let mut settings = settings.clone();
            settings.api_token_file = folder.join(settings.api_token_file);
            settings.ca_file = settings.ca_file.map(|file| folder.join(file));
            Box::new(CloudflareDns::new(settings).map_err(|error| bad(&error))?)
        }
        Entry::F5(settings) => {
            let mut settings = settings.clone();
            settings.password_file = folder.join(settings.password_file);
            settings.ca_file = settings.ca_file.map(|file| folder.join(file));
            Box::new(BigIp::new(settings).map_err(|error| bad(&error))?)
        }
        #[cfg(not(feature = "aws"))]
        Entry::Aws(_) => {
            let text = "this kubectl-pgha was built without AWS, which the file's traffic names";
            return Err(Failure::usage(text).hinting(
                "Use one that was built with `--features aws`: docs/traffic.md says how.",
            ));
        }
        #[cfg(feature = "aws")]
        Entry::Aws(settings) => {
            let mut settings = settings.clone();
            settings.ca_file = settings.ca_file.map(|file| folder.join(file));
            if let pgha_nlb_aws::Source::Process(program) = &mut settings.credentials {
                beside(program, folder);
            }
            let around = pgha_nlb_aws::Surroundings {
                keys: reach.aws.keys.clone(),
                credentials_file: reach.aws.credentials_file.clone(),
                clock: Arc::new(seconds_since_1970),
            };
            let backend = pgha_nlb_aws::Aws::new(settings, around);
            Box::new(backend.map_err(|error| bad(&error))?)
        }
        Entry::Powerdns(settings) => {
            let mut settings = settings.clone();
            settings.api_key_file = folder.join(settings.api_key_file);
            settings.ca_file = settings.ca_file.map(|file| folder.join(file));
            Box::new(PowerDns::new(settings).map_err(|error| bad(&error))?)
        }
        Entry::Rfc2136(settings) => {
            let mut settings = settings.clone();
            settings.key.secret_file = folder.join(&settings.key.secret_file);
            let backend = Rfc2136::new(settings, Arc::new(seconds_since_1970));
            Box::new(backend.map_err(|error| bad(&error))?)
        }
        Entry::Kubernetes(settings) => {
            let open = Arc::clone(&reach.open);
            let backend = Kubernetes::new(settings.clone(), &whereabouts(service), open);
            Box::new(backend.map_err(|error| bad(&error))?)
        }
        Entry::Health(settings) => {
            let open = Arc::clone(&reach.open);
            let backend = Health::new(settings.clone(), &whereabouts(service), open);
            Box::new(backend.map_err(|error| bad(&error))?)
        }
        Entry::Exec(settings) => {
            let mut settings = settings.clone();
            beside(&mut settings.program, folder);
            Box::new(Exec::new(settings).map_err(|error| bad(&error))?)
        }
        Entry::Manual(settings) => {
            let names = settings.routes.iter().map(|route| &route.name);
            let probes = probes(&service.traffic, folder, Some(&names.collect::<Vec<_>>()))?;
            refuse_unseen(
                &settings.id,
                settings.routes.iter().map(|r| &r.name),
                &probes,
            )?;
            let tell: Tell = Arc::new(ui::instruct);
            Box::new(Manual::new(settings.clone(), probes, tell))
        }
        Entry::Probe(_) => return Ok(None),
    }))
}

/// Where each site is.
fn whereabouts(service: &Service) -> BTreeMap<SiteName, Whereabouts> {
    let sites = service.sites.iter().map(|site| {
        let at = Whereabouts {
            context: Some(site.context.clone()),
            namespace: site.namespace.clone(),
            ..Whereabouts::default()
        };
        (site.name.clone(), at)
    });
    sites.collect()
}

/// A person's work is only seen by a probe.
fn refuse_unseen<'a>(
    id: &BackendId,
    mut routes: impl Iterator<Item = &'a RouteName>,
    probes: &[Routed],
) -> Result<(), Failure> {
    match routes.find(|route| probes.iter().all(|(probed, _)| probed != *route)) {
        None => Ok(()),
        Some(route) => Err(Failure::usage(format!(
            "traffic backend {id}: nothing tells where route {route} leads"
        ))
        .hinting("Add a probe of that route to spec.traffic.")),
    }
}

/// The probes of these routes; of all, when none are named.
fn probes(
    entries: &[Entry],
    folder: &Path,
    only: Option<&[&RouteName]>,
) -> Result<Vec<Routed>, Failure> {
    let mut probes: Vec<Routed> = Vec::new();
    for entry in entries {
        let Entry::Probe(settings) = entry else {
            continue;
        };
        if only.is_some_and(|only| !only.contains(&&settings.route)) {
            continue;
        }
        let mut settings = settings.clone();
        settings.ca_file = settings.ca_file.map(|file| folder.join(file));
        let probe = HttpProbe::new(settings).map_err(|error| Failure::usage(error.to_string()))?;
        probes.push((probe.route().clone(), Box::new(probe)));
    }
    Ok(probes)
}

/// What the signature of an update holds.
fn seconds_since_1970() -> u64 {
    u64::try_from(clock::now().as_second()).unwrap_or_default()
}

/// A program that is named by a path lies where the file does.
fn beside(program: &mut [String], folder: &Path) {
    if let Some(name) = program.first_mut().filter(|name| name.contains('/')) {
        *name = folder.join(&*name).display().to_string();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_from_where_the_file_lies() {
        let folder = Path::new("/srv/zitadel");
        for (written, meant) in [
            ("./move-dns", "/srv/zitadel/./move-dns"),
            ("/usr/bin/move-dns", "/usr/bin/move-dns"),
            ("move-dns", "move-dns"),
        ] {
            let mut program = vec![written.to_owned(), "./x".to_owned()];
            beside(&mut program, folder);
            assert_eq!(program, [meant, "./x"]);
        }
    }
}
