//! The file as it is written, and what is wrong with it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use pgha_core::diagnose::sanitised;
use pgha_model::application::{AppStep, contradiction};
use pgha_nlb::SiteName;
use pgha_pgbouncer::Pooler;
use serde::Deserialize;

use super::backends::Entry;
use crate::failure::Failure;
use crate::view::API_VERSION;

/// The one kind of document.
const KIND: &str = "Service";

/// No file of a person is as long as this, in bytes.
const LARGEST: u64 = 1024 * 1024;

/// A service of pgha: its sites and how its users come in.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Document {
    /// The version of the file's form.
    #[cfg_attr(feature = "schema", schemars(extend("const" = API_VERSION)))]
    api_version: String,
    /// The one kind of file.
    #[cfg_attr(feature = "schema", schemars(extend("const" = KIND)))]
    kind: String,
    /// What it is called.
    metadata: Metadata,
    /// What it consists of.
    spec: Spec,
}

/// What a service is called.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Metadata {
    /// The service's name: small letters, digits and `-`.
    name: String,
}

/// What a service consists of.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Spec {
    /// Its sites, at least two.
    #[cfg_attr(feature = "schema", schemars(length(min = 2)))]
    sites: Vec<Site>,
    /// What runs only where the primary is, in the order in which it is started.
    #[serde(default)]
    app: Vec<AppStep>,
    /// The poolers whose clients wait while nobody takes writes.
    #[serde(default)]
    poolers: Vec<pgha_pgbouncer::Settings>,
    /// How its users come in: what decides it, in the order in which it is changed, and the probes.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = [])))]
    traffic: Vec<Entry>,
}

/// Where a side of the service is.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Site {
    /// What the service calls it.
    pub(crate) name: SiteName,
    /// The kubeconfig context.
    pub(crate) context: String,
    /// The namespace [default: the context's].
    #[serde(default)]
    pub(crate) namespace: Option<String>,
    /// The Postgres cluster.
    pub(crate) cluster: String,
}

/// A service that makes sense.
#[derive(Debug)]
pub(crate) struct Service {
    /// Its name.
    pub(crate) name: String,
    /// Its sites, at least two.
    pub(crate) sites: Vec<Site>,
    /// What runs only where the primary is.
    pub(crate) app: Vec<AppStep>,
    /// Whose clients wait while nobody takes writes.
    pub(crate) poolers: Vec<Pooler>,
    /// How its users come in.
    pub(crate) traffic: Vec<Entry>,
}

impl Service {
    /// Reads a file.
    ///
    /// # Errors
    /// It is not there, is no such document, or contradicts itself. Nothing else was read or changed.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let shown = sanitised(&path.display().to_string());
        let text = read_bounded(path).map_err(|error| {
            Failure::usage(format!("cannot read the service's file {shown}: {error}"))
                .hinting("Name it with --file.")
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::of(&text, folder).map_err(|because| senseless(path, &because))
    }

    /// What the text says; files that it names lie in the folder.
    fn of(text: &str, folder: &Path) -> Result<Self, String> {
        let document: Document =
            serde_saphyr::from_str(text).map_err(|error| in_a_line(&error.to_string()))?;
        if document.api_version != API_VERSION || document.kind != KIND {
            return Err(format!(
                "it is not of `apiVersion: {API_VERSION}` and `kind: {KIND}`"
            ));
        }
        let name = document.metadata.name;
        if !is_name(&name) {
            return Err("metadata.name is of small letters, digits and `-`".to_owned());
        }
        let Spec {
            sites,
            app,
            poolers,
            traffic,
        } = document.spec;
        if let Some(because) = contradiction(&app) {
            return Err(format!("spec.app: {because}"));
        }
        if sites.len() < 2 {
            return Err("spec.sites names fewer than two sites".to_owned());
        }
        for (index, site) in sites.iter().enumerate() {
            let before = &sites[..index];
            if before.iter().any(|other| other.name == site.name) {
                return Err(format!("two of spec.sites are called {}", site.name));
            }
            let is_same = |other: &&Site| {
                (&other.context, &other.namespace, &other.cluster)
                    == (&site.context, &site.namespace, &site.cluster)
            };
            if let Some(other) = before.iter().find(is_same) {
                return Err(format!(
                    "sites {} and {} are the same cluster",
                    other.name, site.name
                ));
            }
        }
        let steps = app.into_iter();
        Ok(Self {
            name,
            sites,
            app: steps
                .map(|step| step.with_files(|file| folder.join(file)))
                .collect(),
            poolers: read_poolers(poolers, folder)?,
            traffic,
        })
    }

    /// Where a move goes from and to; without `from`, it is the other one of two sites.
    ///
    /// # Errors
    /// There is no such site, they are one and the same, or their clusters are called differently.
    pub(crate) fn pair(&self, from: Option<&str>, to: &str) -> Result<(&Site, &Site), Failure> {
        let to = self.site(&to.into())?;
        let from = match (from, self.sites.as_slice()) {
            (Some(from), _) => self.site(&from.into())?,
            (None, [one, other]) => {
                if one.name == to.name {
                    other
                } else {
                    one
                }
            }
            (None, _) => {
                let text = format!("service {} has more than two sites", self.name);
                return Err(Failure::usage(text).hinting("Say with --from where it is primary."));
            }
        };
        if from.name == to.name {
            return Err(Failure::usage("--from and --to name the same site"));
        }
        if (&from.cluster, &from.namespace) != (&to.cluster, &to.namespace) {
            let text = format!(
                "the clusters of {} and {} differ in name or namespace",
                from.name, to.name
            );
            return Err(Failure::usage(text)
                .hinting("A move goes between clusters of the same name and namespace."));
        }
        Ok((from, to))
    }

    /// Refuses a file that is not of the service that was named.
    ///
    /// # Errors
    /// It is of another one.
    pub(crate) fn check_name(&self, named: &str) -> Result<(), Failure> {
        if self.name == named {
            return Ok(());
        }
        let text = format!("the file is of service {}, not of {named}", self.name);
        Err(Failure::usage(text))
    }

    /// The Postgres cluster, which has one name at all sites.
    ///
    /// # Errors
    /// It has not.
    pub(crate) fn cluster(&self) -> Result<&str, Failure> {
        let mut names = self.sites.iter().map(|site| site.cluster.as_str());
        let first = names.next().unwrap_or_default();
        match names.find(|name| *name != first) {
            None => Ok(first),
            Some(other) => {
                let service = &self.name;
                let text =
                    format!("the clusters of service {service} are called {first} and {other}");
                Err(Failure::usage(text)
                    .hinting("Name one of them and the contexts instead of the file."))
            }
        }
    }

    /// The site of this name.
    ///
    /// # Errors
    /// There is none; the message names those that there are.
    pub(crate) fn site(&self, name: &SiteName) -> Result<&Site, Failure> {
        let found = self.sites.iter().find(|site| site.name == *name);
        found.ok_or_else(|| {
            let names: Vec<_> = self.sites.iter().map(|site| site.name.as_str()).collect();
            let service = &self.name;
            Failure::usage(format!("service {service} has no site `{name}`"))
                .hinting(format!("Its sites are {}.", names.join(", ")))
        })
    }
}

/// Why a file makes no sense.
pub(crate) fn senseless(path: &Path, because: &str) -> Failure {
    let shown = sanitised(&path.display().to_string());
    Failure::usage(format!("{shown} is no service's file: {because}"))
}

fn read_poolers(
    poolers: Vec<pgha_pgbouncer::Settings>,
    folder: &Path,
) -> Result<Vec<Pooler>, String> {
    let mut names = BTreeSet::new();
    let poolers = poolers.into_iter().map(|settings| {
        if !names.insert(settings.name.clone()) {
            return Err(format!("spec.poolers: two are called {}", settings.name));
        }
        let settings = settings.with_files(|file| folder.join(file));
        Pooler::new(settings).map_err(|because| format!("spec.poolers: {because}"))
    });
    poolers.collect()
}

/// Line, column and reason, which come first; the lines after them show the file, which the person has.
fn in_a_line(error: &str) -> String {
    let first = error.trim_start().lines().next().unwrap_or_default();
    let reason = first.strip_prefix("error: ").unwrap_or(first);
    let reason = sanitised(reason);
    match meant(&reason) {
        Some(name) => format!("{reason}; did you mean `{name}`?"),
        None => reason,
    }
}

/// The expected name that is most like the unknown one, as serde words it: ``unknown field `a`, expected one of `b`, `c` ``.
fn meant(reason: &str) -> Option<&str> {
    let (_, unknown) = reason
        .split_once("unknown field `")
        .or_else(|| reason.split_once("unknown variant `"))?;
    let (unknown, expected) = unknown.split_once("`, expected ")?;
    let expected = expected.strip_prefix("one of ").unwrap_or(expected);
    let names = expected
        .split([',', ' '])
        .map(|name| name.trim_matches('`'));
    let likeness = |name: &str| strsim::jaro(unknown, name);
    let best = names.max_by(|one, other| likeness(one).total_cmp(&likeness(other)))?;
    (likeness(best) > ALIKE).then_some(best)
}

/// As clap has it for its own arguments.
const ALIKE: f64 = 0.7;

/// A name that can be a file's and an object's.
fn is_name(name: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty() && name.len() <= 63 && !name.starts_with('-') && name.chars().all(is_allowed)
}

fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let mut file = File::open(path)?.take(LARGEST + 1);
    file.read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST {
        return Err(io::Error::other("it is longer than 1 MiB"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
apiVersion: pgha.dev/v1alpha1
kind: Service
metadata: { name: zitadel }
spec:
  sites:
    - { name: core1, context: core1-admin, namespace: prod, cluster: zitadel }
    - { name: core2, context: core2-admin, namespace: prod, cluster: zitadel }
  traffic:
    - exec:
        id: dns
        program: [./move-dns]
        routes: [{ name: https, sites: { core1: a, core2: b } }]
    - probe:
        route: https
        url: https://login.example/
        family: v4
        evidence: [{ header: { name: x-site, values: { core1: '1', core2: '2' } } }]
";

    fn of(text: &str) -> Result<Service, String> {
        Service::of(text, Path::new("/srv"))
    }

    fn refusal(from: &str, to: &str) -> String {
        assert!(GOOD.contains(from), "{from}");
        of(&GOOD.replace(from, to)).unwrap_err()
    }

    #[test]
    fn a_service_has_sites_and_traffic() {
        let service = of(GOOD).unwrap();
        assert_eq!(service.sites[1].context, "core2-admin");
        assert_eq!(service.traffic.len(), 2);
        assert!(service.site(&"core3".into()).is_err());
    }

    #[test]
    fn a_typo_is_told_with_its_line_and_what_was_expected() {
        let said = refusal("program:", "programm:");
        assert!(
            said.contains("line 11") && said.contains("`programm`, expected one of id, program"),
            "{said}"
        );
        assert!(
            said.starts_with("line 11") && !said.contains('\n'),
            "{said}"
        );
        let said = refusal("- exec:", "- exek:");
        assert!(
            said.contains("exek") && said.contains("powerdns, kubernetes, health, exec"),
            "{said}"
        );
    }

    #[test]
    fn a_move_goes_between_two_sites_of_one_name() {
        let service = of(GOOD).unwrap();
        let names = |pair: (&Site, &Site)| (pair.0.name.to_string(), pair.1.name.to_string());
        let pair = names(service.pair(None, "core1").unwrap());
        assert_eq!(pair, ("core2".to_owned(), "core1".to_owned()));
        assert!(service.pair(Some("core1"), "core1").is_err());
        assert!(service.pair(None, "core3").is_err());
        let elsewhere = GOOD.replacen("namespace: prod", "namespace: test", 1);
        assert!(of(&elsewhere).unwrap().pair(None, "core1").is_err());
        let third = "    - { name: core3, context: core3, cluster: zitadel }\n  traffic:";
        let three = of(&GOOD.replace("  traffic:", third)).unwrap();
        assert!(three.pair(None, "core1").is_err());
        assert!(three.pair(Some("core2"), "core1").is_ok());
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for (from, to, words) in [
            ("kind: Service", "kind: Pod", "kind: Service"),
            ("pgha.dev/v1alpha1", "pgha.dev/v2", "apiVersion"),
            ("{ name: zitadel }", "{ name: ../x }", "metadata.name"),
            ("name: core2,", "name: core1,", "two of spec.sites"),
            ("core2-admin", "core1-admin", "the same cluster"),
            (
                "core1: a, core2: b",
                "core1: a, core2: a",
                "both called `a`",
            ),
        ] {
            let said = refusal(from, to);
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn an_application_is_read_and_its_typos_are_told_with_their_line() {
        let with = |app: &str| GOOD.replace("  traffic:", &format!("  app:\n{app}  traffic:"));
        let good = "    - annotate: { object: deploy/zitadel, key: a.b/c, standby: disabled }\n    - scale: { object: deployment/zitadel }\n";
        let service = of(&with(good)).unwrap();
        let object = service.app[1].object().unwrap();
        assert_eq!(object.to_string(), "deployment/zitadel");
        for (app, words) in [
            ("    - scale: { object: zitadel }\n", "line 9"),
            (
                "    - scale: { object: zitadel }\n",
                "`zitadel` is not TYPE/NAME",
            ),
            (
                "    - scale: { objekt: deployment/zitadel }\n",
                "expected one of object, namespace, count",
            ),
            (
                "    - shrink: { object: deployment/zitadel }\n",
                "expected one of scale, annotate, select, restart, job, call, wait",
            ),
            (
                "    - scale: { object: sts/x, count: 0 }\n",
                "spec.app: statefulset/x would have no pods",
            ),
            ("    - wait: { url: login.example }\n", "line 9"),
            (
                "    - wait: { url: login.example }\n",
                "a URL begins with http:// or https://",
            ),
        ] {
            let said = of(&with(app)).unwrap_err();
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn nothing_that_is_no_yaml_panics() {
        for text in ["", "a: [", "\u{0}", "- 1", "apiVersion: &a [*a]"] {
            assert!(of(text).is_err(), "{text:?}");
        }
    }
}
