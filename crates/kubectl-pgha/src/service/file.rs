//! The file as it is written, and what is wrong with it.

use std::collections::BTreeSet;
use std::path::Path;

use pgha_model::application::{AppStep, contradiction};
use pgha_nlb::SiteName;
use pgha_pgbouncer::Pooler;
use serde::Deserialize;
use serde_saphyr::{Location, Spanned};

use super::backends::Entry;
use super::backup::BackupSettings;
use super::change::Change;
#[cfg(feature = "schema")]
use super::document::KIND;
use super::document::{mistake, mistake_of_head};
use super::login::{self, LoginSettings};
use super::mistake::{at, said};
use super::source::Origin;
use crate::failure::Failure;
#[cfg(feature = "schema")]
use crate::view::API_VERSION;

/// A service of pgha: its sites and how its users come in.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Document {
    /// The version of the file's form.
    #[cfg_attr(feature = "schema", schemars(extend("const" = API_VERSION)))]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    api_version: Spanned<String>,
    /// The one kind of file.
    #[cfg_attr(feature = "schema", schemars(extend("const" = KIND)))]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    kind: Spanned<String>,
    /// What it is called.
    metadata: Metadata,
    /// What it consists of.
    #[cfg_attr(feature = "schema", schemars(with = "Spec"))]
    spec: Spanned<Spec>,
}

/// What a service is called.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Metadata {
    /// The service's name: small letters, digits and `-`.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    name: Spanned<String>,
}

/// What a service consists of.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Spec {
    /// Its sites, at least two.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<Site>", length(min = 2)))]
    sites: Spanned<Vec<Spanned<Site>>>,
    /// How the clusters' desired state is changed [default: at the clusters].
    #[cfg_attr(feature = "schema", schemars(with = "Option<pgha_desired::Settings>"))]
    #[serde(default)]
    change: Option<Spanned<pgha_desired::Settings>>,
    /// A full backup of the primary before each switchover [default: none].
    #[serde(default)]
    backup: Option<BackupSettings>,
    /// What runs only where the primary is, in the order in which it is started.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<AppStep>"))]
    #[serde(default)]
    app: Vec<Spanned<AppStep>>,
    /// The poolers whose clients wait while nobody takes writes.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<pgha_pgbouncer::Settings>"))]
    #[serde(default)]
    poolers: Vec<Spanned<pgha_pgbouncer::Settings>>,
    /// How its users come in: what decides it, in the order in which it is changed, and the probes.
    #[serde(default = "nothing")]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<Entry>", extend("default" = [])))]
    traffic: Spanned<Vec<Spanned<Entry>>>,
    /// The login that shows, once users have arrived, that people can use the service [default: none].
    #[cfg_attr(feature = "schema", schemars(with = "Option<LoginSettings>"))]
    #[serde(default)]
    login: Option<Spanned<LoginSettings>>,
}

/// What is not there is nowhere.
fn nothing() -> Spanned<Vec<Spanned<Entry>>> {
    Spanned::new(Vec::new(), Location::UNKNOWN, Location::UNKNOWN)
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
    /// How its desired state is changed.
    pub(crate) change: Change,
    /// The backup before each switchover.
    pub(crate) backup: Option<BackupSettings>,
    /// What runs only where the primary is.
    pub(crate) app: Vec<AppStep>,
    /// Whose clients wait while nobody takes writes.
    pub(crate) poolers: Vec<Pooler>,
    /// How its users come in.
    pub(crate) traffic: Vec<Spanned<Entry>>,
    /// The login after a move.
    pub(super) login: Option<Spanned<LoginSettings>>,
    /// Where it was found.
    pub(crate) origin: Origin,
    /// Where its name is.
    pub(super) named_at: Location,
    /// Where its sites are.
    sites_at: Location,
    /// Where its traffic is; where it has none, its spec.
    pub(super) traffic_at: Location,
}

impl Service {
    /// What a document says; the files that it names lie in the folder of its origin.
    ///
    /// # Errors
    /// It is no such document, or contradicts itself: where, and what was expected.
    pub(super) fn of(text: &str, origin: Origin) -> Result<Self, Failure> {
        let shown = origin.shown.clone();
        Self::made(text, origin).map_err(|because| senseless(&shown, &because))
    }

    fn made(text: &str, origin: Origin) -> Result<Self, String> {
        let read: Result<Document, _> = serde_saphyr::from_str(text);
        let document =
            read.map_err(|error| mistake_of_head(text).unwrap_or_else(|| said(&error)))?;
        if let Some(because) = mistake(Some(&document.api_version), Some(&document.kind)) {
            return Err(because);
        }
        let name = document.metadata.name;
        if !is_name(&name.value) {
            let because = "metadata.name is of small letters, digits and `-`, at most 63";
            return Err(at(name.referenced, because));
        }
        let spec_at = document.spec.referenced;
        let Spec {
            sites,
            change,
            backup,
            app,
            poolers,
            traffic,
            login,
        } = document.spec.value;
        let is_there = traffic.referenced != Location::UNKNOWN;
        let folder = &origin.folder;
        let sites_at = sites.referenced;
        let sites = read_sites(sites)?;
        Ok(Self {
            named_at: name.referenced,
            name: name.value,
            change: Change::read(change, &sites, folder)?,
            backup,
            app: read_app(app, folder)?,
            sites_at,
            sites,
            poolers: read_poolers(poolers, folder)?,
            login: login::read(login, folder)?,
            traffic_at: if is_there {
                traffic.referenced
            } else {
                spec_at
            },
            traffic: traffic.value,
            origin,
        })
    }

    /// A mistake in its file, found after it was read.
    pub(crate) fn mistaken(&self, place: Location, because: &str) -> Failure {
        Failure::usage(self.said(place, because))
    }

    /// The same as a text: where, and what.
    pub(crate) fn said(&self, place: Location, because: &str) -> String {
        format!("{}: {}", self.origin.shown, at(place, because))
    }

    /// What has a command that can take any service find this one again: `-f FILE`, and its name where there are others.
    pub(crate) fn flags(&self) -> String {
        let (name, flags) = (&self.name, &self.origin.flags);
        if self.origin.is_one_of_several {
            format!("{name} {flags}")
        } else {
            flags.clone()
        }
    }

    /// A mistake in its traffic as a whole: where, and what.
    pub(crate) fn said_of_traffic(&self, because: &str) -> String {
        self.said(self.traffic_at, because)
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
            let (from, to) = (&from.name, &to.name);
            let because = format!("the clusters of {from} and {to} differ in name or namespace");
            return Err(self
                .mistaken(self.sites_at, &because)
                .hinting("A move goes between clusters of the same name and namespace."));
        }
        Ok((from, to))
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
                let because =
                    format!("the clusters of service {service} are called {first} and {other}");
                Err(self
                    .mistaken(self.sites_at, &because)
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
            let because = format!("service {service} has no site `{name}`");
            self.mistaken(self.sites_at, &because)
                .hinting(format!("Its sites are {}.", names.join(", ")))
        })
    }
}

/// Why a file makes no sense.
pub(super) fn senseless(shown: &str, because: &str) -> Failure {
    Failure::usage(format!("{shown} is no service's file: {because}"))
}

fn read_sites(sites: Spanned<Vec<Spanned<Site>>>) -> Result<Vec<Site>, String> {
    if sites.value.len() < 2 {
        let because = "spec.sites names fewer than two sites, expected two at least";
        return Err(at(sites.referenced, because));
    }
    for (index, site) in sites.value.iter().enumerate() {
        let before = sites.value[..index].iter().map(|other| &other.value);
        if let Some(because) = doubled(before, &site.value) {
            return Err(at(site.referenced, because));
        }
    }
    Ok(sites.value.into_iter().map(|site| site.value).collect())
}

/// What a site has in common with one of those before it that it may not.
fn doubled<'a>(mut before: impl Iterator<Item = &'a Site> + Clone, site: &Site) -> Option<String> {
    if before.clone().any(|other| other.name == site.name) {
        let name = &site.name;
        return Some(format!(
            "two of spec.sites are called {name}, expected a name of its own"
        ));
    }
    let place = |it: &Site| (it.context.clone(), it.namespace.clone(), it.cluster.clone());
    let other = before.find(|other| place(other) == place(site))?;
    let (one, other) = (&other.name, &site.name);
    Some(format!(
        "sites {one} and {other} are the same cluster, expected another context, namespace or cluster"
    ))
}

fn read_app(app: Vec<Spanned<AppStep>>, folder: &Path) -> Result<Vec<AppStep>, String> {
    let places: Vec<Location> = app.iter().map(|step| step.referenced).collect();
    let steps: Vec<AppStep> = app.into_iter().map(|step| step.value).collect();
    if let Some((index, because)) = contradiction(&steps) {
        return Err(at(places[index], format!("spec.app: {because}")));
    }
    let steps = steps.into_iter();
    Ok(steps
        .map(|step| step.with_files(|file| folder.join(file)))
        .collect())
}

fn read_poolers(
    poolers: Vec<Spanned<pgha_pgbouncer::Settings>>,
    folder: &Path,
) -> Result<Vec<Pooler>, String> {
    let mut names = BTreeSet::new();
    let poolers = poolers.into_iter().map(|pooler| {
        let wrong = |because: String| at(pooler.referenced, format!("spec.poolers: {because}"));
        let settings = pooler.value;
        if !names.insert(settings.name.clone()) {
            let name = &settings.name;
            return Err(wrong(format!(
                "two are called {name}, expected a name of its own"
            )));
        }
        let settings = settings.with_files(|file| folder.join(file));
        Pooler::new(settings).map_err(wrong)
    });
    poolers.collect()
}

/// A name that can be a file's and an object's.
fn is_name(name: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty() && name.len() <= 63 && !name.starts_with('-') && name.chars().all(is_allowed)
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
        let origin = Origin {
            folder: "/srv".into(),
            ..Origin::default()
        };
        Service::made(text, origin)
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
    fn what_contradicts_itself_is_refused_with_its_place() {
        for (from, to, words) in [
            (
                "kind: Service",
                "kind: Pod",
                "line 2 column 7: kind is `Pod`, expected `kind: Service`",
            ),
            (
                "pgha.dev/v1alpha1",
                "pgha.dev/v2",
                "line 1 column 13: apiVersion is `pgha.dev/v2`, expected `apiVersion: pgha.dev/v1alpha1`",
            ),
            (
                "{ name: zitadel }",
                "{ name: ../x }",
                "line 3 column 19: metadata.name is of small letters",
            ),
            (
                "name: core2,",
                "name: core1,",
                "line 7 column 7: two of spec.sites are called core1, expected",
            ),
            (
                "core2-admin",
                "core1-admin",
                "line 7 column 7: sites core1 and core2 are the same cluster, expected",
            ),
            (
                "    - { name: core2, context: core2-admin, namespace: prod, cluster: zitadel }\n",
                "",
                "line 6 column 5: spec.sites names fewer than two sites, expected two",
            ),
            (
                "core1: a, core2: b",
                "core1: a, core2: a",
                "line 12 column 40: two sites are both called `a`",
            ),
            (
                "  traffic:",
                "  poolers:\n    - { name: a, address: 'x:1', user: u, databases: [] }\n  traffic:",
                "line 9 column 7: spec.poolers: pooler a names no database",
            ),
        ] {
            let said = refusal(from, to);
            assert!(said.starts_with(words), "{said}");
        }
    }

    #[test]
    fn another_kind_is_told_before_what_it_holds() {
        let said = of("apiVersion: v1\nkind: Pod\nspec: { containers: [] }\n").unwrap_err();
        assert!(
            said.starts_with("line 1 column 13: apiVersion is `v1`"),
            "{said}"
        );
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
                "line 9 column 7: spec.app: statefulset/x would have no pods",
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
    fn a_change_is_read_and_its_mistakes_are_told_with_their_place() {
        let with =
            |change: &str| GOOD.replace("  traffic:", &format!("  change:\n{change}  traffic:"));
        let edit = "    edits:\n      - { site: core1, file: a.yaml }\n      - { site: core2, file: b.yaml }\n";
        let good = with(&format!(
            "    way: git\n    repository: ../platform\n{edit}"
        ));
        let service = of(&good).unwrap();
        assert!(service.desired().unwrap().is_some());
        assert!(of(GOOD).unwrap().desired().unwrap().is_none());
        let origin = Origin {
            is_remote: true,
            ..Origin::default()
        };
        let refused = Service::made(&good, origin).unwrap().desired().map(drop);
        let said = refused.unwrap_err().in_one_line();
        assert!(
            said.contains("line 9 column 5: a repository that a ConfigMap names"),
            "{said}"
        );
        for (from, to, words) in [
            (
                "    repository: ../platform\n",
                "",
                "line 9 column 5: spec.change: no repository is named",
            ),
            (
                "site: core2",
                "site: core3",
                "line 13 column 9: spec.change: there is no site `core3`",
            ),
            (
                "way: git",
                "way: gitt",
                "line 9 column 10: unknown variant `gitt`",
            ),
            ("way: git", "way: gitt", "did you mean `git`?"),
            (
                "repository:",
                "repo:",
                "line 10 column 5: unknown field `repo`",
            ),
            (
                "file: a.yaml",
                "file: ../a",
                "line 12 column 30: `../a` is not a path in the repository",
            ),
        ] {
            let said = of(&good.replace(from, to)).unwrap_err();
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
