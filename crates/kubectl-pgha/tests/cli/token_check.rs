//! `token-check` against a fake issuer.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::bench::{Bench, Ran};
use crate::issuer::{CLIENT, DOCUMENT, Issuer, KEYS, Key, Reply, set};

pub(crate) struct Place {
    pub(crate) bench: Bench,
    pub(crate) issuer: Issuer,
    pub(crate) key: Key,
}

impl Place {
    pub(crate) fn new() -> Self {
        let key = Key::new("first");
        Self {
            bench: Bench::new(&[]),
            issuer: Issuer::new(&[&key]),
            key,
        }
    }

    /// The path of a file in the home folder.
    pub(crate) fn path(&self, name: &str) -> String {
        self.bench.home().join(name).display().to_string()
    }

    pub(crate) fn file(&self, text: &str) -> String {
        fs::write(self.path("token"), text).unwrap();
        self.path("token")
    }

    /// Checks a token that is in a file.
    pub(crate) fn check(&self, token: &str, more: &[&str]) -> Ran {
        let (file, url) = (self.file(token), self.issuer.url());
        let arguments = ["token-check", "--token-file", &file];
        let issuer = ["--issuer", &url, "--client-id", CLIENT];
        self.bench.run(&[&arguments[..], &issuer, more].concat())
    }

    /// Checks a token of these claims.
    pub(crate) fn check_claims(&self, claims: &Value, more: &[&str]) -> Ran {
        self.check(&self.key.sign(claims), more)
    }

    pub(crate) fn asked(&self) -> usize {
        self.issuer.requests("").len()
    }

    pub(crate) fn kubeconfig(&self, value: &Value) {
        fs::write(self.bench.kubeconfig(), value.to_string()).unwrap();
    }
}

pub(crate) fn json_of(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran}"))
}

fn failed(result: &Value) -> Vec<&str> {
    let checks = result["checks"].as_array().unwrap().iter();
    let failed = checks.filter(|check| check["result"] == "FAIL");
    failed
        .map(|check| check["name"].as_str().unwrap())
        .collect()
}

#[test]
fn a_login_is_proved_and_shown() {
    let place = Place::new();
    let ran = place.check_claims(&place.issuer.claims(), &[]);
    assert_eq!(ran.code, Some(0), "{ran}");
    for shown in [
        "Proved: fresh-login",
        "prod-admin, dev",
        "jane@example.org",
        "pass     signature",
    ] {
        assert!(ran.stdout.contains(shown), "{shown}: {ran}");
    }
    let exp = ran
        .stdout
        .lines()
        .find(|line| line.starts_with("exp "))
        .unwrap();
    assert!(exp.contains("Z, in 59 min "), "{exp}");
    let ran = place.check_claims(&place.issuer.claims(), &["-o", "json"]);
    let result = json_of(&ran);
    assert_eq!(result["verified"], true);
    assert_eq!(result["proof"], "fresh-login");
    assert_eq!(result["claims"]["sub"], "jane");
    let name = place.check_claims(&place.issuer.claims(), &["-o", "name"]);
    assert_eq!((name.code, name.stdout.as_str()), (Some(0), "jane\n"));
}

#[test]
fn no_kubeconfig_is_needed_for_a_file() {
    let place = Place::new();
    fs::remove_file(place.bench.kubeconfig()).unwrap();
    let ran = place.check_claims(&place.issuer.claims(), &[]);
    assert_eq!(ran.code, Some(0), "{ran}");
}

#[test]
fn a_session_that_was_refreshed_is_told_as_such() {
    let place = Place::new();
    let mut claims = place.issuer.claims();
    let login = claims["iat"].as_i64().unwrap() - 282_218;
    claims["auth_time"] = json!(login);
    let ran = place.check_claims(&claims, &["-o", "json"]);
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!(json_of(&ran)["proof"], "refreshed-session");
    let ran = place.check_claims(&claims, &["-o", "json", "--max-auth-age", "12h"]);
    assert_eq!(ran.code, Some(3), "{ran}");
    assert_eq!(failed(&json_of(&ran)), ["auth_time"]);
    let ran = place.check_claims(&claims, &["-o", "json", "--since", "2124-03-14T22:00:00Z"]);
    assert_eq!(json_of(&ran)["proof"], "old-token");
}

#[test]
fn what_is_not_the_issuers_is_not_proved() {
    let place = Place::new();
    let forged = Key::new("first").sign(&place.issuer.claims());
    let ran = place.check(&forged, &["-o", "json"]);
    assert_eq!(ran.code, Some(3), "{ran}");
    let result = json_of(&ran);
    assert_eq!(failed(&result), ["signature"]);
    assert_eq!(
        (&result["verified"], &result["proved"]),
        (&json!(false), &json!(false))
    );
    assert!(
        ran.stderr.contains("error: the token is not proved"),
        "{ran}"
    );
    let ran = place.check(&forged, &[]);
    assert!(ran.stdout.starts_with("NOT PROVED"), "{ran}");
    for (claim, value) in [
        ("iss", json!("https://other.example")),
        ("aud", json!("other")),
        ("exp", json!(1)),
        ("sub", json!("")),
    ] {
        let mut claims = place.issuer.claims();
        claims[claim] = value;
        let ran = place.check_claims(&claims, &["-o", "json"]);
        assert_eq!((ran.code, failed(&json_of(&ran))), (Some(3), vec![claim]));
    }
}

#[test]
fn what_is_expected_beside_is_checked() {
    let place = Place::new();
    let claims = place.issuer.claims();
    let ran = place.check_claims(
        &claims,
        &[
            "--expect",
            "groups=prod-admin",
            "--expect",
            "email=jane@example.org",
        ],
    );
    assert_eq!(ran.code, Some(0), "{ran}");
    let ran = place.check_claims(&claims, &["--expect", "groups=admin", "-o", "json"]);
    assert_eq!(
        (ran.code, failed(&json_of(&ran))),
        (Some(3), vec!["groups"])
    );
}

#[test]
fn a_key_that_was_changed_meanwhile_is_fetched_once_more() {
    let place = Place::new();
    let second = Key::new("second");
    let token = second.sign(&place.issuer.claims());
    let sets = || [set(&[&place.key]), set(&[&place.key, &second])];
    place.issuer.reply(KEYS, sets());
    assert_eq!(place.check(&token, &[]).code, Some(0));
    assert_eq!(place.issuer.requests(KEYS).len(), 2);
    place.issuer.publish(&[&place.key]);
    let ran = place.check(&token, &[]);
    assert_eq!(ran.code, Some(3), "{ran}");
    assert!(ran.stderr.contains("publishes no key `second`"), "{ran}");
    assert_eq!(place.issuer.requests(KEYS).len(), 4, "twice, and no more");
}

#[test]
fn an_address_in_the_token_is_never_asked() {
    let place = Place::new();
    let evil = Issuer::new(&[]);
    let stranger = Key::new("evil");
    evil.publish(&[&stranger]);
    let keys = format!("{}{KEYS}", evil.url());
    let mut claims = place.issuer.claims();
    let header =
        json!({"alg": "ES256", "kid": "evil", "jku": keys, "x5u": keys, "jwk": stranger.jwk()});
    assert_eq!(
        place.check(&stranger.sign_with(&header, &claims), &[]).code,
        Some(3)
    );
    claims["iss"] = json!(evil.url());
    assert_eq!(place.check(&stranger.sign(&claims), &[]).code, Some(3));
    assert_eq!(evil.requests("").len(), 0);
}

#[test]
fn an_issuer_that_does_not_answer_as_one_is_told() {
    let place = Place::new();
    let document = |member: &str, value: Value| {
        let mut document = place.issuer.document();
        document[member] = value;
        Reply::Json(document)
    };
    let algorithms = "id_token_signing_alg_values_supported";
    for (path, reply, said) in [
        (
            DOCUMENT,
            Reply::Head("302 Found\r\nLocation: /elsewhere"),
            "nobody is followed",
        ),
        (DOCUMENT, Reply::Head("404 Not Found"), "answers with 404"),
        (
            DOCUMENT,
            Reply::Flood((1 << 20) + 1),
            "more than 1048576 bytes",
        ),
        (DOCUMENT, Reply::Flood(7), "is not JSON"),
        (DOCUMENT, Reply::Silence, "did not answer within 0.5 s"),
        (
            DOCUMENT,
            document("issuer", json!("https://other.example")),
            "is about the issuer",
        ),
        (
            DOCUMENT,
            document("jwks_uri", json!("http://login.example/keys")),
            "no usable `jwks_uri`",
        ),
        (
            DOCUMENT,
            document(algorithms, json!(["HS256"])),
            "no algorithm",
        ),
        (
            KEYS,
            Reply::Head("500 Internal Server Error"),
            "answers with 500",
        ),
        (KEYS, Reply::Json(json!([])), "not an object"),
        (KEYS, Reply::Flood((1 << 20) + 1), "more than 1048576 bytes"),
    ] {
        place
            .issuer
            .reply(DOCUMENT, [Reply::Json(place.issuer.document())]);
        place.issuer.reply(path, [reply]);
        // Only silence is to come to its end by time.
        let limit = if said.contains("0.5 s") {
            "500ms"
        } else {
            "1m"
        };
        let ran = place.check_claims(&place.issuer.claims(), &["--request-timeout", limit]);
        assert_eq!(ran.code, Some(3), "{ran}");
        assert!(ran.stderr.contains(said), "{said}: {ran}");
    }
    assert_eq!(place.issuer.requests("/elsewhere").len(), 0);
}

#[test]
fn the_login_before_a_move_is_compared_with_the_one_after_it() {
    let place = Place::new();
    let claims = place.issuer.claims();
    let file = place.path("before.json");
    let ran = place.check_claims(&claims, &["--baseline", &file]);
    assert_eq!(
        ran.code,
        Some(2),
        "a baseline that is not there is not made: {ran}"
    );
    let forged = Key::new("first").sign(&claims);
    assert_eq!(
        place.check(&forged, &["--save-baseline", &file]).code,
        Some(3)
    );
    assert!(
        !fs::exists(&file).unwrap(),
        "only what is proved is a baseline"
    );
    let ran = place.check_claims(&claims, &["--save-baseline", &file]);
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let ran = place.check_claims(&claims, &["--save-baseline", &file]);
    assert_eq!(ran.code, Some(3), "it is not replaced: {ran}");
    let ran = place.check_claims(&claims, &["--baseline", &file, "-o", "json"]);
    assert_eq!(ran.code, Some(0), "{ran}");
    let mut other = claims.clone();
    other["sub"] = json!("john");
    let ran = place.check_claims(&other, &["--baseline", &file, "-o", "json"]);
    assert_eq!(
        (ran.code, failed(&json_of(&ran))),
        (Some(3), vec!["baseline subject"])
    );
    let restored = Key::new("first");
    place.issuer.publish(&[&restored]);
    let ran = place.check(
        &restored.sign(&claims),
        &["--baseline", &file, "-o", "json"],
    );
    assert_eq!(
        (ran.code, failed(&json_of(&ran))),
        (Some(3), vec!["baseline keys"])
    );
    fs::write(&file, "{}").unwrap();
    assert_eq!(
        place.check_claims(&claims, &["--baseline", &file]).code,
        Some(2)
    );
}
