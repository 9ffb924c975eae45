//! Desired state in a repository, as `lint` and `validate -f` look at it.

use std::fs;
use std::path::PathBuf;

use pgha_testkit::FakeCluster;
use pgha_testkit::pgo::{Kind, pair};
use serde_json::{Value, json};

use crate::bench::{NAMESPACE, cluster, now};
use crate::git::{configure, git};
use crate::house::House;

const CHANGE: &str = "  change:
    way: git
    repository: platform
    edits:
      - { site: core1, file: core1.yaml, object: { name: zitadel } }
      - { site: core2, file: core2.yaml, object: { name: zitadel } }
";

const VALIDATE: [&str; 4] = ["validate", "zitadel", "--to", "core2"];

/// A pair whose primary is at core1, and a repository that says so.
fn house() -> (House, PathBuf) {
    let (primary, standby) = pair(Kind::StreamingStandby, "zitadel", NAMESPACE, now());
    let clusters = (cluster(&primary), cluster(&standby));
    house_of((&clusters.0, &clusters.1), "core1")
}

/// A service of these sites, and a repository that names the primary.
pub(crate) fn house_of(clusters: (&FakeCluster, &FakeCluster), primary: &str) -> (House, PathBuf) {
    let house = House::with(clusters.0, clusters.1, CHANGE);
    let home = house.bench.home();
    let (server, clone) = (home.join("server.git"), home.join("platform"));
    for folder in [&server, &clone] {
        fs::create_dir_all(folder).unwrap();
    }
    git(
        &server,
        &["init", "--quiet", "--bare", "--initial-branch=main"],
    );
    git(&clone, &["init", "--quiet", "--initial-branch=main"]);
    configure(&clone);
    git(
        &clone,
        &["remote", "add", "origin", server.to_str().unwrap()],
    );
    for site in ["core1", "core2"] {
        let is_standby = site != primary;
        let text = format!(
            "apiVersion: postgres-operator.crunchydata.com/v1beta1\nkind: PostgresCluster\nmetadata: {{ name: zitadel }}\n\
             spec:\n  standby:\n    enabled: {is_standby} # of {site}\n"
        );
        fs::write(clone.join(format!("{site}.yaml")), text).unwrap();
    }
    git(&clone, &["add", "."]);
    git(&clone, &["commit", "--quiet", "--message", "Begin"]);
    git(&clone, &["push", "--quiet", "origin", "HEAD:main"]);
    (house, server)
}

#[test]
fn both_commits_are_shown_and_nothing_is_pushed() {
    let (house, server) = house();
    let ran = house.run(&VALIDATE);
    let base = git(&server, &["rev-parse", "main"]);
    let expected = format!(
        "In origin refs/heads/main, which is at {base}:
  A commit makes core1 a standby, in core1.yaml:
    /spec/standby/enabled of core1.yaml: false -> true
  A commit makes core2 the primary, in core2.yaml:
    /spec/standby/enabled of core2.yaml: true -> false
"
    );
    assert!(ran.stdout.contains(&expected), "{ran}");
    let wide = house.run(&[&VALIDATE[..], &["-o", "wide"]].concat());
    let lines = "-    enabled: false # of core1\n+    enabled: true # of core1\n";
    assert!(wide.stdout.contains(lines), "{wide}");
    let view = house.run(&[&VALIDATE[..], &["-o", "json"]].concat());
    let view: Value = serde_json::from_str(&view.stdout).unwrap();
    let change =
        json!({"of": "core2.yaml", "at": "/spec/standby/enabled", "old": "true", "new": "false"});
    assert_eq!(view["desired"]["target"]["changes"], json!([change]));
    assert_eq!(view["desired"]["byMergeRequest"], false);
    assert_eq!(git(&server, &["rev-parse", "--all"]), base);
}

#[test]
fn what_stands_against_a_commit_is_told_beside_the_checks() {
    let (house, server) = house();
    house.edit("file: core2.yaml", "file: none.yaml");
    let ran = house.run(&VALIDATE);
    assert_eq!(ran.code, Some(3), "{ran}");
    assert!(ran.stdout.contains("Ready for switchover: "), "{ran}");
    assert!(
        ran.stderr.contains("`none.yaml` is no file in commit"),
        "{ran}"
    );
    fs::rename(&server, server.with_extension("gone")).unwrap();
    let ran = house.run(&VALIDATE);
    let told = "cannot read the branch at origin refs/heads/main: it cannot be reached";
    assert!(ran.stderr.contains(told), "{ran}");
}

#[test]
fn the_form_of_it_is_looked_at_without_the_repository() {
    let (house, server) = house();
    fs::remove_dir_all(&server).unwrap();
    let file = house.file().display().to_string();
    let ran = house.bench.run(&["lint", &file, "-o", "json"]);
    let view: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(view["files"][0]["change"], "git", "{ran}");
    for (from, to, words) in [
        ("edits:", "edit:", "line 11 column 5: unknown field `edit`"),
        (
            "file: core1.yaml",
            "fil: core1.yaml",
            "did you mean `file`?",
        ),
        (
            "file: core1.yaml",
            "file: /core1.yaml",
            "line 12 column 30: `/core1.yaml` is not a path",
        ),
        (
            "site: core1, file",
            "site: core3, file",
            "line 12 column 9: spec.change: there is no site `core3`",
        ),
    ] {
        house.edit(from, to);
        let ran = house.bench.run(&["lint", &file]);
        assert_eq!(ran.code, Some(2), "{ran}");
        assert!(ran.stderr.contains(words), "{words}: {ran}");
        house.edit(to, from);
    }
}

#[test]
fn a_command_that_changes_the_clusters_alone_says_so() {
    let (house, _) = house();
    let ran = house.run(&["failover", "zitadel", "--to", "core2", "--yes"]);
    assert_eq!(ran.code, Some(2), "{ran}");
    assert!(
        ran.stderr
            .contains("line 9 column 5: `way: git` changes a repository"),
        "{ran}"
    );
}

/// Nobody waits for a person between a fence and a promotion.
#[test]
fn a_move_does_not_wait_for_merge_requests() {
    let (house, _) = house();
    let request = "way: mergeRequest\n    mergeRequest: { branchPrefix: pgha/ }";
    house.edit("way: git", request);
    let ran = house.run(&["switchover", "zitadel", "--to", "core2", "--yes"]);
    assert_eq!(ran.code, Some(2), "{ran}");
    let told = "line 9 column 5: a move does not wait for a merge request";
    assert!(ran.stderr.contains(told), "{ran}");
    assert!(ran.stderr.contains("hint: Move with --fast"), "{ran}");
}
