//! `kubectl pgha shutdown`, `startup` and `restart`: what they refuse, what they write, and what they wait for.
//!
//! The fake API server has no `exec`, so no Postgres answers here: what is proved by Postgres' word is the lab's.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use pgha_testkit::pgo::PgoSite;
use pgha_testkit::{Failure, FakeCluster, Fault};
use serde_json::{Value, json};

use crate::assert_said;
use crate::bench::{Bench, NAMESPACE, Ran, assert_untouched, cluster, primary, standby};

const SHUTDOWN: [&str; 5] = ["shutdown", "zitadel", "--context", "core1", "--yes"];

fn failing(ran: &Ran) -> Vec<String> {
    let view: Value = serde_json::from_str(&ran.stdout).unwrap_or_default();
    let all = view["findings"].as_array().into_iter().flatten();
    all.map(|finding| finding["check"].as_str().unwrap_or_default().to_owned())
        .collect()
}

fn spec(cluster: &FakeCluster) -> Value {
    let object = cluster.object("postgresclusters", NAMESPACE, "zitadel");
    object.unwrap_or_default()["spec"].clone()
}

/// Runs the plugin while something does the operator's part.
fn run_beside(bench: &Bench, arguments: &[&str], operate: impl Fn() + Sync) -> Ran {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                operate();
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let ran = bench.run(arguments);
        is_over.store(true, Ordering::Relaxed);
        ran
    })
}

/// Stops the members when the object asks for it, as the operator does.
fn stop_when_asked(cluster: &FakeCluster, site: &PgoSite) {
    if spec(cluster)["shutdown"] != true {
        return;
    }
    for member in 0..2 {
        cluster.remove("pods", NAMESPACE, site.pod(member));
    }
    cluster.change("endpoints", NAMESPACE, "zitadel-ha", |lock| {
        lock["metadata"]["annotations"]["leader"] = "".into();
    });
}

#[test]
fn a_shutdown_waits_until_nothing_runs_and_says_what_it_could_not_prove() {
    let (site, other) = (primary(), cluster(&standby()));
    let here = cluster(&site);
    let bench = Bench::new(&[("core1", &here), ("core2", &other)]);
    let ran = run_beside(&bench, &SHUTDOWN, || stop_when_asked(&here, &site));
    assert_eq!(ran.code, Some(0), "{ran}");
    assert!(ran.stdout.contains("shut down"), "{ran}");
    assert!(ran.stdout.contains("is not proved"), "{ran}");
    // A second time there is nothing left to do.
    assert_said!(
        bench.run(&SHUTDOWN),
        bench.run(&[&SHUTDOWN[..], &["-o", "json"]].concat())
    );
    assert_untouched(&[&other]);
}

/// Its containers have ended, and it is still listed for a moment: who comes next would count it as a member.
#[test]
fn a_finished_pod_that_is_being_deleted_is_waited_for() {
    let (site, other) = (primary(), cluster(&standby()));
    let here = cluster(&site);
    let bench = Bench::new(&[("core1", &here), ("core2", &other)]);
    let looks = AtomicUsize::new(0);
    let ran = run_beside(&bench, &SHUTDOWN, || {
        if spec(&here)["shutdown"] != true {
            return;
        }
        if looks.fetch_add(1, Ordering::Relaxed) > 50 {
            return stop_when_asked(&here, &site);
        }
        for member in 0..2 {
            here.change("pods", NAMESPACE, site.pod(member), |pod| {
                pod["metadata"]["deletionTimestamp"] = "2026-11-21T12:00:00Z".into();
                pod["status"]["phase"] = "Failed".into();
            });
        }
    });
    assert_eq!(ran.code, Some(0), "{ran}");
    for member in 0..2 {
        assert_eq!(here.object("pods", NAMESPACE, site.pod(member)), None);
    }
}

#[test]
fn a_shutdown_is_shown_before_it_is_made() {
    let (here, other) = (cluster(&primary()), cluster(&standby()));
    let bench = Bench::new(&[("core1", &here), ("core2", &other)]);
    let plan = [&SHUTDOWN[..4], &["--dry-run"]].concat();
    assert_said!(
        bench.run(&plan),
        bench.run(&[&plan[..], &["-o", "json"]].concat()),
        bench.run(&[&plan[..], &["-o", "name"]].concat()),
        bench.run(&SHUTDOWN[..4]),
        bench.run(&["shutdown", "zitadel", "--yes"]),
        bench.run(&[&SHUTDOWN[..], &["--peer", "core1"]].concat()),
    );
    assert_untouched(&[&here, &other]);
}

#[test]
fn a_shutdown_names_what_stands_in_its_way() {
    let site = primary().paused().managed_by_flux();
    let here = cluster(&site);
    here.fail(
        Fault::new(Failure::Forbidden)
            .verb("get")
            .resource("configmaps"),
    );
    for member in 0..2 {
        here.change("pods", NAMESPACE, site.pod(member), |pod| {
            pod["metadata"]["labels"]["postgres-operator.crunchydata.com/role"] = "demoted".into();
        });
    }
    let bench = Bench::new(&[("core1", &here)]);
    let ran = bench.run(&[&SHUTDOWN[..], &["-o", "json"]].concat());
    assert_eq!(ran.code, Some(3), "{ran}");
    assert_eq!(
        failing(&ran),
        [
            "record-seen",
            "operator-not-paused",
            "not-managed",
            "leader-labelled",
            "permissions"
        ]
    );
    assert_untouched(&[&here]);
}

#[test]
fn a_shutdown_goes_on_where_its_owner_is_known_to_revert_it_only_if_that_is_allowed() {
    let site = primary().managed_by_argo_cd();
    let here = cluster(&site);
    let bench = Bench::new(&[("core1", &here)]);
    let ran = bench.run(&SHUTDOWN);
    assert_eq!(ran.code, Some(3), "{ran}");
    assert_untouched(&[&here]);
    let allowed = [&SHUTDOWN[..], &["--allow-managed", "--timeout", "20s"]].concat();
    // The owner takes it back at once.
    let ran = run_beside(&bench, &allowed, || {
        here.change("postgresclusters", NAMESPACE, "zitadel", |object| {
            if object["spec"]["shutdown"] == true {
                object["spec"]["shutdown"] = json!(false);
            }
        });
    });
    assert_eq!(ran.code, Some(4), "{ran}");
    assert!(ran.stderr.contains("taken spec.shutdown back"), "{ran}");
}

#[test]
fn a_shutdown_that_takes_too_long_is_gone_on_with_by_the_same_command() {
    let site = primary();
    let here = cluster(&site);
    let bench = Bench::new(&[("core1", &here)]);
    let short = [&SHUTDOWN[..], &["--timeout", "1s"]].concat();
    let ran = bench.run(&short);
    assert_eq!(ran.code, Some(4), "{ran}");
    assert!(ran.stderr.contains(site.pod(0)), "{ran}");
    let ran = run_beside(&bench, &SHUTDOWN[..4], || stop_when_asked(&here, &site));
    assert_eq!(ran.code, Some(0), "{ran}");
}

const STARTUP: [&str; 5] = ["startup", "zitadel", "--context", "core1", "--yes"];

/// A side that is shut down.
fn down(site: PgoSite) -> FakeCluster {
    let site = site.object(|object| object["spec"]["shutdown"] = true.into());
    let cluster = cluster(&site);
    for member in 0..2 {
        cluster.remove("pods", NAMESPACE, site.pod(member));
    }
    cluster.change("endpoints", NAMESPACE, "zitadel-ha", |lock| {
        lock["metadata"]["annotations"]["leader"] = "".into();
    });
    cluster
}

/// A primary that can be told from another one.
fn another_primary() -> PgoSite {
    primary().object(|object| object["metadata"]["uid"] = "another".into())
}

fn failing_of(bench: &Bench, arguments: &[&str]) -> Vec<String> {
    let ran = bench.run(&[arguments, &["-o", "json"]].concat());
    assert_eq!(ran.code, Some(3), "{ran}");
    failing(&ran)
}

#[test]
fn a_start_is_refused_while_the_other_side_is_or_may_be_primary() {
    let here = down(primary());
    let mut bench = Bench::new(&[("core1", &here), ("core2", &cluster(&another_primary()))]);
    let named = [&STARTUP[..], &["--peer", "core2"]].concat();
    // Also where nobody named it, and where somebody says that there is none.
    for arguments in [&named[..], &STARTUP, &[&STARTUP[..], &["--alone"]].concat()] {
        assert_eq!(failing_of(&bench, arguments), ["peer-not-primary"]);
    }
    bench.stop(1);
    assert_eq!(failing_of(&bench, &named), ["peer-seen"]);
    assert_eq!(failing_of(&bench, &STARTUP), ["peer-seen"]);
    // Nor beside one that is shut down too, and would be primary.
    let other = down(another_primary());
    let bench = Bench::new(&[("core1", &here), ("core2", &other)]);
    assert_eq!(failing_of(&bench, &named), ["peer-stays-standby"]);
    assert_untouched(&[&here, &other]);
}

#[test]
fn a_start_beside_a_primary_is_one_as_a_standby() {
    let here = down(primary().disabled_standby_section());
    let other = cluster(&another_primary());
    let bench = Bench::new(&[("core1", &here), ("core2", &other)]);
    let plan = [
        &STARTUP[..4],
        &["--peer", "core2", "--as-standby", "--dry-run"],
    ]
    .concat();
    assert_said!(
        bench.run(&plan),
        bench.run(&[&plan[..], &["-o", "json"]].concat()),
        bench.run(&[&STARTUP[..], &["--peer", "core2"]].concat()),
    );
    assert_untouched(&[&here, &other]);
    // No pod comes here.
    let asked = [&STARTUP[..], &["--as-standby", "--timeout", "1s"]].concat();
    let ran = bench.run(&asked);
    assert_eq!(ran.code, Some(4), "{ran}");
    let patched: Vec<_> = here
        .requests()
        .into_iter()
        .filter(|request| request.verb == "patch")
        .map(|request| request.resource)
        .collect();
    assert_eq!(patched, ["endpoints", "postgresclusters"]);
    assert_eq!(spec(&here)["standby"]["enabled"], true);
    assert_eq!(spec(&here)["shutdown"], false);
}

#[test]
fn a_start_by_the_services_file_knows_both_sites() {
    let here = down(primary());
    let bench = Bench::new(&[("core1", &here), ("core2", &cluster(&another_primary()))]);
    let file = bench.home().join("iam.yaml");
    let text = "apiVersion: pgha.dev/v1alpha1\nkind: Service\nmetadata: { name: iam }\nspec:\n  sites:\n    \
                - { name: east, context: core1, namespace: prod, cluster: zitadel }\n    \
                - { name: west, context: core2, namespace: prod, cluster: zitadel }\n";
    std::fs::write(&file, text).unwrap();
    let path = file.display().to_string();
    let start = ["startup", "iam", "-f", &path, "--site", "east", "--yes"];
    assert_eq!(failing_of(&bench, &start), ["peer-not-primary"]);
    for wrong in [&start[..4], &["startup", "iam", "--site", "east"]] {
        assert_eq!(bench.run(wrong).code, Some(2));
    }
    let nowhere = bench.run(&["startup", "iam", "-f", &path, "--site", "north", "--yes"]);
    assert!(
        nowhere.stderr.contains("service iam has no site `north`"),
        "{nowhere}"
    );
    assert_untouched(&[&here]);
}

#[test]
fn what_runs_is_not_started_again() {
    let bench = Bench::two(&(primary(), standby()));
    assert_said!(
        bench.run(&STARTUP),
        bench.run(&[&STARTUP[..], &["-o", "json"]].concat()),
        bench.run(&["startup", "zitadel", "--yes"]),
        bench.run(&[&STARTUP[..], &["--as-standby"]].concat()),
    );
}

const RESTART: [&str; 5] = ["restart", "zitadel", "--context", "core1", "--yes"];

/// Postgres' word is wanted before and after, and here it cannot be had.
#[test]
fn a_restart_names_what_stands_in_its_way() {
    let here = cluster(&primary().paused().managed_by_argo_cd());
    let bench = Bench::new(&[("core1", &here)]);
    let refused = failing_of(&bench, &RESTART);
    assert!(
        refused.contains(&"operator-not-paused".to_owned()),
        "{refused:?}"
    );
    assert!(
        refused.contains(&"postgres-answers".to_owned()),
        "{refused:?}"
    );
    // No object is written, so nobody has anything to take back.
    assert!(!refused.contains(&"not-managed".to_owned()), "{refused:?}");
    let stopped = down(primary());
    let bench = Bench::new(&[("core1", &stopped)]);
    let refused = failing_of(&bench, &RESTART);
    assert!(refused.contains(&"not-shut-down".to_owned()), "{refused:?}");
    assert_said!(bench.run(&["restart", "zitadel", "--yes"]));
    assert_untouched(&[&here, &stopped]);
}
