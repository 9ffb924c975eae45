//! Labels, annotations and names: the operator's contract with everybody who looks at its objects.

use std::collections::BTreeMap;

/// Prefix of every label and annotation of the operator.
const PREFIX: &str = "postgres-operator.crunchydata.com";

pub(crate) const FINALIZER: &str = "postgres-operator.crunchydata.com/finalizer";
pub(crate) const FIELD_MANAGER: &str = "postgrescluster-controller";

pub(crate) const BACKUP_ANNOTATION: &str = "postgres-operator.crunchydata.com/pgbackrest-backup";
pub(crate) const SWITCHOVER_ANNOTATION: &str =
    "postgres-operator.crunchydata.com/trigger-switchover";
pub(crate) const AUTO_SCHEMA_ANNOTATION: &str =
    "postgres-operator.crunchydata.com/autoCreateUserSchema";
pub(crate) const CONFIG_ANNOTATION: &str = "postgres-operator.crunchydata.com/pgbackrest-config";
pub(crate) const HASH_ANNOTATION: &str = "postgres-operator.crunchydata.com/pgbackrest-hash";

pub(crate) const DATABASE: &str = "database";
pub(crate) const REPLICATION_USER: &str = "_crunchyrepl";
pub(crate) const STANZA: &str = "db";

/// A label or annotation key of the operator.
pub(crate) fn key(name: &str) -> String {
    format!("{PREFIX}/{name}")
}

/// Labels from short keys (without the operator's prefix) and values.
pub(crate) fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| (key(name), (*value).to_owned()))
        .collect()
}

/// Selects what carries all of `pairs`; an empty value means that the label only has to be there.
pub(crate) fn selector(pairs: &[(&str, &str)]) -> String {
    let terms: Vec<String> = pairs
        .iter()
        .map(|(name, value)| {
            if value.is_empty() {
                key(name)
            } else {
                format!("{}={value}", key(name))
            }
        })
        .collect();
    terms.join(",")
}

/// Patroni's scope, and so the name of the leader Endpoints.
pub(crate) fn scope(pg_cluster: &str) -> String {
    format!("{pg_cluster}-ha")
}

/// Characters of generated names: Kubernetes' own choice, without vowels and look-alikes.
const SAFE: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// `length` random characters that are safe in a name.
pub(crate) fn random_suffix(length: usize) -> anyhow::Result<String> {
    super::scram::random_characters(SAFE, length)
}

/// Text as Kubernetes encodes hashes in names: each byte picks one of the safe characters.
pub(crate) fn safe_encode(text: &str) -> String {
    text.bytes()
        .map(|byte| char::from(SAFE[usize::from(byte) % SAFE.len()]))
        .collect()
}

/// FNV-1 of 32 bits, encoded as above: the form of `usersRevision` and `databaseRevision`.
pub(crate) fn safe_hash(content: &str) -> String {
    let hash = content.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        hash.wrapping_mul(0x0100_0193) ^ u32::from(byte)
    });
    safe_encode(&hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_names_the_value_or_only_the_label() {
        assert_eq!(
            selector(&[("cluster", "hippo"), ("instance", "")]),
            "postgres-operator.crunchydata.com/cluster=hippo,postgres-operator.crunchydata.com/instance"
        );
    }

    #[test]
    fn the_hash_is_fnv_1_in_safe_characters() {
        // FNV-1 of the empty input is the offset basis, 2166136261.
        assert_eq!(safe_hash(""), safe_encode("2166136261"));
        assert_ne!(safe_hash("a"), safe_hash("b"));
        assert!(safe_hash("a").bytes().all(|byte| SAFE.contains(&byte)));
    }

    #[test]
    fn suffixes_have_the_length_that_was_asked_for() {
        let suffix = random_suffix(4).unwrap();
        assert_eq!(suffix.len(), 4);
        assert!(suffix.bytes().all(|byte| SAFE.contains(&byte)));
    }
}
