//! The strict reader of signed tokens: JWS in compact form (RFC 7515, section 7.1), and what their header may say.
//!
//! Everything here comes before the first request: a token that fails here causes none.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::json::{self, JsonError};
use super::token::{LONGEST_TOKEN, Token};
use crate::diagnose::sanitised;

/// Why a token is not read any further. Beside the names that its header uses, nothing of the token is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is longer than a token can be.
    #[error("the token is longer than {LONGEST_TOKEN} bytes")]
    TooLong,
    /// It has white space in it.
    #[error("the token has white space in it")]
    WhiteSpace,
    /// It has five segments.
    #[error("the token is encrypted (a JWE, five segments), which only its receiver can read")]
    Encrypted,
    /// It is in the form that is JSON as a whole.
    #[error("the token is in JSON form; only the compact form is read")]
    JsonForm,
    /// It does not have three segments.
    #[error("the token has {segments} segments between dots where a JWT has three")]
    Segments {
        /// How many there are.
        segments: usize,
    },
    /// A segment is not what base64url makes.
    #[error("the token's {segment} is not base64url without padding")]
    NotBase64 {
        /// `header`, `payload` or `signature`.
        segment: &'static str,
    },
    /// A segment is not an object in JSON, each member once.
    #[error("the token's {segment} {source}")]
    Json {
        /// `header` or `payload`.
        segment: &'static str,
        /// What is wrong with it.
        source: JsonError,
    },
    /// A member of the header is not of its type.
    #[error("the token's header has a `{member}` that is not a text")]
    NotText {
        /// The member.
        member: &'static str,
    },
    /// The header names no algorithm.
    #[error("the token's header names no algorithm")]
    NoAlgorithm,
    /// The header says that there is no signature.
    #[error("the token is not signed (algorithm `{named}`)")]
    Unsigned {
        /// As the header spells it.
        named: String,
    },
    /// The header names an algorithm that is not let in.
    #[error("the token is signed with `{named}`, which is not accepted")]
    Algorithm {
        /// As the header spells it.
        named: String,
    },
    /// The header says that something has to be understood.
    #[error("the token's header has `crit`: it wants extensions understood, and none is")]
    Critical,
    /// The token says that it is for something else than a login.
    #[error("the token is of type `{named}`, which is no ID token")]
    Type {
        /// As the header spells it.
        named: String,
    },
}

/// What a header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// `alg`.
    pub algorithm: Option<String>,
    /// `kid`: which of the issuer's keys.
    pub key_id: Option<String>,
    /// `typ`.
    pub kind: Option<String>,
    /// Members that name or carry a key. They are never followed: whoever forges a token fills them in (RFC 8725, 3.10).
    pub own_keys: Vec<&'static str>,
    is_critical: bool,
}

/// A signed token, taken apart and not verified. `Debug` shows its header alone.
#[derive(Clone)]
pub struct Compact {
    /// What the header says.
    pub header: Header,
    token: Token,
    payload: Vec<u8>,
    /// Where the signature begins, in bytes.
    signature: usize,
}

impl fmt::Debug for Compact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compact")
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

impl Compact {
    /// Takes a token apart. The header is read and not judged.
    pub fn read(token: &Token) -> Result<Self, TokenError> {
        let text = token.expose();
        let [header, payload, signature] = segments(text)?;
        let members = json::object(&decoded("header", header)?).map_err(|source| {
            let segment = "header";
            TokenError::Json { segment, source }
        })?;
        let _bytes = decoded("signature", signature)?;
        Ok(Self {
            header: Header::read(&members)?,
            payload: decoded("payload", payload)?,
            signature: text.len() - signature.len(),
            token: token.clone(),
        })
    }

    /// What is signed: header and payload as they are encoded.
    pub(super) fn signed(&self) -> &[u8] {
        let signed = self.signature.saturating_sub(1);
        &self.token.expose().as_bytes()[..signed]
    }

    /// The signature as it is encoded.
    pub(super) fn signature(&self) -> &str {
        &self.token.expose()[self.signature..]
    }

    /// The payload as an object.
    pub fn members(&self) -> Result<Map<String, Value>, TokenError> {
        json::object(&self.payload).map_err(|source| TokenError::Json {
            segment: "payload",
            source,
        })
    }

    /// The token as it came.
    pub fn token(&self) -> &Token {
        &self.token
    }
}

fn segments(text: &str) -> Result<[&str; 3], TokenError> {
    if text.len() > LONGEST_TOKEN {
        return Err(TokenError::TooLong);
    }
    if text.starts_with('{') {
        return Err(TokenError::JsonForm);
    }
    if text.contains(|character: char| character.is_whitespace()) {
        return Err(TokenError::WhiteSpace);
    }
    let segments: Vec<&str> = text.split('.').collect();
    match segments[..] {
        [header, payload, signature] => Ok([header, payload, signature]),
        [_, _, _, _, _] => Err(TokenError::Encrypted),
        _ => Err(TokenError::Segments {
            segments: segments.len(),
        }),
    }
}

fn decoded(segment: &'static str, text: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| TokenError::NotBase64 { segment })
}

impl Header {
    fn read(members: &Map<String, Value>) -> Result<Self, TokenError> {
        let text = |member: &'static str| match members.get(member) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(TokenError::NotText { member }),
        };
        let own_keys = ["jku", "jwk", "x5u", "x5c"].into_iter();
        Ok(Self {
            algorithm: text("alg")?,
            key_id: text("kid")?,
            kind: text("typ")?,
            own_keys: own_keys
                .filter(|member| members.contains_key(*member))
                .collect(),
            is_critical: members.contains_key("crit"),
        })
    }

    /// Judges the header as an ID token's, and returns the algorithm.
    pub fn check(&self) -> Result<Algorithm, TokenError> {
        if let Some(kind) = self.kind.as_deref().filter(|kind| !is_plain_type(kind)) {
            return Err(TokenError::Type { named: name(kind) });
        }
        self.check_signature()
    }

    /// Judges what the header says of the signature alone, and returns the algorithm.
    pub(super) fn check_signature(&self) -> Result<Algorithm, TokenError> {
        if self.is_critical {
            return Err(TokenError::Critical);
        }
        let named = self.algorithm.as_deref().ok_or(TokenError::NoAlgorithm)?;
        if named.eq_ignore_ascii_case("none") {
            return Err(TokenError::Unsigned { named: name(named) });
        }
        Algorithm::named(named).ok_or_else(|| TokenError::Algorithm { named: name(named) })
    }
}

/// Media types are the same in any case (RFC 7515, section 4.1.9).
fn is_plain_type(kind: &str) -> bool {
    ["JWT", "application/jwt"]
        .iter()
        .any(|plain| kind.eq_ignore_ascii_case(plain))
}

/// A name out of a header, fit for a terminal and not longer than a name.
fn name(text: &str) -> String {
    sanitised(&text.chars().take(40).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &str) -> String {
        URL_SAFE_NO_PAD.encode(text)
    }

    fn with_header(header: &str) -> Result<Compact, TokenError> {
        Compact::read(&Token::new(format!(
            "{}.{}.c2ln",
            encoded(header),
            encoded("{}")
        )))
    }

    fn judged(header: &str) -> Result<Algorithm, TokenError> {
        with_header(header)?.header.check()
    }

    fn read(text: &str) -> Result<(), TokenError> {
        Compact::read(&Token::new(text)).map(drop)
    }

    #[test]
    fn a_token_is_taken_apart() {
        let header = encoded(r#"{"alg":"ES256","kid":"a","typ":"JWT"}"#);
        let payload = encoded(r#"{"sub":"jane"}"#);
        let compact = Compact::read(&Token::new(format!("{header}.{payload}.c2ln"))).unwrap();
        assert_eq!(compact.header.check(), Ok(Algorithm::Es256));
        assert_eq!(compact.header.key_id.as_deref(), Some("a"));
        assert_eq!(compact.signed(), format!("{header}.{payload}").as_bytes());
        assert_eq!(compact.signature(), "c2ln");
        assert_eq!(compact.members().unwrap()["sub"], "jane");
        assert!(!format!("{compact:?}").contains("c2ln"));
    }

    #[test]
    fn only_three_segments_of_base64url_are_a_token() {
        let (header, payload) = (encoded(r#"{"alg":"ES256"}"#), encoded("{}"));
        let not_base64 = |segment| TokenError::NotBase64 { segment };
        for (text, error) in [
            (String::new(), TokenError::Segments { segments: 1 }),
            (
                format!("{header}.{payload}"),
                TokenError::Segments { segments: 2 },
            ),
            (
                format!("{header}.{payload}.a.b"),
                TokenError::Segments { segments: 4 },
            ),
            (format!("{header}.a.b.c.d"), TokenError::Encrypted),
            (r#"{"payload":"e30"}"#.to_owned(), TokenError::JsonForm),
            (format!("{header}.{payload}.c2ln\n"), TokenError::WhiteSpace),
            (format!("{header}. {payload}.c2ln"), TokenError::WhiteSpace),
            (
                format!("{header}.{payload}.c2lnbg=="),
                not_base64("signature"),
            ),
            (format!("{header}.{payload}.c2+/"), not_base64("signature")),
            // The last character has bits that nothing reads: another spelling of the same signature.
            (
                format!("{header}.{payload}.c2lnbh"),
                not_base64("signature"),
            ),
            (format!("{header}.e3=.c2ln"), not_base64("payload")),
            (
                format!(".{payload}.c2ln"),
                TokenError::Json {
                    segment: "header",
                    source: JsonError::NotJson,
                },
            ),
            ("a".repeat(LONGEST_TOKEN + 1), TokenError::TooLong),
        ] {
            assert_eq!(read(&text), Err(error), "{text}");
        }
    }

    #[test]
    fn an_unsigned_token_is_refused_in_every_spelling() {
        for named in ["none", "None", "NONE", "nOnE"] {
            let header = format!(r#"{{"alg":"{named}"}}"#);
            let named = named.to_owned();
            assert_eq!(judged(&header), Err(TokenError::Unsigned { named }));
        }
        assert_eq!(judged("{}"), Err(TokenError::NoAlgorithm));
        let not_text = TokenError::NotText { member: "alg" };
        assert_eq!(judged(r#"{"alg":["ES256"]}"#), Err(not_text));
    }

    #[test]
    fn what_is_signed_with_a_shared_secret_is_refused() {
        for named in ["HS256", "HS384", "HS512", "PBES2-HS256+A128KW", "es256"] {
            let header = format!(r#"{{"alg":"{named}"}}"#);
            let named = named.to_owned();
            assert_eq!(judged(&header), Err(TokenError::Algorithm { named }));
        }
    }

    #[test]
    fn what_wants_to_be_understood_is_refused() {
        for critical in [r#"["b64"]"#, "[]", "null", r#""exp""#] {
            let header = format!(r#"{{"alg":"ES256","b64":false,"crit":{critical}}}"#);
            assert_eq!(judged(&header), Err(TokenError::Critical), "{critical}");
        }
    }

    #[test]
    fn a_token_for_something_else_is_refused() {
        for kind in ["JWT", "jwt", "application/jwt", "Application/JWT"] {
            let header = format!(r#"{{"alg":"RS256","typ":"{kind}"}}"#);
            assert_eq!(judged(&header), Ok(Algorithm::Rs256), "{kind}");
        }
        for kind in ["at+jwt", "application/at+jwt", "logout+jwt", "JOSE", ""] {
            let header = format!(r#"{{"alg":"RS256","typ":"{kind}"}}"#);
            let named = kind.to_owned();
            assert_eq!(judged(&header), Err(TokenError::Type { named }));
        }
        let long = format!(r#"{{"alg":"{}\u001b[2J"}}"#, "a".repeat(30));
        let said = judged(&long).unwrap_err().to_string();
        assert!(said.contains("\\u{1b}[2J"), "{said}");
    }

    #[test]
    fn keys_that_a_token_brings_are_seen_and_not_used() {
        let header = r#"{"alg":"RS256","jku":"https://evil.example","jwk":{"kty":"oct"},"x5c":[]}"#;
        let header = with_header(header).unwrap().header;
        assert_eq!(header.own_keys, ["jku", "jwk", "x5c"]);
        assert_eq!(header.check(), Ok(Algorithm::Rs256));
    }

    #[test]
    fn a_member_that_is_there_twice_is_refused() {
        let twice = TokenError::Json {
            segment: "header",
            source: JsonError::Twice,
        };
        let header = r#"{"alg":"RS256","alg":"none"}"#;
        assert_eq!(with_header(header).unwrap_err(), twice);
    }
}
