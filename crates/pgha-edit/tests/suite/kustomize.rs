//! Overlays as people write them.

use pgha_edit::kustomize::{Files, edited, setters};
use pgha_edit::yaml::Edit;
use pgha_edit::{EditError, ObjectId, Pointer, Problem};
use serde_json::{Value, json};

const CLUSTER: &str = "\
apiVersion: postgres-operator.crunchydata.com/v1beta1
kind: PostgresCluster
metadata:
  name: zitadel
spec:
  port: 5432
  standby:
    enabled: true # base
";

const ID: &str = "apiVersion: postgres-operator.crunchydata.com/v1beta1\nkind: PostgresCluster\nmetadata: {name: zitadel}\n";

fn files(all: &[(&str, &str)]) -> Files {
    let pair = |(path, text): &(&str, &str)| ((*path).to_owned(), (*text).to_owned());
    all.iter().map(pair).collect()
}

/// A base with the cluster, and an overlay `prod` with this kustomization.
fn overlay(kustomization: &str) -> Files {
    files(&[
        ("base/kustomization.yaml", "resources: [pg.yaml]\n"),
        ("base/pg.yaml", CLUSTER),
        ("prod/kustomization.yaml", kustomization),
    ])
}

fn cluster() -> ObjectId {
    ObjectId {
        api_version: "postgres-operator.crunchydata.com/v1beta1".to_owned(),
        kind: "PostgresCluster".to_owned(),
        namespace: Some("prod".to_owned()),
        name: "zitadel".to_owned(),
    }
}

fn at() -> Pointer {
    Pointer::new(["spec", "standby", "enabled"])
}

fn set(files: &Files, to: Value) -> Result<Option<(String, String)>, EditError> {
    let edit = Edit::Set { at: at(), to };
    edited(files, "prod", &cluster(), &edit)
}

/// The file that is edited, whose text is otherwise as it was.
fn flipped(files: &Files, old: &str, new: &str) -> String {
    let (file, text) = set(files, json!(false)).unwrap().unwrap();
    let before = &files[&file];
    assert_eq!(before.matches(old).count(), 1, "{before}");
    assert_eq!(text, before.replace(old, new));
    file
}

fn refusal(files: &Files) -> Problem {
    set(files, json!(false)).unwrap_err().problem
}

#[test]
fn a_resource_is_edited_where_nothing_patches_it() {
    let kustomization = "namespace: prod\nresources:\n- pg.yaml\n";
    let files = files(&[
        ("prod/kustomization.yaml", kustomization),
        ("prod/pg.yaml", CLUSTER),
    ]);
    let file = flipped(&files, "enabled: true # base", "enabled: false # base");
    assert_eq!(file, "prod/pg.yaml");
    assert_eq!(set(&files, json!(true)).unwrap(), None, "it is so already");
}

#[test]
fn an_overlays_patch_wins() {
    for patches in [
        "patches:\n- path: standby.yaml\n",
        "patches:\n- path: standby.yaml\n  target: {kind: PostgresCluster, group: postgres-operator.crunchydata.com}\n",
        "patchesStrategicMerge: [standby.yaml]\n",
    ] {
        let mut files = overlay(&format!("bases: [../base]\n{patches}"));
        let patch = format!("{ID}spec: {{standby: {{enabled: true}}}} # here\n");
        files.insert("prod/standby.yaml".to_owned(), patch);
        let file = flipped(&files, "enabled: true}", "enabled: false}");
        assert_eq!(file, "prod/standby.yaml", "{patches}");
    }
}

#[test]
fn an_inline_patch_is_edited_in_its_block() {
    for kustomization in [
        "resources:\n- ../base\npatches: # ours\n- patch: |-\n    apiVersion: postgres-operator.crunchydata.com/v1beta1\n    kind: PostgresCluster\n    metadata:\n      name: zitadel\n\n    spec:\n      standby:\n        enabled: true # now\n  target:\n    name: zitadel\nnamespace: prod\n",
        "resources:\n- ../base\npatchesStrategicMerge:\n- |\n  apiVersion: postgres-operator.crunchydata.com/v1beta1\n  kind: PostgresCluster\n  metadata:\n    name: zitadel\n  spec:\n    standby:\n      enabled: true # now\n",
        "resources:\n- ../base\npatches:\n- target: {kind: PostgresCluster}\n  patch: |\n    - op: replace\n      path: /spec/standby/enabled\n      value: true # now\n",
        "resources:\r\n- ../base\r\npatchesJson6902:\r\n- target: {kind: PostgresCluster}\r\n  patch: |-\r\n    - op: test\r\n      path: /spec/port\r\n      value: 5432\r\n    - {op: add, path: /spec/standby/enabled, value: true}",
    ] {
        let files = overlay(kustomization);
        let (old, new) = if kustomization.contains("# now") {
            ("true # now", "false # now")
        } else {
            ("value: true}", "value: false}")
        };
        assert_eq!(flipped(&files, old, new), "prod/kustomization.yaml");
    }
}

#[test]
fn what_a_patch_lacks_is_put_into_it_and_not_into_the_base() {
    let mut files = overlay("resources: [../base]\npatches: [{path: port.yaml}]\n");
    files.insert(
        "prod/port.yaml".to_owned(),
        format!("{ID}spec:\n  port: 5433\n"),
    );
    let edit = Edit::Set {
        at: Pointer::new(["spec", "dataSource"]),
        to: json!({"volumes": {}}),
    };
    let (file, text) = edited(&files, "prod", &cluster(), &edit).unwrap().unwrap();
    assert_eq!(file, "prod/port.yaml");
    assert_eq!(
        text,
        format!("{ID}spec:\n  port: 5433\n  dataSource:\n    volumes: {{}}\n")
    );
}

#[test]
fn a_base_is_edited_only_where_nobody_else_uses_it() {
    let mut files = overlay("resources: [../base]\n");
    let file = flipped(&files, "enabled: true # base", "enabled: false # base");
    assert_eq!(file, "base/pg.yaml");
    let other = "resources: [../base/]\n".to_owned();
    files.insert("dev/kustomization.yml".to_owned(), other);
    assert!(matches!(refusal(&files), Problem::Unsupported { .. }));
}

#[test]
fn a_removal_needs_one_place() {
    let gone = Edit::Remove {
        at: Pointer::new(["spec", "standby"]),
    };
    let mut files = overlay("resources: [../base]\npatches: [{path: p.yaml}]\n");
    files.insert("prod/p.yaml".to_owned(), format!("{ID}spec:\n  port: 1\n"));
    let (file, text) = edited(&files, "prod", &cluster(), &gone).unwrap().unwrap();
    assert_eq!(
        (file.as_str(), text.contains("standby")),
        ("base/pg.yaml", false)
    );
    files.insert(
        "prod/p.yaml".to_owned(),
        format!("{ID}spec:\n  standby: {{enabled: true}}\n"),
    );
    let error = edited(&files, "prod", &cluster(), &gone).unwrap_err();
    assert!(
        error.to_string().contains("prod/p.yaml, base/pg.yaml"),
        "{error}"
    );
    let absent = Edit::Remove {
        at: Pointer::new(["spec", "dataSource"]),
    };
    assert_eq!(edited(&files, "prod", &cluster(), &absent).unwrap(), None);
}

#[test]
fn what_is_not_understood_is_refused() {
    let target = "target: {kind: PostgresCluster}";
    let json = |operation: &str| {
        format!("resources: [../base]\npatches:\n- {target}\n  patch: |\n    - {operation}\n")
    };
    for kustomization in [
        "resources: [../base]\ncomponents: [../c]\n".to_owned(),
        "resources: [../base]\nreplacements: []\n".to_owned(),
        "resources: [../base]\nnamePrefix: x-\n".to_owned(),
        "resources: [../base]\nsomethingNew: 1\n".to_owned(),
        "resources: [https://example.org/x]\n".to_owned(),
        "resources: [example.org/repo?ref=v1]\n".to_owned(),
        "resources: [../base]\npatches: [{patch: 'a: {b: 1}', target: {labelSelector: a=b}}]\n"
            .to_owned(),
        "resources: [../base]\npatches: [{patch: 'a: {b: 1}', target: {name: 'zit.*'}}]\n"
            .to_owned(),
        format!(
            "resources: [../base]\npatches: [{{patch: 'spec: {{standby: {{enabled: true}}}}', {target}}}]\n"
        ),
        format!(
            "resources: [../base]\npatches: [{{patch: 'spec: {{standby: null}}', {target}}}]\n"
        ),
        format!(
            "resources: [../base]\npatches: [{{patch: 'spec: {{standby: {{$patch: delete}}}}', {target}}}]\n"
        ),
        json("{op: remove, path: /spec/standby/enabled}"),
        json("{op: replace, path: /spec/standby, value: {enabled: true}}"),
        json("{op: move, from: /spec/standby/enabled, path: /spec/x}"),
        json("{op: test, path: /spec/standby/enabled, value: true}"),
        "- a\n".to_owned(),
    ] {
        let problem = refusal(&overlay(&kustomization));
        assert!(
            matches!(problem, Problem::Unsupported { .. }),
            "{kustomization}: {problem}"
        );
    }
}

#[test]
fn the_object_is_there_once_and_a_circle_ends() {
    let none = files(&[("prod/kustomization.yaml", "resources: []\n")]);
    assert!(matches!(refusal(&none), Problem::Nothing { .. }));
    let twice = overlay("resources: [../base, ../base]\n");
    assert!(matches!(refusal(&twice), Problem::Several { count: 2, .. }));
    let circle = files(&[("prod/kustomization.yaml", "resources: [../prod]\n")]);
    assert!(matches!(refusal(&circle), Problem::Unsupported { .. }));
    let two = overlay("resources: [../base]\npatches: [{path: a.yaml}, {path: a.yaml}]\n");
    let mut two = two;
    two.insert(
        "prod/a.yaml".to_owned(),
        format!("{ID}spec: {{standby: {{enabled: true}}}}\n"),
    );
    assert!(matches!(refusal(&two), Problem::Several { count: 2, .. }));
    let missing = overlay("resources: [../base]\npatches: [{path: none.yaml}]\n");
    assert!(matches!(refusal(&missing), Problem::Nothing { .. }));
}

#[test]
fn every_place_is_named_the_winner_first() {
    let mut files = overlay("resources: [../base]\npatches: [{path: a.yaml}]\n");
    files.insert("prod/a.yaml".to_owned(), format!("{ID}spec: {{port: 1}}\n"));
    let all = setters(&files, "prod/", &cluster(), &at()).unwrap();
    let all: Vec<_> = all.iter().map(|it| (it.file.as_str(), it.is_set)).collect();
    assert_eq!(all, [("prod/a.yaml", false), ("base/pg.yaml", true)]);
}

#[test]
fn a_place_in_an_inline_patch_is_the_files() {
    let patch = "resources:\n- ../base\npatches:\n- target: {name: zitadel}\n  patch: |\n    spec:\n      standby:\n        enabled: 'true'\n";
    let error = set(&overlay(patch), json!(false)).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("in prod/kustomization.yaml:8:18: "),
        "{error}"
    );
}

#[test]
fn a_name_in_a_kustomization_does_not_steer_the_terminal() {
    let name = "resources: [../base]\npatches: [{path: \"a\\e[2J\\nb\"}]\n";
    let said = set(&overlay(name), json!(false)).unwrap_err().to_string();
    assert!(said.contains("prod/a\\u{1b}[2J | b"), "{said}");
}
