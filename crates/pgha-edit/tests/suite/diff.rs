//! The gate of a render: what it changed, and whether somebody expected it.

use pgha_edit::diff::{Difference, Expected, objects, unexpected};
use pgha_edit::yaml::documents;
use pgha_edit::{EditError, ObjectId, Problem};
use serde_json::json;

const BEFORE: &str = "\
apiVersion: postgres-operator.crunchydata.com/v1beta1
kind: PostgresCluster
metadata: {name: zitadel, namespace: prod}
spec:
  instances: [{name: a, replicas: 1}]
  dataSource: {pgbackrest: {stanza: db}}
  standby: {enabled: true}
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: one}, data: {a: x}}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: two}}
";

/// The same objects in another order, and other values.
const AFTER: &str = "\
{apiVersion: v1, kind: ConfigMap, metadata: {name: one}, data: {a: x}}
---
spec:
  standby: {enabled: false}
  instances: [{name: a, replicas: 2}]
kind: PostgresCluster
metadata: {namespace: prod, name: zitadel, annotations: {a/b: c}}
apiVersion: postgres-operator.crunchydata.com/v1beta1
---
{apiVersion: v1, kind: Secret, metadata: {name: three}}
";

fn of(before: &str, after: &str) -> Result<Vec<Difference>, EditError> {
    objects(&documents(before).unwrap(), &documents(after).unwrap())
}

fn lines(differences: &[&Difference]) -> Vec<String> {
    let line = |it: &&Difference| format!("{} {}", it.object.name, it.at);
    let mut lines: Vec<String> = differences.iter().map(line).collect();
    lines.sort();
    lines
}

fn expected(at: &[&str]) -> Expected {
    Expected {
        object: ObjectId {
            api_version: "postgres-operator.crunchydata.com/v1beta1".to_owned(),
            kind: "PostgresCluster".to_owned(),
            namespace: None,
            name: "zitadel".to_owned(),
        },
        at: at.iter().map(|at| at.parse().unwrap()).collect(),
    }
}

#[test]
fn objects_are_compared_and_not_lines() {
    let all = of(BEFORE, AFTER).unwrap();
    let seen = lines(&all.iter().collect::<Vec<_>>());
    assert_eq!(
        seen,
        [
            "three ",
            "two ",
            "zitadel /metadata/annotations/a~1b",
            "zitadel /spec/dataSource/pgbackrest/stanza",
            "zitadel /spec/instances/0/replicas",
            "zitadel /spec/standby/enabled",
        ]
    );
    let standby = all
        .iter()
        .find(|it| it.at.to_string() == "/spec/standby/enabled");
    let standby = standby.unwrap();
    assert_eq!(
        (&standby.old, &standby.new),
        (&Some(json!(true)), &Some(json!(false)))
    );
    assert_eq!(of(BEFORE, BEFORE).unwrap(), []);
}

#[test]
fn what_nobody_expected_closes_the_gate() {
    let all = of(BEFORE, AFTER).unwrap();
    let usual = expected(&["/spec/standby/enabled", "/spec/dataSource"]);
    let left = unexpected(&all, std::slice::from_ref(&usual));
    assert_eq!(
        lines(&left),
        [
            "three ",
            "two ",
            "zitadel /metadata/annotations/a~1b",
            "zitadel /spec/instances/0/replicas"
        ]
    );
    let more = expected(&["/spec/instances/*/replicas", "/metadata/annotations"]);
    let left = unexpected(&all, &[usual.clone(), more]);
    assert_eq!(lines(&left), ["three ", "two "]);
    let mut elsewhere = usual;
    elsewhere.object.namespace = Some("dev".to_owned());
    assert_eq!(unexpected(&all, &[elsewhere]).len(), all.len());
    // A pattern deeper than the difference does not cover it.
    let deep = expected(&["/spec/standby/enabled/x"]);
    assert_eq!(unexpected(&all, &[deep]).len(), all.len());
}

#[test]
fn a_mapping_that_is_new_counts_key_by_key() {
    let id = "apiVersion: v1\nkind: X\nmetadata: {name: a}\n";
    let with = |spec: &str| format!("{id}{spec}");
    for (before, after, at) in [
        (
            "",
            "spec: {standby: {enabled: true}}",
            "a /spec/standby/enabled",
        ),
        (
            "spec: {standby: {enabled: true}}",
            "",
            "a /spec/standby/enabled",
        ),
        ("", "spec: {}", "a /spec"),
        ("spec: {a: 1}", "spec: 1", "a /spec"),
        ("spec: [1, 2]", "spec: [1]", "a /spec"),
        ("spec: [1, 2]", "spec: [1, 3]", "a /spec/1"),
        ("spec: {a: null}", "spec: {}", "a /spec/a"),
    ] {
        let all = of(&with(before), &with(after)).unwrap();
        assert_eq!(
            lines(&all.iter().collect::<Vec<_>>()),
            [at],
            "{before} -> {after}"
        );
    }
}

#[test]
fn what_cannot_be_told_apart_is_refused() {
    let one = "{apiVersion: v1, kind: X, metadata: {name: a}}";
    let error = of(one, &format!("{one}\n---\n{one}")).unwrap_err();
    assert!(matches!(error.problem, Problem::Several { .. }), "{error}");
    let error = of(one, "a: 1").unwrap_err();
    assert!(matches!(error.problem, Problem::Nothing { .. }), "{error}");
}
