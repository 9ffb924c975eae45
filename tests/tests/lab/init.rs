//! A service's file as `init` drafts it from a real pair: it is read, and a move by it is planned with the application.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use pgha_lab::cluster::USER;
use pgha_lab::kubectl::Kubectl;
use pgha_lab::site::{IMAGE_PAUSE, SERVICE_NAMESPACE, Site};
use pgha_lab::wait;
use pgha_tests::pair::{DEADLINE, Pair, STREAMING};
use serde_json::json;

const APP: &str = "pgha-suite-drafted";
const HOST: &str = "login.example.org";

/// What is in both sites for as long as the test runs.
struct Objects;

#[test]
fn a_move_is_planned_by_the_file_that_was_drafted() -> Result<()> {
    let Some(pair) = Pair::open(STREAMING)? else {
        return Ok(());
    };
    let from = pair.primary()?;
    pair.is_well(from)?;
    let to = from.other();
    let objects = Objects::make(from)?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("pgha.yaml");
    let file = file.to_str().context("a path that is no text")?;
    let sides = ["--from", from.name(), "--to", to.name()];
    let init = [&["init", STREAMING.cluster][..], &sides].concat();
    let drafted = pair.suite.run(&init)?;
    ensure!(
        drafted.code == Some(0) && drafted.stderr.is_empty(),
        "{drafted:?}"
    );
    let steps = drafted.stdout.lines().map(str::trim);
    let steps: Vec<&str> = steps
        .filter(|line| line.starts_with("- ") && !line.starts_with("- { name:"))
        .collect();
    ensure!(
        steps == [format!("- scale: {{ object: deployment/{APP} }}")],
        "{drafted:?}"
    );
    let url = format!("#url: \"http://{HOST}/\"");
    ensure!(drafted.stdout.contains(&url), "{drafted:?}");
    let written = [&init[..], &["--write", file]].concat();
    let first = pair.suite.run(&written)?;
    ensure!(first.code == Some(0), "{first:?}");
    ensure!(
        fs::read_to_string(file)? == drafted.stdout,
        "both are one text"
    );
    let again = pair.suite.run(&written)?;
    ensure!(again.code == Some(2), "{again:?}");
    let checked = pair.suite.run(&["lint", file])?;
    ensure!(checked.code == Some(0), "{checked:?}");
    let plan = ["switchover", STREAMING.cluster, "-f", file, "--to"];
    let planned = pair
        .suite
        .run(&[&plan[..], &[to.name(), "--dry-run"]].concat())?;
    let said = format!("deployment/{APP}: 2 pods, ready");
    ensure!(
        planned.code == Some(0) && planned.stdout.contains(&said),
        "{planned:?}"
    );
    drop(objects);
    pair.is_well(from)
}

impl Objects {
    fn make(primary: Site) -> Result<Self> {
        let objects = Self;
        for site in Site::ALL {
            let replicas = if site == primary { 2 } else { 0 };
            apply(site, replicas)?;
        }
        wait::until("the application to run", DEADLINE, || {
            let seen = Kubectl::new(primary).get(&["deployment", APP])?;
            ensure!(seen["status"]["readyReplicas"] == 2, "{seen}");
            Ok(())
        })?;
        Ok(objects)
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        for site in Site::ALL {
            let names = ["deployment", "service", "ingress"].map(|kind| format!("{kind}/{APP}"));
            let mut delete = vec!["delete", "--ignore-not-found"];
            delete.extend(names.iter().map(String::as_str));
            // What is left behind is removed with the lab.
            drop(Kubectl::new(site).run(&delete));
        }
    }
}

/// A workload that uses the pair by the Secret of its user, and an Ingress that leads to it.
fn apply(site: Site, replicas: u32) -> Result<()> {
    let secret = json!({"name": format!("{}-pguser-{USER}", STREAMING.cluster), "key": "password"});
    let env = json!([{"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": secret}}]);
    let container =
        json!({"name": "app", "image": IMAGE_PAUSE, "imagePullPolicy": "Never", "env": env});
    let metadata = json!({"name": APP, "namespace": SERVICE_NAMESPACE});
    let labels = json!({"app": APP});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels},
                "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]}}},
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata,
        "spec": {"selector": labels, "ports": [{"port": 80}]},
    });
    let backend = json!({"service": {"name": APP, "port": {"number": 80}}});
    let path = json!({"path": "/", "pathType": "Prefix", "backend": backend});
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata,
        "spec": {"rules": [{"host": HOST, "http": {"paths": [path]}}]},
    });
    let items =
        json!({"apiVersion": "v1", "kind": "List", "items": [deployment, service, ingress]});
    Kubectl::new(site).apply(&items.to_string())
}
