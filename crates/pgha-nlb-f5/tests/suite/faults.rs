//! What goes wrong on the way, and what is said of it.

use std::time::Duration;

use pgha_model::effect::Effect;
use pgha_nlb::conformance::stub::{Fault, Then};
use pgha_nlb::conformance::{WITHIN, moved};
use pgha_nlb::{Cutover as _, CutoverError, Did, Problem};
use serde_json::json;

use crate::stub::{PASSWORD, Step, Stub, TOKEN, failure, ok, site};

fn page() -> Then {
    Then::Answer("200 OK".to_owned(), "<html>".to_owned())
}

fn long() -> Then {
    Then::Answer("200 OK".to_owned(), "x".repeat(5 << 20))
}

/// Neither the error nor what lies below it tells a secret.
fn assert_silent(error: &CutoverError) {
    let told = format!("{error} {error:?} {}", error.next);
    assert!(!told.contains(PASSWORD) && !told.contains(TOKEN), "{told}");
}

#[tokio::test]
async fn before_the_commit_nothing_is_changed_whatever_becomes_of_an_answer() {
    for step in [Step::Begin, Step::Queue] {
        for then in [
            Then::End,
            page(),
            long(),
            failure(503, "busy"),
            failure(400, "no"),
            ok(&json!({})),
        ] {
            for fault in [Fault::Instead(then.clone()), Fault::After(then.clone())] {
                // An empty answer to a command says neither yes nor no, and the commit decides.
                if step == Step::Queue && matches!(&then, Then::Answer(_, body) if body == "{}") {
                    continue;
                }
                let stub = Stub::start();
                let before = stub.pools();
                stub.fault(step, fault.clone());
                let error = moved(&stub.backend(), "core1", WITHIN).await.unwrap_err();
                assert_eq!(error.effect, Effect::None, "{step:?} {fault:?}: {error}");
                assert!(!format!("{error} {error:?}").contains(TOKEN), "{error:?}");
                let commits = stub.with(|state| state.commits.len());
                assert_eq!((stub.pools(), commits), (before, 0));
                assert_eq!(stub.with(|state| state.tokens.len()), 0);
            }
        }
    }
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_looked_after() {
    for then in [
        Then::End,
        page(),
        long(),
        failure(503, "busy"),
        failure(400, "too late"),
    ] {
        let stub = Stub::start();
        stub.fault(Step::Commit, Fault::After(then.clone()));
        let receipt = moved(&stub.backend(), "core1", WITHIN).await.unwrap();
        assert_eq!(receipt.did, Did::Change, "{then:?}");
        assert_eq!(stub.with(|state| state.commits.len()), 1);
    }
}

#[tokio::test]
async fn a_commit_that_may_be_under_way_is_unknown_and_not_repeated() {
    for then in [Then::End, page(), long(), failure(503, "busy")] {
        let stub = Stub::start();
        let before = stub.pools();
        stub.fault(Step::Commit, Fault::Instead(then.clone()));
        let error = moved(&stub.backend(), "core1", WITHIN).await.unwrap_err();
        assert_eq!(error.effect, Effect::Unknown, "{then:?}: {error}");
        assert_silent(&error);
        assert_eq!(
            (stub.pools(), stub.with(|state| state.commits.len())),
            (before, 0)
        );
    }
    let stub = Stub::start();
    stub.fault(Step::Commit, Fault::Instead(Then::Silence));
    let backend = stub.backend();
    let seen = backend.observe(WITHIN).await.unwrap();
    let plan = backend.plan(&seen, &site("core1")).unwrap();
    let within = Duration::from_millis(300);
    let error = backend.apply(&plan, within).await.unwrap_err();
    assert_eq!(
        (error.problem, error.effect),
        (Problem::NoAnswer { within }, Effect::Unknown)
    );
}

#[tokio::test]
async fn a_commit_that_is_refused_is_told_in_its_words_and_changes_nothing() {
    let failed =
        ok(&json!({"state": "FAILED", "failureReason": "01070734:3: Configuration error"}));
    for (then, words) in [
        (failed, "01070734:3: Configuration error"),
        (
            failure(400, "transaction failed:01020036:3: no member"),
            "01020036:3: no member",
        ),
        (failure(403, "no role"), "no role"),
    ] {
        let stub = Stub::start();
        let before = stub.pools();
        stub.fault(Step::Commit, Fault::Instead(then));
        let error = moved(&stub.backend(), "core1", WITHIN).await.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!((error.effect, stub.pools()), (Effect::None, before));
    }
}

#[tokio::test]
async fn what_is_no_pool_and_no_login_is_told_and_bounded() {
    for (step, then, words) in [
        (Step::Login, page(), "no object of iControl REST"),
        (Step::Login, ok(&json!({"token": {}})), "gives no token"),
        (
            Step::Login,
            failure(400, "maximum active login tokens"),
            "maximum active login tokens",
        ),
        (Step::Login, failure(400, &format!("no {PASSWORD}")), "no …"),
        (Step::Read, page(), "no object of iControl REST"),
        (Step::Read, failure(429, "slow down"), "429"),
        (Step::Read, failure(500, "\u{1b}[2J"), "\\u{1b}[2J"),
        (
            Step::Read,
            Then::Answer("302 Found\r\nLocation: /".to_owned(), String::new()),
            "it answers 302",
        ),
    ] {
        let stub = Stub::start();
        stub.fault(step, Fault::Instead(then));
        let error = stub.backend().observe(WITHIN).await.unwrap_err();
        let said = error.to_string();
        assert!(said.contains(words) && said.len() < 1500, "{said}");
        assert_eq!(error.effect, Effect::None, "{said}");
        assert_silent(&error);
    }
    for step in [Step::Login, Step::Read] {
        let stub = Stub::start();
        stub.fault(step, Fault::Instead(long()));
        let error = stub.backend().observe(WITHIN).await.unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("length limit"), "{cause}");
    }
}

#[tokio::test]
async fn an_object_that_is_no_pool_leads_nowhere() {
    let stub = Stub::start();
    stub.fault(Step::Read, Fault::Instead(ok(&json!([]))));
    let backend = stub.backend();
    let seen = backend.observe(WITHIN).await.unwrap();
    assert!(backend.plan(&seen, &site("core1")).is_err(), "{seen:?}");
}

#[tokio::test]
async fn a_token_that_cannot_be_given_back_stops_nothing() {
    let stub = Stub::start();
    stub.fault(Step::End, Fault::Instead(failure(500, "no")));
    assert_eq!(
        moved(&stub.backend(), "core1", WITHIN).await.unwrap().did,
        Did::Change
    );
}
