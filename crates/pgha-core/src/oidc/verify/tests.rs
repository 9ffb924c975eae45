use base64::Engine as _;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::*;

const ISSUER: &str = "https://login.example";
const CLIENT: &str = "kubectl";

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A provider with one key.
struct Provider(EcdsaKeyPair);

impl Provider {
    fn new() -> Self {
        let (scheme, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(scheme, &random).unwrap();
        Self(EcdsaKeyPair::from_pkcs8(scheme, pkcs8.as_ref(), &random).unwrap())
    }

    fn keys(&self) -> KeySet {
        let (x, y) = self.0.public_key().as_ref()[1..].split_at(32);
        let key = json!({"kty": "EC", "crv": "P-256", "kid": "a", "use": "sig", "x": encoded(x), "y": encoded(y)});
        KeySet::read(json!({"keys": [key]}).to_string().as_bytes()).unwrap()
    }

    fn sign(&self, header: &Value, claims: &Value) -> Token {
        let signed = format!(
            "{}.{}",
            encoded(header.to_string()),
            encoded(claims.to_string())
        );
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes());
        Token::new(format!("{signed}.{}", encoded(signature.unwrap())))
    }
}

fn good_claims() -> Value {
    let now = now().as_second();
    json!({"iss": ISSUER, "aud": CLIENT, "sub": "jane", "iat": now - 10, "exp": now + 600, "auth_time": now - 20})
}

fn expectations() -> Expectations {
    Expectations::new(ISSUER, CLIENT)
}

fn judged(claims: &Value, expected: &Expectations) -> Verdict {
    let provider = Provider::new();
    let token = provider.sign(&json!({"alg": "ES256", "kid": "a"}), claims);
    let token = IdToken::read(&token).unwrap();
    verify(&token, &Algorithm::ALL, &provider.keys(), expected, now())
}

/// The names of the checks that fail after a change to good claims.
fn failures(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut claims = good_claims();
    change(&mut claims);
    failed(&judged(&claims, &expectations()))
}

fn failed(verdict: &Verdict) -> Vec<String> {
    let fails = |check: &&Check| check.outcome == Outcome::Fail;
    let names = verdict.checks.iter().filter(fails);
    names.map(|check| check.name.clone()).collect()
}

fn member(name: &'static str, value: Value) -> impl FnOnce(&mut Value) {
    move |claims| claims[name] = value
}

fn without(name: &'static str) -> impl FnOnce(&mut Value) {
    move |claims| drop(claims.as_object_mut().unwrap().remove(name))
}

#[test]
fn a_good_token_is_proved() {
    let verdict = judged(&good_claims(), &expectations());
    assert!(verdict.is_proved(), "{verdict:?}");
    assert_eq!(verdict.proof, Proof::FreshLogin);
    assert!(
        verdict
            .checks
            .iter()
            .all(|check| check.outcome == Outcome::Pass)
    );
}

#[test]
fn a_signature_of_another_key_proves_nothing() {
    let (ours, other) = (Provider::new(), Provider::new());
    let token = other.sign(&json!({"alg": "ES256", "kid": "a"}), &good_claims());
    let token = IdToken::read(&token).unwrap();
    let verdict = verify(
        &token,
        &Algorithm::ALL,
        &ours.keys(),
        &expectations(),
        now(),
    );
    assert_eq!(failed(&verdict), ["signature"]);
    assert!(!verdict.is_proved());
    assert_eq!(verdict.signed_by, None);
}

#[test]
fn a_claim_that_was_changed_breaks_the_signature() {
    let provider = Provider::new();
    let token = provider.sign(&json!({"alg": "ES256", "kid": "a"}), &good_claims());
    let [header, _, signature]: [&str; 3] = token
        .expose()
        .split('.')
        .collect::<Vec<_>>()
        .try_into()
        .unwrap();
    let mut claims = good_claims();
    claims["sub"] = json!("admin");
    let forged = format!("{header}.{}.{signature}", encoded(claims.to_string()));
    let token = IdToken::read(&Token::new(forged)).unwrap();
    let keys = provider.keys();
    let verdict = verify(&token, &Algorithm::ALL, &keys, &expectations(), now());
    assert_eq!(failed(&verdict), ["signature"]);
}

#[test]
fn the_algorithm_must_be_one_of_the_issuers() {
    let provider = Provider::new();
    let token = provider.sign(&json!({"alg": "ES256", "kid": "a"}), &good_claims());
    let token = IdToken::read(&token).unwrap();
    let only = [Algorithm::Rs256];
    let verdict = verify(&token, &only, &provider.keys(), &expectations(), now());
    assert_eq!(failed(&verdict), ["signature"]);
}

#[test]
fn a_key_that_the_token_brings_is_not_used() {
    let (ours, evil) = (Provider::new(), Provider::new());
    let (x, y) = evil.0.public_key().as_ref()[1..].split_at(32);
    let key = json!({"kty": "EC", "crv": "P-256", "kid": "a", "x": encoded(x), "y": encoded(y)});
    let header = json!({"alg": "ES256", "kid": "a", "jwk": key, "jku": "http://127.0.0.1:1/jwks"});
    let token = IdToken::read(&evil.sign(&header, &good_claims())).unwrap();
    let verdict = verify(
        &token,
        &Algorithm::ALL,
        &ours.keys(),
        &expectations(),
        now(),
    );
    assert_eq!(failed(&verdict), ["signature"]);
}

#[test]
fn the_issuer_is_the_expected_one_to_the_byte() {
    for value in [
        json!("https://login.example/"),
        json!("https://LOGIN.example"),
        json!([ISSUER]),
        json!(""),
        Value::Null,
    ] {
        assert_eq!(failures(member("iss", value)), ["iss"]);
    }
    assert_eq!(failures(without("iss")), ["iss"]);
}

#[test]
fn the_audience_has_the_client() {
    for value in [
        json!("other"),
        json!(["other"]),
        json!([]),
        json!([CLIENT, 1]),
        json!({CLIENT: 1}),
        json!(1),
    ] {
        assert_eq!(failures(member("aud", value.clone())), ["aud"], "{value}");
    }
    assert_eq!(failures(without("aud")), ["aud"]);
    assert!(failures(member("aud", json!([CLIENT]))).is_empty());
}

#[test]
fn a_token_for_several_is_for_the_client_by_name() {
    assert_eq!(failures(member("aud", json!([CLIENT, "other"]))), ["azp"]);
    let several = |party: &'static str| {
        failures(move |claims| {
            claims["aud"] = json!([CLIENT, "other"]);
            claims["azp"] = json!(party);
        })
    };
    assert!(several(CLIENT).is_empty());
    assert_eq!(several("other"), ["azp"]);
    assert_eq!(failures(member("azp", json!("other"))), ["azp"]);
    assert_eq!(failures(member("azp", json!(1))), ["azp"]);
}

#[test]
fn times_are_judged_with_the_skew_and_no_more() {
    let at = |seconds: i64| json!(now().as_second() + seconds);
    assert!(failures(member("exp", at(-59))).is_empty());
    assert_eq!(failures(member("exp", at(-60))), ["exp"]);
    assert!(failures(member("iat", at(60))).is_empty());
    assert_eq!(failures(member("iat", at(61))), ["iat"]);
    assert!(failures(member("nbf", at(60))).is_empty());
    assert_eq!(failures(member("nbf", at(61))), ["nbf"]);
    assert_eq!(failures(member("auth_time", at(61))), ["auth_time"]);
    for name in ["exp", "iat", "nbf", "auth_time"] {
        for value in [json!("1"), json!(1e300), Value::Null, json!([1])] {
            assert_eq!(failures(member(name, value)), [name]);
        }
    }
    assert_eq!(failures(without("exp")), ["exp"]);
    assert_eq!(failures(without("iat")), ["iat"]);
}

#[test]
fn a_token_that_has_just_expired_is_told() {
    let mut claims = good_claims();
    claims["exp"] = json!(now().as_second() - 1);
    let verdict = judged(&claims, &expectations());
    let expiry = verdict
        .checks
        .iter()
        .find(|check| check.name == "exp")
        .unwrap();
    assert_eq!(expiry.outcome, Outcome::Warn);
    assert!(verdict.is_proved());
}

#[test]
fn a_subject_is_a_text() {
    for value in [json!(""), json!(1), Value::Null, json!(["jane"])] {
        assert_eq!(failures(member("sub", value)), ["sub"]);
    }
    assert_eq!(failures(without("sub")), ["sub"]);
}

#[test]
fn a_login_may_have_to_be_young() {
    let expected = Expectations {
        max_auth_age: Some(SignedDuration::from_secs(100)),
        ..expectations()
    };
    let mut claims = good_claims();
    for (age, failing) in [(160, [].as_slice()), (161, &["auth_time"])] {
        claims["auth_time"] = json!(now().as_second() - age);
        assert_eq!(failed(&judged(&claims, &expected)), failing, "{age}");
    }
    without("auth_time")(&mut claims);
    assert_eq!(failed(&judged(&claims, &expected)), ["auth_time"]);
}

#[test]
fn a_nonce_is_this_logins() {
    let expected = Expectations {
        nonce: Some("n".to_owned()),
        ..expectations()
    };
    let mut claims = good_claims();
    assert_eq!(failed(&judged(&claims, &expected)), ["nonce"]);
    claims["nonce"] = json!("other");
    assert_eq!(failed(&judged(&claims, &expected)), ["nonce"]);
    claims["nonce"] = json!("n");
    assert!(judged(&claims, &expected).is_proved());
}

/// The example of OpenID Connect Core 1.0, appendix A.4, has this hash for this access token.
#[test]
fn an_access_token_is_bound_by_its_hash() {
    let expected = Expectations {
        access_token: Some(Token::new("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y")),
        ..expectations()
    };
    let mut claims = good_claims();
    assert!(judged(&claims, &expected).is_proved(), "it may be left out");
    claims["at_hash"] = json!("77QmUPtjPfzWtF2AnpK9RQ");
    assert!(judged(&claims, &expected).is_proved());
    claims["at_hash"] = json!("77QmUPtjPfzWtF2AnpK9RA");
    assert_eq!(failed(&judged(&claims, &expected)), ["at_hash"]);
}

#[test]
fn what_is_expected_of_other_claims_is_checked() {
    let expected = |name: &str, wanted: &str| Expectations {
        claims: vec![(name.to_owned(), wanted.to_owned())],
        ..expectations()
    };
    let mut claims = good_claims();
    claims["groups"] = json!(["prod-admin"]);
    assert!(judged(&claims, &expected("groups", "prod-admin")).is_proved());
    assert_eq!(
        failed(&judged(&claims, &expected("groups", "admin"))),
        ["groups"]
    );
    assert_eq!(
        failed(&judged(&claims, &expected("roles", "admin"))),
        ["roles"]
    );
}

#[test]
fn a_session_that_was_refreshed_is_no_fresh_login() {
    let mut claims = good_claims();
    claims["auth_time"] = json!(now().as_second() - 86_400);
    assert_eq!(
        judged(&claims, &expectations()).proof,
        Proof::RefreshedSession
    );
    claims["iat"] = json!(now().as_second() - 86_000);
    assert_eq!(judged(&claims, &expectations()).proof, Proof::OldToken);
    let since = Expectations {
        since: Some(
            now()
                .saturating_sub(SignedDuration::from_hours(48))
                .unwrap(),
        ),
        ..expectations()
    };
    assert_eq!(judged(&claims, &since).proof, Proof::FreshLogin);
}
