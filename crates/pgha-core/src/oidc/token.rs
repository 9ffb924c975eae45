//! A token as it came: a secret, whatever is in it.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use super::json::{self, JsonError};

/// Bytes of a token beyond which it is not read. Providers' own limits and those of HTTP headers are below it.
pub const LONGEST_TOKEN: usize = 64 * 1024;

/// A token, a code or a secret. `Debug` does not show it, and it is wiped when it is dropped.
#[derive(Clone)]
pub struct Token(SecretString);

impl Token {
    /// Takes a secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(SecretString::from(secret.into()))
    }

    /// The secret itself. Whoever asks for it puts it into the body or the headers of a request, and nowhere else.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The first 8 hexadecimal digits of its SHA-256: enough to tell two tokens apart, and of no use to anybody else.
    pub fn mark(&self) -> String {
        let digest = Sha256::digest(self.expose());
        let digest = format!("{digest:x}");
        digest.chars().take(8).collect()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Why there is no token in a text. It holds nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// There is nothing but white space.
    #[error("there is nothing in it")]
    Empty,
    /// It is longer than a token can be.
    #[error("it is longer than {LONGEST_TOKEN} bytes")]
    TooLong,
    /// It is not UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// It begins like JSON.
    #[error("it begins like JSON, and {0}")]
    Json(#[from] JsonError),
    /// It is JSON, and no credential for kubectl.
    #[error("it is JSON without a text at `.status.token`")]
    NoStatusToken,
}

/// Reads a token as files hold one: by itself, with white space around it, or as what a program gives to kubectl, an
/// `ExecCredential` with the token at `.status.token` (`client.authentication.k8s.io/v1`, and v1beta1 before it).
pub fn read_credential(bytes: &[u8]) -> Result<Token, CredentialError> {
    // Around the token there is little: the names of a credential, its expiry, perhaps a certificate.
    if bytes.len() > 2 * LONGEST_TOKEN {
        return Err(CredentialError::TooLong);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| CredentialError::NotUtf8)?;
    let text = text.trim_ascii();
    if text.is_empty() {
        return Err(CredentialError::Empty);
    }
    if !text.starts_with('{') {
        return Ok(Token::new(text));
    }
    let credential = json::object(text.as_bytes())?;
    let token = credential
        .get("status")
        .and_then(|status| status.get("token")?.as_str())
        .filter(|token| !token.is_empty());
    token.map(Token::new).ok_or(CredentialError::NoStatusToken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, CredentialError> {
        read_credential(text.as_bytes()).map(|token| token.expose().to_owned())
    }

    #[test]
    fn a_token_is_read_by_itself_and_out_of_a_credential() {
        assert_eq!(read(" a.b.c\r\n"), Ok("a.b.c".to_owned()));
        let credential = r#"{"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1beta1",
            "spec": {"interactive": false}, "status": {"expirationTimestamp": "2024-03-15T10:23:54Z", "token": "a.b.c"}}"#;
        assert_eq!(read(credential), Ok("a.b.c".to_owned()));
    }

    #[test]
    fn what_holds_no_token_is_told_as_such() {
        for (text, error) in [
            ("", CredentialError::Empty),
            (" \n", CredentialError::Empty),
            ("{}", CredentialError::NoStatusToken),
            (r#"{"status":"a"}"#, CredentialError::NoStatusToken),
            (r#"{"status":{"token":7}}"#, CredentialError::NoStatusToken),
            (r#"{"status":{"token":""}}"#, CredentialError::NoStatusToken),
            (
                r#"{"status":{"token":"a","token":"b"}}"#,
                CredentialError::Json(JsonError::Twice),
            ),
            ("{", CredentialError::Json(JsonError::NotJson)),
            (&"a".repeat(200_000), CredentialError::TooLong),
        ] {
            assert_eq!(read(text), Err(error));
        }
        assert_eq!(
            read_credential(b"\xff").unwrap_err(),
            CredentialError::NotUtf8
        );
    }

    #[test]
    fn a_token_does_not_show_itself() {
        let token = Token::new("hunter2");
        assert_eq!(
            format!("{token:?} {:?}", Some(&token)),
            "Token(…) Some(Token(…))"
        );
        assert_eq!(token.mark(), "f52fbd32");
    }
}
