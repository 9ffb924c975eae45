//! Every command under the role that is published for it: nothing is refused, and nothing in the role goes unused.
//!
//! The judge is the API server's audit log, in which each request stands with its user and what was decided.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pgha_lab::cluster::{Patroni, Standby, primary_site};
use pgha_lab::kubectl::Kubectl;
use pgha_lab::paths;
use pgha_lab::site::{SERVICE_NAMESPACE, Site};
use pgha_lab::wait;
use pgha_tests::{Ended, Suite, give_own_password, manifest, service_file};
use serde_json::{Value, json};

use crate::application::apply;
use crate::application::steps::{apply_job, apply_service};

const CLUSTER: &str = "roles";
const SECRET: &str = "roles-pguser-zitadel";
const VIEWER: &str = "pgha-suite-viewer";
const SITES: [Site; 2] = [Site::Core1, Site::Core2];

/// A verb on a resource, with the namespace; a name where the role has one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rule {
    namespace: String,
    group: String,
    resource: String,
    verb: String,
    names: Vec<String>,
}

/// A request as the audit log has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Request {
    namespace: String,
    group: String,
    resource: String,
    verb: String,
    name: String,
    is_allowed: bool,
}

/// An account at both sites, bound to what some manifests permit.
struct Account {
    name: &'static str,
    rules: Vec<Rule>,
    kubeconfig: PathBuf,
    /// How long each site's audit log was when the account was made.
    begins: Vec<(Site, u64)>,
}

/// One test after the other: they share a pair, which takes minutes to make.
#[test]
fn every_role_permits_its_commands_and_no_more() -> Result<()> {
    let Some(suite) = Suite::open_for_full()? else {
        return Ok(());
    };
    // A pair that was never moved: its record is still to be created.
    suite.fresh_pair(CLUSTER, Standby::Archive, Patroni::V4_1)?;
    let result = as_operator(&suite)
        .and_then(|()| as_viewer(&suite))
        .and_then(|()| as_secret_keeper(&suite))
        .and_then(|()| as_mover_of_the_application(&suite));
    result.and(forget_accounts())
}

/// After the operator: only then is there a history.
fn as_viewer(suite: &Suite) -> Result<()> {
    let viewer = Account::make(VIEWER, &["viewer.yaml"])?;
    let (from, to) = sides()?;
    let both = ["--context", "core1", "--context", "core2"];
    viewer.run(suite, &["leader", CLUSTER, "--context", from.name()])?;
    viewer.run(suite, &[&["history", CLUSTER][..], &both].concat())?;
    let there = ["--from", from.name(), "--to", to.name()];
    viewer.run(suite, &[&["init", CLUSTER][..], &there].concat())?;
    let status = viewer.plugin(suite, &[&["status", CLUSTER][..], &both].concat())?;
    // What only Postgres could tell is undecided for who may not ask it.
    ensure!(matches!(status.code, Some(0 | 3)), "{status:?}");
    viewer.complete(suite)?;
    viewer.judge()
}

fn as_operator(suite: &Suite) -> Result<()> {
    let operator = Account::make("pgha-suite-operator", &["operator.yaml"])?;
    let (from, to) = sides()?;
    let (from, to) = (from.name(), to.name());
    let there = ["--from", from, "--to", to];
    operator.run(suite, &["status", CLUSTER, "--context", from])?;
    operator.complete(suite)?;
    operator.run(suite, &[&["validate", CLUSTER][..], &there].concat())?;
    operator.run(suite, &[&["init", CLUSTER][..], &there].concat())?;
    operator.run(suite, &["backup", CLUSTER, "--context", from, "--verify"])?;
    operator.run(
        suite,
        &[&["switchover", CLUSTER, "--yes"][..], &there].concat(),
    )?;
    // Back by the single steps.
    operator.run(
        suite,
        &["demote", CLUSTER, "--context", to, "--peer", from, "--yes"],
    )?;
    operator.run(
        suite,
        &["promote", CLUSTER, "--context", from, "--peer", to, "--yes"],
    )?;
    operator.run(suite, &["restart", CLUSTER, "--context", from, "--yes"])?;
    operator.run(suite, &["shutdown", CLUSTER, "--context", to, "--yes"])?;
    operator.run(suite, &["startup", CLUSTER, "--context", to, "--yes"])?;
    let image = ["--postgres-image", Patroni::V4_1.image()];
    let upgrade = ["upgrade", CLUSTER, "--context", to, "--yes"];
    operator.run(suite, &[&upgrade[..], &image].concat())?;
    for command in ["resume", "abort"] {
        let ended = operator.plugin(suite, &[&[command, CLUSTER, "--yes"][..], &there].concat())?;
        // There is nothing to go on with.
        ensure!(matches!(ended.code, Some(0 | 3)), "{command}: {ended:?}");
    }
    operator.run(
        suite,
        &["history", CLUSTER, "--context", from, "--context", to],
    )?;
    operator.judge()
}

fn as_secret_keeper(suite: &Suite) -> Result<()> {
    let keeper = Account::make("pgha-suite-keeper", &["operator.yaml", "secrets.yaml"])?;
    let (from, to) = sides()?;
    give_own_password(to, SECRET)?;
    let sync = [
        "sync-secrets",
        CLUSTER,
        "--from",
        from.name(),
        "--to",
        to.name(),
        "--yes",
    ];
    keeper.run(suite, &sync)?;
    let sides = ["--context", from.name(), "--peer", to.name()];
    let reset = ["reset-password", CLUSTER, "--user", "zitadel", "--yes"];
    keeper.run(suite, &[&reset[..], &sides].concat())?;
    // What the operator's role has beside is the other test's.
    let own = permitted("secrets.yaml")?;
    keeper.judge_rules(&own)
}

/// The manifest names a Deployment and a Service that are called like the cluster, and a Job that sets up something.
fn as_mover_of_the_application(suite: &Suite) -> Result<()> {
    let mover = Account::make("pgha-suite-mover", &["operator.yaml", "application.yaml"])?;
    let (from, to) = sides()?;
    let setup = format!("{CLUSTER}-setup");
    for site in SITES {
        apply(site, CLUSTER, u32::from(site == from), site == from)?;
        let app = if site == from { "app" } else { "page" };
        apply_service(site, CLUSTER, app)?;
        apply_job(site, &setup)?;
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("pgha.yaml");
    let app = format!(
        "  app:
    - job: {{ object: job/{setup}, recreate: true }}
    - scale: {{ object: deployment/{CLUSTER} }}
    - annotate: {{ object: deployment/{CLUSTER}, key: suite.pgha.dev/reconcile, standby: disabled }}
    - restart: {{ object: deployment/{CLUSTER} }}
    - select: {{ object: service/{CLUSTER}, primary: {{ app: app }}, standby: {{ app: page }} }}
"
    );
    fs::write(&file, service_file(CLUSTER, &app))?;
    let file = file.to_str().context("a path that is no text")?;
    let move_there = [
        "switchover",
        "zitadel",
        "-f",
        file,
        "--to",
        to.name(),
        "--yes",
    ];
    let result = mover.run(suite, &move_there);
    for site in SITES {
        let kubectl = Kubectl::new(site);
        for [kind, name] in [
            ["deployment", CLUSTER],
            ["service", CLUSTER],
            ["job", setup.as_str()],
        ] {
            kubectl.run(&["delete", kind, name])?;
        }
    }
    result?;
    let own = permitted("application.yaml")?;
    mover.judge_rules(&own)
}

fn sides() -> Result<(Site, Site)> {
    let from = primary_site(CLUSTER)?;
    Ok((from, from.other()))
}

impl Account {
    fn make(name: &'static str, manifests: &[&str]) -> Result<Self> {
        let mut rules = Vec::new();
        for site in SITES {
            let kubectl = Kubectl::new(site);
            let metadata = json!({"name": name, "namespace": SERVICE_NAMESPACE});
            let account =
                json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata});
            kubectl.apply(&account.to_string())?;
            for file in manifests {
                kubectl.apply(&manifest(file, CLUSTER)?)?;
            }
        }
        for file in manifests {
            for role in roles(file)? {
                bind(name, &role)?;
            }
            rules.extend(permitted(file)?);
        }
        let kubeconfig = kubeconfig(name)?;
        for site in SITES {
            await_permitted(site, name, &rules)?;
        }
        let begins = SITES.map(|site| Ok((site, fs::metadata(paths::audit_log(site))?.len())));
        Ok(Self {
            name,
            rules,
            kubeconfig,
            begins: begins.into_iter().collect::<Result<_>>()?,
        })
    }

    fn plugin(&self, suite: &Suite, command: &[&str]) -> Result<Ended> {
        let path = self.kubeconfig.to_str().context("a path that is no text")?;
        suite.run(&[command, &["--kubeconfig", path]].concat())
    }

    fn run(&self, suite: &Suite, command: &[&str]) -> Result<()> {
        let ended = self.plugin(suite, command)?;
        ensure!(ended.code == Some(0), "{command:?}: {ended:?}");
        Ok(())
    }

    /// A name that is not finished is looked up in the list of clusters.
    fn complete(&self, suite: &Suite) -> Result<()> {
        let path = self.kubeconfig.to_str().context("a path that is no text")?;
        let words = [
            "__complete",
            "leader",
            "--context",
            "core1",
            "--kubeconfig",
            path,
            "ro",
        ];
        let ended = suite.run(&words)?;
        let offers = ended.stdout.lines().any(|line| line == CLUSTER);
        ensure!(offers, "not offered: {ended:?}");
        Ok(())
    }

    fn judge(&self) -> Result<()> {
        self.judge_rules(&self.rules)
    }

    /// Every request was allowed, and each of these rules was used.
    fn judge_rules(&self, rules: &[Rule]) -> Result<()> {
        let requests = self.requests()?;
        let refused: Vec<_> = requests
            .iter()
            .filter(|request| !request.is_allowed && !self.goes_without(request))
            .collect();
        ensure!(refused.is_empty(), "{} lacks {refused:#?}", self.name);
        let unused: Vec<_> = rules
            .iter()
            .filter(|rule| !requests.iter().any(|request| rule.permits(request)))
            .filter(|rule| !is_for_later(rule))
            .collect();
        ensure!(unused.is_empty(), "{} does not need {unused:#?}", self.name);
        Ok(())
    }

    /// Where Patroni's word is not enough, `status` asks Postgres, and says less to those who may open no container.
    fn goes_without(&self, request: &Request) -> bool {
        self.name == VIEWER && request.resource == "pods/exec"
    }

    /// What both sites were asked by this account since it was made. The log is written before the answer is sent, except
    /// for what is still open: an exec that just ended.
    fn requests(&self) -> Result<BTreeSet<Request>> {
        let user = format!("system:serviceaccount:{SERVICE_NAMESPACE}:{}", self.name);
        let read = || {
            let mut requests = BTreeSet::new();
            for (site, from) in &self.begins {
                let mut log = File::open(paths::audit_log(*site))?;
                log.seek(SeekFrom::Start(*from))?;
                for line in BufReader::new(log).lines() {
                    // The last line may be half written.
                    let Ok(event) = serde_json::from_str::<Value>(&line?) else {
                        continue;
                    };
                    if event["user"]["username"] == user.as_str() {
                        requests.extend(Request::of(&event));
                    }
                }
            }
            Ok::<_, anyhow::Error>(requests)
        };
        wait::until(
            "the account's requests in the audit log",
            Duration::from_secs(10),
            || {
                let requests = read()?;
                ensure!(!requests.is_empty(), "there are none yet");
                Ok(requests)
            },
        )
    }
}

impl Rule {
    fn permits(&self, request: &Request) -> bool {
        request.is_allowed
            && self.namespace == request.namespace
            && self.group == request.group
            && self.resource == request.resource
            && self.verb == request.verb
            && (self.names.is_empty() || self.names.contains(&request.name))
    }
}

impl Request {
    /// A request for a resource; reviews of one's own rights are everybody's and no part of a role.
    fn of(event: &Value) -> Option<Self> {
        let object = event.get("objectRef")?;
        let text = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
        let resource = text("resource");
        if resource.starts_with("selfsubject") {
            return None;
        }
        let resource = match object["subresource"].as_str() {
            Some(part) => format!("{resource}/{part}"),
            None => resource,
        };
        Some(Self {
            namespace: text("namespace"),
            group: text("apiGroup"),
            // Behind a proxy the name is `https:POD:PORT`.
            name: text("name"),
            resource,
            verb: event["verb"].as_str()?.to_owned(),
            is_allowed: event["annotations"]["authorization.k8s.io/decision"] == "allow",
        })
    }
}

/// Until Kubernetes 1.35 nobody asks whether a connection over WebSocket may `create` an exec.
fn is_for_later(rule: &Rule) -> bool {
    rule.resource == "pods/exec" && rule.verb == "create"
}

/// The Roles of a manifest as the API server keeps them.
fn roles(file: &str) -> Result<Vec<Value>> {
    let text = manifest(file, CLUSTER)?;
    let mut roles = Vec::new();
    for document in text
        .split("\n---\n")
        .filter(|it| it.lines().any(|line| line == "kind: Role"))
    {
        let field = |name: &str| {
            let lines = document
                .lines()
                .filter_map(|line| line.trim().strip_prefix(name));
            lines
                .map(str::trim)
                .next()
                .with_context(|| format!("{file} has no {name}"))
        };
        let (name, namespace) = (field("name:")?, field("namespace:")?);
        roles.push(Kubectl::new(Site::Core1).get(&["role", name, "--namespace", namespace])?);
    }
    ensure!(!roles.is_empty(), "{file} has no Role");
    Ok(roles)
}

fn permitted(file: &str) -> Result<Vec<Rule>> {
    let texts = |value: &Value| -> Vec<String> {
        let texts = value.as_array().into_iter().flatten();
        texts
            .filter_map(|text| text.as_str().map(str::to_owned))
            .collect()
    };
    let mut rules = Vec::new();
    for role in roles(file)? {
        for rule in role["rules"].as_array().into_iter().flatten() {
            for group in texts(&rule["apiGroups"]) {
                for resource in texts(&rule["resources"]) {
                    for verb in texts(&rule["verbs"]) {
                        let namespace = role["metadata"]["namespace"].as_str().unwrap_or_default();
                        rules.push(Rule {
                            namespace: namespace.to_owned(),
                            group: group.clone(),
                            resource: resource.clone(),
                            verb,
                            names: texts(&rule["resourceNames"]),
                        });
                    }
                }
            }
        }
    }
    Ok(rules)
}

/// Binds the account to a Role, at both sites.
fn bind(account: &str, role: &Value) -> Result<()> {
    let namespace = &role["metadata"]["namespace"];
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": format!("{account}-{}", role["metadata"]["name"].as_str().unwrap_or_default()),
            "namespace": namespace, "labels": {LABEL: "true"}},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role["metadata"]["name"]},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": SERVICE_NAMESPACE}],
    });
    for site in SITES {
        Kubectl::new(site).apply(&binding.to_string())?;
    }
    Ok(())
}

/// An API server knows a new Role some time after it has taken it. It is asked by a review: `kubectl auth can-i` does not know a
/// kind that is not installed, of which a rule may be all the same.
fn await_permitted(site: Site, account: &str, rules: &[Rule]) -> Result<()> {
    let user = format!("system:serviceaccount:{SERVICE_NAMESPACE}:{account}");
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("review.json");
    for rule in rules {
        let (resource, part) = rule
            .resource
            .split_once('/')
            .unwrap_or((&rule.resource, ""));
        let asked = json!({
            "namespace": rule.namespace, "group": rule.group, "resource": resource, "subresource": part,
            "verb": rule.verb, "name": rule.names.first().map_or("", String::as_str),
        });
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {"user": user, "resourceAttributes": asked},
        });
        fs::write(&file, review.to_string())?;
        let path = file.to_str().context("a path that is no text")?;
        let ask = ["create", "--output", "json", "--filename", path];
        wait::until("a new Role", Duration::from_secs(10), || {
            let answer: Value = serde_json::from_str(&Kubectl::new(site).run(&ask)?)?;
            ensure!(answer["status"]["allowed"] == true, "{asked} is denied");
            Ok(())
        })?;
    }
    Ok(())
}

/// On each binding of this suite.
const LABEL: &str = "pgha.dev/suite-roles";

/// The lab's kubeconfig with this account at both sites.
fn kubeconfig(account: &str) -> Result<PathBuf> {
    let view = ["config", "view", "--raw", "--flatten", "-o", "json"];
    let mut config: Value = serde_json::from_str(&Kubectl::new(Site::Core1).run(&view)?)?;
    for site in SITES {
        let token = Kubectl::new(site).run(&["create", "token", account, "--duration=30m"])?;
        let contexts = config["contexts"].as_array().into_iter().flatten();
        let mut contexts = contexts.filter(|context| context["name"] == site.name());
        let user = contexts.next().context("no context")?["context"]["user"].clone();
        let users = config["users"].as_array_mut().into_iter().flatten();
        for named in users.filter(|named| named["name"] == user) {
            named["user"] = json!({"token": token.trim()});
        }
    }
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(account);
    fs::write(&path, config.to_string()).with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}

fn forget_accounts() -> Result<()> {
    let of_suite = format!("{LABEL}=true");
    for site in SITES {
        let kubectl = Kubectl::new(site);
        kubectl.run(&[
            "delete",
            "rolebinding",
            "--all-namespaces",
            "--selector",
            &of_suite,
        ])?;
        for account in [
            "pgha-suite-viewer",
            "pgha-suite-operator",
            "pgha-suite-keeper",
            "pgha-suite-mover",
        ] {
            kubectl.run(&["delete", "serviceaccount", account, "--ignore-not-found"])?;
        }
        for file in [
            "viewer.yaml",
            "operator.yaml",
            "secrets.yaml",
            "application.yaml",
        ] {
            for document in manifest(file, CLUSTER)?.split("\n---\n") {
                let lines = document.lines().map(str::trim);
                let field = |name: &str| {
                    lines
                        .clone()
                        .find_map(|line| line.strip_prefix(name))
                        .map(str::trim)
                };
                if let (Some(kind), Some(name), Some(namespace)) =
                    (field("kind:"), field("name:"), field("namespace:"))
                {
                    let kind = kind.to_lowercase();
                    kubectl.run(&[
                        "delete",
                        &kind,
                        name,
                        "--namespace",
                        namespace,
                        "--ignore-not-found",
                    ])?;
                }
            }
        }
    }
    Ok(())
}
