//! Users whom objects of Kubernetes lead, on a real API server: a Service by its selector, then a route by its weights.
//!
//! The lab has no gateway; the test says what one would say in the route's status.

mod between;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pgha_lab::cluster::Patroni;
use pgha_lab::kubectl::Kubectl;
use pgha_lab::paths;
use pgha_lab::site::{SERVICE_NAMESPACE, Site};
use pgha_lab::wait;
use pgha_tests::{Ended, Suite, account, finish, service_file};
use serde_json::{Value, json};
use tempfile::TempDir;

use self::between::Between;
use crate::web::serve;

/// The name of each object, and how each label begins.
const NAME: &str = "pgha-suite-objects";

/// The site whose API server has the objects.
const AT: Site = Site::Core1;

/// How long anything may take here.
const SOON: Duration = Duration::from_secs(20);

/// The objects, and the service's file.
struct House {
    suite: Suite,
    folder: TempDir,
}

#[test]
fn objects_lead_users_on_a_real_api_server() -> Result<()> {
    let Some(house) = House::open()? else {
        return Ok(());
    };
    users_are_moved_and_taken_back(&house)?;
    what_another_writer_did_is_not_overwritten(&house)?;
    a_permission_that_is_missing_is_told(&house)
}

fn users_are_moved_and_taken_back(house: &House) -> Result<()> {
    let before = specs()?;
    let planned = house.run(&["plan", "--to", "core1"], &paths::kubeconfig())?;
    ensure!(planned.code == Some(0), "{planned:?}");
    let line = format!(
        "+HTTPRoute {SERVICE_NAMESPACE}/{NAME} at core1: weights of rule 1 = core1 100, core2 0"
    );
    ensure!(planned.stdout.contains(&line), "{planned:?}");
    let moved = house.run_with_gateway(&["move", "--to", "core1", "--yes", "--allow-standby"])?;
    ensure!(moved.code == Some(0), "{moved:?}");
    let [service, route] = specs()?;
    ensure!(
        service["selector"] == json!({"app": label("core1")}),
        "{service}"
    );
    let weights = |rule: usize| {
        let backends = route["rules"][rule]["backendRefs"]
            .as_array()
            .into_iter()
            .flatten();
        backends
            .map(|backend| backend["weight"].clone())
            .collect::<Vec<_>>()
    };
    // The first rule is nobody's, and keeps what the API server has filled in.
    ensure!(
        (weights(0), weights(1)) == (vec![json!(1)], vec![json!(100), json!(0)]),
        "{route}"
    );
    let back = house.run_with_gateway(&["rollback", "--yes", "--allow-standby"])?;
    ensure!(back.code == Some(0), "{back:?}");
    ensure!(specs()? == before, "{:?}", specs()?);
    gateway_reads()
}

/// The route changes after the last look, while the patch of the Service is under way.
fn what_another_writer_did_is_not_overwritten(house: &House) -> Result<()> {
    let before = specs()?;
    let between = Between::start(AT, || {
        let changed = patch_route(
            &json!({"op": "replace", "path": "/spec/rules/1/backendRefs/1/weight", "value": 7}),
        );
        changed.and_then(|()| gateway_reads())
    })?;
    let kubeconfig = house.kubeconfig("between", |config| {
        for cluster in config["clusters"].as_array_mut().into_iter().flatten() {
            cluster["cluster"] = json!({"server": format!("http://{}", between.at)});
        }
        for user in config["users"].as_array_mut().into_iter().flatten() {
            user["user"] = json!({});
        }
    })?;
    let refused = house.run(
        &["move", "--to", "core1", "--yes", "--allow-standby"],
        &kubeconfig,
    )?;
    ensure!(refused.code == Some(3), "{refused:?}");
    for words in ["not as it was when the plan was made", "effect: nothing"] {
        ensure!(refused.stderr.contains(words), "{refused:?}");
    }
    let [service, route] = specs()?;
    ensure!(between.was_used(), "no patch came by");
    // The Service had changed, and was taken back.
    ensure!(service["selector"] == before[0]["selector"], "{service}");
    let backend = &route["rules"][1]["backendRefs"];
    ensure!(
        backend[0]["weight"] == 0 && backend[1]["weight"] == 7,
        "{route}"
    );
    Ok(())
}

fn a_permission_that_is_missing_is_told(house: &House) -> Result<()> {
    let group = "gateway.networking.k8s.io";
    let rules = json!([
        {"apiGroups": [""], "resources": ["services"], "verbs": ["get", "patch"]},
        {"apiGroups": [group], "resources": ["httproutes"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list"]},
    ]);
    let kubectl = Kubectl::new(AT);
    kubectl.apply(&account(NAME, &rules).to_string())?;
    let user = format!("system:serviceaccount:{SERVICE_NAMESPACE}:{NAME}");
    for (verb, resource) in [
        ("get", format!("httproutes.{group}")),
        ("patch", "services".to_owned()),
    ] {
        let ask = ["auth", "can-i", verb, &resource, "--as", &user];
        wait::until("a new Role", SOON, || kubectl.run(&ask).map(drop))?;
    }
    let token = kubectl.run(&["create", "token", NAME, "--duration=10m"])?;
    let kubeconfig = house.kubeconfig("poor", |config| {
        for user in config["users"].as_array_mut().into_iter().flatten() {
            user["user"] = json!({"token": token.trim()});
        }
    })?;
    let before = specs()?;
    let refused = house.run(
        &["move", "--to", "core1", "--yes", "--allow-standby"],
        &kubeconfig,
    )?;
    ensure!(refused.code == Some(3), "{refused:?}");
    ensure!(
        refused.stderr.contains("you may not patch httproutes"),
        "{refused:?}"
    );
    ensure!(!refused.stderr.contains("patch services"), "{refused:?}");
    ensure!(specs()? == before, "{:?}", specs()?);
    Ok(())
}

impl House {
    fn open() -> Result<Option<Self>> {
        let Some(suite) = Suite::open()? else {
            return Ok(None);
        };
        let folder = tempfile::tempdir()?;
        let house = Self { suite, folder };
        let kubectl = Kubectl::new(AT);
        kubectl.apply(&definition().to_string())?;
        let crd = ["crd", "httproutes.gateway.networking.k8s.io"];
        let is_served = |crd: &Value| {
            let mut conditions = crd["status"]["conditions"].as_array().into_iter().flatten();
            conditions.any(|it| it["type"] == "Established" && it["status"] == "True")
        };
        kubectl.wait_for("the kind HTTPRoute", &crd, SOON, is_served)?;
        wait::until("a served HTTPRoute", SOON, || {
            kubectl.apply(&objects().to_string())
        })?;
        gateway_reads()?;
        for site in Site::ALL {
            let pod = ["pod", &label(site.name())];
            kubectl.wait_for("a pod", &pod, SOON, |pod| {
                pod["status"]["phase"] == "Running"
            })?;
        }
        let at = serve(|| leads_to().unwrap_or_default())?;
        fs::write(house.file(), service(at))?;
        Ok(Some(house))
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("pgha.yaml")
    }

    fn start(&self, args: &[&str], kubeconfig: &Path) -> Result<Child> {
        let (verb, rest) = args.split_first().context("no verb")?;
        let mut command = self.suite.plugin();
        command
            .args(["traffic", verb, "--file"])
            .arg(self.file())
            .args(rest);
        command.env("KUBECONFIG", kubeconfig);
        command.env("XDG_STATE_HOME", self.folder.path());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().context("kubectl-pgha does not start")
    }

    fn run(&self, args: &[&str], kubeconfig: &Path) -> Result<Ended> {
        finish(self.start(args, kubeconfig)?)
    }

    /// Runs a command that changes the route, which a gateway reads then.
    fn run_with_gateway(&self, args: &[&str]) -> Result<Ended> {
        let before = generation(&route()?);
        let started = self.start(args, &paths::kubeconfig())?;
        let is_changed = |route: &Value| generation(route) > before;
        let changed = Kubectl::new(AT).wait_for("a change", &["httproute", NAME], SOON, is_changed);
        // A command that changed nothing has more to say about it than the wait.
        drop(changed.and_then(|_| gateway_reads()));
        finish(started)
    }

    /// The lab's kubeconfig with a change.
    fn kubeconfig(&self, name: &str, change: impl FnOnce(&mut Value)) -> Result<PathBuf> {
        let view = ["config", "view", "--raw", "--flatten", "-o", "json"];
        let mut config: Value = serde_json::from_str(&Kubectl::new(AT).run(&view)?)?;
        change(&mut config);
        let path = self.folder.path().join(name);
        fs::write(&path, config.to_string())?;
        Ok(path)
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let kinds = "httproute,service,pod,rolebinding,role,serviceaccount";
        let selected = ["delete", kinds, "--selector", NAME, "--now", "--wait=false"];
        // A test that failed has its own error to show.
        drop(Kubectl::new(AT).run(&selected));
        drop(Kubectl::new(AT).run(&[
            "delete",
            "rolebinding,role,serviceaccount",
            NAME,
            "--ignore-not-found",
        ]));
    }
}

fn label(site: &str) -> String {
    format!("{NAME}-{site}")
}

fn route() -> Result<Value> {
    Kubectl::new(AT).get(&["httproute", NAME])
}

fn generation(object: &Value) -> i64 {
    object["metadata"]["generation"]
        .as_i64()
        .unwrap_or_default()
}

/// What is wanted of the Service and of the route.
fn specs() -> Result<[Value; 2]> {
    let mut service = Kubectl::new(AT).get(&["service", NAME])?;
    Ok([service["spec"].take(), route()?["spec"].take()])
}

/// Which site's pods the Service leads to.
fn leads_to() -> Result<String> {
    let [service, _] = specs()?;
    let app = service["selector"]["app"].as_str().unwrap_or_default();
    Ok(app
        .trim_start_matches(NAME)
        .trim_start_matches('-')
        .to_owned())
}

fn patch_route(operation: &Value) -> Result<()> {
    let patch = format!("--patch={}", json!([operation]));
    let run = Kubectl::new(AT).run(&["patch", "httproute", NAME, "--type=json", &patch]);
    run.map(drop)
}

/// A gateway has accepted the route as it is now.
fn gateway_reads() -> Result<()> {
    let condition = |kind: &str, generation: i64| json!({"type": kind, "status": "True", "reason": kind, "observedGeneration": generation});
    let generation = generation(&route()?);
    let parent = json!({"parentRef": {"name": "edge"}, "controllerName": "pgha.dev/suite",
        "conditions": [condition("Accepted", generation), condition("ResolvedRefs", generation)]});
    let patch = format!("--patch={}", json!({"status": {"parents": [parent]}}));
    let status = ["--subresource=status", "--type=merge", &patch];
    let run = Kubectl::new(AT).run(&[&["patch", "httproute", NAME][..], &status].concat());
    run.map(drop)
}

/// The kind `HTTPRoute` with the fields that are used here. It stays: the next run takes it.
fn definition() -> Value {
    let weight = json!({"type": "integer", "format": "int32", "default": 1, "minimum": 0});
    let backend =
        json!({"type": "object", "properties": {"name": {"type": "string"}, "weight": weight}});
    let backends = json!({"type": "array", "items": backend});
    let rule = json!({"type": "object", "properties": {"name": {"type": "string"}, "backendRefs": backends}});
    let spec = json!({"type": "object", "properties": {"rules": {"type": "array", "items": rule}}});
    let status = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let schema = json!({"type": "object", "properties": {"spec": spec, "status": status}});
    // The API server wants this on every kind of a group of Kubernetes' own.
    let approved = json!({"api-approved.kubernetes.io": "unapproved, a few fields for tests"});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "httproutes.gateway.networking.k8s.io", "annotations": approved},
        "spec": {"group": "gateway.networking.k8s.io", "scope": "Namespaced",
            "names": {"kind": "HTTPRoute", "listKind": "HTTPRouteList", "plural": "httproutes", "singular": "httproute"},
            "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": schema}}]}})
}

/// A pod for each site, and a Service and a route that lead to core2.
fn objects() -> Value {
    let metadata = |name: &str| json!({"name": name, "namespace": SERVICE_NAMESPACE, "labels": {NAME: "true", "app": name}});
    let pod = |site: Site| {
        let container = json!({"name": "idle", "image": Patroni::V4_1.image(), "imagePullPolicy": "Never",
            "command": ["sleep", "600"]});
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata(&label(site.name())),
            "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]}})
    };
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata(NAME),
        "spec": {"selector": {"app": label("core2")}, "ports": [{"port": 80}]}});
    let (one, other) = (
        json!({"name": "core1", "weight": 0}),
        json!({"name": "core2", "weight": 100}),
    );
    let rules = json!([{"name": "static", "backendRefs": [{"name": "core1"}]}, {"name": "login", "backendRefs": [one, other]}]);
    let route = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": metadata(NAME),
        "spec": {"rules": rules}});
    json!({"apiVersion": "v1", "kind": "List", "items": [pod(Site::Core1), pod(Site::Core2), service, route]})
}

fn service(at: SocketAddr) -> String {
    let (one, other) = (label("core1"), label("core2"));
    let traffic = format!(
        "  traffic:
    - kubernetes:
        id: objects
        routes:
          - name: http
            in: [{{ site: core1 }}]
            field: {{ selector: {{ service: {NAME} }} }}
            sites: {{ core1: {{ app: {one} }}, core2: {{ app: {other} }} }}
          - name: https
            in: [{{ context: core1, namespace: {SERVICE_NAMESPACE} }}]
            field: {{ weights: {{ kind: HTTPRoute, name: {NAME}, rule: 1 }} }}
            sites: {{ core1: core1, core2: core2 }}
    - probe:
        route: http
        url: http://login.example/
        family: v4
        connectTo: {at}
        evidence: [{{ header: {{ name: x-pool, values: {{ core1: core1, core2: core2 }} }} }}]
"
    );
    service_file("zitadel", &traffic)
}
