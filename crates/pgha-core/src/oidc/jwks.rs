//! The issuer's public keys (RFC 7517), and which of them a token may have been signed with.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::algorithm::Algorithm;
use super::json::{self, JsonError};
use super::roca;
use crate::diagnose::sanitised;

/// Keys beyond which a set is not read: providers publish a handful.
const MOST_KEYS: usize = 100;

/// Bits of an RSA modulus. Below, RFC 7518, section 3.3, forbids it; above, each signature costs more than a login may.
const MODULUS_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Why a document is no set of keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// It is not an object in JSON, each member once.
    #[error("the set of keys {0}")]
    Json(#[from] JsonError),
    /// It has no list of objects at `keys`.
    #[error("the set of keys has no list of objects at `keys`")]
    NoKeys,
    /// It has more keys than any provider publishes.
    #[error("the set has {count} keys; at most {MOST_KEYS} are read")]
    TooMany {
        /// How many.
        count: usize,
    },
}

/// Why none of the keys can be the one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No key has the token's key ID.
    #[error("the issuer publishes no key `{id}`")]
    Missing {
        /// The key ID.
        id: String,
    },
    /// Several keys have the token's key ID.
    #[error("the issuer publishes {count} keys called `{id}`")]
    Duplicate {
        /// The key ID.
        id: String,
        /// How many.
        count: usize,
    },
    /// The token names no key and several fit.
    #[error("the token names no key, and {count} of the issuer's keys could be meant")]
    Ambiguous {
        /// How many.
        count: usize,
    },
    /// The token names no key and none fits.
    #[error("the token names no key, and none of the issuer's keys is for {algorithm}")]
    NoneFits {
        /// The token's algorithm.
        algorithm: Algorithm,
    },
    /// The key that is meant cannot be used.
    #[error("the issuer's key `{id}` cannot be used: {because}")]
    Unusable {
        /// The key ID.
        id: String,
        /// Why.
        because: Unusable,
    },
    /// The key that is meant is for another algorithm.
    #[error("the issuer's key `{id}` is not for {algorithm}")]
    OtherAlgorithm {
        /// The key ID.
        id: String,
        /// The token's algorithm.
        algorithm: Algorithm,
    },
}

/// Why a key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Unusable {
    #[error("it is not of a kind that is known")]
    Kind,
    #[error("it is a shared secret, and published")]
    Secret,
    #[error("its private part is published")]
    Private,
    #[error("it is on a curve that is not accepted")]
    Curve,
    #[error("its `{0}` is missing or malformed")]
    Member(&'static str),
    #[error("its modulus has {0} bits, not 2048 to 8192")]
    ModulusSize(usize),
    #[error("its modulus has the form of those that can be factored (ROCA)")]
    Roca,
    #[error("it is not for signatures")]
    Use,
    #[error("it is for an algorithm that is not accepted")]
    Algorithm,
}

/// What of a key verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Public {
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// One key, usable or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// `kid`.
    pub id: Option<String>,
    /// Its SHA-256 thumbprint in base64url (RFC 7638): the same key has the same, whatever it is called.
    pub thumbprint: Option<String>,
    /// The only algorithm that it is for, when it says so.
    algorithm: Option<Algorithm>,
    public: Result<Public, Unusable>,
}

/// All keys that an issuer publishes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySet {
    /// In the order of the document.
    pub keys: Vec<Key>,
}

impl KeySet {
    /// Reads the document. A key that cannot be used is kept, with the reason.
    pub fn read(bytes: &[u8]) -> Result<Self, KeySetError> {
        let members = json::object(bytes)?;
        let keys = members.get("keys").and_then(Value::as_array);
        let keys = keys.ok_or(KeySetError::NoKeys)?;
        if keys.len() > MOST_KEYS {
            return Err(KeySetError::TooMany { count: keys.len() });
        }
        let read = |key: &Value| key.as_object().map(Key::read).ok_or(KeySetError::NoKeys);
        let keys = keys.iter().map(read).collect::<Result<_, _>>()?;
        Ok(Self { keys })
    }

    /// The one key that a token with this header must have been signed with.
    pub(super) fn find(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<(&Key, &Public), KeyError> {
        let Some(id) = id else {
            return self.find_unnamed(algorithm);
        };
        let named: Vec<&Key> = self
            .keys
            .iter()
            .filter(|key| key.id.as_deref() == Some(id))
            .collect();
        let shown = shown(id);
        match named[..] {
            [] => Err(KeyError::Missing { id: shown }),
            [key] => key.for_algorithm(shown, algorithm),
            _ => Err(KeyError::Duplicate {
                id: shown,
                count: named.len(),
            }),
        }
    }

    fn find_unnamed(&self, algorithm: Algorithm) -> Result<(&Key, &Public), KeyError> {
        let fitting: Vec<_> = self
            .keys
            .iter()
            .filter_map(|key| key.for_algorithm(String::new(), algorithm).ok())
            .collect();
        match fitting[..] {
            [] => Err(KeyError::NoneFits { algorithm }),
            [one] => Ok(one),
            _ => Err(KeyError::Ambiguous {
                count: fitting.len(),
            }),
        }
    }
}

impl Key {
    fn read(members: &Map<String, Value>) -> Self {
        let algorithm = match members.get("alg") {
            None => Ok(None),
            Some(name) => name
                .as_str()
                .and_then(Algorithm::named)
                .map(Some)
                .ok_or(Unusable::Algorithm),
        };
        let public = read_public(members);
        let public = public
            .and_then(|public| check_use(members).map(|()| public))
            .and_then(|public| algorithm.clone().map(|_| public));
        Self {
            id: text(members, "kid").ok().map(str::to_owned),
            thumbprint: thumbprint(members),
            algorithm: algorithm.ok().flatten(),
            public,
        }
    }

    /// The key for an algorithm, when it is for it: both its kind and what it says itself have to fit.
    fn for_algorithm(
        &self,
        id: String,
        algorithm: Algorithm,
    ) -> Result<(&Self, &Public), KeyError> {
        let public = match &self.public {
            Ok(public) => public,
            Err(because) => {
                let because = because.clone();
                return Err(KeyError::Unusable { id, because });
            }
        };
        let says_other = self.algorithm.is_some_and(|own| own != algorithm);
        if says_other || !public.is_for(algorithm) {
            return Err(KeyError::OtherAlgorithm { id, algorithm });
        }
        Ok((self, public))
    }
}

impl Public {
    const fn is_for(&self, algorithm: Algorithm) -> bool {
        match algorithm {
            Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512 => matches!(self, Self::Rsa { .. }),
            Algorithm::Es256 => matches!(self, Self::P256(_)),
            Algorithm::Es384 => matches!(self, Self::P384(_)),
            Algorithm::EdDsa => matches!(self, Self::Ed25519(_)),
        }
    }
}

fn read_public(members: &Map<String, Value>) -> Result<Public, Unusable> {
    let kind = text(members, "kty")?;
    if kind == "oct" {
        return Err(Unusable::Secret);
    }
    if members.contains_key("d") {
        return Err(Unusable::Private);
    }
    match kind {
        "RSA" => rsa(members),
        "EC" => match text(members, "crv")? {
            "P-256" => Ok(Public::P256(point(members, 32)?)),
            "P-384" => Ok(Public::P384(point(members, 48)?)),
            _ => Err(Unusable::Curve),
        },
        "OKP" => match text(members, "crv")? {
            "Ed25519" => Ok(Public::Ed25519(of_size(members, "x", 32)?)),
            _ => Err(Unusable::Curve),
        },
        _ => Err(Unusable::Kind),
    }
}

fn rsa(members: &Map<String, Value>) -> Result<Public, Unusable> {
    let modulus = bytes(members, "n")?;
    // An encoding has no zero in front (RFC 7518, section 6.3.1.1), so the first byte tells the size.
    let first = modulus.first().filter(|first| **first != 0);
    let first = first.ok_or(Unusable::Member("n"))?;
    let bits = modulus.len() * 8 - first.leading_zeros() as usize;
    if !MODULUS_BITS.contains(&bits) {
        return Err(Unusable::ModulusSize(bits));
    }
    if roca::has_fingerprint(&modulus) {
        return Err(Unusable::Roca);
    }
    let exponent = bytes(members, "e")?;
    Ok(Public::Rsa { modulus, exponent })
}

/// A point as X9.62 writes it uncompressed. That it is on the curve is checked where it is used (RFC 8725, 3.4).
fn point(members: &Map<String, Value>, size: usize) -> Result<Vec<u8>, Unusable> {
    let mut point = vec![4];
    point.extend(of_size(members, "x", size)?);
    point.extend(of_size(members, "y", size)?);
    Ok(point)
}

fn check_use(members: &Map<String, Value>) -> Result<(), Unusable> {
    let for_signatures = match members.get("use") {
        None => true,
        Some(named) => named == "sig",
    };
    let verifies = match members.get("key_ops") {
        None => true,
        Some(named) => named
            .as_array()
            .is_some_and(|named| named.iter().any(|one| one == "verify")),
    };
    if for_signatures && verifies {
        Ok(())
    } else {
        Err(Unusable::Use)
    }
}

fn text<'a>(members: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, Unusable> {
    let text = members.get(name).and_then(Value::as_str);
    text.ok_or(Unusable::Member(name))
}

fn bytes(members: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, Unusable> {
    let decoded = URL_SAFE_NO_PAD.decode(text(members, name)?);
    decoded.map_err(|_| Unusable::Member(name))
}

fn of_size(
    members: &Map<String, Value>,
    name: &'static str,
    size: usize,
) -> Result<Vec<u8>, Unusable> {
    let decoded = bytes(members, name)?;
    if decoded.len() == size {
        Ok(decoded)
    } else {
        Err(Unusable::Member(name))
    }
}

/// The members that make the key, sorted, without white space (RFC 7638, section 3.2; for OKP RFC 8037, section 2).
fn thumbprint(members: &Map<String, Value>) -> Option<String> {
    let names: &[&'static str] = match text(members, "kty").ok()? {
        "RSA" => &["e", "kty", "n"],
        "EC" => &["crv", "kty", "x", "y"],
        "OKP" => &["crv", "kty", "x"],
        _ => return None,
    };
    let member = |name: &&'static str| {
        let value = text(members, name).ok()?;
        Some(format!("{}:{}", Value::from(*name), Value::from(value)))
    };
    let sorted: Option<Vec<String>> = names.iter().map(member).collect();
    let canonical = format!("{{{}}}", sorted?.join(","));
    Some(URL_SAFE_NO_PAD.encode(Sha256::digest(canonical)))
}

fn shown(id: &str) -> String {
    sanitised(&id.chars().take(80).collect::<String>())
}

#[cfg(test)]
mod tests;
