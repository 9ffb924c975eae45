//! Passwords, and the SCRAM-SHA-256 verifiers that Postgres stores for them (RFC 5802, RFC 7677).

use std::num::NonZeroU32;

use anyhow::{Result, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::{digest, hmac, pbkdf2};

/// Postgres' own number of iterations (`SCRAM_SHA_256_DEFAULT_ITERATIONS`).
const ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).unwrap();
const SALT_BYTES: usize = 16;

/// Printable ASCII except blank, quotes and backslash.
const ASCII: &[u8] =
    b"!#$%&()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_abcdefghijklmnopqrstuvwxyz{|}~";
const ALPHANUMERIC: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Which characters a generated password is made of (`spec.users[].password.type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alphabet {
    Ascii,
    Alphanumeric,
}

/// A new random password of 24 characters, the operator's default length.
pub(crate) fn new_password(alphabet: Alphabet) -> Result<String> {
    let characters = match alphabet {
        Alphabet::Ascii => ASCII,
        Alphabet::Alphanumeric => ALPHANUMERIC,
    };
    random_characters(characters, 24)
}

/// `length` characters, each drawn from `alphabet` with equal chance.
pub(crate) fn random_characters(alphabet: &[u8], length: usize) -> Result<String> {
    // Bytes at or above the largest multiple of the alphabet's size would favour its first characters.
    let limit = 256 - 256 % alphabet.len();
    let mut text = String::with_capacity(length);
    while text.len() < length {
        let byte = usize::from(random_bytes::<1>()?[0]);
        if byte < limit {
            text.push(char::from(alphabet[byte % alphabet.len()]));
        }
    }
    Ok(text)
}

/// The verifier of `password` with a new random salt.
pub(crate) fn verifier(password: &str) -> Result<String> {
    Ok(verifier_with_salt(password, &random_bytes::<SALT_BYTES>()?))
}

fn verifier_with_salt(password: &str, salt: &[u8]) -> String {
    let mut salted = [0_u8; digest::SHA256_OUTPUT_LEN];
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        ITERATIONS,
        salt,
        password.as_bytes(),
        &mut salted,
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, &salted);
    let client_key = hmac::sign(&key, b"Client Key");
    let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
    let server_key = hmac::sign(&key, b"Server Key");
    format!(
        "SCRAM-SHA-256${ITERATIONS}:{}${}:{}",
        STANDARD.encode(salt),
        STANDARD.encode(stored_key),
        STANDARD.encode(server_key),
    )
}

fn random_bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0_u8; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| anyhow!("no random bytes"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exchange of RFC 7677, section 3: the client's proof there must verify against our stored key.
    #[test]
    fn the_rfc_7677_exchange_verifies() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let verifier = verifier_with_salt("pencil", &salt);
        let keys = verifier.rsplit('$').next().unwrap();
        let (stored_key, server_key) = keys.split_once(':').unwrap();
        let auth_message = "n=user,r=rOprNGfwEbeRWgbNEkqO,\
            r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
            c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let stored = STANDARD.decode(stored_key).unwrap();
        let signature = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, &stored),
            auth_message.as_bytes(),
        );
        let proof = STANDARD
            .decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
            .unwrap();
        let client_key: Vec<u8> = proof
            .iter()
            .zip(signature.as_ref())
            .map(|(a, b)| a ^ b)
            .collect();
        assert_eq!(
            digest::digest(&digest::SHA256, &client_key).as_ref(),
            stored
        );
        let server = STANDARD.decode(server_key).unwrap();
        let server_signature = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, &server),
            auth_message.as_bytes(),
        );
        assert_eq!(
            STANDARD.encode(server_signature),
            "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
        );
    }

    #[test]
    fn a_verifier_has_the_form_that_postgres_stores() {
        let verifier = verifier("secret").unwrap();
        assert!(verifier.starts_with("SCRAM-SHA-256$4096:"));
        assert_eq!(verifier.matches('$').count(), 2);
    }

    #[test]
    fn passwords_keep_to_their_alphabet() {
        let password = new_password(Alphabet::Alphanumeric).unwrap();
        assert_eq!(password.len(), 24);
        assert!(password.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert!(
            !new_password(Alphabet::Ascii)
                .unwrap()
                .contains(['\'', '"', '\\', ' '])
        );
    }
}
