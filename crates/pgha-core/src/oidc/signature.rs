//! Signatures: `jsonwebtoken` over ring, which is here for TLS anyway.
//!
//! Its own backends would bring some forty more crates, among them one with a known weakness in its private-key operations
//! (RUSTSEC-2023-0071). Nothing is signed here, and no shared secret verifies anything.

use std::sync::Once;

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::signature::{Error as SignatureError, Verifier};
use jsonwebtoken::{Algorithm as Named, DecodingKey, DecodingKeyKind};
use ring::signature::{self as rings, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey};

use super::algorithm::Algorithm;
use super::compact::Compact;
use super::jwks::Public;

/// Whether a key has signed a token with an algorithm. The key is for the algorithm: [`super::KeySet`] gives no other.
pub(super) fn is_good(token: &Compact, algorithm: Algorithm, key: &Public) -> bool {
    static INSTALL: Once = Once::new();
    // A process that uses jsonwebtoken for something else has installed its own, which verifies as well.
    INSTALL.call_once(|| {
        let _is_first = RING.install_default().is_ok();
    });
    let verified = jsonwebtoken::crypto::verify(
        token.signature(),
        token.signed(),
        &decoding_key(key),
        named(algorithm),
    );
    verified.unwrap_or(false)
}

fn decoding_key(key: &Public) -> DecodingKey {
    match key {
        Public::Rsa { modulus, exponent } => {
            DecodingKey::from_rsa_raw_components(modulus, exponent)
        }
        Public::P256(point) | Public::P384(point) => DecodingKey::from_ec_der(point),
        Public::Ed25519(point) => DecodingKey::from_ed_der(point),
    }
}

const fn named(algorithm: Algorithm) -> Named {
    match algorithm {
        Algorithm::Rs256 => Named::RS256,
        Algorithm::Rs384 => Named::RS384,
        Algorithm::Rs512 => Named::RS512,
        Algorithm::Ps256 => Named::PS256,
        Algorithm::Ps384 => Named::PS384,
        Algorithm::Ps512 => Named::PS512,
        Algorithm::Es256 => Named::ES256,
        Algorithm::Es384 => Named::ES384,
        Algorithm::EdDsa => Named::EdDSA,
    }
}

static RING: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    verifier_factory: |algorithm, key| {
        let scheme = Scheme::of(*algorithm).ok_or(ErrorKind::UnsupportedAlgorithm)?;
        if algorithm.family() != key.family() {
            return Err(ErrorKind::InvalidKeyFormat.into());
        }
        Ok(Box::new(RingVerifier {
            algorithm: *algorithm,
            scheme,
            key: key.clone(),
        }))
    },
    // For making JWKs of keys and thumbprints of JWKs, of which nothing here asks it.
    key_utils: KeyUtils::new_unimplemented(),
};

enum Scheme {
    Rsa(&'static RsaParameters),
    Point(&'static dyn rings::VerificationAlgorithm),
}

impl Scheme {
    fn of(algorithm: Named) -> Option<Self> {
        Some(match algorithm {
            Named::RS256 => Self::Rsa(&rings::RSA_PKCS1_2048_8192_SHA256),
            Named::RS384 => Self::Rsa(&rings::RSA_PKCS1_2048_8192_SHA384),
            Named::RS512 => Self::Rsa(&rings::RSA_PKCS1_2048_8192_SHA512),
            Named::PS256 => Self::Rsa(&rings::RSA_PSS_2048_8192_SHA256),
            Named::PS384 => Self::Rsa(&rings::RSA_PSS_2048_8192_SHA384),
            Named::PS512 => Self::Rsa(&rings::RSA_PSS_2048_8192_SHA512),
            Named::ES256 => Self::Point(&rings::ECDSA_P256_SHA256_FIXED),
            Named::ES384 => Self::Point(&rings::ECDSA_P384_SHA384_FIXED),
            Named::EdDSA => Self::Point(&rings::ED25519),
            Named::HS256 | Named::HS384 | Named::HS512 | _ => return None,
        })
    }
}

struct RingVerifier {
    algorithm: Named,
    scheme: Scheme,
    key: DecodingKey,
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Named {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), SignatureError> {
        let verified = match (&self.scheme, self.key.kind()) {
            (Scheme::Rsa(parameters), DecodingKeyKind::RsaModulusExponent { n, e }) => {
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signature)
            }
            (Scheme::Point(scheme), DecodingKeyKind::SecretOrDer(point)) => {
                UnparsedPublicKey::new(*scheme, point).verify(message, signature)
            }
            (Scheme::Rsa(_) | Scheme::Point(_), _) => Err(ring::error::Unspecified),
        };
        verified.map_err(|_| SignatureError::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_signed_and_no_shared_secret_verifies() {
        let secret = DecodingKey::from_secret(b"secret");
        for algorithm in [Named::HS256, Named::HS384, Named::HS512, Named::RS256] {
            assert!((RING.verifier_factory)(&algorithm, &secret).is_err());
        }
        let key = jsonwebtoken::EncodingKey::from_secret(b"secret");
        assert!((RING.signer_factory)(&Named::HS256, &key).is_err());
    }
}
