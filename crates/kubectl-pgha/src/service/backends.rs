//! What the traffic of a service's file is made into.

use std::collections::BTreeMap;
use std::fmt::Display;
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
use serde_saphyr::Spanned;

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

/// Makes the backends and the probes of a service; asks nobody anything yet. `reach` is what they may use of this process.
///
/// # Errors
/// There is none, two backends have one name, or one cannot be made from its settings; where in the file.
pub(crate) fn build(service: &Service, reach: &Reach) -> Result<Traffic, Failure> {
    let mut backends: Vec<Box<dyn Cutover>> = Vec::new();
    for entry in &service.traffic {
        let wrong = |because: &str| service.mistaken(entry.referenced, because);
        refuse_programs(entry, service)?;
        let Some(backend) = backend(entry, service, reach)? else {
            continue;
        };
        let id = backend.describe().id;
        if backends.iter().any(|other| other.describe().id == id) {
            let because =
                format!("two traffic backends are called {id}, expected a name of its own");
            return Err(wrong(&because));
        }
        backends.push(backend);
    }
    if backends.is_empty() {
        let text = service.said_of_traffic("the service's file names no traffic backend");
        return Err(
            Failure::usage(text).hinting("Add one to spec.traffic: docs/traffic.md shows each.")
        );
    }
    Ok(Traffic {
        backends: Composite::new(backends),
        probes: probes(service, None)?,
    })
}

/// Whoever may write a `ConfigMap` would run a program on the machine of everybody who reads it.
fn refuse_programs(entry: &Spanned<Entry>, service: &Service) -> Result<(), Failure> {
    let runs = match &entry.value {
        Entry::Exec(_) => true,
        Entry::HaproxyGit(settings) => !settings.render.is_empty() || !settings.check.is_empty(),
        #[cfg(feature = "aws")]
        Entry::Aws(settings) => matches!(settings.credentials, pgha_nlb_aws::Source::Process(_)),
        #[cfg(not(feature = "aws"))]
        Entry::Aws(_) => false,
        Entry::Rfc2136(_)
        | Entry::HaproxyRuntime(_)
        | Entry::Cloudflare(_)
        | Entry::CloudflareDns(_)
        | Entry::F5(_)
        | Entry::Powerdns(_)
        | Entry::Kubernetes(_)
        | Entry::Health(_)
        | Entry::Manual(_)
        | Entry::Probe(_) => false,
    };
    if !service.origin.is_remote || !runs {
        return Ok(());
    }
    let because = "a program that a ConfigMap names is not run on this machine";
    let refused = service.mistaken(entry.referenced, because);
    Err(refused.hinting("Keep what names a program in a file, and name that with --file."))
}

fn backend(
    entry: &Spanned<Entry>,
    service: &Service,
    reach: &Reach,
) -> Result<Option<Box<dyn Cutover>>, Failure> {
    let bad = |error: &dyn Display| service.mistaken(entry.referenced, &error.to_string());
    let folder = service.origin.folder.as_path();
    Ok(Some(match &entry.value {
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
            return Err(bad(&text).hinting(
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
            let probes = probes(service, Some(&names.collect::<Vec<_>>()))?;
            let routes = settings.routes.iter().map(|route| &route.name);
            if let Some(because) = unseen(&settings.id, routes, &probes) {
                return Err(bad(&because).hinting("Add a probe of that route to spec.traffic."));
            }
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
fn unseen<'a>(
    id: &BackendId,
    mut routes: impl Iterator<Item = &'a RouteName>,
    probes: &[Routed],
) -> Option<String> {
    let route = routes.find(|route| probes.iter().all(|(probed, _)| probed != *route))?;
    Some(format!(
        "traffic backend {id}: nothing tells where route {route} leads"
    ))
}

fn probes(service: &Service, only: Option<&[&RouteName]>) -> Result<Vec<Routed>, Failure> {
    let folder = &service.origin.folder;
    let mut probes: Vec<Routed> = Vec::new();
    for entry in &service.traffic {
        let Entry::Probe(settings) = &entry.value else {
            continue;
        };
        if only.is_some_and(|only| !only.contains(&&settings.route)) {
            continue;
        }
        let mut settings = settings.clone();
        settings.ca_file = settings.ca_file.map(|file| folder.join(file));
        let probe = HttpProbe::new(settings)
            .map_err(|error| service.mistaken(entry.referenced, &error.to_string()))?;
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
