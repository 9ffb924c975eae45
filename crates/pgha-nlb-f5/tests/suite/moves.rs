//! What the pools have after a move, and what is said of it.

use pgha_model::effect::Effect;
use pgha_nlb::conformance::stub::private_file;
use pgha_nlb::conformance::{WITHIN, moved};
use pgha_nlb::finding::Severity;
use pgha_nlb::{Cutover as _, Look, Problem, Refusal};
use pgha_nlb_f5::BigIp;
use serde_json::{Value, json};

use crate::stub::{PASSWORD, Stub, backend, member, site};

async fn severity(backend: &BigIp, check: &str) -> Severity {
    let findings = backend.preflight(WITHIN).await;
    let found = findings.iter().filter(|finding| finding.check == check);
    found.map(|finding| finding.severity).max().unwrap()
}

#[tokio::test]
async fn all_pools_change_in_one_transaction_and_come_back() {
    let stub = Stub::start();
    let backend = stub.backend();
    let before = stub.pools();
    let seen = backend.observe(WITHIN).await.unwrap();
    let plan = backend.plan(&seen, &site("core1")).unwrap();
    for line in [
        "-enabled in pool /Common/login = /Common/bigip2:vs_login",
        "+enabled in pool /Common/login = /Common/bigip1:vs_login",
    ] {
        let shown = plan.diff.lines().filter(|shown| *shown == line);
        assert_eq!(shown.count(), 2, "{}", plan.diff);
    }
    let receipt = backend.apply(&plan, WITHIN).await.unwrap();
    let command = |kind: &str, site: u8, is_on: bool| {
        let path =
            format!("/mgmt/tm/gtm/pool/{kind}/~Common~login/members/~Common~bigip{site}:vs_login");
        (path, json!({"enabled": is_on, "disabled": !is_on}))
    };
    let commands = [
        command("a", 1, true),
        command("a", 2, false),
        command("aaaa", 1, true),
        command("aaaa", 2, false),
    ];
    assert_eq!(stub.with(|state| state.commits.clone()), [commands]);
    backend.rollback(&receipt, WITHIN).await.unwrap();
    assert_eq!(stub.pools(), before);
}

#[tokio::test]
async fn no_token_is_left_behind() {
    let stub = Stub::start();
    let backend = stub.backend();
    for _ in 0..120 {
        backend.observe(WITHIN).await.unwrap();
    }
    moved(&backend, "core1", WITHIN).await.unwrap();
    assert_eq!(stub.with(|state| state.tokens.len()), 0);
}

#[tokio::test]
async fn what_somebody_else_changed_is_never_overwritten() {
    for (name, is_on) in [
        ("/Common/bigip1:vs_login", true),
        ("/Common/bigip2:vs_login", false),
        ("/Common/page:vs", true),
        ("/Common/new:vs", false),
    ] {
        let stub = Stub::start();
        let backend = stub.backend();
        let seen = backend.observe(WITHIN).await.unwrap();
        let plan = backend.plan(&seen, &site("core1")).unwrap();
        stub.set("aaaa", name, is_on);
        let foreign = stub.pools();
        let error = backend.apply(&plan, WITHIN).await.unwrap_err();
        assert!(
            error.is_conflict() && error.effect == Effect::None,
            "{error}"
        );
        assert_eq!(
            (stub.pools(), stub.with(|state| state.commits.len())),
            (foreign, 0)
        );
    }
}

#[tokio::test]
async fn split_and_unknown_are_refused_with_what_was_seen() {
    let stub = Stub::start();
    let backend = stub.backend();
    let refusal = async || {
        let seen = backend.observe(WITHIN).await.unwrap();
        backend.plan(&seen, &site("core1")).unwrap_err()
    };
    stub.set("a", "/Common/bigip1:vs_login", true);
    let split = refusal().await;
    assert!(
        matches!(&split, Refusal::Split { seen, .. } if seen.contains("more than one")),
        "{split}"
    );
    assert_eq!(severity(&backend, "f5-pool").await, Severity::Fail);
    stub.set("a", "/Common/bigip1:vs_login", false);
    stub.set("a", "/Common/page:vs", true);
    let stranger = refusal().await;
    assert!(
        matches!(&stranger, Refusal::Unknown { because, .. } if because.contains("page:vs")),
        "{stranger}"
    );
    stub.set("a", "/Common/page:vs", false);
    stub.with(|state| state.disabled.insert("aaaa"));
    let disabled = refusal().await;
    assert!(
        matches!(&disabled, Refusal::Unknown { because, .. } if because.contains("is disabled")),
        "{disabled}"
    );
    stub.with(|state| {
        state.disabled.clear();
        state.pools.get_mut("a").unwrap().remove(&member(1, true).0);
    });
    let missing = refusal().await;
    assert!(
        matches!(&missing, Refusal::Unknown { because, .. } if because.contains("which is core1's")),
        "{missing}"
    );
}

#[tokio::test]
async fn a_wrong_password_and_what_is_not_there_are_told() {
    let stub = Stub::start();
    let change = |pointer: &str, value: Value| {
        let mut settings = stub.settings();
        *settings.pointer_mut(pointer).unwrap() = value;
        backend(settings)
    };
    let file = private_file(stub.folder(), "other", "wr0ng").unwrap();
    let wrong = change("/passwordFile", json!(file));
    let error = wrong.observe(WITHIN).await.unwrap_err();
    assert!(matches!(error.problem, Problem::Denied { .. }), "{error}");
    assert!(
        error.to_string().contains("Authentication failed."),
        "{error}"
    );
    assert!(error.next.contains("passwordFile"), "{}", error.next);
    assert!(
        !format!("{error:?} {wrong:?}").contains("wr0ng"),
        "{error:?}"
    );
    let error = change("/routes/0/type", json!("cname"))
        .observe(WITHIN)
        .await;
    let error = error.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("The requested Pool was not found"),
        "{error}"
    );
    assert_eq!(stub.with(|state| state.tokens.len()), 0);
    std::fs::remove_file(stub.folder().join("password")).unwrap();
    let lacking = change("/passwordFile", json!(stub.folder().join("none")));
    assert_eq!(severity(&lacking, "f5-password").await, Severity::Fail);
    assert!(!format!("{:?}", lacking.preflight(WITHIN).await).contains(PASSWORD));
}

#[tokio::test]
async fn a_move_has_settled_when_the_others_of_the_group_show_it() {
    let (stub, other) = (Stub::start(), Stub::start());
    let mut settings = stub.settings();
    settings["others"] = json!([other.url()]);
    let backend = backend(settings);
    assert_eq!(severity(&backend, "f5-others").await, Severity::Pass);
    let receipt = moved(&backend, "core1", WITHIN).await.unwrap();
    let look = backend.settled(&receipt, WITHIN).await.unwrap();
    assert!(
        matches!(&look, Look::NotYet(said) if said.contains(&other.url())),
        "{look:?}"
    );
    assert_eq!(severity(&backend, "f5-others").await, Severity::Fail);
    for kind in ["a", "aaaa"] {
        other.set(kind, &member(1, true).0, true);
        other.set(kind, &member(2, true).0, false);
    }
    let look = backend.settled(&receipt, WITHIN).await.unwrap();
    assert!(
        matches!(&look, Look::Settled(said) if said.contains("1 others")),
        "{look:?}"
    );
    assert_eq!(other.with(|state| state.commits.len()), 0);
}
