//! Servers that answer as AWS seldom does, or not at all.

use std::time::Duration;

use pgha_model::effect::Effect;
use pgha_nlb::{Cutover as _, CutoverError, Problem};
use serde_json::json;

use crate::moto::{SECRET, TOKEN, WITHIN, backend};
use crate::server::{Then, response, serve};

async fn observed(port: u16, within: Duration) -> CutoverError {
    let backend = backend(json!({
        "id": "dns", "endpoint": format!("http://127.0.0.1:{port}"),
        "by": {"route53": {"zone": "Z1"}},
        "routes": [{"name": "https", "at": "login.example.org", "sites": {"core1": "one", "core2": "two"}}],
    }));
    let error = backend.observe(within).await.unwrap_err();
    assert_eq!(error.effect, Effect::None, "{error}");
    let told = format!("{error} {error:?} {backend:?}");
    assert!(!told.contains(SECRET) && !told.contains(TOKEN), "{told}");
    error
}

#[tokio::test]
async fn what_is_no_answer_of_aws_is_told_and_bounded() {
    let long = "x".repeat(5 * 1024 * 1024);
    let deep = "<a>".repeat(100_000);
    for (status, body, words) in [
        ("200 OK", "<html>", "ends too soon"),
        ("200 OK", "<a></b>", "expected `</a>`"),
        ("200 OK", "", "no record sets"),
        ("200 OK", &deep, "nested too deeply"),
        ("200 OK", "<a>\u{1b}[2J</a>", "no record sets"),
        ("302 Found", "", "302"),
        ("503 Service Unavailable", "\u{1b}[2J", "\\u{1b}[2J"),
        ("400 Bad Request", &long[..100_000], "xxx…"),
    ] {
        let body = body.to_owned();
        let port = serve(move |_| response(status, &body));
        let error = observed(port, WITHIN).await;
        assert!(matches!(error.problem, Problem::Unfit { .. }), "{error}");
        let said = error.to_string();
        assert!(said.contains(words) && said.len() < 1500, "{words}: {said}");
    }
    let port = serve(move |_| response("200 OK", &long));
    let error = observed(port, WITHIN).await;
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("length limit"), "{cause}");
}

#[tokio::test]
async fn a_clock_that_differs_is_told_plainly_and_a_request_that_aws_quotes_is_not() {
    for code in ["RequestTimeTooSkewed", "SignatureDoesNotMatch"] {
        let body = format!(
            "<ErrorResponse><Error><Code>{code}</Code><Message>The Canonical String should have been 'GET x-amz-security-token:\
             {TOKEN} {SECRET}'</Message></Error></ErrorResponse>"
        );
        let port = serve(move |_| response("403 Forbidden", &body));
        let error = observed(port, WITHIN).await;
        assert!(matches!(error.problem, Problem::Denied { .. }), "{error}");
        assert!(
            error.to_string().contains("x-amz-security-token:…"),
            "{error}"
        );
        assert!(
            error.next.contains("this machine's clock"),
            "{}",
            error.next
        );
    }
}

#[tokio::test]
async fn a_name_with_too_many_sets_is_refused() {
    let set =
        "<ResourceRecordSet><Name>LOGIN.example.org.</Name><Type>A</Type></ResourceRecordSet>";
    let body = format!(
        "<ListResourceRecordSetsResponse><ResourceRecordSets>{set}</ResourceRecordSets><IsTruncated>true</IsTruncated>\
         </ListResourceRecordSetsResponse>"
    );
    let port = serve(move |_| response("200 OK", &body));
    let error = observed(port, WITHIN).await;
    assert!(error.to_string().contains("more than 300"), "{error}");
}

#[tokio::test]
async fn a_server_that_never_answers_takes_no_longer_than_it_may() {
    let port = serve(|_| Then::Silence);
    let within = Duration::from_millis(200);
    let error = observed(port, within).await;
    assert_eq!(error.problem, Problem::NoAnswer { within });
}

#[tokio::test]
async fn a_port_that_nobody_listens_at_is_out_of_reach() {
    // One that was free a moment ago may be held by a process that somebody starts.
    let error = observed(1, WITHIN).await;
    assert_eq!(error.problem, Problem::Unreachable);
}
