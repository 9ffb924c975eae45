//! What a login was like before a move, to be compared with one after it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::claims::IdToken;
use super::issuer::Issuer;
use super::verify::{Check, Outcome, Verdict};

/// The version of the file.
const API_VERSION: &str = "pgha.dev/v1alpha1";
const KIND: &str = "TokenBaseline";

/// Issuer, keys and subject at one time. It holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Baseline {
    api_version: String,
    kind: String,
    /// When it was taken.
    pub taken_at: Timestamp,
    /// The issuer.
    pub issuer: String,
    /// The client.
    pub client_id: String,
    /// Whom the token names.
    pub subject: String,
    /// The thumbprints of all keys that the issuer publishes (RFC 7638, SHA-256, base64url).
    pub keys: BTreeSet<String>,
    /// The thumbprint of the key that has signed the token.
    pub signed_by: String,
}

/// A file that is no baseline.
#[derive(Debug, thiserror::Error)]
#[error("it is not a baseline that `token-check --save-baseline` wrote")]
pub struct NoBaseline;

impl Baseline {
    /// Of a token that is proved; of any other there is none.
    pub fn of(
        token: &IdToken,
        verdict: &Verdict,
        issuer: &Issuer,
        client_id: &str,
        now: Timestamp,
    ) -> Option<Self> {
        if !verdict.is_proved() {
            return None;
        }
        let keys = issuer.keys().keys.iter();
        Some(Self {
            api_version: API_VERSION.to_owned(),
            kind: KIND.to_owned(),
            taken_at: now,
            issuer: issuer.url().to_owned(),
            client_id: client_id.to_owned(),
            subject: token.claims.text("sub")?.to_owned(),
            keys: keys.filter_map(|key| key.thumbprint.clone()).collect(),
            signed_by: verdict.signed_by.clone()?,
        })
    }

    /// Reads a file's text.
    pub fn read(text: &[u8]) -> Result<Self, NoBaseline> {
        let read: Self = serde_json::from_slice(text).map_err(|_| NoBaseline)?;
        if read.api_version == API_VERSION && read.kind == KIND {
            Ok(read)
        } else {
            Err(NoBaseline)
        }
    }

    /// What `after` has kept of this. Keys live in the issuer's database, so none in common is another database, or a
    /// rotation that nobody can tell from one.
    pub fn compare(&self, after: &Self) -> Vec<Check> {
        vec![
            same("baseline issuer", &self.issuer, &after.issuer),
            same("baseline client", &self.client_id, &after.client_id),
            same("baseline subject", &self.subject, &after.subject),
            self.compare_keys(after),
        ]
    }

    fn compare_keys(&self, after: &Self) -> Check {
        let kept = self.keys.intersection(&after.keys).count();
        let (before, now) = (self.keys.len(), after.keys.len());
        let (outcome, seen) = if kept == 0 {
            let seen = format!(
                "none of the {before} keys from before is published any more: another database, or a rotation"
            );
            (Outcome::Fail, seen)
        } else if kept == before && kept == now {
            (Outcome::Pass, format!("the same {kept}"))
        } else {
            let seen = format!(
                "{kept} of {before} are still published, {} are new: a rotation",
                now - kept
            );
            (Outcome::Warn, seen)
        };
        Check::new("baseline keys", outcome, seen)
    }
}

fn same(name: &str, before: &str, after: &str) -> Check {
    if before == after {
        return Check::new(name, Outcome::Pass, format!("the same: {after}"));
    }
    Check::new(name, Outcome::Fail, format!("was {before}, is {after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline(keys: &[&str]) -> Baseline {
        Baseline {
            api_version: API_VERSION.to_owned(),
            kind: KIND.to_owned(),
            taken_at: Timestamp::UNIX_EPOCH,
            issuer: "https://login.example".to_owned(),
            client_id: "kubectl".to_owned(),
            subject: "jane".to_owned(),
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            signed_by: "a".to_owned(),
        }
    }

    fn outcomes(before: &Baseline, after: &Baseline) -> Vec<Outcome> {
        let checks = before.compare(after);
        checks.iter().map(|check| check.outcome).collect()
    }

    #[test]
    fn the_same_provider_is_recognised_and_another_is_told() {
        use Outcome::{Fail, Pass, Warn};
        let before = baseline(&["a", "b"]);
        assert_eq!(outcomes(&before, &before), [Pass; 4]);
        let rotated = baseline(&["b", "c"]);
        assert_eq!(outcomes(&before, &rotated), [Pass, Pass, Pass, Warn]);
        let other = Baseline {
            subject: "john".to_owned(),
            issuer: "https://other.example".to_owned(),
            client_id: "other".to_owned(),
            ..baseline(&["c"])
        };
        assert_eq!(outcomes(&before, &other), [Fail; 4]);
        assert_eq!(outcomes(&before, &baseline(&[]))[3], Fail);
    }

    #[test]
    fn a_file_is_read_back_and_another_refused() {
        let before = baseline(&["a"]);
        let text = serde_json::to_string(&before).unwrap();
        assert_eq!(Baseline::read(text.as_bytes()).unwrap(), before);
        let another = text.replace("TokenBaseline", "Service");
        for text in ["", "{}", another.as_str()] {
            assert!(Baseline::read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
