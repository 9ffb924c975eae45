//! Merge requests, as `release -f` makes them and waits for them.

use std::fs;
use std::path::{Path, PathBuf};

use pgha_testkit::pgo::{Kind, pair};

use crate::bench::{NAMESPACE, Ran, now};
use crate::desired::house_of;
use crate::git::{git, hook};
use crate::house::House;
use crate::release::held_as;

/// What the fake Postgres' system identifier ends with.
const SYSTEM: &str = "58973354";

/// Merges what is pushed at once, as a host does where a robot approves.
const MERGES: &str = "while read _ new ref; do case $ref in refs/heads/pgha/*) git update-ref refs/heads/main $new;; esac; done";

/// The primary has moved to core1, its owners are held, and Git still names core2.
fn moved() -> (House, PathBuf) {
    let (primary, standby) = pair(Kind::ArchiveStandby, "zitadel", NAMESPACE, now());
    let clusters = (held_as(primary, true), held_as(standby, false));
    let (house, server) = house_of((&clusters.0, &clusters.1), "core2");
    let request = "way: mergeRequest\n    mergeRequest: { link: \"https://git.example/new?source={branch}\" }";
    house.edit("way: git", request);
    (house, server)
}

/// Whatever is proposed from now on is merged at once.
fn merge_at_once(server: &Path) {
    hook(server, server, "post-receive", MERGES);
}

fn release(house: &House) -> Ran {
    house.run(&[
        "release",
        "zitadel",
        "--yes",
        "--wait",
        "1s",
        "--timeout",
        "1s",
    ])
}

fn says(server: &Path, site: &str) -> String {
    let text = git(server, &["show", &format!("main:{site}.yaml")]);
    text.lines().last().unwrap_or_default().trim().to_owned()
}

fn subjects(server: &Path) -> Vec<String> {
    let subjects = git(server, &["log", "--reverse", "--format=%s", "main"]);
    subjects.lines().map(str::to_owned).collect()
}

fn branches(server: &Path) -> Vec<String> {
    let all = git(server, &["branch", "--format=%(refname:short)"]);
    all.lines().map(str::to_owned).collect()
}

#[test]
fn both_are_proposed_the_standby_first_and_each_is_waited_for() {
    let (house, server) = moved();
    merge_at_once(&server);
    let ran = release(&house);
    let told = format!(
        "The branch pgha/zitadel-7-{SYSTEM}-source proposes to origin refs/heads/main that core2 is a standby"
    );
    assert!(ran.stderr.contains(&told), "{ran}");
    let link =
        format!("to be merged at https://git.example/new?source=pgha%2Fzitadel-7-{SYSTEM}-target");
    assert!(ran.stderr.contains(&link), "{ran}");
    let merged = "origin refs/heads/main says now that core1 is the primary";
    assert!(ran.stderr.contains(merged), "{ran}");
    let made = [
        "Begin",
        "zitadel: make core2 a standby",
        "zitadel: make core1 the primary",
    ];
    assert_eq!(subjects(&server), made);
    assert_eq!(says(&server, "core1"), "enabled: false # of core1");
    assert_eq!(says(&server, "core2"), "enabled: true # of core2");
    // Nobody applies it here.
    assert_eq!(ran.code, Some(3), "{ran}");
    assert!(ran.stderr.contains("stay held"), "{ran}");
}

#[test]
fn what_nobody_merges_is_found_again() {
    let (house, server) = moved();
    let source = format!("pgha/zitadel-7-{SYSTEM}-source");
    let ran = release(&house);
    assert_eq!(ran.code, Some(4), "{ran}");
    let told = format!("the branch {source} was not merged in 1 s");
    assert!(ran.stderr.contains(&told), "{ran}");
    assert!(ran.stderr.contains("hint: Its owners stay held"), "{ran}");
    assert_eq!(
        branches(&server),
        ["main", source.as_str()],
        "the target's waits for it"
    );
    let proposed = git(&server, &["rev-parse", &source]);
    let ran = release(&house);
    assert_eq!(ran.code, Some(4), "{ran}");
    assert_eq!(git(&server, &["rev-parse", &source]), proposed);
    git(&server, &["update-ref", "refs/heads/main", &source]);
    merge_at_once(&server);
    let ran = release(&house);
    assert_eq!(ran.code, Some(3), "{ran}");
    assert_eq!(says(&server, "core1"), "enabled: false # of core1");
}

#[test]
fn what_an_earlier_move_proposed_is_withdrawn_and_nothing_else() {
    let (house, server) = moved();
    let (earlier, other) = (
        format!("pgha/zitadel-6-{SYSTEM}-target"),
        "pgha/zitadel-6-11111111-target",
    );
    for branch in [earlier.as_str(), other, "pgha/of-a-person"] {
        git(&server, &["branch", branch, "main"]);
    }
    merge_at_once(&server);
    let ran = release(&house);
    let told = format!("The branch {earlier} of an earlier move is withdrawn");
    assert!(ran.stderr.contains(&told), "{ran}");
    let left = branches(&server);
    assert!(!left.contains(&earlier), "{left:?}");
    assert!(left.iter().any(|branch| branch == other), "{left:?}");
    assert!(
        left.iter().any(|branch| branch == "pgha/of-a-person"),
        "{left:?}"
    );
}

/// Two stages in one repository have services of one name, and their moves the same numbers.
#[test]
fn the_commit_of_another_service_of_the_name_is_not_taken_for_ones_own() {
    let (house, server) = moved();
    house.edit("way: mergeRequest\n    mergeRequest: { link: \"https://git.example/new?source={branch}\" }", "way: git");
    let clone = house.bench.home().join("platform");
    for phase in ["source", "target"] {
        fs::write(clone.join("other.yaml"), phase).unwrap();
        git(&clone, &["add", "."]);
        let trailers = format!("Of dev\n\nPgha-Operation: zitadel-7\nPgha-Phase: {phase}\n");
        git(&clone, &["commit", "--quiet", "--message", &trailers]);
    }
    git(&clone, &["push", "--quiet", "origin", "HEAD:main"]);
    let ran = release(&house);
    assert_eq!(says(&server, "core1"), "enabled: false # of core1", "{ran}");
    assert_eq!(says(&server, "core2"), "enabled: true # of core2", "{ran}");
}
