//! Every patch of an operator's object, against the operator's real CRDs.
//!
//! The CRDs are not in this tree: `PGHA_TEST_CRDS` names a folder that holds them. Without it the test says skipped.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that calls them"
)]

use std::fs;
use std::path::PathBuf;

use pgha_core::operator::pgo_v5::{backup, render};
use pgha_core::patch::ObjectPatch;
use pgha_model::backup::BackupPlan;
use pgha_model::survey::Images;
use serde_json::{Map, Value, json};

#[test]
fn every_patch_leaves_an_object_that_the_real_crd_takes_whole() {
    let Some(folder) = folder() else {
        println!("skipped: PGHA_TEST_CRDS names no folder with the operators' CRDs");
        return;
    };
    let mut checked = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.starts_with("postgresclusters-") {
            continue;
        }
        let schema = schema_of(&fs::read_to_string(&path).unwrap());
        for (what, patch) in patches() {
            judge(&name, what, &schema, &patch);
            checked += 1;
        }
    }
    assert!(
        checked > 0,
        "PGHA_TEST_CRDS holds no postgresclusters-*.yaml"
    );
    println!("checked {checked} patches");
}

#[test]
fn a_field_that_the_schema_does_not_know_is_found() {
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object",
        "properties": {"paused": {"type": "boolean"}}}}});
    assert_eq!(
        pruned(&json!({"spec": {"paused": true}}), &schema, ""),
        Vec::<String>::new()
    );
    assert_eq!(
        pruned(&json!({"spec": {"pause": true}}), &schema, ""),
        ["/spec/pause"]
    );
}

#[expect(
    clippy::disallowed_methods,
    reason = "where the CRDs are is the caller's to say"
)]
fn folder() -> Option<PathBuf> {
    std::env::var_os("PGHA_TEST_CRDS").map(PathBuf::from)
}

fn schema_of(yaml: &str) -> Value {
    let crd: Value = serde_saphyr::from_str(yaml).unwrap();
    let versions = crd["spec"]["versions"].as_array().unwrap();
    let served = versions
        .iter()
        .find(|version| version["name"] == "v1beta1")
        .unwrap();
    served["schema"]["openAPIV3Schema"].clone()
}

fn object() -> Value {
    json!({
        "apiVersion": "postgres-operator.crunchydata.com/v1beta1",
        "kind": "PostgresCluster",
        "metadata": {"name": "zitadel", "uid": "1", "resourceVersion": "1", "annotations": {}},
        "spec": {
            "postgresVersion": 15,
            "standby": {"enabled": false, "repoName": "repo1"},
            "instances": [{"name": "pgha1", "replicas": 2, "dataVolumeClaimSpec": {
                "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}],
            "backups": {"pgbackrest": {"repos": [{"name": "repo1",
                "s3": {"bucket": "b", "endpoint": "e", "region": "r"}}]}},
        },
    })
}

fn patches() -> Vec<(&'static str, ObjectPatch)> {
    let object = object();
    let mut held = object.clone();
    held["spec"]["paused"] = json!(true);
    let section = |json: Value| -> Map<String, Value> { json.as_object().unwrap().clone() };
    let streaming = section(json!({"host": "10.0.0.1", "port": 5432, "repoName": "repo1"}));
    let images = Images {
        postgres: Some("registry.example/postgres:15.15".to_owned()),
        pgbackrest: Some("registry.example/pgbackrest:2.57".to_owned()),
    };
    let plan = BackupPlan {
        repo: "repo1".to_owned(),
        options: vec!["--type=full".to_owned()],
    };
    vec![
        ("hold", render::hold(&object, "zitadel", true)),
        ("unhold", render::unhold(&held, "zitadel", None)),
        (
            "unhold to false",
            render::unhold(&held, "zitadel", Some(&json!(false))),
        ),
        (
            "standby",
            render::standby(
                &object,
                "zitadel",
                &section(json!({"repoName": "repo1"})),
                true,
            ),
        ),
        (
            "streaming standby",
            render::standby(&held, "zitadel", &streaming, true),
        ),
        (
            "primary",
            render::standby(&object, "zitadel", &streaming, false),
        ),
        ("shutdown", render::shutdown(&object, "zitadel", true, None)),
        (
            "startup as a standby",
            render::shutdown(&object, "zitadel", false, Some(&streaming)),
        ),
        ("images", render::images(&object, "zitadel", &images)),
        (
            "backup",
            backup::request(&object, "zitadel", "2026-11-21T00:00:00Z", &plan),
        ),
    ]
}

fn judge(crd: &str, what: &str, schema: &Value, patch: &ObjectPatch) {
    let mut after = object();
    if what.starts_with("unhold") || what == "streaming standby" {
        after["spec"]["paused"] = json!(true);
    }
    json_patch::patch(&mut after, &patch.operations).unwrap();
    let validator = jsonschema::validator_for(schema).unwrap();
    let errors: Vec<_> = validator
        .iter_errors(&after)
        .map(|error| error.to_string())
        .collect();
    assert_eq!(errors, Vec::<String>::new(), "{what} on {crd}");
    assert_eq!(
        pruned(&after, schema, ""),
        Vec::<String>::new(),
        "{what} on {crd}"
    );
}

/// What an API server would drop in silence: fields that the schema does not know.
fn pruned(value: &Value, schema: &Value, at: &str) -> Vec<String> {
    if at == "/metadata" || schema["x-kubernetes-preserve-unknown-fields"] == true {
        return Vec::new();
    }
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| {
                let at = format!("{at}/{name}");
                let known = &schema["properties"][name];
                match (known.is_null(), &schema["additionalProperties"]) {
                    (false, _) => pruned(value, known, &at),
                    (true, Value::Null | Value::Bool(false)) => vec![at],
                    (true, any) => pruned(value, any, &at),
                }
            })
            .collect(),
        Value::Array(items) => items
            .iter()
            .flat_map(|item| pruned(item, &schema["items"], at))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}
