//! The key that updates are signed with. It stays in its file until one is signed, and nothing here can print it.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hickory_proto::rr::TSigner;
use hickory_proto::rr::rdata::tsig::TsigAlgorithm;
use pgha_dns::DnsName;
use pgha_wire::read_key;
use serde::Deserialize;

use crate::records::wire_name;

/// How far the clocks may differ, in seconds (RFC 8945, 10).
const FUDGE: u16 = 300;

/// A key by its name; the secret is in a file that only its owner may read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeySettings {
    /// What the primary calls it.
    pub name: DnsName,
    /// The algorithm.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = "hmac-sha256")))]
    pub algorithm: Algorithm,
    /// A file as `tsig-keygen` writes it, or with the secret alone in base64.
    pub secret_file: PathBuf,
}

/// How a message is signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Algorithm {
    /// HMAC with SHA-256.
    #[default]
    #[serde(rename = "hmac-sha256")]
    HmacSha256,
    /// HMAC with SHA-384.
    #[serde(rename = "hmac-sha384")]
    HmacSha384,
    /// HMAC with SHA-512.
    #[serde(rename = "hmac-sha512")]
    HmacSha512,
}

impl Algorithm {
    fn tsig(self) -> TsigAlgorithm {
        match self {
            Self::HmacSha256 => TsigAlgorithm::HmacSha256,
            Self::HmacSha384 => TsigAlgorithm::HmacSha384,
            Self::HmacSha512 => TsigAlgorithm::HmacSha512,
        }
    }
}

impl KeySettings {
    /// Reads the secret; what is wrong with its file, otherwise.
    pub(crate) fn signer(&self) -> Result<TSigner, String> {
        let text = read_key(&self.secret_file)?;
        // No message of a decoder's is passed on: it may quote the secret.
        let secret = self.secret_in(&text).map_err(|because| {
            let shown = self.secret_file.display();
            format!("the key file {shown} {because}")
        })?;
        let (name, algorithm) = (wire_name(&self.name), self.algorithm.tsig());
        let name = name.map_err(|error| error.to_string())?;
        TSigner::new(secret, algorithm, name, FUDGE).map_err(|error| error.to_string())
    }

    fn secret_in(&self, text: &str) -> Result<Vec<u8>, &'static str> {
        let lines = text
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'));
        let words =
            lines.flat_map(|line| line.split(|c: char| c.is_whitespace() || "{};\"".contains(c)));
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        let after = |word: &str| {
            words
                .windows(2)
                .find(|pair| pair[0] == word)
                .map(|pair| pair[1])
        };
        let secret = match (words.as_slice(), after("secret")) {
            ([secret], _) => secret,
            (_, Some(secret)) => secret,
            _ => return Err("holds no secret"),
        };
        if after("key").is_some_and(|name| DnsName::new(name).as_ref() != Ok(&self.name)) {
            return Err("is of a key of another name");
        }
        let algorithm = self.algorithm.tsig().to_string();
        if after("algorithm").is_some_and(|other| !other.eq_ignore_ascii_case(&algorithm)) {
            return Err("is of another algorithm");
        }
        match STANDARD.decode(secret) {
            Ok(secret) if !secret.is_empty() => Ok(secret),
            _ => Err("holds no secret in base64"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(file: &str) -> KeySettings {
        let name = DnsName::new("pgha.").unwrap();
        KeySettings {
            name,
            algorithm: Algorithm::default(),
            secret_file: file.into(),
        }
    }

    #[test]
    fn a_secret_is_read_as_tsig_keygen_writes_it_or_alone() {
        let written = "key \"PGHA\" {\n\talgorithm hmac-sha256;\n\tsecret \"c2VjcmV0\";\n};\n";
        for text in [written, "c2VjcmV0\n", "# of tsig-keygen\nc2VjcmV0"] {
            assert_eq!(key("x").secret_in(text).unwrap(), b"secret");
        }
        for (from, to, words) in [
            ("PGHA", "other", "another name"),
            ("sha256", "sha512", "another algorithm"),
            ("secret \"", "secrets \"", "no secret"),
            ("c2VjcmV0", "!!!!", "base64"),
        ] {
            let said = key("x").secret_in(&written.replace(from, to)).unwrap_err();
            assert!(said.contains(words) && !said.contains("c2VjcmV0"), "{said}");
        }
    }
}
