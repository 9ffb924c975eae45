//! `kubectl pgha init`.

use std::fs;

use pgha_testkit::pgo::{Kind, pair};
use pgha_testkit::{Failure, FakeCluster, Fault};
use serde_json::{Value, json};

use crate::assert_said;
use crate::bench::{Bench, NAMESPACE, Ran, assert_untouched, cluster, now, primary, standby};

const INIT: [&str; 6] = ["init", "zitadel", "--from", "core1", "--to", "core2"];

/// Two sites with an application that runs at core1.
struct Sites {
    first: FakeCluster,
    second: FakeCluster,
    bench: Bench,
}

fn sites() -> Sites {
    let (first, second) = pair(Kind::ArchiveStandby, "zitadel", NAMESPACE, now());
    let (first, second) = (cluster(&first.managed_by_flux()), cluster(&second));
    for (site, replicas) in [(&first, 2), (&second, 0)] {
        site.insert(deployment(replicas));
        site.insert(json!({"apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": "zitadel-setup", "namespace": NAMESPACE}, "spec": {"template": template()}}));
        site.insert(json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "login", "namespace": NAMESPACE}, "spec": {"selector": {"app": "zitadel"}}}));
        let path = json!({"path": "/", "backend": {"service": {"name": "login"}}});
        let host = "login.example.org";
        site.insert(json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": "login", "namespace": NAMESPACE},
            "spec": {"tls": [{"hosts": [host]}], "rules": [{"host": host, "http": {"paths": [path]}}]}}));
        let edge = json!({"name": "p", "image": "bitnami/pgbouncer:1", "env": [{"name": "HOST", "value": "zitadel-primary"}]});
        site.insert(json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "edge", "namespace": NAMESPACE}, "spec": {"template": {"spec": {"containers": [edge]}}}}));
    }
    let bench = Bench::new(&[("core1", &first), ("core2", &second)]);
    Sites {
        first,
        second,
        bench,
    }
}

fn template() -> Value {
    let secret = json!({"name": "zitadel-pguser-zitadel", "key": "password"});
    let env = json!([{"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": secret}}, {"name": "TOKEN", "value": "s3cret"}]);
    json!({"metadata": {"labels": {"app": "zitadel"}}, "spec": {"containers": [{"name": "app", "image": "x", "env": env}]}})
}

fn deployment(replicas: u32) -> Value {
    let name = json!({"name": "zitadel", "namespace": NAMESPACE});
    let spec = json!({"replicas": replicas, "selector": {"matchLabels": {"app": "zitadel"}}, "template": template()});
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": name, "spec": spec})
}

impl Sites {
    fn init(&self, more: &[&str]) -> Ran {
        self.bench.run(&[&INIT[..], more].concat())
    }

    /// Puts what was said into a file beside the kubeconfig.
    fn file(&self, text: &str) -> String {
        let path = self.bench.home().join("pgha.yaml");
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

#[test]
fn a_file_is_drafted_from_both_sites() {
    let sites = sites();
    let ran = sites.init(&[]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran}");
    assert!(!ran.stdout.contains("s3cret"), "{ran}");
    assert_untouched(&[&sites.first, &sites.second]);
    let secrets = |site: &FakeCluster| site.requests().iter().any(|it| it.resource == "secrets");
    assert!(!secrets(&sites.first) && !secrets(&sites.second));
    let file = sites.file(&ran.stdout);
    let lint = sites.bench.run(&["lint", &file, "-o", "json"]);
    let view: Value = serde_json::from_str(&lint.stdout).unwrap();
    assert_eq!(
        (lint.code, &view["files"][0]["appSteps"]),
        (Some(0), &json!(1)),
        "{lint}"
    );
    // By the file both sites are found again.
    let status = sites.bench.run(&["status", "-f", &file, "-o", "name"]);
    assert_eq!(status.stdout.lines().count(), 2, "{status}");
    assert_said!(ran);
}

#[test]
fn a_file_that_is_there_is_left_alone_unless_it_is_to_be_replaced() {
    let sites = sites();
    let text = sites.init(&[]).stdout;
    let path = sites.bench.home().join("new.yaml");
    let path = path.to_str().unwrap();
    let written = sites.init(&["--write", path]);
    assert_eq!(
        (written.code, written.stdout.as_str()),
        (Some(0), ""),
        "{written}"
    );
    assert_eq!(fs::read_to_string(path).unwrap(), text);
    fs::write(path, "mine").unwrap();
    sites.first.forget_requests();
    let refused = sites.init(&["--write", path]);
    assert_eq!(fs::read_to_string(path).unwrap(), "mine");
    assert!(
        sites.first.requests().is_empty(),
        "it is seen before anything is asked"
    );
    let replaced = sites.init(&["--write", path, "--force"]);
    assert_eq!(replaced.code, Some(0), "{replaced}");
    assert_eq!(fs::read_to_string(path).unwrap(), text);
    let nowhere = sites.init(&["--write", "/nowhere/pgha.yaml"]);
    for (ran, code, said) in [
        (
            written,
            0,
            "Wrote [HOME]/new.yaml. Read it, then `kubectl pgha lint [HOME]/new.yaml`.",
        ),
        (
            refused,
            2,
            "error: [HOME]/new.yaml is there already\neffect: nothing was changed\nhint: Name another file, or give --force",
        ),
        (
            nowhere,
            3,
            "error: /nowhere/pgha.yaml cannot be written: No such file or directory (os error 2)\neffect: nothing",
        ),
    ] {
        assert_eq!(ran.code, Some(code), "{ran}");
        assert!(
            ran.stdout.is_empty() && ran.stderr.starts_with(said),
            "{ran}"
        );
    }
    let beside = fs::read_dir(sites.bench.home()).unwrap();
    let left = beside.filter(|it| {
        it.as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .contains(".tmp")
    });
    assert_eq!(left.count(), 0);
}

#[test]
fn what_may_not_be_listed_is_told_and_written() {
    let sites = sites();
    for resource in ["ingresses", "jobs"] {
        sites
            .second
            .fail(Fault::new(Failure::Forbidden).resource(resource));
    }
    let ran = sites.init(&[]);
    assert_eq!(ran.code, Some(0), "{ran}");
    for resource in ["ingresses", "jobs"] {
        let said = format!("`core2` does not permit you to list {resource} in namespace `prod`");
        assert!(
            ran.stderr.contains(&said) && ran.stdout.contains(&said),
            "{said}: {ran}"
        );
    }
    assert_eq!(
        sites.bench.run(&["lint", &sites.file(&ran.stdout)]).code,
        Some(0)
    );
}

#[test]
fn sides_that_have_no_file_together_are_refused() {
    let other = Bench::two(&(primary(), standby().system_identifier("8")));
    let same = Bench::new(&[
        ("core1", &cluster(&primary())),
        ("core2", &cluster(&primary())),
    ]);
    let mut gone = Bench::two(&(primary(), standby()));
    gone.stop(1);
    let denied = cluster(&standby());
    denied.fail(Fault::new(Failure::Forbidden).resource("postgresclusters"));
    let denied = Bench::new(&[("core1", &cluster(&primary())), ("core2", &denied)]);
    let broken = cluster(&standby());
    broken.fail(Fault::new(Failure::Internal("the store is away")).resource("services"));
    let broken = Bench::new(&[("core1", &cluster(&primary())), ("core2", &broken)]);
    assert_said!(
        other.run(&INIT),
        same.run(&INIT),
        gone.run(&INIT),
        denied.run(&INIT),
        broken.run(&INIT),
        Bench::two(&(primary(), standby()))
            .run(&["init", "keycloak", "--from", "core1", "--to", "core2"]),
    );
}

#[test]
fn arguments_that_mean_nothing_are_refused() {
    let bench = Bench::two(&(primary(), standby()));
    assert_said!(
        bench.run(&["init", "zitadel"]),
        bench.run(&["init", "--from", "core1", "--to", "core2"]),
        bench.run(&["init", "zitadel", "--from", "core1", "--to", "core1"]),
        bench.run(&["init", "zitadel", "--from", "core1", "--to", "core9"]),
        bench.run(&[&INIT[..], &["--force"]].concat()),
        bench.run(&[&INIT[..], &["-o", "json"]].concat()),
    );
}

/// A move goes between namespaces of one name, and so does a file.
#[test]
fn namespaces_that_differ_are_refused() {
    let bench = Bench::two(&(primary(), standby()));
    let text = fs::read_to_string(bench.kubeconfig()).unwrap();
    let mut kubeconfig: Value = serde_json::from_str(&text).unwrap();
    kubeconfig["contexts"][1]["context"]["namespace"] = json!("test");
    fs::write(bench.kubeconfig(), kubeconfig.to_string()).unwrap();
    let refused = bench.run(&INIT);
    assert_eq!(refused.code, Some(2), "{refused}");
    assert!(
        refused
            .stderr
            .contains("different namespaces, `prod` and `test`"),
        "{refused}"
    );
    let named = bench.run(&[&INIT[..], &["-n", "prod"]].concat());
    assert_eq!(named.code, Some(0), "{named}");
}
