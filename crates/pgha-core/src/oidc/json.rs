//! JSON in which every object has each of its members once.
//!
//! Two readers of one token that pick different ones of two members of one name see different tokens (RFC 8259, section 4;
//! RFC 7515, section 4, lets a reader refuse them).

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Why text is not the JSON that is wanted. It holds nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// It is not UTF-8.
    #[error("is not UTF-8")]
    NotUtf8,
    /// It is not JSON, or nested too deeply.
    #[error("is not JSON")]
    NotJson,
    /// Its objects do not have each member once.
    #[error("names a member of an object twice")]
    Twice,
    /// It is JSON, and no object.
    #[error("is JSON, but not an object")]
    NotObject,
}

/// Reads an object; any of its objects, however deep, has each member once.
pub(super) fn object(bytes: &[u8]) -> Result<Map<String, Value>, JsonError> {
    let text = std::str::from_utf8(bytes).map_err(|_| JsonError::NotUtf8)?;
    match serde_json::from_str(text) {
        Ok(Strict(Value::Object(members))) => Ok(members),
        Ok(_) => Err(JsonError::NotObject),
        // The only error that is not the parser's own.
        Err(error) if error.is_data() => Err(JsonError::Twice),
        Err(_) => Err(JsonError::NotJson),
    }
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((name, Strict(value))) = members.next_entry::<String, _>()? {
            if map.insert(name, value).is_some() {
                return Err(de::Error::custom("twice"));
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_serde_reads_is_read_the_same() {
        let text = r#"{"a":[1,-2,2.5,true,null,"é\n",{"b":{}}],"c":18446744073709551615}"#;
        let plain: Value = serde_json::from_str(text).unwrap();
        assert_eq!(object(text.as_bytes()).map(Value::Object), Ok(plain));
    }

    #[test]
    fn a_member_that_is_there_twice_is_refused_at_any_depth() {
        for text in [
            r#"{"iss":"a","iss":"a"}"#,
            r#"{"iss":"a","\u0069ss":"b"}"#,
            r#"{"a":[{"b":{"c":1,"c":1}}]}"#,
        ] {
            assert_eq!(object(text.as_bytes()), Err(JsonError::Twice), "{text}");
        }
    }

    #[test]
    fn whatever_is_no_object_is_refused() {
        let deep = "[".repeat(10_000);
        for (text, error) in [
            (&b"\xff"[..], JsonError::NotUtf8),
            (b"", JsonError::NotJson),
            (b"{} {}", JsonError::NotJson),
            (b"\xef\xbb\xbf{}", JsonError::NotJson),
            (br#"{"a":"\ud800"}"#, JsonError::NotJson),
            (br#"{"a":1e999}"#, JsonError::NotJson),
            (deep.as_bytes(), JsonError::NotJson),
            (b"[]", JsonError::NotObject),
            (b"\"text\"", JsonError::NotObject),
        ] {
            assert_eq!(object(text), Err(error));
        }
    }
}
