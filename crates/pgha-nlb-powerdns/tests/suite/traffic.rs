//! What PowerDNS has after a move, and what is said of it.

use std::sync::Arc;

use pgha_model::effect::Effect;
use pgha_nlb::conformance::stub::private_file;
use pgha_nlb::finding::Severity;
use pgha_nlb::{Active, Cutover as _, Did, Finding, Look, Problem, Refusal};
use serde_json::{Value, json};

use crate::powerdns::{Server, WITHIN, ZONE, backend, exchange, moved, peers, site};
use crate::server::{Then, authority, serve};

fn severity(findings: &[Finding], check: &str) -> Severity {
    let found = findings.iter().filter(|finding| finding.check == check);
    found.map(|finding| finding.severity).max().unwrap()
}

#[tokio::test]
async fn all_sets_of_all_routes_change_in_one_transaction_and_the_lifetime_comes_back() {
    let Some(peers) = peers() else { return };
    let server = Server::start(&peers).await;
    let backend = backend(server.settings());
    let (before, serial) = (server.sets(), server.serial());
    let seen = backend.observe(WITHIN).await.unwrap();
    let plan = backend.plan(&seen, &site("core1")).unwrap();
    for line in [
        "-login.example.org. = A 192.0.2.2; AAAA 2001:db8::2",
        "+login.example.org. = A 192.0.2.1; AAAA 2001:db8::1",
        "-TTL of login.example.org. = A 300; AAAA 600",
        "+TTL of login.example.org. = A 30; AAAA 30",
        "+api.example.org. = CNAME lb.core1.example.",
        "+TTL of api.example.org. = CNAME 30",
    ] {
        assert!(
            plan.diff.lines().any(|shown| shown == line),
            "{line}\n{}",
            plan.diff
        );
    }
    let receipt = backend.apply(&plan, WITHIN).await.unwrap();
    assert_eq!(server.serial(), serial + 1);
    let told = receipt.evidence.join(" ");
    assert!(told.contains("for up to 600 s"), "{told}");
    let sets = server.sets().join("\n");
    assert!(
        sets.contains("192.0.2.9") && sets.contains("192.0.2.1\""),
        "{sets}"
    );
    let look = backend.settled(&receipt, WITHIN).await.unwrap();
    assert!(matches!(look, Look::Settled(_)), "{look:?}");
    backend.rollback(&receipt, WITHIN).await.unwrap();
    assert_eq!((server.sets(), server.serial()), (before, serial + 2));
    let look = backend.settled(&receipt, WITHIN).await.unwrap();
    assert!(matches!(look, Look::NotYet(_)), "{look:?}");
}

#[tokio::test]
async fn a_set_that_only_one_site_has_comes_and_goes() {
    let Some(peers) = peers() else { return };
    let server = Server::start(&peers).await;
    let mut settings = server.settings();
    settings["routes"][0]["sites"]["core1"] = json!({"a": ["192.0.2.1", "192.0.2.11"]});
    let backend = backend(settings);
    let before = server.sets();
    let receipt = moved(&backend).await.unwrap();
    let sets = server.sets();
    assert!(!sets.iter().any(|set| set.contains("\"AAAA\"")), "{sets:?}");
    let seen = backend.observe(WITHIN).await.unwrap();
    assert_eq!(seen.active(), Active::Site(site("core1")));
    backend.rollback(&receipt, WITHIN).await.unwrap();
    assert_eq!(server.sets(), before);
}

#[tokio::test]
async fn a_wrong_key_is_refused_and_nothing_is_changed() {
    let Some(peers) = peers() else { return };
    let server = Server::start(&peers).await;
    let right = backend(server.settings());
    let seen = right.observe(WITHIN).await.unwrap();
    let plan = right.plan(&seen, &site("core1")).unwrap();
    let before = (server.sets(), server.serial());
    let mut settings = server.settings();
    settings["apiKeyFile"] = json!(private_file(server.folder(), "other", "wr0ng").unwrap());
    let wrong = backend(settings);
    let error = wrong.apply(&plan, WITHIN).await.unwrap_err();
    assert!(matches!(error.problem, Problem::Denied { .. }), "{error}");
    assert!(error.next.contains("apiKeyFile"), "{}", error.next);
    assert_eq!(error.effect, Effect::None);
    assert!(
        !format!("{error} {error:?} {wrong:?}").contains("wr0ng"),
        "{error:?}"
    );
    assert_eq!((server.sets(), server.serial()), before);
    let findings = wrong.preflight(WITHIN).await;
    assert_eq!(severity(&findings, "powerdns-reached"), Severity::Fail);
}

#[tokio::test]
async fn a_zone_or_a_server_that_is_not_there_is_told() {
    let Some(peers) = peers() else { return };
    let server = Server::start(&peers).await;
    for (setting, value) in [("zone", "org"), ("server", "elsewhere")] {
        let mut settings = server.settings();
        settings[setting] = json!(value);
        let error = backend(settings).observe(WITHIN).await.unwrap_err();
        assert!(error.to_string().contains("no such zone"), "{error}");
        assert!(
            error.next.contains("Correct `server`, `zone`"),
            "{}",
            error.next
        );
    }
}

#[tokio::test]
async fn what_powerdns_refuses_is_told_in_its_words_and_changes_nothing() {
    let Some(peers) = peers() else { return };
    let server = Server::start(&peers).await;
    let server = Arc::new(server);
    // What outlives the test must not keep PowerDNS running.
    let other = Arc::downgrade(&server);
    let port = serve(None, move |request| {
        let other = other.upgrade().unwrap();
        if request.starts_with(b"PATCH") {
            // Another writer is there first.
            other.replace("api.example.org.", "CNAME", &[]);
            other.replace("api.example.org.", "TXT", &["\"moved\""]);
        }
        Then::Answer(exchange(other.port(), request).unwrap())
    });
    let login = || {
        let sets = server.sets().into_iter();
        sets.filter(|set| set.contains("login")).collect::<Vec<_>>()
    };
    let before = login();
    let error = moved(&backend(through(&server, "http", port))).await;
    let error = error.unwrap_err();
    assert!(matches!(error.problem, Problem::Unfit { .. }), "{error}");
    let said = error.to_string();
    assert!(
        said.contains("422") && said.contains("Conflicts with"),
        "{said}"
    );
    assert_eq!((error.effect, login()), (Effect::None, before));
}

#[tokio::test]
async fn a_change_between_a_name_and_addresses_is_refused() {
    let Some(peers) = peers() else { return };
    let server = Server::start(&peers).await;
    let mut settings = server.settings();
    settings["routes"][1]["sites"]["core1"] = json!({"a": ["192.0.2.1"]});
    let backend = backend(settings);
    let seen = backend.observe(WITHIN).await.unwrap();
    let refusal = backend.plan(&seen, &site("core1")).unwrap_err();
    assert!(matches!(refusal, Refusal::Unfit { .. }), "{refusal:?}");
    assert!(
        refusal.to_string().contains("a name and addresses"),
        "{refusal}"
    );
}

#[tokio::test]
async fn a_zone_that_comes_from_elsewhere_is_never_changed() {
    let Some(peers) = peers() else { return };
    let server = Server::start(&peers).await;
    let slave = json!({"kind": "Slave", "masters": ["127.0.0.9"]});
    server.ask("PUT", &format!("/zones/{ZONE}"), &slave);
    let backend = backend(server.settings());
    let before = server.sets();
    let findings = backend.preflight(WITHIN).await;
    assert_eq!(severity(&findings, "powerdns-zone"), Severity::Fail);
    let error = moved(&backend).await.unwrap_err();
    assert!(error.to_string().contains("its kind is Slave"), "{error}");
    assert_eq!((error.effect, server.sets()), (Effect::None, before));
}

#[tokio::test]
async fn a_signed_zone_is_told_and_its_serial_by_the_clock_is_no_fence() {
    let Some(peers) = peers() else { return };
    let server = Server::start(&peers).await;
    let zone = format!("/zones/{ZONE}");
    server.ask("PUT", &zone, &json!({"dnssec": true, "soa_edit": "EPOCH"}));
    let backend = backend(server.settings());
    let findings = backend.preflight(WITHIN).await;
    assert_eq!(severity(&findings, "powerdns-zone"), Severity::Warn);
    let first = backend.observe(WITHIN).await.unwrap().fence;
    let edited = || server.zone()["edited_serial"].as_u64().unwrap();
    let begun = edited();
    let mut ticks = tokio::time::interval(std::time::Duration::from_millis(50));
    while edited() == begun {
        ticks.tick().await;
    }
    assert_eq!(backend.observe(WITHIN).await.unwrap().fence, first);
    assert_eq!(moved(&backend).await.unwrap().did, Did::Change);
}

#[tokio::test]
async fn long_lifetimes_are_told_until_both_are_short() {
    let Some(peers) = peers() else { return };
    let server = Server::start(&peers).await;
    let long = backend(server.settings());
    let findings = long.preflight(WITHIN).await;
    assert_eq!(severity(&findings, "powerdns-ttl"), Severity::Warn);
    assert_eq!(severity(&findings, "powerdns-record"), Severity::Pass);
    assert_eq!(severity(&findings, "powerdns-key"), Severity::Pass);
    moved(&long).await.unwrap();
    let findings = long.preflight(WITHIN).await;
    let is_pass = |finding: &Finding| finding.severity == Severity::Pass;
    assert!(findings.iter().all(is_pass), "{findings:?}");
}

#[tokio::test]
async fn a_name_without_records_is_unknown_and_never_made() {
    let Some(peers) = peers() else { return };
    let server = Server::start(&peers).await;
    server.replace("api.example.org.", "CNAME", &[]);
    let backend = backend(server.settings());
    let seen = backend.observe(WITHIN).await.unwrap();
    assert!(
        matches!(seen.routes[1].active, Active::Unknown { .. }),
        "{seen:?}"
    );
    let refusal = backend.plan(&seen, &site("core1")).unwrap_err();
    assert!(matches!(refusal, Refusal::Unknown { .. }), "{refusal:?}");
    let findings = backend.preflight(WITHIN).await;
    assert_eq!(severity(&findings, "powerdns-record"), Severity::Fail);
}

/// The settings of a server with another one before it.
fn through(server: &Server, scheme: &str, port: u16) -> Value {
    let mut settings = server.settings();
    settings["url"] = json!(format!("{scheme}://127.0.0.1:{port}/"));
    settings
}

#[tokio::test]
async fn an_answer_that_was_lost_is_replaced_by_what_is_there() {
    let Some(peers) = peers() else { return };
    let server = Server::start(&peers).await;
    let serial = server.serial();
    let behind = server.port();
    let port = serve(None, move |request| {
        let answer = exchange(behind, request).unwrap();
        if request.starts_with(b"PATCH") {
            return Then::End;
        }
        Then::Answer(answer)
    });
    let backend = backend(through(&server, "http", port));
    let receipt = moved(&backend).await.unwrap();
    assert_eq!((receipt.did, server.serial()), (Did::Change, serial + 1));
}

#[tokio::test]
async fn a_request_that_may_be_under_way_is_unknown_and_not_repeated() {
    let Some(peers) = peers() else { return };
    let server = Server::start(&peers).await;
    let before = (server.sets(), server.serial());
    let behind = server.port();
    let port = serve(None, move |request| {
        if request.starts_with(b"PATCH") {
            return Then::End;
        }
        Then::Answer(exchange(behind, request).unwrap())
    });
    let error = moved(&backend(through(&server, "http", port)))
        .await
        .unwrap_err();
    assert_eq!(error.effect, Effect::Unknown, "{error}");
    assert_eq!((server.sets(), server.serial()), before);
}

#[tokio::test]
async fn a_server_is_believed_by_its_authority() {
    let Some(peers) = peers() else { return };
    let server = Server::start(&peers).await;
    let (config, pem) = authority();
    let behind = server.port();
    let port = serve(Some(config), move |request| {
        Then::Answer(exchange(behind, request).unwrap())
    });
    let mut settings = through(&server, "https", port);
    let error = backend(settings.clone()).observe(WITHIN).await.unwrap_err();
    assert_eq!(
        (&error.problem, error.effect),
        (&Problem::Unreachable, Effect::None)
    );
    let ca_file = server.folder().join("ca.pem");
    std::fs::write(&ca_file, pem).unwrap();
    settings["caFile"] = json!(ca_file);
    assert_eq!(moved(&backend(settings)).await.unwrap().did, Did::Change);
}

#[tokio::test]
async fn a_preparation_lowers_lifetimes_and_keeps_records() {
    let Some(peers) = peers() else { return };
    let server = Server::start(&peers).await;
    let backend = backend(server.settings());
    let before = backend.observe(WITHIN).await.unwrap();
    let preparation = backend.preparation(WITHIN).await.unwrap();
    assert!(!preparation.is_empty());
    assert!(preparation.remembers_for > std::time::Duration::from_mins(1));
    let done = backend.prepare(&preparation, WITHIN).await.unwrap();
    assert_eq!(done.did, Did::Change);
    let after = backend.observe(WITHIN).await.unwrap();
    let records = |state: &pgha_nlb::RouteState| -> Vec<_> {
        let routes = state.routes.iter();
        routes.map(|route| route.places[0].clone()).collect()
    };
    assert_eq!(records(&after), records(&before));
    assert_ne!(after.routes, before.routes);
    let findings = backend.preflight(WITHIN).await;
    assert_eq!(severity(&findings, "powerdns-ttl"), Severity::Pass);
    // What was prepared before the preparation is not overwritten.
    let stale = backend.prepare(&preparation, WITHIN).await.unwrap();
    assert_eq!(stale.did, Did::Nothing);
}
