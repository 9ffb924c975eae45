use serde_json::json;

use super::*;

/// The key of RFC 7638, section 3.1.
const RFC_MODULUS: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRX\
    jBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgd\
    AZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8aw\
    apJzKnqDKgw";

fn rsa_key() -> Value {
    json!({"kty": "RSA", "n": RFC_MODULUS, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"})
}

fn ec_key() -> Value {
    let coordinate = URL_SAFE_NO_PAD.encode([7; 32]);
    json!({"kty": "EC", "crv": "P-256", "x": coordinate, "y": coordinate, "kid": "ec"})
}

fn set(keys: &[Value]) -> KeySet {
    KeySet::read(json!({"keys": keys}).to_string().as_bytes()).unwrap()
}

/// What is wrong with a key after a change to it.
fn changed(mut key: Value, member: &str, value: Value) -> Unusable {
    key[member] = value;
    set(&[key]).keys[0].public.clone().unwrap_err()
}

#[test]
fn a_thumbprint_is_the_standards() {
    let set = set(&[rsa_key()]);
    let thumbprint = set.keys[0].thumbprint.as_deref();
    assert_eq!(
        thumbprint,
        Some("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs")
    );
}

#[test]
fn what_is_no_set_of_keys_is_refused() {
    let many = json!({"keys": vec![json!({}); 101]}).to_string();
    for (text, error) in [
        ("", KeySetError::Json(JsonError::NotJson)),
        ("{}", KeySetError::NoKeys),
        (r#"{"keys":{}}"#, KeySetError::NoKeys),
        (r#"{"keys":[1]}"#, KeySetError::NoKeys),
        (
            r#"{"keys":[],"keys":[]}"#,
            KeySetError::Json(JsonError::Twice),
        ),
        (&many, KeySetError::TooMany { count: 101 }),
    ] {
        assert_eq!(KeySet::read(text.as_bytes()), Err(error));
    }
}

#[test]
fn a_key_is_found_by_its_id_alone() {
    let set = set(&[rsa_key(), ec_key()]);
    let found = set.find(Some("ec"), Algorithm::Es256).unwrap().0;
    assert_eq!(found.id.as_deref(), Some("ec"));
    // The ID is looked up and nothing else: it is no path and no query (RFC 8725, 3.10).
    for id in ["", "EC", "ec ", "../ec", "' or 1=1 --", "\u{1b}[2J"] {
        let error = set.find(Some(id), Algorithm::Es256).unwrap_err();
        assert!(matches!(&error, KeyError::Missing { .. }), "{error}");
        assert!(!error.to_string().contains('\u{1b}'));
    }
}

#[test]
fn a_key_is_for_the_algorithm_of_its_kind_and_for_the_one_that_it_names() {
    let set = set(&[rsa_key(), ec_key()]);
    for (id, algorithm) in [
        ("2011-04-29", Algorithm::Rs384),
        ("2011-04-29", Algorithm::Ps256),
        ("2011-04-29", Algorithm::Es256),
        ("ec", Algorithm::Es384),
        ("ec", Algorithm::Rs256),
        ("ec", Algorithm::EdDsa),
    ] {
        let id = id.to_owned();
        let error = set.find(Some(&id), algorithm).unwrap_err();
        assert_eq!(error, KeyError::OtherAlgorithm { id, algorithm });
    }
}

#[test]
fn two_keys_of_one_name_are_none() {
    let mut twin = rsa_key();
    twin["kid"] = json!("ec");
    let error = set(&[ec_key(), twin])
        .find(Some("ec"), Algorithm::Es256)
        .map(drop);
    let id = "ec".to_owned();
    assert_eq!(error, Err(KeyError::Duplicate { id, count: 2 }));
}

#[test]
fn a_token_that_names_no_key_may_have_one() {
    let both = set(&[rsa_key(), ec_key()]);
    assert!(both.find(None, Algorithm::Es256).is_ok());
    let algorithm = Algorithm::EdDsa;
    let error = both.find(None, algorithm).map(drop);
    assert_eq!(error, Err(KeyError::NoneFits { algorithm }));
    let mut other = ec_key();
    other["kid"] = json!("other");
    let error = set(&[ec_key(), other])
        .find(None, Algorithm::Es256)
        .map(drop);
    assert_eq!(error, Err(KeyError::Ambiguous { count: 2 }));
}

#[test]
fn a_key_that_is_not_sound_is_not_used() {
    let modulus = |bytes: usize| {
        let mut modulus = vec![0xff; bytes];
        modulus[bytes - 1] = 0x55;
        json!(URL_SAFE_NO_PAD.encode(modulus))
    };
    for (member, value, because) in [
        ("n", modulus(128), Unusable::ModulusSize(1024)),
        ("n", modulus(255), Unusable::ModulusSize(2040)),
        ("n", modulus(1025), Unusable::ModulusSize(8200)),
        ("n", json!(""), Unusable::Member("n")),
        ("n", json!("AAAA"), Unusable::Member("n")),
        ("n", json!("a b"), Unusable::Member("n")),
        ("n", json!(7), Unusable::Member("n")),
        ("e", Value::Null, Unusable::Member("e")),
        ("d", json!("AQAB"), Unusable::Private),
        ("use", json!("enc"), Unusable::Use),
        ("use", json!(["sig"]), Unusable::Use),
        ("key_ops", json!(["sign"]), Unusable::Use),
        ("key_ops", json!("verify"), Unusable::Use),
        ("alg", json!("HS256"), Unusable::Algorithm),
        ("alg", json!("RSA-OAEP"), Unusable::Algorithm),
        ("alg", json!(1), Unusable::Algorithm),
        ("kty", json!("oct"), Unusable::Secret),
        ("kty", json!("rsa"), Unusable::Kind),
        ("kty", Value::Null, Unusable::Member("kty")),
    ] {
        assert_eq!(changed(rsa_key(), member, value), because, "{member}");
    }
    let short = json!(URL_SAFE_NO_PAD.encode([7; 31]));
    for (member, value, because) in [
        ("crv", json!("P-521"), Unusable::Curve),
        ("crv", json!("secp256k1"), Unusable::Curve),
        ("x", short, Unusable::Member("x")),
        ("kty", json!("OKP"), Unusable::Curve),
    ] {
        assert_eq!(changed(ec_key(), member, value), because, "{member}");
    }
}
