//! Project Wycheproof's JOSE vectors: nothing that is invalid may verify, and what is valid and refused is known by its reason.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::compact::{Compact, TokenError};
use super::jwks::{KeyError, KeySet};
use super::signature;
use super::token::Token;

const VECTORS: &str = include_str!("../../tests/wycheproof/vectors.json");

struct Vector<'a> {
    keys: &'a Value,
    name: String,
    token: Token,
    is_valid: bool,
}

fn vectors<'a>(all: &'a Value, file: &'a str) -> Vec<Vector<'a>> {
    let groups = all[file].as_array().unwrap().iter();
    let of_group = |group: &'a Value| {
        let tests = group["tests"].as_array().unwrap().iter();
        tests.map(move |test| Vector {
            keys: &group["keys"],
            name: format!("{file} {} {}", test[0], test[1].as_str().unwrap()),
            token: Token::new(test[2].as_str().unwrap()),
            is_valid: test[3] == "valid",
        })
    };
    groups.flat_map(of_group).collect()
}

/// Why a token does not verify.
#[derive(Debug)]
enum Refusal {
    Token(TokenError),
    Key(KeyError),
    Signature,
}

fn verify(keys: &Value, token: &Token) -> Result<(), Refusal> {
    let compact = Compact::read(token).map_err(Refusal::Token)?;
    let algorithm = compact.header.check_signature().map_err(Refusal::Token)?;
    let set = if keys.get("keys").is_some() {
        keys.clone()
    } else {
        json!({"keys": [keys]})
    };
    let set = KeySet::read(set.to_string().as_bytes()).unwrap();
    let found = set.find(compact.header.key_id.as_deref(), algorithm);
    let (_, public) = found.map_err(Refusal::Key)?;
    if signature::is_good(&compact, algorithm, public) {
        return Ok(());
    }
    Err(Refusal::Signature)
}

#[test]
fn nothing_invalid_verifies_and_every_valid_refusal_has_its_reason() {
    let all: Value = serde_json::from_str(VECTORS).unwrap();
    let (mut accepted, mut rejected) = (0, 0);
    let mut reasons: BTreeMap<&str, u32> = BTreeMap::new();
    for file in ["json_web_signature", "json_web_crypto", "json_web_key"] {
        for vector in vectors(&all, file) {
            match (verify(vector.keys, &vector.token), vector.is_valid) {
                (Ok(()), true) => accepted += 1,
                (Ok(()), false) => panic!("falsely accepted: {}", vector.name),
                (Err(_), false) => rejected += 1,
                (Err(refusal), true) => {
                    let reason = reason(&refusal);
                    let reason = reason.unwrap_or_else(|| panic!("{}: {refusal:?}", vector.name));
                    *reasons.entry(reason).or_default() += 1;
                }
            }
        }
    }
    assert_eq!((accepted, rejected), (35, 453));
    let refused = [
        ("algorithm that is not let in", 16),
        ("encrypted", 2),
        ("key for another algorithm", 2),
        ("not base64url", 2),
    ];
    assert_eq!(reasons, BTreeMap::from(refused));
}

/// The reasons for which a valid vector may be refused: shared secrets and ES512 are not let in, nothing encrypted is read,
/// a key that says PS256 verifies no PS384, and a character that base64url does not have is not skipped.
fn reason(refusal: &Refusal) -> Option<&'static str> {
    match refusal {
        Refusal::Token(TokenError::Encrypted) => Some("encrypted"),
        Refusal::Token(TokenError::Algorithm { .. }) => Some("algorithm that is not let in"),
        Refusal::Token(TokenError::NotBase64 { .. }) => Some("not base64url"),
        Refusal::Key(KeyError::OtherAlgorithm { .. }) => Some("key for another algorithm"),
        Refusal::Token(_) | Refusal::Key(_) | Refusal::Signature => None,
    }
}

#[test]
fn nothing_encrypted_is_read() {
    let all: Value = serde_json::from_str(VECTORS).unwrap();
    let vectors = vectors(&all, "json_web_encryption");
    assert!(vectors.len() > 100);
    for vector in vectors {
        let refusal = Compact::read(&vector.token).map(drop);
        assert!(refusal.is_err(), "{}", vector.name);
        if vector.is_valid {
            assert_eq!(refusal, Err(TokenError::Encrypted), "{}", vector.name);
        }
    }
}
