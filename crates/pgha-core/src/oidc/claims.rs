//! What a token says, once it was read: claims by name, with the types that OpenID Connect gives them.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::compact::{Compact, TokenError};
use super::token::Token;

/// A token whose header was judged and whose claims were read. Its signature is not verified.
#[derive(Clone, Debug)]
pub struct IdToken {
    /// The token, taken apart.
    pub compact: Compact,
    /// The algorithm that its header names, one of those let in.
    pub algorithm: Algorithm,
    /// What it says.
    pub claims: Claims,
}

impl IdToken {
    /// Reads a token. No request is made, and none has to be made for a token that errs here.
    pub fn read(token: &Token) -> Result<Self, TokenError> {
        let compact = Compact::read(token)?;
        Ok(Self {
            algorithm: compact.header.check()?,
            claims: Claims(compact.members()?),
            compact,
        })
    }
}

/// The claims of a token.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims(pub Map<String, Value>);

/// A claim that should be a point in time and is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoTime;

impl Claims {
    /// A claim that is a text, and not an empty one.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    /// A claim that is a point in time, in seconds since 1970 and perhaps with a fraction (RFC 7519, section 2).
    pub fn time(&self, name: &str) -> Result<Option<Timestamp>, NoTime> {
        self.0.get(name).map(time_of).transpose()
    }

    /// For whom the token is: one text or a list of them. `None` when it is anything else.
    pub fn audiences(&self) -> Option<Vec<&str>> {
        match self.0.get("aud")? {
            Value::String(one) => Some(vec![one]),
            Value::Array(list) => list.iter().map(Value::as_str).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
        }
    }

    /// Whether a claim is what somebody expects: equal to it, a list that has it, or an object with a member of that name,
    /// as ZITADEL tells roles.
    pub fn says(&self, name: &str, expected: &str) -> bool {
        match self.0.get(name) {
            Some(Value::Array(list)) => list.iter().any(|one| is_plainly(one, expected)),
            Some(Value::Object(members)) => members.contains_key(expected),
            Some(plain) => is_plainly(plain, expected),
            None => false,
        }
    }
}

fn is_plainly(value: &Value, expected: &str) -> bool {
    match value {
        Value::String(text) => text == expected,
        Value::Bool(plain) => expected == if *plain { "true" } else { "false" },
        Value::Number(number) => number.to_string() == expected,
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

fn time_of(value: &Value) -> Result<Timestamp, NoTime> {
    if let Some(seconds) = value.as_i64() {
        return Timestamp::from_second(seconds).map_err(|_| NoTime);
    }
    let seconds = value.as_f64().ok_or(NoTime)?;
    let since = SignedDuration::try_from_secs_f64(seconds).map_err(|_| NoTime)?;
    Timestamp::UNIX_EPOCH.checked_add(since).map_err(|_| NoTime)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(value: Value) -> Claims {
        serde_json::from_value(value).map(Claims).unwrap()
    }

    #[test]
    fn times_may_have_fractions_and_must_be_numbers() {
        let claims = claims(
            json!({"a": 7, "b": 7.5, "c": "7", "d": 1e300, "e": i64::MAX, "f": null, "g": -1}),
        );
        let time = |name| claims.time(name);
        assert_eq!(time("a"), Ok(Some(Timestamp::from_second(7).unwrap())));
        assert_eq!(
            time("b"),
            Ok(Some(Timestamp::from_millisecond(7500).unwrap()))
        );
        assert_eq!(time("g"), Ok(Some(Timestamp::from_second(-1).unwrap())));
        for name in ["c", "d", "e", "f"] {
            assert_eq!(time(name), Err(NoTime), "{name}");
        }
        assert_eq!(time("none"), Ok(None));
    }

    #[test]
    fn an_audience_is_texts_alone() {
        let of = |value: Value| claims(json!({"aud": value}));
        assert_eq!(of(json!("a")).audiences(), Some(vec!["a"]));
        assert_eq!(of(json!(["a", "b"])).audiences(), Some(vec!["a", "b"]));
        for value in [json!(["a", 1]), json!({"a": 1}), json!(1), Value::Null] {
            assert_eq!(of(value).audiences(), None);
        }
    }

    #[test]
    fn an_expected_claim_is_equal_or_among_them() {
        let claims = claims(
            json!({"groups": ["prod-cluster-admin", "prod"], "verified": true, "n": 7, "none": null,
            "roles": {"admin": {"org": "example.org"}}, "list": [["a"]], "email": "jane@example.org"}),
        );
        for (name, expected) in [
            ("groups", "prod"),
            ("verified", "true"),
            ("n", "7"),
            ("roles", "admin"),
            ("email", "jane@example.org"),
        ] {
            assert!(claims.says(name, expected), "{name}");
        }
        for (name, expected) in [
            ("groups", "prod-cluster"),
            ("groups", ""),
            ("none", "null"),
            ("list", "a"),
            ("missing", ""),
            ("email", "jane"),
        ] {
            assert!(!claims.says(name, expected), "{name}");
        }
    }
}
