//! YAML as people write it.

use pgha_edit::yaml::{Edit, Target, documents, edited};
use pgha_edit::{EditError, ObjectId, Place, Pointer, Problem};
use serde_json::{Value, json};

const CLUSTER: &str = include_str!("../../../../fuzz/corpus/yaml_edit/cluster.yaml");
const CRLF: &str = include_str!("../../../../fuzz/corpus/yaml_edit/crlf.yaml");
const JSON: &str = include_str!("../../../../fuzz/corpus/yaml_edit/flow.json");

fn cluster() -> Target {
    Target::Object(ObjectId {
        api_version: "postgres-operator.crunchydata.com/v1beta1".to_owned(),
        kind: "PostgresCluster".to_owned(),
        namespace: Some("prod-iam-zitadel".to_owned()),
        name: "zitadel".to_owned(),
    })
}

fn pointer(at: &str) -> Pointer {
    at.parse().unwrap()
}

fn set(at: &str, to: Value) -> Edit {
    let at = pointer(at);
    Edit::Set { at, to }
}

fn remove(at: &str) -> Edit {
    Edit::Remove { at: pointer(at) }
}

fn sole(text: &str, edit: Edit) -> Result<String, EditError> {
    edited(text, &Target::Sole, &[edit])
}

/// The same text with one part of it replaced, which is there once.
fn with(text: &str, old: &str, new: &str) -> String {
    assert_eq!(text.matches(old).count(), 1, "{old}");
    text.replace(old, new)
}

#[test]
fn the_runbooks_diff_is_one_line_changed_and_one_key_removed() {
    let edits = [
        set("/spec/standby/enabled", json!(false)),
        remove("/spec/dataSource"),
    ];
    let after = edited(CLUSTER, &cluster(), &edits).unwrap();
    let wanted = with(
        CLUSTER,
        "enabled: true # flipped",
        "enabled: false # flipped",
    );
    let (start, end) = ("  dataSource:\n", "\n  instances:");
    let gone = &CLUSTER[CLUSTER.find(start).unwrap()..CLUSTER.find(end).unwrap()];
    assert_eq!(after, with(&wanted, gone, ""));
}

#[test]
fn a_text_keeps_its_quotes_and_gets_some_where_it_needs_them() {
    for (text, to, wanted) in [
        ("a: 'x' # c", "it's", "a: 'it''s' # c"),
        ("a: \"x\"", "say \"y\" \\", "a: \"say \\\"y\\\" \\\\\""),
        ("a: x", "core1", "a: core1"),
        ("a: x", "yes", "a: \"yes\""),
        ("a: x", "1", "a: \"1\""),
        ("a: x", "b: c", "a: \"b: c\""),
        ("a: x", "", "a: \"\""),
        ("a: {b: c}", "d, e", "a: {b: \"d, e\"}"),
    ] {
        let at = if text.contains('{') { "/a/b" } else { "/a" };
        assert_eq!(sole(text, set(at, json!(to))).unwrap(), wanted);
    }
}

#[test]
fn what_is_missing_is_put_in_behind_the_last_key_of_its_mapping() {
    let (at, to) = ("/spec/standby/enabled", json!(true));
    for (text, wanted) in [
        (
            "spec:\n    port: 1 # c\nstatus: {}\n",
            "spec:\n    port: 1 # c\n    standby:\n      enabled: true\nstatus: {}\n",
        ),
        (
            "spec: {port: 1, }",
            "spec: {port: 1, standby: {enabled: true}, }",
        ),
        ("spec: {}", "spec: {standby: {enabled: true}}"),
        (
            "spec:\n  standby: { }\n",
            "spec:\n  standby: {enabled: true }\n",
        ),
        (
            "spec:\n  t: |\n    # no comment\n\n\nz: 1",
            "spec:\n  t: |\n    # no comment\n  standby:\n    enabled: true\n\n\nz: 1",
        ),
        (
            "spec:\n  t:\n    a: 1\n    # of t\n  # of spec",
            "spec:\n  t:\n    a: 1\n    # of t\n  standby:\n    enabled: true\n  # of spec",
        ),
        ("kind: x", "kind: x\nspec:\n  standby:\n    enabled: true"),
    ] {
        assert_eq!(sole(text, set(at, to.clone())).unwrap(), wanted);
    }
    let source = json!({"pgbackrest": {"stanza": "db", "options": ["--type=time", "on"]}});
    let after = sole("spec:\n  a: 1\n", set("/spec/dataSource", source)).unwrap();
    let block = "  dataSource:\n    pgbackrest:\n      options: [\"--type=time\", \"on\"]\n      stanza: db\n";
    assert_eq!(after, format!("spec:\n  a: 1\n{block}"));
}

#[test]
fn json_stays_json() {
    let edits = [
        set("/spec/standby/repoName", json!("repo1")),
        remove("/spec/dataSource"),
        set("/spec/port", json!(5433)),
    ];
    let after = edited(JSON, &cluster(), &edits).unwrap();
    let said: Value = serde_json::from_str(&after).unwrap();
    let standby = json!({"enabled": false, "repoName": "repo1"});
    assert_eq!(said["spec"], json!({"standby": standby, "port": 5433}));
    assert!(after.starts_with(&JSON[..JSON.find("\"standby\"").unwrap()]));
}

#[test]
fn line_ends_stay_and_new_lines_get_the_same() {
    let text = CRLF.replace(" &spec", "");
    let edits = [set("/metadata/namespace", json!("prod-iam-zitadel"))];
    let after = edited(&text, &cluster(), &edits).unwrap();
    let new = "  name: zitadel\r\n  namespace: prod-iam-zitadel\r\n";
    assert_eq!(after, with(&text, "  name: zitadel\r\n", new));
}

#[test]
fn a_key_goes_with_its_value_and_the_comments_in_it() {
    for (text, wanted) in [
        ("a: 1\nb: 2 # c\n# d\nc: 3\n", "a: 1\n# d\nc: 3\n"),
        ("a: 1\nb:\n- x\n- y\nc: 3\n", "a: 1\nc: 3\n"),
        (
            "a: 1\nb:\n  x: 1\n  # in b\n# of c\nc: 3\n",
            "a: 1\n# of c\nc: 3\n",
        ),
        ("a: 1\nb: |+\n  x\n\nc: 3\n", "a: 1\nc: 3\n"),
        ("a: 1\nb: >-\n  x\n\nc: 3\n", "a: 1\n\nc: 3\n"),
        ("a: 1\nb:", "a: 1\n"),
        ("{a: 1, b: 2, c: 3}", "{a: 1, c: 3}"),
        ("{a: 1, b: [2, 3]}", "{a: 1}"),
        ("{ b: 2, c: 3}", "{ c: 3}"),
        ("{b: 2}\n", "{}\n"),
        ("b:\n  c: 1\n", "{}\n"),
    ] {
        assert_eq!(sole(text, remove("/b")).unwrap(), wanted, "{text}");
    }
    let only = sole("a:\n  b: 1\nc: 2\n", remove("/a/b")).unwrap();
    assert_eq!(only, "a:\n  {}\nc: 2\n");
}

#[test]
fn what_is_so_already_changes_nothing() {
    let edits = [
        set("/spec/standby/enabled", json!(true)),
        set("/spec/instances/0/replicas", json!(2)),
        remove("/spec/shutdown"),
        remove("/spec/none/at/all"),
    ];
    assert_eq!(edited(CLUSTER, &cluster(), &edits).as_deref(), Ok(CLUSTER));
}

/// A refusal and its place.
fn refusal(text: &str, edit: Edit) -> (Problem, Option<(usize, usize)>) {
    let error = sole(text, edit).unwrap_err();
    let place = error.place.map(|Place { line, column }| (line, column));
    (error.problem, place)
}

#[test]
fn a_value_of_another_kind_is_refused_with_its_place() {
    let text = "spec:\n  standby:\n    enabled: \"false\"\n";
    let error = sole(text, set("/spec/standby/enabled", json!(true))).unwrap_err();
    assert_eq!(
        error.in_file("pg.yaml").to_string(),
        "cannot set /spec/standby/enabled in pg.yaml:3:14: it should be true or false and is the text `\"false\"`"
    );
    for text in ["a: {b: 1}", "a: [1]", "a:", "a: ~", "a: 1", "a: no way"] {
        let (problem, _) = refusal(text, set("/a", json!(true)));
        assert!(matches!(problem, Problem::Kind { .. }), "{text}: {problem}");
    }
    for (text, at) in [("a: 1", "/a/b"), ("a:", "/a/b"), ("a: x", "/a/b")] {
        let (problem, _) = refusal(text, set(at, json!(true)));
        assert!(matches!(problem, Problem::Kind { .. }), "{text}: {problem}");
    }
    let (problem, _) = refusal("a: {b: 1}", set("/a", json!({"b": 2})));
    assert!(matches!(problem, Problem::Kind { .. }), "{problem}");
}

#[test]
fn what_is_shared_with_other_places_is_refused() {
    for (text, at) in [
        ("a: &x 1\nb: *x\n", "/a"),
        ("a: &x 1\nb: *x\n", "/b"),
        ("a: &x\n  c: 1\nb: *x\n", "/a/c"),
        ("x: &x {c: 1}\na:\n  <<: *x\n  c: 1\n", "/a/c"),
    ] {
        let (problem, _) = refusal(text, set(at, json!(2)));
        assert_eq!(problem, Problem::Shared, "{text}");
    }
    let (problem, place) = refusal("a:\n  b: &x 1\nc: *x\n", remove("/a"));
    assert_eq!((problem, place), (Problem::Shared, Some((2, 9))));
    // Elsewhere they may stand.
    let text = "x: &x 1\ny: *x\na: 1\n";
    let after = sole(text, set("/a", json!(2))).unwrap();
    assert_eq!(after, "x: &x 1\ny: *x\na: 2\n");
}

#[test]
fn a_key_that_stands_twice_is_refused() {
    let (problem, place) = refusal("a:\n  b: 1\n  b: 2\n", set("/a/b", json!(3)));
    let key = "b".to_owned();
    assert_eq!((problem, place), (Problem::Duplicate { key }, Some((3, 3))));
}

#[test]
fn a_template_is_refused_and_braces_in_a_text_are_not() {
    for (text, place) in [
        ("a: {{ .Values.x }}\nb: 1\n", (1, 4)),
        ("{{- if .Values.x }}\nb: 1\n{{- end }}\n", (1, 1)),
        ("a: 1\n# {{ include }}\nb: 1\n", (2, 3)),
        ("b: 1\na: x{{ .y }}\n", (2, 5)),
    ] {
        let refused = refusal(text, set("/b", json!(2)));
        assert_eq!(refused, (Problem::Template, Some(place)), "{text}");
    }
    let text = "a: '{{ x }}'\nc: |\n  {{ y }}\nb: 1\n";
    assert!(sole(text, set("/b", json!(2))).is_ok());
    let (problem, _) = refusal(text, set("/a", json!("x")));
    assert_eq!(problem, Problem::Template);
}

#[test]
fn the_wanted_document_is_there_once() {
    let edit = || [set("/spec/standby/enabled", json!(false))];
    let twice = format!(
        "{CLUSTER}---\n{}",
        &CLUSTER[CLUSTER.find("apiVersion: pos").unwrap()..]
    );
    let error = edited(&twice, &cluster(), &edit()).unwrap_err();
    assert!(
        matches!(error.problem, Problem::Several { count: 2, .. }),
        "{error}"
    );
    let elsewhere = CLUSTER.replace("  namespace: prod-iam-zitadel\n", "  namespace: dev\n");
    let error = edited(&elsewhere, &cluster(), &edit()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("there is no PostgresCluster prod-iam-zitadel/zitadel"),
        "{error}"
    );
    let none = CLUSTER.replace("  namespace: prod-iam-zitadel\n", "");
    assert!(edited(&none, &cluster(), &edit()).is_ok());
    let error = edited(CLUSTER, &Target::Sole, &edit()).unwrap_err();
    assert!(
        matches!(error.problem, Problem::Several { count: 2, .. }),
        "{error}"
    );
}

#[test]
fn what_is_written_in_an_odd_way_is_refused() {
    for (text, edit) in [
        ("- a: 1\n  b: 2\n", remove("/0/a")),
        ("- a\n", remove("/0")),
        ("? a\n: 1\n", remove("/a")),
        ("? a\n: 1\n", set("/b", json!(1))),
        ("a: |\n  x\n", set("/a", json!("y"))),
        ("a: |\n  x", set("/b", json!(1))),
        ("a: !t x\n", set("/a", json!("y"))),
        ("{a: 1, # c\n b: 2}", remove("/a")),
        ("a: 1\rb: 2\r", set("/a", json!(2))),
    ] {
        let (problem, _) = refusal(text, edit);
        assert!(
            matches!(problem, Problem::Unsupported { .. }),
            "{text}: {problem}"
        );
    }
    let (problem, _) = refusal("a: x\n", set("/a", json!("two\nlines")));
    assert_eq!(problem, Problem::Unwritable);
}

#[test]
fn what_cannot_be_read_is_told_with_its_place() {
    let error = sole("a: 1\nb: [1\nc: 2\n", set("/a", json!(2))).unwrap_err();
    assert!(
        matches!(error.problem, Problem::Unreadable { .. }),
        "{error}"
    );
    assert!(error.place.is_some(), "{error}");
    let (problem, place) = refusal("a: 1\nb: .nan\n", set("/a", json!(2)));
    assert!(matches!(problem, Problem::Unreadable { .. }), "{problem}");
    assert_eq!(place, Some((2, 4)));
    assert!(documents("a: 1\na: 2\n").is_err());
}
