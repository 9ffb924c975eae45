//! What makes pods, and whether these use a cluster.

use std::collections::BTreeMap;

use kube::ResourceExt as _;
use pgha_model::owner::Owner;
use serde_json::Value;

use super::{items, labels_at, text};
use crate::application::KEPT;
use crate::diagnose::sanitised;
use crate::gitops::signs;
use crate::k8s::{self, ApiResource, DynamicObject};
use crate::operator::pgo_v5::program::{hosts, is_operators, is_user_secret};

/// The annotation by which Flux leaves an object alone (kustomize-controller, "Controlling the apply behavior of resources").
pub const RECONCILE: &str = "kustomize.toolkit.fluxcd.io/reconcile";

/// The port of a pooler by custom: PgBouncer's `listen_port` [default: 6432] (PgBouncer documentation, Configuration).
const POOLER_PORT: u64 = 6432;

/// What makes pods, in the order in which an application is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WorkloadKind {
    /// `batch/v1` Job.
    Job,
    /// `apps/v1` `StatefulSet`.
    StatefulSet,
    /// `apps/v1` Deployment.
    Deployment,
    /// `batch/v1` `CronJob`.
    CronJob,
}

impl WorkloadKind {
    pub(super) const ALL: [Self; 4] = [
        Self::Job,
        Self::StatefulSet,
        Self::Deployment,
        Self::CronJob,
    ];

    /// As kubectl calls one.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::StatefulSet => "statefulset",
            Self::Deployment => "deployment",
            Self::CronJob => "cronjob",
        }
    }

    pub(super) fn resource(self) -> ApiResource {
        let (group, kind, plural) = match self {
            Self::Job => ("batch", "Job", "jobs"),
            Self::StatefulSet => ("apps", "StatefulSet", "statefulsets"),
            Self::Deployment => ("apps", "Deployment", "deployments"),
            Self::CronJob => ("batch", "CronJob", "cronjobs"),
        };
        k8s::resource(group, "v1", kind, plural)
    }

    const fn template(self) -> &'static str {
        match self {
            Self::Job | Self::StatefulSet | Self::Deployment => "/spec/template",
            Self::CronJob => "/spec/jobTemplate/spec/template",
        }
    }
}

/// How much of a pod is a pooler, as far as its image and its ports tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolerPart {
    /// No container.
    None,
    /// Some containers, beside others.
    Beside,
    /// Every container.
    Whole,
}

/// What makes pods that use the cluster, or that are a pooler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// What it is.
    pub kind: WorkloadKind,
    /// Its name, as the API server has it.
    pub name: String,
    /// How many pods it is to have; `None` for a Job and a `CronJob`.
    pub replicas: Option<u32>,
    /// Whether a Job or a `CronJob` is suspended.
    pub suspended: bool,
    /// Where it refers to the cluster, a clause each; none for a pooler of which it is not seen where it leads.
    pub uses: Vec<String>,
    /// Whether it is a pooler.
    pub pooler: PoolerPart,
    /// Who else writes it, by the signs on it.
    pub owners: Vec<Owner>,
    /// What its annotation [`RECONCILE`] says.
    pub reconcile: Option<String>,
    /// The labels of its pods.
    pub labels: BTreeMap<String, String>,
}

/// What a program that uses the cluster refers to.
pub(super) struct Names {
    cluster: String,
    namespace: String,
    hosts: [String; 3],
}

impl Names {
    pub(super) fn of(cluster: &str, namespace: &str) -> Self {
        Self {
            cluster: cluster.to_owned(),
            namespace: namespace.to_owned(),
            hosts: hosts(cluster),
        }
    }

    /// The cluster's host that a text names: alone, with its namespace, or in a URL.
    fn host_in(&self, text: &str) -> Option<&str> {
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        text.split(|c: char| !is_of_name(c)).find_map(|word| {
            let mut labels = word.split('.');
            let first = labels.next()?;
            let host = self.hosts.iter().find(|host| *host == first)?;
            let is_here = labels
                .next()
                .is_none_or(|namespace| namespace.is_empty() || namespace == self.namespace);
            is_here.then_some(host.as_str())
        })
    }
}

impl Workload {
    /// What an object says; `None` for the operator's own, and for what neither refers to the cluster nor is a pooler.
    pub(super) fn read(kind: WorkloadKind, object: &DynamicObject, names: &Names) -> Option<Self> {
        if is_operators(object) || is_anothers_part(kind, object) {
            return None;
        }
        let data = &object.data;
        let template = data.pointer(kind.template())?;
        let uses = uses(template, names);
        let pooler = pooler_part(template);
        if uses.is_empty() && pooler != PoolerPart::Whole {
            return None;
        }
        let scales = matches!(kind, WorkloadKind::Deployment | WorkloadKind::StatefulSet);
        // Kubernetes API reference, DeploymentSpec, `replicas`: defaults to 1.
        let replicas = data
            .pointer("/spec/replicas")
            .map_or(1, |it| it.as_u64().unwrap_or(1));
        Some(Self {
            kind,
            name: object.name_any(),
            replicas: scales.then(|| u32::try_from(replicas).unwrap_or(u32::MAX)),
            suspended: data.pointer("/spec/suspend") == Some(&Value::Bool(true)),
            uses,
            pooler,
            owners: signs(object),
            reconcile: object.annotations().get(RECONCILE).cloned(),
            labels: labels_at(template, "/metadata/labels"),
        })
    }

    /// `deployment/zitadel`.
    pub fn object(&self) -> String {
        format!("{}/{}", self.kind.word(), self.name)
    }

    /// Where it refers to a Secret of the cluster: `env DB_PASSWORD of app`.
    pub fn places_of(&self, secret: &str) -> Vec<&str> {
        let begins = format!("Secret {} (", sanitised(secret));
        let places = self.uses.iter().filter_map(|it| it.strip_prefix(&begins));
        places.filter_map(|it| it.strip_suffix(')')).collect()
    }
}

/// A Job that a `CronJob` makes is told with that; one that pgha keeps stands for another.
fn is_anothers_part(kind: WorkloadKind, object: &DynamicObject) -> bool {
    let of_cron_job = object
        .owner_references()
        .iter()
        .any(|owner| owner.kind == "CronJob");
    kind == WorkloadKind::Job && (of_cron_job || object.annotations().contains_key(KEPT))
}

fn containers(template: &Value) -> impl Iterator<Item = &Value> {
    items(template, "/spec/containers")
}

fn pooler_part(template: &Value) -> PoolerPart {
    let (poolers, others): (Vec<_>, Vec<_>) = containers(template).partition(|it| is_pooler(it));
    match (poolers.is_empty(), others.is_empty()) {
        (true, _) => PoolerPart::None,
        (false, true) => PoolerPart::Whole,
        (false, false) => PoolerPart::Beside,
    }
}

fn is_pooler(container: &Value) -> bool {
    let image = text(container, "/image").unwrap_or_default();
    let image = image.split('@').next().unwrap_or_default();
    let image = image.rsplit('/').next().unwrap_or_default();
    let listens = items(container, "/ports")
        .any(|port| port.get("containerPort").and_then(Value::as_u64) == Some(POOLER_PORT));
    image.contains("pgbouncer") || listens
}

/// Where a template refers to the cluster. The values of variables are looked at and not kept: they may be secrets.
fn uses(template: &Value, names: &Names) -> Vec<String> {
    let mut uses = Vec::new();
    for container in containers(template).chain(items(template, "/spec/initContainers")) {
        of_container(container, names, &mut uses);
    }
    for volume in items(template, "/spec/volumes") {
        let name = text(volume, "/name").unwrap_or_default();
        let projected =
            items(volume, "/projected/sources").map(|source| text(source, "/secret/name"));
        for secret in std::iter::once(text(volume, "/secret/secretName")).chain(projected) {
            uses.extend(of_secret(secret, names, &format!("volume {name}")));
        }
    }
    let mut clean: Vec<String> = Vec::new();
    for found in uses {
        let found = sanitised(&found);
        if !clean.contains(&found) {
            clean.push(found);
        }
    }
    clean
}

fn of_container(container: &Value, names: &Names, uses: &mut Vec<String>) {
    let of = text(container, "/name").unwrap_or_default();
    for variable in items(container, "/env") {
        let name = text(variable, "/name").unwrap_or_default();
        let place = format!("env {name} of {of}");
        let secret = text(variable, "/valueFrom/secretKeyRef/name");
        uses.extend(of_secret(secret, names, &place));
        let host = text(variable, "/value").and_then(|value| names.host_in(value));
        uses.extend(host.map(|host| format!("host {host} ({place})")));
    }
    for source in items(container, "/envFrom") {
        let secret = text(source, "/secretRef/name");
        uses.extend(of_secret(secret, names, &format!("envFrom of {of}")));
    }
    let words = ["/command", "/args"]
        .into_iter()
        .flat_map(|part| items(container, part))
        .filter_map(Value::as_str);
    for host in words.filter_map(|word| names.host_in(word)) {
        uses.push(format!("host {host} (arguments of {of})"));
    }
}

fn of_secret(secret: Option<&str>, names: &Names, place: &str) -> Option<String> {
    let secret = secret.filter(|name| is_user_secret(&names.cluster, name))?;
    Some(format!("Secret {secret} ({place})"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(template: &Value) -> Option<Workload> {
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "zitadel"},
            "spec": {"template": {"spec": template}}});
        let object = serde_json::from_value(object).unwrap();
        let names = Names::of("zitadel", "prod");
        Workload::read(WorkloadKind::Deployment, &object, &names)
    }

    fn of_env(variable: &Value) -> Vec<String> {
        let template = json!({"containers": [{"name": "app", "env": [variable]}]});
        found(&template).map(|it| it.uses).unwrap_or_default()
    }

    #[test]
    fn a_secret_is_found_wherever_a_template_refers_to_it() {
        let secret = "zitadel-pguser-app";
        let env = json!({"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": secret, "key": "password"}}});
        for (template, place) in [
            (
                json!({"containers": [{"name": "app", "env": [env]}]}),
                "env DB_PASSWORD of app",
            ),
            (
                json!({"initContainers": [{"name": "setup", "env": [env]}]}),
                "env DB_PASSWORD of setup",
            ),
            (
                json!({"containers": [{"name": "app", "envFrom": [{"secretRef": {"name": secret}}]}]}),
                "envFrom of app",
            ),
            (
                json!({"volumes": [{"name": "db", "secret": {"secretName": secret}}]}),
                "volume db",
            ),
            (
                json!({"volumes": [{"name": "all", "projected": {"sources": [{"configMap": {"name": "x"}},
                {"secret": {"name": secret}}]}}]}),
                "volume all",
            ),
        ] {
            let found = found(&template).unwrap();
            assert_eq!(found.uses, [format!("Secret {secret} ({place})")]);
            assert_eq!(found.places_of(secret), [place]);
            assert_eq!(found.places_of("zitadel-pguser-ap"), [""; 0]);
        }
        let other = json!({"name": "P", "valueFrom": {"secretKeyRef": {"name": "other-pguser-app", "key": "password"}}});
        assert_eq!(of_env(&other), [""; 0]);
    }

    #[test]
    fn a_host_is_found_alone_in_a_url_and_with_its_own_namespace() {
        for (value, host) in [
            ("zitadel-primary", Some("zitadel-primary")),
            (
                "zitadel-primary.prod.svc.cluster.local.",
                Some("zitadel-primary"),
            ),
            (
                "postgres://app:s3cret@zitadel-ha.prod.svc:5432/app",
                Some("zitadel-ha"),
            ),
            (
                "host=zitadel-pgbouncer port=5432",
                Some("zitadel-pgbouncer"),
            ),
            ("zitadel-primary.", Some("zitadel-primary")),
            ("zitadel-primary.test.svc", None),
            ("my-zitadel-primary", None),
            ("zitadel-primary-2", None),
            ("old_zitadel-primary", None),
            ("zitadel", None),
            ("", None),
        ] {
            let uses = of_env(&json!({"name": "DB", "value": value}));
            let expected = host.map(|host| format!("host {host} (env DB of app)"));
            assert_eq!(uses, expected.into_iter().collect::<Vec<_>>(), "{value}");
        }
        let arguments =
            json!({"containers": [{"name": "app", "args": ["--host", "zitadel-primary"]}]});
        assert_eq!(
            found(&arguments).unwrap().uses,
            ["host zitadel-primary (arguments of app)"]
        );
    }

    #[test]
    fn a_pooler_is_told_by_its_image_or_its_port() {
        let container = |image: &str, port: u64| json!({"name": "c", "image": image, "ports": [{"containerPort": port}]});
        let pgbouncer = container("registry.example:5000/bitnami/pgbouncer:1.24", 1);
        let other = container("registry.example/app:1", 80);
        let part =
            |containers: Value| found(&json!({"containers": containers})).map(|it| it.pooler);
        assert_eq!(part(json!([pgbouncer])), Some(PoolerPart::Whole));
        assert_eq!(
            part(json!([container("edge", 6432)])),
            Some(PoolerPart::Whole)
        );
        assert_eq!(
            part(json!([pgbouncer, other])),
            None,
            "whose database it is for is not seen"
        );
        assert_eq!(part(json!([container("pgbouncer.example/app", 80)])), None);
        let mut beside = other.clone();
        beside["env"] = json!([{"name": "DB", "value": "zitadel-primary"}]);
        assert_eq!(part(json!([pgbouncer, beside])), Some(PoolerPart::Beside));
    }

    #[test]
    fn what_is_of_no_right_form_is_not_found_and_harms_nothing() {
        for template in [
            json!(null),
            json!([]),
            json!({"containers": "x"}),
            json!({"containers": [null, 7, {"env": {}, "args": [null], "image": 7, "ports": [7]}]}),
            json!({"volumes": [{"secret": "zitadel-pguser-app"}]}),
        ] {
            assert_eq!(found(&template), None, "{template}");
        }
    }
}
