//! What is refused, and in what words.

use pgha_testkit::{Failure, FakeCluster, Fault};
use serde_json::json;

use crate::assert_said;
use crate::bench::{Bench, NAMESPACE, Ran, cluster, empty_cluster, primary};

const LEADER: [&str; 2] = ["leader", "zitadel"];

fn leader_with(fault: Fault) -> Ran {
    let cluster = cluster(&primary());
    cluster.fail(fault);
    Bench::new(&[("core1", &cluster)]).run(&LEADER)
}

#[test]
fn an_unknown_context() {
    let bench = Bench::one(&primary());
    assert_said!(
        bench.run(&["leader", "zitadel", "--context", "core9"]),
        bench.run(&["status", "--context", "core1", "--context", "core9"]),
    );
}

#[test]
fn a_kubeconfig_that_is_none() {
    let not_yaml = Bench::with_kubeconfig(b"\tclusters: [\n");
    let another = Bench::with_kubeconfig(b"- a\n- b\n");
    let binary = Bench::with_kubeconfig(b"\xff\xfe\x00");
    let empty = Bench::with_kubeconfig(b"apiVersion: v1\nkind: Config\n");
    assert_said!(
        not_yaml.run(&LEADER),
        another.run(&LEADER),
        binary.run(&LEADER),
        empty.run(&LEADER),
        empty.run(&["leader", "zitadel", "--kubeconfig", "/none/there"]),
    );
}

#[test]
fn a_server_that_cannot_be_reached() {
    let mut bench = Bench::one(&primary());
    bench.stop(0);
    assert_said!(
        bench.run(&LEADER),
        bench.run(&["leader", "zitadel", "-o", "json"])
    );
}

#[test]
fn a_server_that_does_not_answer() {
    let cluster = cluster(&primary());
    cluster.fail(Fault::new(Failure::SilenceBefore));
    let bench = Bench::new(&[("core1", &cluster)]);
    assert_said!(bench.run(&["leader", "zitadel", "--request-timeout", "200ms"]));
}

#[test]
fn credentials_that_are_refused() {
    assert_said!(leader_with(Fault::new(Failure::Unauthorized)));
}

#[test]
fn a_permission_that_is_missing_is_named() {
    assert_said!(
        leader_with(Fault::new(Failure::Forbidden).verb("list").resource("pods")),
        leader_with(Fault::new(Failure::Forbidden).resource("postgresclusters")),
        leader_with(Fault::new(Failure::Forbidden).resource("endpoints")),
    );
}

#[test]
fn a_namespace_or_a_cluster_that_is_not_there() {
    let bench = Bench::one(&primary());
    assert_said!(
        bench.run(&["leader", "zitadel", "-n", "nowhere"]),
        bench.run(&["leader", "keycloak"]),
    );
}

#[test]
fn a_cluster_of_an_operator_that_is_not_known() {
    let zalando = empty_cluster();
    zalando.install("acid.zalan.do", "v1", "postgresql", "postgresqls");
    zalando.insert(json!({
        "apiVersion": "acid.zalan.do/v1", "kind": "postgresql",
        "metadata": {"name": "zitadel", "namespace": NAMESPACE}
    }));
    let none: FakeCluster = empty_cluster();
    none.uninstall("postgresclusters");
    assert_said!(
        Bench::new(&[("core1", &zalando)]).run(&LEADER),
        Bench::new(&[("core1", &none)]).run(&LEADER),
        Bench::new(&[("core1", &none)]).run(&["status", "-A"]),
    );
}

#[test]
fn names_that_would_steer_the_terminal_are_shown_harmless() {
    const EVIL: &str = "node\u{1b}[2J\u{9b}31m\u{202e}\u{7}";
    let cluster = cluster(&primary());
    let pod = primary().pod(0).to_owned();
    cluster.change("pods", NAMESPACE, &pod, |pod| {
        pod["spec"]["nodeName"] = json!(EVIL);
    });
    let bench = Bench::new(&[("core1", &cluster)]);
    for format in ["table", "wide", "json", "yaml", "name"] {
        let ran = bench.run(&["leader", "zitadel", "-o", format, "--color", "never"]);
        assert_eq!(ran.code, Some(0), "{ran}");
        let said = format!("{}{}", ran.stdout, ran.stderr);
        let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!said.contains(steers), "{format}: {said:?}");
    }
    assert_said!(bench.run(&["leader", "zi\u{1b}[2Jtadel"]));
}

#[test]
fn arguments_that_mean_nothing() {
    let bench = Bench::one(&primary());
    assert_said!(
        bench.run(&["leadr", "zitadel"]),
        bench.run(&["leader"]),
        bench.run(&["leader", "zitadel", "--contxt", "core1"]),
        bench.run(&["leader", "zitadel", "-o", "xml"]),
        bench.run(&["leader", "zitadel", "--request-timeout", "soon"]),
        bench.run(&["status", "-A", "-n", "prod"]),
    );
}

#[test]
fn a_variable_that_means_nothing() {
    let bench = Bench::one(&primary());
    let run = |name, value| {
        let output = bench.command(&LEADER).env(name, value).output().unwrap();
        bench.ran(&LEADER, &output)
    };
    assert_said!(
        run("PGHA_COLOR", "purple"),
        run("PGHA_REQUEST_TIMEOUT", "soon")
    );
}
