//! Over TLS.

use std::fs;

use pgha_nlb::Probe as _;
use pgha_nlb::probe::Answer;
use pgha_nlb_probe::spki_sha256;
use rustls::HandshakeKind;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{Authority, Server, WITHIN, probe, response, sample, serve};

const HOST: &str = "login.ois.run";

fn settings(server: &Server, folder: &TempDir, authority: &Authority, keys: &Value) -> Value {
    let file = folder.path().join("ca.pem");
    fs::write(&file, authority.pem()).unwrap();
    json!({
        "route": "https", "url": format!("https://{HOST}/"), "family": "v4", "caFile": file,
        "connectTo": server.address.to_string(), "evidence": [{ "key": { "values": keys } }],
    })
}

#[tokio::test]
async fn a_key_tells_the_site_and_no_session_is_taken_up_again() {
    let (folder, authority) = (TempDir::new().unwrap(), Authority::new());
    let (config, certificate) = authority.server(HOST);
    let server = serve("127.0.0.1:0", Some(config), |_| response("", "hello"));
    let keys = json!({ "core1": spki_sha256(&certificate).unwrap(), "core2": "f".repeat(64) });
    let probe = probe(settings(&server, &folder, &authority, &keys));
    for _ in 0..3 {
        let answer = probe.sample(WITHIN).await.answer;
        assert_eq!(
            answer.site().map(pgha_nlb::SiteName::as_str),
            Some("core1"),
            "{answer:?}"
        );
    }
    let seen = server.seen();
    assert_eq!(seen.len(), 3);
    let kinds: Vec<_> = seen.iter().map(|seen| seen.handshake).collect();
    assert!(
        kinds.iter().all(|kind| *kind == Some(HandshakeKind::Full)),
        "{kinds:?}"
    );
}

#[tokio::test]
async fn a_key_of_no_site_is_not_recognised() {
    let (folder, authority) = (TempDir::new().unwrap(), Authority::new());
    let server = serve("127.0.0.1:0", Some(authority.server(HOST).0), |_| {
        response("", "")
    });
    let keys = json!({ "core1": "0".repeat(64), "core2": "f".repeat(64) });
    let answer = sample(settings(&server, &folder, &authority, &keys))
        .await
        .answer;
    assert!(matches!(answer, Answer::Unrecognised { .. }), "{answer:?}");
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_a_failure() {
    let (folder, authority) = (TempDir::new().unwrap(), Authority::new());
    let keys = json!({ "core1": "0".repeat(64), "core2": "f".repeat(64) });
    let foreign = Authority::new().server(HOST).0;
    let other_name = authority.server("other.example").0;
    for config in [foreign, other_name] {
        let server = serve("127.0.0.1:0", Some(config), |_| response("", ""));
        let answer = sample(settings(&server, &folder, &authority, &keys))
            .await
            .answer;
        assert!(
            matches!(&answer, Answer::Failed { because } if because.contains("No TLS")),
            "{answer:?}"
        );
        assert!(server.seen().is_empty(), "nothing was asked of it");
    }
}
