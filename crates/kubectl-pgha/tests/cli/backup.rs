//! `kubectl pgha backup`.

use std::time::Duration;

use pgha_testkit::pgo::PgoSite;
use pgha_testkit::{Failure, FakeCluster, Fault};
use serde_json::{Value, json};

use crate::assert_said;
use crate::bench::{Bench, NAMESPACE, Ran, cluster, end_of, primary, signal, standby};

const ANNOTATION: &str = "postgres-operator.crunchydata.com/pgbackrest-backup";
const PREFIX: &str = "postgres-operator.crunchydata.com";

fn spoiled(spoil: impl FnOnce(&mut Value)) -> PgoSite {
    primary().object(spoil)
}

/// Runs the command where nothing may be asked for.
fn refused(site: &PgoSite, extra: &[&str]) -> Ran {
    let cluster = cluster(site);
    let bench = Bench::new(&[("core1", &cluster)]);
    let ran = bench.run(&[&["backup", "zitadel", "--context", "core1"][..], extra].concat());
    assert_eq!(ran.code, Some(3), "{ran}");
    let requests = cluster.requests();
    assert!(requests.iter().all(|request| request.verb != "patch"));
    ran
}

fn object(cluster: &FakeCluster) -> Value {
    cluster
        .object("postgresclusters", NAMESPACE, "zitadel")
        .unwrap()
}

fn requested(cluster: &FakeCluster) -> Option<String> {
    let object = object(cluster);
    let id = object["metadata"]["annotations"][ANNOTATION].as_str();
    id.map(str::to_owned)
}

/// Plays the operator: awaits a request, and writes this status of it.
fn serve(cluster: &FakeCluster, status: Value, condition: Option<&'static str>) {
    let cluster = cluster.clone();
    std::thread::spawn(move || {
        let began = std::time::Instant::now();
        while began.elapsed() < Duration::from_secs(20) {
            if let Some(id) = requested(&cluster).filter(|id| id.starts_with("pgha-")) {
                cluster.change("postgresclusters", NAMESPACE, "zitadel", |object| {
                    let mut status = status;
                    status["id"] = json!(id);
                    object["status"]["pgbackrest"]["manualBackup"] = status;
                    let conditions = object["status"]["conditions"].as_array_mut().unwrap();
                    conditions.extend(condition.map(|status| {
                        json!({"type": "PGBackRestManualBackupSuccessful", "status": status})
                    }));
                });
                return;
            }
            std::thread::yield_now();
        }
    });
}

fn ended_well() -> Value {
    json!({"finished": true, "succeeded": 1, "completionTime": "2026-11-21T15:40:06Z"})
}

/// The id is made of the time.
fn without_id(mut ran: Ran) -> Ran {
    for text in [&mut ran.stdout, &mut ran.stderr] {
        while let Some(at) = text.find("pgha-2") {
            text.replace_range(at..at + "pgha-20261121T155339123Z".len(), "[ID]");
        }
    }
    ran
}

#[test]
fn a_standby_is_refused() {
    assert_said!(
        refused(&standby(), &[]),
        refused(&standby(), &["-o", "json"]),
        refused(&standby(), &["-o", "name"]),
    );
}

#[test]
fn whatever_would_be_silent_is_refused() {
    let switchover = spoiled(|object| {
        object["spec"]["patroni"]["switchover"] = json!({"enabled": true});
        let trigger = format!("{PREFIX}/trigger-switchover");
        object["metadata"]["annotations"][trigger] = json!("now");
    });
    let pending = spoiled(|object| {
        object["metadata"]["annotations"][ANNOTATION] = json!("older");
    });
    assert_said!(
        refused(&primary().paused(), &[]),
        refused(
            &spoiled(|object| object["spec"]["shutdown"] = json!(true)),
            &[]
        ),
        refused(&switchover, &[]),
        refused(&pending, &[]),
        refused(&primary(), &["--repo", "repo2"]),
        refused(
            &spoiled(|object| object["status"]["pgbackrest"] = json!({})),
            &[]
        ),
        refused(
            &spoiled(|object| object["status"]["conditions"] = json!([])),
            &[]
        ),
        refused(&primary().managed_by_flux(), &[]),
        refused(&primary().without_leader(), &[]),
    );
}

#[test]
fn a_running_backup_is_not_replaced() {
    let cluster = cluster(&primary());
    cluster.insert(json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "zitadel-repo1-full-123", "namespace": NAMESPACE, "labels": {
            format!("{PREFIX}/cluster"): "zitadel", format!("{PREFIX}/pgbackrest"): "",
            format!("{PREFIX}/pgbackrest-cronjob"): "full"}},
        "status": {"active": 1}
    }));
    let bench = Bench::new(&[("core1", &cluster)]);
    assert_said!(bench.run(&["backup", "zitadel", "--context", "core1"]));
}

#[test]
fn a_request_that_was_taken_up_is_enough_without_waiting() {
    let cluster = cluster(&primary().managed_by_helm());
    serve(&cluster, json!({}), None);
    let bench = Bench::new(&[("core1", &cluster)]);
    let ran = bench.run(&[
        "backup",
        "zitadel",
        "--no-wait",
        "--type",
        "full",
        "--allow-managed",
    ]);
    assert_said!(without_id(ran));
    let manual = &object(&cluster)["spec"]["backups"]["pgbackrest"]["manual"];
    assert_eq!(
        *manual,
        json!({"repoName": "repo1", "options": ["--type=full", "--log-level-console=info"]})
    );
}

#[test]
fn a_backup_ends_by_its_own_id_and_its_label_is_unseen_without_exec() {
    let cluster = cluster(&primary().manual_backup("older"));
    serve(&cluster, ended_well(), Some("True"));
    let bench = Bench::new(&[("core1", &cluster)]);
    let ran = bench.run(&["backup", "zitadel", "--context", "core1"]);
    assert_eq!(ran.code, Some(0), "{ran}");
    assert!(ran.stdout.contains("not seen"), "{ran}");
}

#[test]
fn a_backup_that_failed_ends_with_4() {
    let cluster = cluster(&primary());
    serve(
        &cluster,
        json!({"finished": true, "failed": 7}),
        Some("False"),
    );
    let bench = Bench::new(&[("core1", &cluster)]);
    let ran = bench.run(&["backup", "zitadel", "--context", "core1"]);
    assert_eq!(ran.code, Some(4), "{ran}");
    assert!(ran.stderr.contains("the backup failed"), "{ran}");
}

#[test]
fn a_request_that_nobody_takes_up_is_withdrawn() {
    let cluster = cluster(&primary().manual_backup("older"));
    let bench = Bench::new(&[("core1", &cluster)]);
    let ran = bench.run(&["backup", "zitadel", "--context", "core1", "--timeout", "1s"]);
    assert_said!(ran);
    assert_eq!(requested(&cluster), None);
}

#[test]
fn an_unanswered_request_that_took_hold_is_followed() {
    let cluster = cluster(&primary());
    cluster.fail(Fault::new(Failure::SilenceAfter).verb("patch"));
    serve(&cluster, ended_well(), Some("True"));
    let bench = Bench::new(&[("core1", &cluster)]);
    let arguments = ["backup", "zitadel", "--no-wait", "--request-timeout", "1s"];
    let ran = bench.run(&arguments);
    assert_eq!(ran.code, Some(0), "{ran}");
}

#[test]
fn an_unanswered_request_that_is_not_there_is_not_called_harmless() {
    let cluster = cluster(&primary());
    cluster.fail(Fault::new(Failure::SilenceBefore).verb("patch"));
    let bench = Bench::new(&[("core1", &cluster)]);
    let arguments = ["backup", "zitadel", "--no-wait", "--request-timeout", "1s"];
    let ran = bench.run(&arguments);
    assert_eq!(ran.code, Some(5), "{ran}");
    assert!(ran.stderr.contains("effect: unknown"), "{ran}");
}

#[test]
fn a_permission_that_is_missing_is_named() {
    let with = |fault: Fault| {
        let cluster = cluster(&primary());
        cluster.fail(fault);
        Bench::new(&[("core1", &cluster)]).run(&["backup", "zitadel", "--context", "core1"])
    };
    assert_said!(
        with(Fault::new(Failure::Forbidden).resource("jobs")),
        with(Fault::new(Failure::Forbidden).verb("patch")),
    );
}

#[test]
fn a_backup_that_could_not_be_verified_is_not_asked_for() {
    let cluster = cluster(&primary());
    let bench = Bench::new(&[("core1", &cluster)]);
    let ran = bench.run(&["backup", "zitadel", "--context", "core1", "--verify"]);
    assert_eq!(ran.code, Some(3), "{ran}");
    assert_eq!(requested(&cluster), None);
    let both = bench.run(&["backup", "zitadel", "--verify", "--no-wait"]);
    assert_eq!(both.code, Some(2), "{both}");
}

#[test]
fn an_interruption_before_the_request_changes_nothing_and_after_it_leaves_the_backup_alone() {
    let arguments = [
        "backup",
        "zitadel",
        "--context",
        "core1",
        "--request-timeout",
        "30s",
    ];
    let silent = cluster(&primary());
    silent.fail(Fault::new(Failure::SilenceBefore));
    let bench = Bench::new(&[("core1", &silent)]);
    for name in ["INT", "TERM", "HUP"] {
        let before = silent.requests().len();
        let child = bench.command(&arguments).spawn().unwrap();
        await_true(|| silent.requests().len() > before);
        signal(&child, name);
        let output = end_of(child, Duration::from_secs(10));
        assert_eq!(output.status.code(), Some(130), "{name}");
    }

    let running = running_backup();
    let bench = Bench::new(&[("core1", &running)]);
    let child = bench.command(&arguments).spawn().unwrap();
    await_true(|| is_followed(&running));
    signal(&child, "INT");
    let ran = bench.ran(&arguments, &end_of(child, Duration::from_secs(10)));
    assert_eq!(ran.code, Some(5), "{ran}");
    assert!(ran.stderr.contains("goes on by itself"), "{ran}");
    assert!(requested(&running).is_some());
}

#[test]
fn a_terminal_that_was_closed_is_no_reason_to_panic() {
    let running = running_backup();
    let bench = Bench::new(&[("core1", &running)]);
    let arguments = ["backup", "zitadel", "--context", "core1"];
    let mut command = bench.command(&arguments);
    let mut child = command.env("PGHA_LOG", "trace").spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    await_true(|| is_followed(&running));
    signal(&child, "HUP");
    let output = end_of(child, Duration::from_secs(10));
    assert_eq!(output.status.code(), Some(5));
    assert!(requested(&running).is_some());
}

#[test]
fn a_terminal_that_hangs_up_again_does_not_give_up_waiting() {
    let cluster = cluster(&primary());
    cluster.fail(Fault::new(Failure::SilenceBefore).verb("patch"));
    let bench = Bench::new(&[("core1", &cluster)]);
    let arguments = [
        "backup",
        "zitadel",
        "--context",
        "core1",
        "--request-timeout",
        "2s",
    ];
    let child = bench.command(&arguments).spawn().unwrap();
    await_true(|| cluster.requests().iter().any(|it| it.verb == "patch"));
    signal(&child, "HUP");
    signal(&child, "HUP");
    let ran = bench.ran(&arguments, &end_of(child, Duration::from_secs(10)));
    assert_eq!(ran.code, Some(5), "{ran}");
    assert!(ran.stderr.contains("may have been taken"), "{ran}");
}

/// A cluster whose operator takes a request up and never finishes it.
fn running_backup() -> FakeCluster {
    let running = cluster(&primary());
    serve(&running, json!({"active": 1}), None);
    let serving = running.clone();
    std::thread::spawn(move || {
        await_true(|| requested(&serving).is_some());
        let id = requested(&serving).unwrap();
        serving.insert(json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": "zitadel-backup-abcd", "namespace": NAMESPACE,
                "annotations": {ANNOTATION: id}, "labels": {
                format!("{PREFIX}/cluster"): "zitadel", format!("{PREFIX}/pgbackrest"): "",
                format!("{PREFIX}/pgbackrest-backup"): "manual"}},
        }));
    });
    running
}

/// Whether the pods of the backup's Job are looked at, again and again.
fn is_followed(cluster: &FakeCluster) -> bool {
    let requests = cluster.requests();
    let looks = requests
        .iter()
        .filter(|request| request.summary().starts_with("list pods"));
    looks.count() > 1
}

fn await_true(condition: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(10), "it never came");
        std::thread::yield_now();
    }
}

/// Whoever meets a bug is told what it may have done.
#[test]
fn a_bug_ends_with_its_own_code_and_a_next_command() {
    let cluster = cluster(&primary());
    let bench = Bench::new(&[("core1", &cluster)]);
    let arguments = ["backup", "zitadel", "--context", "core1"];
    let mut command = bench.command(&arguments);
    let output = command.env("PGHA_TEST_DIE_AT", "1:bug").output().unwrap();
    let ran = bench.ran(&arguments, &output);
    assert_eq!(ran.code, Some(1), "{ran}");
    for said in [
        "a bug that a test asked for",
        "goes on with `kubectl pgha resume`",
    ] {
        assert!(ran.stderr.contains(said), "{ran}");
    }
    assert_eq!(requested(&cluster), None);
}
