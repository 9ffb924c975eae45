//! Whether a token proves what is expected of it: a function of the token, the issuer's keys, the expectations and the time.
//!
//! The rules are those of OpenID Connect Core 1.0, section 3.1.3.7, and of RFC 8725. Every rule is a check of its own, so
//! that whoever reads the result sees each answer, and not only the first that is bad.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use ring::digest;

use super::algorithm::Algorithm;
use super::claims::{Claims, IdToken};
use super::jwks::KeySet;
use super::proof::{JUST_NOW, Proof};
use super::signature;
use super::token::Token;

/// How far two clocks may be apart when nobody said.
pub const DEFAULT_SKEW: SignedDuration = SignedDuration::from_secs(60);

/// What a token has to say.
#[derive(Clone, Debug)]
pub struct Expectations {
    /// The issuer, to the byte.
    pub issuer: String,
    /// The client for which the token has to be.
    pub client_id: String,
    /// How far the issuer's clock may be from ours.
    pub skew: SignedDuration,
    /// What was given to the issuer when the login began.
    pub nonce: Option<String>,
    /// The access token that came with it.
    pub access_token: Option<Token>,
    /// Claims with what each has to say.
    pub claims: Vec<(String, String)>,
    /// How long ago the person may have logged in.
    pub max_auth_age: Option<SignedDuration>,
    /// When the move began of which the token is to be a proof; without it, a little before now.
    pub since: Option<Timestamp>,
}

impl Expectations {
    /// What is expected of every token of a client.
    pub fn new(issuer: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            client_id: client_id.into(),
            skew: DEFAULT_SKEW,
            nonce: None,
            access_token: None,
            claims: Vec::new(),
            max_auth_age: None,
            since: None,
        }
    }
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is as it has to be.
    Pass,
    /// It is permitted, and a person should know.
    Warn,
    /// It is not as it has to be: the token proves nothing.
    Fail,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was looked at: `signature`, or the claim's name.
    pub name: String,
    /// How it came out.
    pub outcome: Outcome,
    /// What was seen.
    pub seen: String,
}

impl Check {
    pub(super) fn new(name: &str, outcome: Outcome, seen: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            outcome,
            seen: seen.into(),
        }
    }

    fn of(name: &str, holds: bool, seen: impl Into<String>) -> Self {
        let outcome = if holds { Outcome::Pass } else { Outcome::Fail };
        Self::new(name, outcome, seen)
    }
}

/// What came of all checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Every check, the signature first.
    pub checks: Vec<Check>,
    /// Which proof the token is, if it is one.
    pub proof: Proof,
    /// The thumbprint of the key that has signed it; `None` unless the signature is good.
    pub signed_by: Option<String>,
}

impl Verdict {
    /// Whether the token is proved: its signature is good and no check failed.
    pub fn is_proved(&self) -> bool {
        let fails = |check: &Check| check.outcome == Outcome::Fail;
        self.signed_by.is_some() && !self.checks.iter().any(fails)
    }
}

/// Checks a token. `algorithms` are those that the issuer says it signs with.
pub fn verify(
    token: &IdToken,
    algorithms: &[Algorithm],
    keys: &KeySet,
    expected: &Expectations,
    now: Timestamp,
) -> Verdict {
    let (signature, signed_by) = check_signature(token, algorithms, keys);
    let claims = &token.claims;
    let mut checks = vec![
        signature,
        issuer(claims, expected),
        audience(claims, expected),
    ];
    checks.extend(authorized_party(claims, expected));
    checks.push(subject(claims));
    checks.extend(times(claims, expected, now));
    checks.extend(nonce(claims, expected));
    checks.extend(access_token(token, expected));
    let expectations = expected.claims.iter();
    checks.extend(expectations.map(|(name, wanted)| expectation(claims, name, wanted)));
    let since = expected.since.unwrap_or_else(|| earlier(now, JUST_NOW));
    Verdict {
        checks,
        proof: Proof::of(claims, since),
        signed_by,
    }
}

fn check_signature(
    token: &IdToken,
    algorithms: &[Algorithm],
    keys: &KeySet,
) -> (Check, Option<String>) {
    let algorithm = token.algorithm;
    let failed = |seen: String| (Check::new("signature", Outcome::Fail, seen), None);
    if !algorithms.contains(&algorithm) {
        return failed(format!("the issuer does not sign with {algorithm}"));
    }
    let (key, public) = match keys.find(token.compact.header.key_id.as_deref(), algorithm) {
        Ok(found) => found,
        Err(error) => return failed(error.to_string()),
    };
    if !signature::is_good(&token.compact, algorithm, public) {
        return failed(format!("it is not a signature of the issuer ({algorithm})"));
    }
    let thumbprint = key.thumbprint.clone().unwrap_or_default();
    let seen = format!("{algorithm} by the issuer's key {thumbprint}");
    let check = Check::new("signature", Outcome::Pass, seen);
    (check, Some(thumbprint))
}

fn issuer(claims: &Claims, expected: &Expectations) -> Check {
    let Some(issuer) = claims.text("iss") else {
        return Check::new("iss", Outcome::Fail, "is not a text");
    };
    Check::of("iss", issuer == expected.issuer, issuer)
}

fn audience(claims: &Claims, expected: &Expectations) -> Check {
    let Some(audiences) = claims.audiences() else {
        return Check::new(
            "aud",
            Outcome::Fail,
            "is neither a text nor a list of texts",
        );
    };
    let is_ours = audiences.contains(&expected.client_id.as_str());
    Check::of("aud", is_ours, audiences.join(", "))
}

/// Whose token it is where it is for several.
fn authorized_party(claims: &Claims, expected: &Expectations) -> Option<Check> {
    if claims.0.contains_key("azp") {
        let party = claims.text("azp").unwrap_or_default();
        return Some(Check::of("azp", party == expected.client_id, party));
    }
    let is_for_several = claims.audiences().is_some_and(|all| all.len() > 1);
    let missing = "is missing, and the token is for several audiences";
    is_for_several.then(|| Check::new("azp", Outcome::Fail, missing))
}

fn subject(claims: &Claims) -> Check {
    match claims.text("sub") {
        Some(subject) => Check::new("sub", Outcome::Pass, subject),
        None => Check::new("sub", Outcome::Fail, "is not a text"),
    }
}

fn times(claims: &Claims, expected: &Expectations, now: Timestamp) -> Vec<Check> {
    let skew = expected.skew;
    let not_later = |time: Timestamp| earlier(time, skew) <= now;
    let mut checks = vec![
        timed(claims, "exp", |expiry| {
            if now < expiry {
                Outcome::Pass
            } else if earlier(now, skew) < expiry {
                Outcome::Warn
            } else {
                Outcome::Fail
            }
        }),
        timed(claims, "iat", |issued| outcome(not_later(issued))),
    ];
    if claims.0.contains_key("nbf") {
        checks.push(timed(claims, "nbf", |begins| outcome(not_later(begins))));
    }
    if claims.0.contains_key("auth_time") || expected.max_auth_age.is_some() {
        checks.push(timed(claims, "auth_time", |login| {
            let oldest = expected.max_auth_age.map(|age| {
                let age = age.checked_add(skew).unwrap_or(age);
                earlier(now, age)
            });
            outcome(not_later(login) && oldest.is_none_or(|oldest| login >= oldest))
        }));
    }
    checks
}

/// A claim that must be there and be a time.
fn timed(claims: &Claims, name: &str, judge: impl FnOnce(Timestamp) -> Outcome) -> Check {
    match claims.time(name) {
        Ok(Some(time)) => Check::new(name, judge(time), time.to_string()),
        Ok(None) => Check::new(name, Outcome::Fail, "is missing"),
        Err(_) => Check::new(name, Outcome::Fail, "is not a time"),
    }
}

fn nonce(claims: &Claims, expected: &Expectations) -> Option<Check> {
    let wanted = expected.nonce.as_deref()?;
    let is_ours = claims.text("nonce") == Some(wanted);
    let seen = if is_ours {
        "is the one of this login"
    } else {
        "is not the one of this login"
    };
    Some(Check::of("nonce", is_ours, seen))
}

/// The left half of the access token's hash (OpenID Connect Core 1.0, section 3.1.3.6); a login by code may leave it out.
fn access_token(token: &IdToken, expected: &Expectations) -> Option<Check> {
    let access = expected.access_token.as_ref()?;
    if !token.claims.0.contains_key("at_hash") {
        let seen = "is missing; the access token is not bound to this token";
        return Some(Check::new("at_hash", Outcome::Warn, seen));
    }
    let hash = digest::digest(hash_of(token.algorithm), access.expose().as_bytes());
    let hash = hash.as_ref();
    let half = URL_SAFE_NO_PAD.encode(&hash[..hash.len() / 2]);
    let is_bound = token.claims.text("at_hash") == Some(half.as_str());
    let seen = if is_bound {
        "is the access token's"
    } else {
        "is not the access token's"
    };
    Some(Check::of("at_hash", is_bound, seen))
}

/// Ed25519 hashes with SHA-512 inside, and OpenID Connect takes that.
const fn hash_of(algorithm: Algorithm) -> &'static digest::Algorithm {
    match algorithm {
        Algorithm::Rs256 | Algorithm::Ps256 | Algorithm::Es256 => &digest::SHA256,
        Algorithm::Rs384 | Algorithm::Ps384 | Algorithm::Es384 => &digest::SHA384,
        Algorithm::Rs512 | Algorithm::Ps512 | Algorithm::EdDsa => &digest::SHA512,
    }
}

fn expectation(claims: &Claims, name: &str, wanted: &str) -> Check {
    let seen = match claims.0.get(name) {
        Some(_) if claims.says(name, wanted) => format!("has {wanted}"),
        Some(value) => format!("is {value}, which does not have {wanted}"),
        None => format!("is missing; {wanted} was expected"),
    };
    Check::of(name, claims.says(name, wanted), seen)
}

const fn outcome(holds: bool) -> Outcome {
    if holds { Outcome::Pass } else { Outcome::Fail }
}

/// So long before a time, or the beginning of time.
fn earlier(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.saturating_sub(by).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests;
