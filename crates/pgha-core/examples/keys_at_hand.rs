//! Verifies a token with the issuer's keys at hand, by what `token-check` verifies it, and makes token and keys.
//!
//! For `cargo xtask bench traffic`, which measures it beside `token-check`: that asks the issuer for its keys each time.

use std::error::Error;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pgha_core::clock;
use pgha_core::oidc::{Algorithm, Expectations, IdToken, KeySet, read_credential, verify};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::json;

/// The name of the one key.
const KEY: &str = "first";

const TOKEN_FILE: &str = "token";
const KEYS_FILE: &str = "keys.json";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [verb, issuer, client, folder] = arguments.as_slice() else {
        return Err("usage: keys_at_hand make|check ISSUER CLIENT FOLDER".into());
    };
    let folder = Path::new(folder);
    match verb.as_str() {
        "make" => make(issuer, client, folder),
        "check" => check(issuer, client, folder),
        _ => Err("neither make nor check".into()),
    }
}

/// A key, and a token by it of somebody who has just logged in.
fn make(issuer: &str, client: &str, folder: &Path) -> Result<(), Box<dyn Error>> {
    let (scheme, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
    let made = EcdsaKeyPair::generate_pkcs8(scheme, &random).map_err(|_| "no key was made")?;
    let pair = EcdsaKeyPair::from_pkcs8(scheme, made.as_ref(), &random)
        .map_err(|error| format!("the key is none: {error}"))?;
    // An uncompressed point is the byte 4 and both coordinates (SEC 1, section 2.3.3).
    let point = pair.public_key().as_ref().get(1..).unwrap_or_default();
    let (x, y) = point.split_at(point.len() / 2);
    let key = json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": KEY, "x": encoded(x), "y": encoded(y)});
    fs::write(folder.join(KEYS_FILE), json!({"keys": [key]}).to_string())?;
    let now = clock::now().as_second();
    let header = json!({"alg": "ES256", "kid": KEY, "typ": "JWT"}).to_string();
    let claims = json!({"iss": issuer, "aud": client, "sub": "jane", "iat": now - 5, "exp": now + 86_400, "auth_time": now - 10});
    let signed = format!("{}.{}", encoded(header), encoded(claims.to_string()));
    let signature = pair.sign(&random, signed.as_bytes());
    let signature = signature.map_err(|_| "nothing was signed")?;
    let token = format!("{signed}.{}", encoded(signature));
    Ok(fs::write(folder.join(TOKEN_FILE), token)?)
}

fn check(issuer: &str, client: &str, folder: &Path) -> Result<(), Box<dyn Error>> {
    let token = read_credential(&fs::read(folder.join(TOKEN_FILE))?)?;
    let token = IdToken::read(&token)?;
    let keys = KeySet::read(&fs::read(folder.join(KEYS_FILE))?)?;
    let expected = Expectations::new(issuer, client);
    let verdict = verify(&token, &[Algorithm::Es256], &keys, &expected, clock::now());
    if verdict.is_proved() {
        return Ok(());
    }
    Err(format!("the token is not proved: {:?}", verdict.checks).into())
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
