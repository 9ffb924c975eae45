//! Servers that answer as no PowerDNS does, or not at all.

use std::time::Duration;

use pgha_model::effect::Effect;
use pgha_nlb::{Cutover as _, CutoverError, Problem};
use serde_json::json;
use tempfile::TempDir;

use pgha_nlb::conformance::stub::private_file;

use crate::powerdns::{WITHIN, backend};
use crate::server::{Then, response, serve};

const KEY: &str = "s3cret";

async fn observed(port: u16, within: Duration) -> CutoverError {
    let folder = TempDir::new().unwrap();
    let backend = backend(json!({
        "id": "dns", "url": format!("http://127.0.0.1:{port}"), "zone": "example.org", "ttl": 30,
        "apiKeyFile": private_file(folder.path(), "key", KEY).unwrap(),
        "routes": [{"name": "https", "record": "login.example.org", "sites": {
            "core1": {"a": ["192.0.2.1"]}, "core2": {"a": ["192.0.2.2"]},
        }}],
    }));
    let error = backend.observe(within).await.unwrap_err();
    assert_eq!(error.effect, Effect::None, "{error}");
    assert!(!format!("{error} {error:?}").contains(KEY), "{error:?}");
    error
}

#[tokio::test]
async fn what_is_no_zone_is_told_and_bounded() {
    let long = "x".repeat(17 * 1024 * 1024);
    for (status, body, words) in [
        ("200 OK", "<html>", "no zone of PowerDNS' API"),
        ("200 OK", "{\"kind\": \"Native\"}", "missing field"),
        ("200 OK", "[]", "no zone of PowerDNS' API"),
        ("302 Found", "", "it answers 302"),
        ("500 Internal Server Error", "\u{1b}[2J", "\\u{1b}[2J"),
        (
            "422 Unprocessable",
            "{\"error\": \"the key s3cret\"}",
            "the key …",
        ),
        ("422 Unprocessable", &long[..100_000], "xxx…"),
    ] {
        let body = body.to_owned();
        let port = serve(None, move |_| response(status, &body));
        let error = observed(port, WITHIN).await;
        assert!(matches!(error.problem, Problem::Unfit { .. }), "{error}");
        let said = error.to_string();
        assert!(said.contains(words) && said.len() < 1500, "{said}");
    }
    let port = serve(None, move |_| response("200 OK", &long));
    let error = observed(port, WITHIN).await;
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("length limit"), "{cause}");
}

#[tokio::test]
async fn a_server_that_never_answers_takes_no_longer_than_it_may() {
    let port = serve(None, |_| Then::Silence);
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
