//! What the zone has after a move, and what is said of it.

use std::time::Duration;

use pgha_model::effect::Effect;
use pgha_nlb::conformance::stub::{Fault, Then, private_file};
use pgha_nlb::conformance::{WITHIN, moved};
use pgha_nlb::finding::Severity;
use pgha_nlb::{Cutover as _, CutoverError, Did, Problem, Refusal};
use pgha_nlb_cloudflare_dns::CloudflareDns;
use serde_json::json;

use crate::stub::{Stub, TOKEN, backend, failure, record, site};

fn ok(body: &str) -> Then {
    Then::Answer("200 OK".to_owned(), body.to_owned())
}

/// Neither the error nor what lies below it tells the token.
fn is_silent(error: &CutoverError) -> bool {
    !format!("{error} {error:?} {}", error.next).contains(TOKEN)
}

async fn severity(backend: &CloudflareDns, check: &str) -> Severity {
    let findings = backend.preflight(WITHIN).await;
    let found = findings.iter().filter(|finding| finding.check == check);
    found.map(|finding| finding.severity).max().unwrap()
}

#[tokio::test]
async fn all_records_change_in_one_batch_by_their_content_alone_and_come_back() {
    let stub = Stub::start();
    let backend = stub.backend();
    let before = stub.records();
    let receipt = moved(&backend, "core1", WITHIN).await.unwrap();
    let patch = |id: &str, content: &str| json!({"id": id, "content": content});
    let patches = [
        patch("api", "lb.core1.example"),
        patch("a2", "192.0.2.11"),
        patch("a1", "192.0.2.12"),
        patch("aaaa", "2001:db8::1"),
    ];
    let batch = json!({ "patches": patches });
    assert_eq!(stub.with(|state| state.batches.clone()), [batch]);
    let told = receipt.evidence.join(" ");
    assert!(told.contains("for up to 300 s"), "{told}");
    let after = stub.records();
    assert_eq!(
        (&after[0]["comment"], &after[0]["ttl"]),
        (&json!("of the network team"), &json!(1))
    );
    backend.rollback(&receipt, WITHIN).await.unwrap();
    assert_eq!(stub.records(), before);
}

#[tokio::test]
async fn what_somebody_else_changed_is_never_overwritten() {
    for (id, field, value) in [
        ("aaaa", "content", json!("2001:db8::77")),
        ("a1", "ttl", json!(600)),
        ("api", "proxied", json!(true)),
        ("txt", "content", json!("x")),
    ] {
        let stub = Stub::start();
        let backend = stub.backend();
        let seen = backend.observe(WITHIN).await.unwrap();
        let plan = backend.plan(&seen, &site("core1")).unwrap();
        stub.with(|state| {
            if field == "proxied" {
                state.change(id, "ttl", &json!(1));
            }
            state.change(id, field, &value);
        });
        let foreign = stub.records();
        let error = backend.apply(&plan, WITHIN).await.unwrap_err();
        assert!(
            error.is_conflict() && error.effect == Effect::None,
            "{error}"
        );
        assert_eq!((stub.records(), stub.batches()), (foreign, 0));
    }
}

#[tokio::test]
async fn what_is_proxied_is_told_and_moves_all_the_same() {
    let stub = Stub::start();
    let backend = stub.backend();
    assert_eq!(
        severity(&backend, "cloudflare-proxied").await,
        Severity::Pass
    );
    stub.with(|state| {
        state.change("api", "ttl", &json!(1));
        state.change("api", "proxied", &json!(true));
    });
    assert_eq!(
        severity(&backend, "cloudflare-proxied").await,
        Severity::Warn
    );
    moved(&backend, "core1", WITHIN).await.unwrap();
    let records = stub.records();
    let api = records.iter().find(|record| record["id"] == "api").unwrap();
    assert_eq!(
        (&api["content"], &api["proxied"]),
        (&json!("lb.core1.example"), &json!(true))
    );
}

#[tokio::test]
async fn a_record_that_would_be_made_or_removed_is_refused() {
    let stub = Stub::start();
    let mut settings = stub.settings();
    settings["routes"][0]["sites"]["core1"] = json!({"a": ["192.0.2.11", "192.0.2.12"]});
    let fewer = backend(settings.clone());
    let seen = fewer.observe(WITHIN).await.unwrap();
    let refusal = fewer.plan(&seen, &site("core1")).unwrap_err();
    assert!(matches!(refusal, Refusal::Unfit { .. }), "{refusal:?}");
    settings["routes"][0]["sites"]["core1"] = json!({"cname": "lb.core1.example"});
    let alias = backend(settings);
    let refusal = alias.plan(&seen, &site("core1")).unwrap_err();
    assert!(
        refusal.to_string().contains("a name and addresses"),
        "{refusal}"
    );
}

#[tokio::test]
async fn split_and_unknown_are_refused_with_what_was_seen() {
    let stub = Stub::start();
    let backend = stub.backend();
    let refusal = async || {
        let seen = backend.observe(WITHIN).await.unwrap();
        backend.plan(&seen, &site("core1")).unwrap_err()
    };
    stub.with(|state| state.change("aaaa", "content", &json!("2001:db8::1")));
    let split = refusal().await;
    assert!(matches!(split, Refusal::Split { .. }), "{split}");
    stub.with(|state| state.records.retain(|record| record["id"] != "aaaa"));
    let part = refusal().await;
    assert!(matches!(part, Refusal::Unknown { .. }), "{part}");
    assert_eq!(
        severity(&backend, "cloudflare-record").await,
        Severity::Fail
    );
}

#[tokio::test]
async fn a_page_that_does_not_show_all_is_not_believed() {
    let stub = Stub::start();
    stub.with(|state| state.largest_page = 3);
    let error = stub.backend().observe(WITHIN).await.unwrap_err();
    assert!(
        error.to_string().contains("more records than the 3"),
        "{error}"
    );
    // A server that knows nothing of the question shows everything.
    let stub = Stub::start();
    let record = record("web", "web.example.org", "A", "192.0.2.80", 60);
    let body = json!({"success": true, "result": [record], "result_info": {"total_count": 1}});
    stub.with(|state| state.reading = Some(Fault::Instead(ok(&body.to_string()))));
    let seen = stub.backend().observe(WITHIN).await.unwrap();
    assert!(
        stub.backend().plan(&seen, &site("core1")).is_err(),
        "{seen:?}"
    );
}

#[tokio::test]
async fn a_preparation_lowers_lifetimes_and_keeps_records() {
    let stub = Stub::start();
    let backend = stub.backend();
    let before = stub.records();
    assert_eq!(severity(&backend, "cloudflare-ttl").await, Severity::Warn);
    let preparation = backend.preparation(WITHIN).await.unwrap();
    assert_eq!(preparation.remembers_for, Duration::from_mins(5));
    backend.prepare(&preparation, WITHIN).await.unwrap();
    let lowered = [
        json!({"id": "a1", "ttl": 60}),
        json!({"id": "aaaa", "ttl": 60}),
    ];
    assert_eq!(
        stub.with(|state| state.batches.clone()),
        [json!({ "patches": lowered })]
    );
    assert_eq!(severity(&backend, "cloudflare-ttl").await, Severity::Pass);
    let contents = |records: Vec<serde_json::Value>| -> Vec<_> {
        records
            .iter()
            .map(|record| record["content"].clone())
            .collect()
    };
    assert_eq!(contents(stub.records()), contents(before));
}

#[tokio::test]
async fn a_wrong_token_and_a_zone_that_is_not_there_are_told() {
    let stub = Stub::start();
    let mut settings = stub.settings();
    settings["apiTokenFile"] = json!(private_file(stub.folder(), "other", "wr0ng").unwrap());
    let wrong = backend(settings);
    let error = wrong.observe(WITHIN).await.unwrap_err();
    assert!(matches!(error.problem, Problem::Denied { .. }), "{error}");
    assert!(
        error.to_string().contains("Authentication error (10000)"),
        "{error}"
    );
    assert!(
        !format!("{error:?} {wrong:?}").contains("wr0ng"),
        "{error:?}"
    );
    let mut settings = stub.settings();
    settings["zone"] = json!("0");
    let error = backend(settings).observe(WITHIN).await.unwrap_err();
    assert!(error.to_string().contains("knows no such zone"), "{error}");
    let mut settings = stub.settings();
    settings["apiTokenFile"] = json!(stub.folder().join("none"));
    assert_eq!(
        severity(&backend(settings), "cloudflare-token").await,
        Severity::Fail
    );
}

#[tokio::test]
async fn what_cloudflare_refuses_is_told_in_its_words_and_changes_nothing() {
    let stub = Stub::start();
    let before = stub.records();
    let no = failure(
        "400 Bad Request",
        81058,
        "An identical record already exists.",
    );
    stub.with(|state| state.writing = Some(Fault::Instead(no)));
    let error = moved(&stub.backend(), "core1", WITHIN).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("identical record already exists. (81058)"),
        "{error}"
    );
    assert_eq!((error.effect, stub.records()), (Effect::None, before));
}

#[tokio::test]
async fn an_answer_that_was_lost_is_replaced_by_what_is_there() {
    for then in [
        Then::End,
        ok("<html>"),
        failure("502 Bad Gateway", 10013, "upstream"),
        ok(&"x".repeat(5 << 20)),
    ] {
        let stub = Stub::start();
        stub.with(|state| state.writing = Some(Fault::After(then.clone())));
        let receipt = moved(&stub.backend(), "core1", WITHIN).await.unwrap();
        assert_eq!((receipt.did, stub.batches()), (Did::Change, 1), "{then:?}");
    }
}

#[tokio::test]
async fn a_request_that_may_be_under_way_is_unknown_and_not_repeated() {
    for then in [Then::End, ok("<html>"), failure("500 Error", 10001, TOKEN)] {
        let stub = Stub::start();
        let before = stub.records();
        stub.with(|state| state.writing = Some(Fault::Instead(then.clone())));
        let error = moved(&stub.backend(), "core1", WITHIN).await.unwrap_err();
        assert_eq!(error.effect, Effect::Unknown, "{then:?}: {error}");
        assert!(is_silent(&error), "{error:?}");
        assert_eq!((stub.records(), stub.batches()), (before, 1));
    }
}

#[tokio::test]
async fn who_asks_too_often_is_told_how_long_to_wait() {
    let stub = Stub::start();
    let too_often = failure("429 Too Many Requests\r\nRetry-After: 37", 971, "slow down");
    stub.with(|state| state.writing = Some(Fault::Instead(too_often)));
    let error = moved(&stub.backend(), "core1", WITHIN).await.unwrap_err();
    assert_eq!(error.effect, Effect::None, "{error}");
    assert!(error.next.contains("Wait 37 s"), "{}", error.next);
}

#[tokio::test]
async fn what_is_no_zone_is_told_and_bounded() {
    for (then, words) in [
        (ok("<html>"), "no zone of Cloudflare's API"),
        (ok(r#"{"success": true, "result": []}"#), "missing field"),
        (
            ok(r#"{"success": false, "result": null, "result_info": {"total_count": 0}}"#),
            "no zone of",
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
    stub.with(|state| state.reading = Some(Fault::Instead(ok(&"x".repeat(5 << 20)))));
    let error = stub.backend().observe(WITHIN).await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("length limit"), "{cause}");
}
