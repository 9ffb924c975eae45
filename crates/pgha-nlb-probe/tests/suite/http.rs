//! Over plain HTTP.

use std::time::Duration;

use pgha_nlb::Probe as _;
use pgha_nlb::probe::Answer;
use pgha_nlb_probe::{HttpProbe, Settings};
use serde_json::{Value, json};

use crate::server::{Server, WITHIN, probe, response, sample, serve};

fn header() -> Value {
    json!({ "header": { "name": "x-site", "values": { "core1": "one", "core2": "two" } } })
}

fn settings(server: &Server, evidence: &Value) -> Value {
    json!({
        "route": "http", "url": "http://login.ois.run/ready?pgha={nonce}", "family": "v4",
        "connectTo": server.address.to_string(), "evidence": evidence,
    })
}

#[tokio::test]
async fn a_header_tells_the_site_and_each_sample_is_a_connection_of_its_own() {
    let server = serve("127.0.0.1:0", None, |_| response("X-Site: two\r\n", ""));
    let probe = probe(settings(&server, &json!([header()])));
    for _ in 0..2 {
        let sample = probe.sample(WITHIN).await;
        assert_eq!(sample.address, Some(server.address.to_string()));
        let Answer::Site { site, how } = sample.answer else {
            panic!("{sample:?}");
        };
        assert_eq!(site.as_str(), "core2");
        assert_eq!(how, "Status 200; header x-site is `two`.");
    }
    let seen = server.seen();
    assert_eq!(seen.len(), 2, "one connection for each sample");
    assert!(
        seen[0].request.contains("host: login.ois.run\r\n"),
        "{seen:?}"
    );
    assert_ne!(seen[0].request, seen[1].request, "the nonce is another one");
}

#[tokio::test]
async fn an_echoed_nonce_tells_the_site_and_an_old_one_does_not() {
    let evidence =
        json!([{ "body": { "values": { "core1": "core1 {nonce}", "core2": "core2 {nonce}" } } }]);
    let echo = serve("127.0.0.1:0", None, |request| {
        let nonce = request.split(['=', ' ']).nth(2).unwrap_or_default();
        response("", &format!("I am core1 {nonce}!"))
    });
    let sample_of = async |server: &Server| sample(settings(server, &evidence)).await.answer;
    let answer = sample_of(&echo).await;
    assert_eq!(
        answer.site().map(pgha_nlb::SiteName::as_str),
        Some("core1"),
        "{answer:?}"
    );
    let cache = serve("127.0.0.1:0", None, |_| {
        response("", "I am core1 0123456789abcdef!")
    });
    let answer = sample_of(&cache).await;
    assert!(matches!(answer, Answer::Unrecognised { .. }), "{answer:?}");
}

#[tokio::test]
async fn evidence_that_disagrees_is_a_contradiction() {
    let server = serve("127.0.0.1:0", None, |_| {
        response("X-Site: one\r\nX-Site: two\r\n", "")
    });
    let answer = sample(settings(&server, &json!([header()]))).await.answer;
    assert!(matches!(answer, Answer::Contradiction { .. }), "{answer:?}");
}

#[tokio::test]
async fn an_answer_without_evidence_is_no_sites() {
    let server = serve("127.0.0.1:0", None, |_| {
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_owned()
    });
    let answer = sample(settings(&server, &json!([header()]))).await.answer;
    let seen = "Status 503, and nothing in it tells the site.".to_owned();
    assert_eq!(answer, Answer::Unrecognised { seen });
}

#[tokio::test]
async fn a_body_in_chunks_is_read_and_noise_is_no_http() {
    let evidence = json!([{ "body": { "values": { "core1": "core1", "core2": "core2" } } }]);
    let chunked = serve("127.0.0.1:0", None, |_| {
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ncor\r\n2\r\ne2\r\n0\r\n\r\n"
            .to_owned()
    });
    let answer = sample(settings(&chunked, &evidence)).await.answer;
    assert_eq!(
        answer.site().map(pgha_nlb::SiteName::as_str),
        Some("core2"),
        "{answer:?}"
    );
    let noise = serve("127.0.0.1:0", None, |_| "SSH-2.0-OpenSSH\r\n".to_owned());
    let answer = sample(settings(&noise, &evidence)).await.answer;
    assert!(matches!(answer, Answer::Failed { .. }), "{answer:?}");
}

#[tokio::test]
async fn nobody_and_silence_are_failures() {
    let settings = |address: String| {
        json!({
            "route": "http", "url": "http://login.ois.run/", "family": "v4", "connectTo": address,
            "evidence": [header()],
        })
    };
    // Nobody listens there; a port that was free a moment ago may be held by a process that somebody starts.
    let answer = sample(settings("127.0.0.1:1".to_owned())).await.answer;
    assert!(
        matches!(&answer, Answer::Failed { because } if because.contains("No connection")),
        "{answer:?}"
    );
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let probe = probe(settings(silent.local_addr().unwrap().to_string()));
    let sample = probe.sample(Duration::from_millis(200)).await;
    let because = "No answer within 0.2 s.".to_owned();
    assert_eq!(sample.answer, Answer::Failed { because });
}

#[tokio::test]
async fn the_family_decides_which_address_is_asked() {
    let server = serve("127.0.0.1:0", None, |_| response("X-Site: one\r\n", ""));
    let mut settings = settings(&server, &json!([header()]));
    settings["family"] = json!("v6");
    let sample = sample(settings).await;
    assert!(sample.asked.contains("over IPv6"), "{sample:?}");
    assert!(
        matches!(&sample.answer, Answer::Failed { because } if because.contains("no address of this family")),
        "{sample:?}"
    );
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn ipv6_is_asked_where_the_machine_has_it() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        println!("skipped: this machine has no IPv6");
        return;
    }
    let server = serve("[::1]:0", None, |_| response("X-Site: one\r\n", ""));
    let mut settings = settings(&server, &json!([header()]));
    settings["family"] = json!("v6");
    let sample = sample(settings).await;
    assert_eq!(
        sample.answer.site().map(pgha_nlb::SiteName::as_str),
        Some("core1"),
        "{sample:?}"
    );
}

#[test]
fn settings_that_prove_nothing_are_refused() {
    let good = json!({ "route": "http", "url": "http://a.example/", "family": "v4", "evidence": [header()] });
    let with = |pointer: &str, value: Value| {
        let mut settings = good.clone();
        *settings.pointer_mut(pointer).unwrap() = value;
        let settings: Settings = serde_json::from_value(settings).unwrap();
        HttpProbe::new(settings).err().map(|bad| bad.field)
    };
    assert_eq!(with("/family", json!("v6")), None);
    let key = json!([{ "key": { "values": { "core1": "00", "core2": "11" } } }]);
    for (pointer, value, field) in [
        ("/url", json!("ftp://a.example/"), "url"),
        ("/url", json!("https://me:secret@a.example/"), "url"),
        ("/url", json!("not a url"), "url"),
        ("/evidence", json!([]), "evidence"),
        ("/evidence", key, "evidence"),
        ("/evidence/0/header/name", json!("x y"), "evidence"),
    ] {
        assert_eq!(with(pointer, value), Some(field), "{pointer}");
    }
}
