//! What the load balancer has after a move, and what is said of it.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use pgha_model::effect::Effect;
use pgha_nlb::conformance::stub::{Fault, Then, private_file};
use pgha_nlb::conformance::{WITHIN, moved};
use pgha_nlb::finding::Severity;
use pgha_nlb::{Cutover as _, CutoverError, Did, Problem, Refusal};
use pgha_nlb_cloudflare::Cloudflare;
use serde_json::{Value, json};

use crate::stub::{ONE, PAGE, Stub, TOKEN, TWO, backend, failure, site};

fn ok(body: &str) -> Then {
    Then::Answer("200 OK".to_owned(), body.to_owned())
}

/// Neither the error nor what lies below it tells the token.
fn is_silent(error: &CutoverError) -> bool {
    !format!("{error} {error:?} {}", error.next).contains(TOKEN)
}

async fn severity(backend: &Cloudflare, check: &str) -> Severity {
    let findings = backend.preflight(WITHIN).await;
    let found = findings.iter().filter(|finding| finding.check == check);
    found.map(|finding| finding.severity).max().unwrap()
}

#[tokio::test]
async fn a_move_names_only_what_it_changes_and_comes_back() {
    let stub = Stub::start();
    let backend = stub.backend();
    let before = stub.balancer();
    let seen = backend.observe(WITHIN).await.unwrap();
    let plan = backend.plan(&seen, &site("core1")).unwrap();
    let line = format!("+pools of login.example.org = {ONE}, {TWO}; fallback {ONE}");
    assert!(
        plan.diff.lines().any(|shown| shown == line),
        "{}",
        plan.diff
    );
    let receipt = backend.apply(&plan, WITHIN).await.unwrap();
    let patch = json!({"default_pools": [ONE, TWO], "fallback_pool": ONE});
    assert_eq!(stub.with(|state| state.patches.clone()), [patch]);
    assert_eq!(stub.balancer()["description"], "of the network team");
    backend.rollback(&receipt, WITHIN).await.unwrap();
    assert_eq!(stub.balancer(), before);
}

#[tokio::test]
async fn a_fallback_that_is_no_sites_stays() {
    let stub = Stub::start();
    stub.with(|state| state.change("fallback_pool", json!(PAGE)));
    moved(&stub.backend(), "core1", WITHIN).await.unwrap();
    let patches = stub.with(|state| state.patches.clone());
    assert_eq!(patches, [json!({"default_pools": [ONE, TWO]})]);
}

#[tokio::test]
async fn what_somebody_else_changed_is_never_overwritten() {
    for (name, value) in [
        ("default_pools", json!([PAGE, TWO, ONE])),
        ("default_pools", json!([TWO])),
        ("fallback_pool", json!(PAGE)),
        ("ttl", json!(60)),
    ] {
        let stub = Stub::start();
        let backend = stub.backend();
        let seen = backend.observe(WITHIN).await.unwrap();
        let plan = backend.plan(&seen, &site("core1")).unwrap();
        stub.with(|state| state.change(name, value.clone()));
        let foreign = stub.balancer();
        let error = backend.apply(&plan, WITHIN).await.unwrap_err();
        assert!(
            error.is_conflict() && error.effect == Effect::None,
            "{error}"
        );
        assert_eq!(
            (stub.balancer(), stub.with(|state| state.patches.len())),
            (foreign, 0)
        );
    }
}

#[tokio::test]
async fn a_wrong_token_and_what_is_not_there_are_told() {
    let stub = Stub::start();
    let change = |name: &str, value: Value| {
        let mut settings = stub.settings();
        settings[name] = value;
        backend(settings)
    };
    let wrong = change(
        "apiTokenFile",
        json!(private_file(stub.folder(), "other", "wr0ng").unwrap()),
    );
    let error = wrong.observe(WITHIN).await.unwrap_err();
    assert!(matches!(error.problem, Problem::Denied { .. }), "{error}");
    assert!(
        error.to_string().contains("Authentication error (10000)"),
        "{error}"
    );
    assert!(error.next.contains("apiTokenFile"), "{}", error.next);
    assert!(
        !format!("{error:?} {wrong:?}").contains("wr0ng"),
        "{error:?}"
    );
    for name in ["zone", "loadBalancer"] {
        let error = change(name, json!("0")).observe(WITHIN).await.unwrap_err();
        assert!(
            error.to_string().contains("knows no such load balancer"),
            "{error}"
        );
        assert!(error.next.contains(name), "{}", error.next);
    }
    let right = stub.backend();
    let readable = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(stub.folder().join("token"), readable).unwrap();
    let error = right.observe(WITHIN).await.unwrap_err();
    assert!(error.to_string().contains("others may use"), "{error}");
    assert_eq!(severity(&right, "cloudflare-token").await, Severity::Fail);
}

#[tokio::test]
async fn what_cloudflare_refuses_is_told_in_its_words_and_changes_nothing() {
    let stub = Stub::start();
    let mut settings = stub.settings();
    settings["route"]["sites"]["core1"] = json!("abad1dea");
    let before = stub.balancer();
    let error = moved(&backend(settings), "core1", WITHIN)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("no such pool (1002)"), "{error}");
    assert_eq!((error.effect, stub.balancer()), (Effect::None, before));
}

#[tokio::test]
async fn split_and_unknown_are_refused_with_what_was_seen() {
    let stub = Stub::start();
    let backend = stub.backend();
    let refused = async || {
        let seen = backend.observe(WITHIN).await.unwrap();
        backend.plan(&seen, &site("core1")).unwrap_err()
    };
    let rule = json!([{"name": "beta", "overrides": {"default_pools": [ONE]}}]);
    stub.with(|state| state.change("rules", rule));
    assert!(matches!(refused().await, Refusal::Split { .. }));
    assert_eq!(severity(&backend, "cloudflare-pools").await, Severity::Fail);
    stub.with(|state| state.change("rules", Value::Null));
    stub.with(|state| state.change("enabled", json!(false)));
    let refusal = refused().await;
    assert!(
        matches!(&refusal, Refusal::Unknown { because, .. } if because.contains("disabled")),
        "{refusal}"
    );
    assert_eq!(stub.with(|state| state.patches.len()), 0);
}

#[tokio::test]
async fn users_who_stay_where_they_were_are_told() {
    let stub = Stub::start();
    assert_eq!(
        severity(&stub.backend(), "cloudflare-affinity").await,
        Severity::Pass
    );
    stub.with(|state| state.change("session_affinity", json!("cookie")));
    assert_eq!(
        severity(&stub.backend(), "cloudflare-affinity").await,
        Severity::Warn
    );
}

#[tokio::test]
async fn an_answer_that_was_lost_is_replaced_by_what_is_there() {
    for then in [
        Then::End,
        ok("<html>"),
        failure("502 Bad Gateway", 10013, "upstream"),
        ok(&"x".repeat(2 << 20)),
    ] {
        let stub = Stub::start();
        stub.with(|state| state.writing = Some(Fault::After(then.clone())));
        let receipt = moved(&stub.backend(), "core1", WITHIN).await.unwrap();
        assert_eq!(receipt.did, Did::Change, "{then:?}");
        assert!(
            receipt.evidence.join(" ").contains("answer was lost"),
            "{receipt:?}"
        );
        assert_eq!(stub.with(|state| state.patches.len()), 1);
    }
}

#[tokio::test]
async fn a_request_that_may_be_under_way_is_unknown_and_not_repeated() {
    for then in [Then::End, ok("<html>"), failure("500 Error", 10001, TOKEN)] {
        let stub = Stub::start();
        let before = stub.balancer();
        stub.with(|state| state.writing = Some(Fault::Instead(then.clone())));
        let error = moved(&stub.backend(), "core1", WITHIN).await.unwrap_err();
        assert_eq!(error.effect, Effect::Unknown, "{then:?}: {error}");
        assert!(is_silent(&error), "{error:?}");
        assert_eq!(
            (stub.balancer(), stub.with(|state| state.patches.len())),
            (before, 1)
        );
    }
    let stub = Stub::start();
    stub.with(|state| state.writing = Some(Fault::Instead(Then::Silence)));
    let within = Duration::from_millis(300);
    let backend = stub.backend();
    let seen = backend.observe(WITHIN).await.unwrap();
    let plan = backend.plan(&seen, &site("core1")).unwrap();
    let error = backend.apply(&plan, within).await.unwrap_err();
    assert_eq!(
        (error.problem, error.effect),
        (Problem::NoAnswer { within }, Effect::Unknown)
    );
}

#[tokio::test]
async fn who_asks_too_often_is_told_how_long_to_wait() {
    let stub = Stub::start();
    let too_often = failure("429 Too Many Requests\r\nRetry-After: 37", 971, "slow down");
    stub.with(|state| state.writing = Some(Fault::Instead(too_often.clone())));
    let error = moved(&stub.backend(), "core1", WITHIN).await.unwrap_err();
    assert_eq!(error.effect, Effect::None, "{error}");
    assert!(error.next.contains("Wait 37 s"), "{}", error.next);
    stub.with(|state| state.reading = Some(Fault::Instead(too_often)));
    let error = stub.backend().observe(WITHIN).await.unwrap_err();
    assert!(error.to_string().contains("slow down (971)"), "{error}");
}

#[tokio::test]
async fn what_is_no_load_balancer_is_told_and_bounded() {
    let envelope = |result: &str| {
        ok(&format!(
            r#"{{"success": true, "errors": [], "result": {result}}}"#
        ))
    };
    for (then, words) in [
        (ok("<html>"), "no load balancer of Cloudflare's API"),
        (envelope("[]"), "no load balancer of Cloudflare's API"),
        (envelope("null"), "no load balancer of Cloudflare's API"),
        (envelope(r#"{"name": "x"}"#), "missing field"),
        (
            ok(r#"{"success": false, "errors": [], "result": null}"#),
            "no load balancer",
        ),
        (
            Then::Answer("302 Found\r\nLocation: /".to_owned(), String::new()),
            "it answers 302",
        ),
        (failure("500 Error", 1, "\u{1b}[2J"), "\\u{1b}[2J"),
    ] {
        let stub = Stub::start();
        stub.with(|state| state.reading = Some(Fault::Instead(then)));
        let error = stub.backend().observe(WITHIN).await.unwrap_err();
        assert_eq!(error.effect, Effect::None, "{error}");
        let said = error.to_string();
        assert!(said.contains(words) && said.len() < 1500, "{said}");
    }
    let stub = Stub::start();
    stub.with(|state| state.reading = Some(Fault::Instead(ok(&"x".repeat(2 << 20)))));
    let error = stub.backend().observe(WITHIN).await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("length limit"), "{cause}");
}
