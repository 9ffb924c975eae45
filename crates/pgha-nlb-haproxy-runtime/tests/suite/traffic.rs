//! What users get, and what is said of it.

use pgha_model::effect::Effect;
use pgha_nlb::finding::Severity;
use pgha_nlb::{Active, Cutover as _, Look, Problem, Receipt, Refusal};
use pgha_nlb_haproxy_runtime::{HaproxyRuntime, Settings};
use serde_json::{Value, json};

use crate::haproxy::{Haproxy, MAP, WITHIN, inline, peers, site, two_keys, two_maps};

async fn moved(backend: &HaproxyRuntime) -> Receipt {
    let seen = backend.observe(WITHIN).await.unwrap();
    let plan = backend.plan(&seen, &site("core1")).unwrap();
    backend.apply(&plan, WITHIN).await.unwrap()
}

async fn assert_moves(frontend: &str, routes: &Value, host: &str) {
    let Some(peers) = peers() else { return };
    let haproxy = Haproxy::start(&peers).await;
    let backend = haproxy.backend(routes);
    assert_eq!(haproxy.served_by(frontend, host), "core2");
    let receipt = moved(&backend).await;
    assert_eq!(haproxy.served_by(frontend, host), "core1");
    assert_eq!(haproxy.served_by(frontend, "web.ois.run"), "core2");
    backend.rollback(&receipt, WITHIN).await.unwrap();
    assert_eq!(haproxy.served_by(frontend, host), "core2");
}

#[tokio::test]
async fn a_map_moves_the_next_request() {
    assert_moves("mapped.sock", &two_maps(), "login.ois.run").await;
}

#[tokio::test]
async fn two_keys_of_a_map_move_together() {
    assert_moves("mapped.sock", &two_keys(), "api.ois.run").await;
}

#[tokio::test]
async fn inline_patterns_move_the_next_request() {
    assert_moves("named.sock", &inline(), "login.ois.run").await;
}

#[tokio::test]
async fn a_map_that_is_larger_than_one_command_is_replaced_whole() {
    let Some(peers) = peers() else { return };
    let haproxy = Haproxy::start(&peers).await;
    for first in (0..3000).step_by(100) {
        let keys = (first..first + 100).map(|n| format!("host-{n}.example.org core2-http\n"));
        haproxy.runtime(&format!("add map {MAP} <<\n{}", keys.collect::<String>()));
    }
    moved(&haproxy.backend(&two_keys())).await;
    let map = haproxy.runtime(&format!("show map {MAP}"));
    assert_eq!(
        map.lines()
            .filter(|line| line.contains("core2-http"))
            .count(),
        3001
    );
    assert_eq!(
        map.lines()
            .filter(|line| line.contains("core1-http"))
            .count(),
        2
    );
}

#[tokio::test]
async fn the_counters_tell_who_serves() {
    let Some(peers) = peers() else { return };
    let haproxy = Haproxy::start(&peers).await;
    let backend = haproxy.backend(&two_maps());
    moved(&backend).await;
    let total = async || {
        let sessions = backend.sessions(WITHIN).await.unwrap();
        let of = |name: &str| {
            sessions
                .iter()
                .find(|one| one.backend == name)
                .unwrap()
                .total
        };
        (of("core1-http"), of("core2-http"))
    };
    let before = total().await;
    haproxy.served_by("mapped.sock", "login.ois.run");
    assert_eq!(total().await, (before.0 + 1, before.1));
}

#[tokio::test]
async fn a_restart_is_seen_and_nothing_is_said_to_be_settled() {
    let Some(peers) = peers() else { return };
    let haproxy = Haproxy::start(&peers).await;
    let backend = haproxy.backend(&inline());
    let receipt = moved(&backend).await;
    haproxy.restart().await;
    let look = backend.settled(&receipt, WITHIN).await.unwrap();
    assert!(matches!(look, Look::NotYet(_)), "{look:?}");
    let undone = backend.rollback(&receipt, WITHIN).await.unwrap();
    assert_eq!(
        undone.did,
        pgha_nlb::Did::Nothing,
        "the restart took it back already"
    );
}

#[tokio::test]
async fn an_old_plan_is_a_conflict_after_a_restart() {
    let Some(peers) = peers() else { return };
    let haproxy = Haproxy::start(&peers).await;
    let backend = haproxy.backend(&inline());
    let seen = backend.observe(WITHIN).await.unwrap();
    let plan = backend.plan(&seen, &site("core1")).unwrap();
    haproxy.restart().await;
    assert!(
        backend
            .apply(&plan, WITHIN)
            .await
            .unwrap_err()
            .is_conflict()
    );
}

#[tokio::test]
async fn that_nothing_persists_it_is_told_unless_something_does() {
    let Some(peers) = peers() else { return };
    let haproxy = Haproxy::start(&peers).await;
    let unpersisted = async |backend: &HaproxyRuntime| {
        let findings = backend.preflight(WITHIN).await;
        assert!(
            findings
                .iter()
                .all(|finding| finding.severity != Severity::Fail),
            "{findings:?}"
        );
        let mut findings = findings
            .iter()
            .filter(|finding| finding.check == "haproxy-persisted");
        findings.next().unwrap().severity
    };
    assert_eq!(
        unpersisted(&haproxy.backend(&two_maps())).await,
        Severity::Warn
    );
    let mut settings = haproxy.settings(&two_maps());
    settings["persistedBy"] = json!("nlb");
    let settings: Settings = serde_json::from_value(settings).unwrap();
    let backend = HaproxyRuntime::new(settings).unwrap();
    assert_eq!(unpersisted(&backend).await, Severity::Pass);
}

#[tokio::test]
async fn a_backend_that_haproxy_lacks_is_refused() {
    let Some(peers) = peers() else { return };
    let haproxy = Haproxy::start(&peers).await;
    let mut routes = two_maps();
    routes[0]["sites"]["core1"] = json!("core1-htttp");
    let backend = haproxy.backend(&routes);
    let seen = backend.observe(WITHIN).await.unwrap();
    let refusal = backend.plan(&seen, &site("core1")).unwrap_err();
    assert!(matches!(refusal, Refusal::Unfit { .. }), "{refusal:?}");
    let findings = backend.preflight(WITHIN).await;
    assert!(
        findings
            .iter()
            .any(|finding| finding.severity == Severity::Fail),
        "{findings:?}"
    );
}

#[tokio::test]
async fn a_missing_key_is_unknown_and_never_added() {
    let Some(peers) = peers() else { return };
    let haproxy = Haproxy::start(&peers).await;
    haproxy.runtime(&format!("del map {MAP} login.ois.run"));
    let backend = haproxy.backend(&two_maps());
    let seen = backend.observe(WITHIN).await.unwrap();
    assert!(
        matches!(seen.routes[0].active, Active::Unknown { .. }),
        "{seen:?}"
    );
    assert!(matches!(seen.routes[1].active, Active::Site(_)), "{seen:?}");
}

#[tokio::test]
async fn a_rule_at_another_line_is_told_and_not_guessed() {
    let Some(peers) = peers() else { return };
    let haproxy = Haproxy::start(&peers).await;
    let mut routes = inline();
    routes[0]["spot"]["acls"]["rules"]["core1-http"]["line"] = json!(1);
    let error = haproxy.backend(&routes).observe(WITHIN).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("no list of `hdr(host)` at line 1 of /mnt/h.cfg"),
        "{error}"
    );
}

#[tokio::test]
async fn a_socket_that_nobody_listens_at_is_out_of_reach() {
    let settings = json!({
        "id": "lb", "socket": {"unix": "/nonexistent/haproxy.sock"}, "routes": two_maps(),
    });
    let settings: Settings = serde_json::from_value(settings).unwrap();
    let backend = HaproxyRuntime::new(settings).unwrap();
    let error = backend.observe(WITHIN).await.unwrap_err();
    assert_eq!(
        (&error.problem, error.effect),
        (&Problem::Unreachable, Effect::None)
    );
}
