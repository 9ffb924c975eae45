//! `kubectl pgha status`.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use pgha_testkit::pgo::{Kind, PgoSite, forked_pair, pair};
use pgha_testkit::{Failure, FakeCluster, Fault};

use crate::assert_said;
use crate::bench::{
    Bench, NAMESPACE, cluster, empty_cluster, end_of, now, primary, signal, standby,
};

const BOTH: [&str; 5] = ["status", "--context", "core1", "--context", "core2"];

#[test]
fn a_streaming_pair_is_one_service() {
    let bench = Bench::pair(Kind::StreamingStandby);
    assert_said!(
        bench.run(&BOTH),
        bench.run(&[&BOTH[..], &["-o", "wide"]].concat())
    );
}

#[test]
fn an_archive_standby_says_how_far_behind_it_is() {
    let (ahead, behind) = pair(Kind::ArchiveStandby, "zitadel", NAMESPACE, now());
    let bench = Bench::two(&(ahead.position(0x0700_0148), behind.position(0x0600_0000)));
    assert_said!(bench.run(&[&BOTH[..], &["zitadel"]].concat()));
}

#[test]
fn programs_get_the_same_facts() {
    let bench = Bench::pair(Kind::StreamingStandby);
    assert_said!(
        bench.run(&[&BOTH[..], &["-o", "json"]].concat()),
        bench.run(&[&BOTH[..], &["-o", "name"]].concat()),
    );
}

#[test]
fn one_side_alone_is_told_as_such() {
    assert_said!(
        Bench::one(&primary()).run(&["status"]),
        Bench::one(&standby()).run(&["status", "zitadel"]),
    );
}

#[test]
fn a_wedged_standby_is_named() {
    let bench = Bench::two(&forked_pair("zitadel", NAMESPACE, now()));
    assert_said!(bench.run(&BOTH));
}

#[test]
fn two_primaries_and_two_standbys_are_failures() {
    assert_said!(
        Bench::two(&(primary(), primary())).run(&BOTH),
        Bench::two(&(standby(), standby())).run(&BOTH),
    );
}

#[test]
fn a_side_without_a_leader_is_a_failure() {
    assert_said!(Bench::two(&(primary().without_leader(), standby())).run(&BOTH));
}

#[test]
fn a_standby_that_is_fed_from_elsewhere_is_told() {
    let (ahead, behind) = pair(Kind::ArchiveStandby, "zitadel", NAMESPACE, now());
    let streaming = PgoSite::new(Kind::StreamingStandby, "zitadel", NAMESPACE, now());
    assert_eq!(streaming.pod(0), behind.pod(0));
    assert_said!(Bench::two(&(ahead, streaming)).run(&BOTH));
}

/// A side that was restored from the repository, and follows a dead branch there.
#[test]
fn members_that_do_not_start_are_told_in_patronis_own_words() {
    let failed = standby()
        .without_leader()
        .state_of(0, "start failed")
        .state_of(1, "start failed");
    assert_said!(Bench::two(&(primary(), failed)).run(&BOTH));
}

/// In the segment that the primary writes now, a position alone does not tell a follower from a wedged side.
#[test]
fn a_side_past_the_fork_is_undecided_while_its_postgres_may_not_be_asked() {
    let (ahead, behind) = forked_pair("zitadel", NAMESPACE, now());
    let idle = cluster(&ahead.position(0x0500_0200));
    let clusters = [idle, cluster(&behind)];
    clusters[1].fail(Fault::new(Failure::Forbidden).resource("pods/exec"));
    let bench = Bench::new(&[("core1", &clusters[0]), ("core2", &clusters[1])]);
    assert_said!(bench.run(&BOTH));
    let asked = |cluster: &FakeCluster| {
        let requests = cluster.requests();
        let mut resources = requests.iter().map(|request| request.resource.as_str());
        resources.any(|resource| resource == "pods/exec")
    };
    assert_eq!(clusters.each_ref().map(asked), [false, true]);
}

#[test]
fn what_stands_in_the_way_of_a_move_is_told() {
    let site = primary()
        .paused()
        .managed_by_flux()
        .patroni("4.1.5")
        .patroni_of(1, "3.3.8")
        .config(|config| config["pause"] = true.into());
    assert_said!(Bench::one(&site).run(&["status"]));
}

#[test]
fn a_site_that_cannot_be_reached_does_not_hide_the_other() {
    let mut bench = Bench::pair(Kind::ArchiveStandby);
    bench.stop(1);
    let ran = bench.run(&BOTH);
    assert_eq!(ran.code, Some(3));
    assert!(
        ran.stdout
            .contains("UNSEEN core2: cannot reach the API server"),
        "{ran}"
    );
    assert!(ran.stdout.contains("primary"), "{ran}");
}

#[test]
fn a_site_that_does_not_answer_is_waited_for_no_longer_than_was_said() {
    let (ahead, behind) = pair(Kind::ArchiveStandby, "zitadel", NAMESPACE, now());
    let silent = cluster(&behind);
    silent.fail(Fault::new(Failure::SilenceBefore));
    let bench = Bench::new(&[("core1", &cluster(&ahead)), ("core2", &silent)]);
    assert_said!(bench.run(&[&BOTH[..], &["zitadel", "--request-timeout", "300ms"]].concat()));
}

#[test]
fn a_site_without_the_cluster_is_told() {
    let bench = Bench::new(&[("core1", &cluster(&primary())), ("core2", &empty_cluster())]);
    assert_said!(
        bench.run(&[&BOTH[..], &["zitadel"]].concat()),
        bench.run(&[&BOTH[..], &["zitadel", "-A"]].concat()),
        bench.run(&["status", "--context", "core2"]),
    );
}

#[test]
fn every_namespace_can_be_looked_at() {
    let cluster = cluster(&primary());
    PgoSite::primary("other", "dev", now())
        .system_identifier("8")
        .install(&cluster);
    let bench = Bench::new(&[("core1", &cluster)]);
    assert_said!(
        bench.run(&["status", "-A", "--context", "core1"]),
        bench.run(&["status", "-A", "-o", "name"]),
    );
}

#[test]
fn a_watch_in_a_pipe_appends_rows_and_ends_on_an_interrupt() {
    let bench = Bench::pair(Kind::StreamingStandby);
    let arguments = [&BOTH[..], &["-w"]].concat();
    let mut child = bench.command(&arguments).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first: Vec<String> = lines.by_ref().take(5).map(Result::unwrap).collect();
    signal(&child, "INT");
    let output = end_of(child, Duration::from_secs(10));
    assert_eq!(output.status.code(), Some(130));
    let columns = |line: &str| line.split_whitespace().nth(1).unwrap().to_owned();
    let contexts: Vec<String> = first.iter().map(|line| columns(line)).collect();
    assert_eq!(contexts, ["CONTEXT", "core1", "core2", "core1", "core2"]);
    assert!(first[3].contains("+0 B"), "{first:?}");
}

#[test]
fn a_watch_outlives_its_terminal_where_that_was_wanted() {
    let bench = Bench::one(&primary());
    let plugin = bench.command(&["status", "-w", "-o", "json"]);
    let mut ignoring = Command::new(plugin.get_program());
    ignoring
        .arg("--ignore-signal=HUP")
        .args(plugin.get_args().skip(1))
        .env_clear()
        .envs(
            plugin
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = ignoring.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    signal(&child, "HUP");
    lines.next().unwrap().unwrap();
    lines.next().unwrap().unwrap();
    signal(&child, "INT");
    let output = end_of(child, Duration::from_secs(10));
    assert_eq!(output.status.code(), Some(130));
}

#[test]
fn a_watch_ends_when_nobody_reads_it() {
    let bench = Bench::one(&primary());
    let mut child = bench
        .command(&["status", "-w", "-o", "json"])
        .spawn()
        .unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    drop(reader);
    let view: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(view["kind"], "Status");
    let output = end_of(child, Duration::from_secs(20));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_watch_of_nothing_that_can_be_seen_ends_at_once() {
    let mut bench = Bench::one(&primary());
    bench.stop(0);
    assert_eq!(bench.run(&["status", "-w"]).code, Some(3));
    assert_said!(bench.run(&["status", "-w", "-o", "name"]));
}
