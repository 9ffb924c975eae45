//! The signature algorithms that are accepted: asymmetric ones only, by a list of those that are let in.

use std::fmt;

/// A signature algorithm (RFC 7518, section 3.1; RFC 8037; RFC 9864).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the standard's")]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    /// On the curve Ed25519 alone: `EdDSA` and, since RFC 9864, `Ed25519`.
    EdDsa,
}

impl Algorithm {
    /// Every algorithm that is let in.
    pub const ALL: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// The algorithm of a name, to the letter: no other spelling means the same.
    pub fn named(name: &str) -> Option<Self> {
        let of_name = |one: &Self| one.name() == name;
        let found = Self::ALL.into_iter().find(of_name);
        found.or((name == "Ed25519").then_some(Self::EdDsa))
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_asymmetric_algorithms_have_a_name() {
        for name in Algorithm::ALL.map(Algorithm::name) {
            assert_eq!(Algorithm::named(name).map(Algorithm::name), Some(name));
        }
        assert_eq!(Algorithm::named("Ed25519"), Some(Algorithm::EdDsa));
        for name in [
            "none", "noNE", "None", "", "HS256", "HS384", "HS512", "rs256", "RS256 ", "ES512",
            "ES256K", "Ed448", "RSA1_5", "dir",
        ] {
            assert_eq!(Algorithm::named(name), None, "{name}");
        }
    }
}
