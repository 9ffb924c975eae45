//! Passwords of both sides: compared by fingerprint, copied from one to the other, read back.
//!
//! A value leaves this module in the body of a patch to the API server and, for a login that is tried, in a command's standard
//! input. Nothing that holds one can be printed.

mod reset;

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt as _};
use pgha_model::effect::Effect;
use pgha_model::observed::Observed;
use pgha_model::secret::{Fingerprint, RoleSecret, SecretFacts};
use pgha_model::survey::SiteSurvey;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::client::{CallError, SiteClient};
use crate::clock::Instant;
use crate::diagnose::{Diagnose, chain_of, sanitised};
use crate::exec::Container;
use crate::k8s::ListParams;
use crate::operator::pgo_v5::DATABASE_CONTAINER;
use crate::operator::pgo_v5::secret::{RoleKeys, owners_of, role_keys, secrets_selector};
use crate::patch::{PatchBuilder, parameters};
use crate::postgres::{Psql, SqlError};
use crate::settle::{Look, Settlement, await_until};
use crate::survey::{Depth, SurveyError, survey_site};

pub use self::reset::{GivenPassword, NotAPassword};

const INTERVAL: Duration = Duration::from_millis(300);

/// How often a password is copied again that somebody has put back: an operator does that once, who does it again means it.
const AGAIN: u32 = 3;

/// The fingerprints of what Postgres holds; the verifiers themselves stay in it.
const VERIFIERS: &str = "\
select coalesce(json_object_agg(rolname, encode(sha256(convert_to(rolpassword, 'UTF8')), 'hex')), '{}')
  from pg_authid where rolpassword is not null";

/// One site with its passwords. It has no `Debug`: it holds values.
pub struct SecretSide {
    /// What may be shown and decided on.
    pub facts: SecretFacts,
    site: SiteClient,
    cluster: String,
    secrets: BTreeMap<String, (RoleKeys, Secret)>,
}

/// Why a Secret was not changed, or is not known to be. It never carries what the API server said, which may hold what
/// was sent.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct SecretError {
    text: String,
    effect: Effect,
    hint: Option<String>,
}

impl Diagnose for SecretError {
    fn effect(&self) -> Effect {
        self.effect
    }

    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}

impl From<CallError> for SecretError {
    fn from(error: CallError) -> Self {
        Self {
            text: error.to_string(),
            effect: error.effect(),
            hint: error.hint(),
        }
    }
}

impl SecretSide {
    /// Reads everything at one site. Errs when the object, the pods or the Secrets cannot be read.
    pub async fn look(site: SiteClient, cluster: &str) -> Result<Self, SurveyError> {
        let (survey, secrets) = tokio::join!(
            survey_site(&site, cluster, Depth::Leader),
            list_secrets(&site, cluster)
        );
        let survey = survey?;
        let secrets = secrets.map_err(SurveyError::Call)?;
        let leader = survey.lock_holder().map(|member| member.pod.clone());
        let database = match leader {
            Some(pod) => match fetch_verifiers(&site, pod).await {
                Ok(verifiers) => Observed::Seen(verifiers),
                Err(error) => Observed::unseen(chain_of(&error)),
            },
            None => Observed::unseen("there is no leader to ask"),
        };
        Ok(Self::of(site, cluster, survey, secrets, database))
    }

    fn of(
        site: SiteClient,
        cluster: &str,
        survey: SiteSurvey,
        secrets: BTreeMap<String, (RoleKeys, Secret)>,
        database: Observed<BTreeMap<String, Fingerprint>>,
    ) -> Self {
        let facts = secrets.iter().map(|(name, (keys, secret))| {
            let fact = RoleSecret {
                name: sanitised(name),
                uid: secret.uid().unwrap_or_default(),
                role: sanitised(&keys.role),
                password: value(secret, keys.password).map(|value| fingerprint(&value.0)),
                verifier: value(secret, keys.verifier).map(|value| fingerprint(&value.0)),
                owners: owners_of(secret),
            };
            (name.clone(), fact)
        });
        Self {
            facts: SecretFacts {
                survey,
                secrets: facts.collect(),
                database,
            },
            cluster: cluster.to_owned(),
            site,
            secrets,
        }
    }

    /// The keys that a copy of this Secret sets.
    pub fn keys(&self, name: &str) -> Vec<&'static str> {
        let keys = self.secrets.get(name).map(|(keys, _)| keys);
        keys.map_or_else(Vec::new, |keys| vec![keys.password, keys.verifier])
    }

    /// Copies one Secret's password and verifier to the other site, together; rests on what was seen there.
    pub async fn copy_to(&self, target: &Self, name: &str) -> Result<(), SecretError> {
        let gone = || SecretError {
            text: format!("the Secret {} is not on both sides", sanitised(name)),
            effect: Effect::None,
            hint: None,
        };
        let (keys, from) = self.secrets.get(name).ok_or_else(gone)?;
        let (_, to) = target.secrets.get(name).ok_or_else(gone)?;
        let mut patch = PatchBuilder::default();
        if let Some(uid) = to.uid() {
            patch = patch.test(&["metadata", "uid"], json!(uid));
        }
        for key in [keys.password, keys.verifier] {
            let wanted = value(from, key).ok_or_else(gone)?;
            let seen = to.data.as_ref().and_then(|data| data.get(key));
            let seen = seen.map(encoded);
            patch = patch.set(&["data", key], seen.as_ref(), encoded(wanted));
        }
        target.send(name, patch).await
    }

    /// Sends a patch of one of this site's Secrets.
    async fn send(&self, name: &str, patch: PatchBuilder) -> Result<(), SecretError> {
        let api: Api<Secret> = Api::namespaced(self.site.client.clone(), &self.site.namespace);
        let (patch, parameters) = (
            kube::api::Patch::Json::<()>(patch.operations()),
            parameters(),
        );
        let sent = api.patch(name, &parameters, &patch);
        let object = format!("secret {name}");
        self.site.call("patch", &object, sent).await?;
        Ok(())
    }

    /// Reads the other site back until each of these Secrets has the source's password and verifier, and the operator
    /// has made the connection string anew. Returns the names that are not so at the deadline.
    ///
    /// An operator that had read a Secret before it was copied writes back what it read (PGO v5 applies user Secrets whole,
    /// by force; seen in the lab): such a one is copied again.
    pub async fn await_copied(
        &self,
        target: &Self,
        names: &[String],
        deadline: Instant,
    ) -> Result<Vec<String>, SecretError> {
        let mut again = AGAIN;
        let settled = await_until(deadline, INTERVAL, async || {
            let now = list_secrets(&target.site, &target.cluster).await?;
            let missing = names.iter().filter(|name| !self.is_copied(&now, name));
            let missing: Vec<String> = missing.cloned().collect();
            for name in missing.iter().filter(|name| target.is_back(&now, name)) {
                if again > 0 {
                    again -= 1;
                    self.copy_again(target, name).await?;
                }
            }
            Ok::<_, SecretError>(if missing.is_empty() {
                Look::Settled(())
            } else {
                Look::NotYet(missing)
            })
        })
        .await?;
        Ok(match settled {
            Settlement::Settled(()) => Vec::new(),
            Settlement::TimedOut { last_seen } => last_seen.unwrap_or_else(|| names.to_vec()),
        })
    }

    /// Where somebody was faster once more, the next look decides again.
    async fn copy_again(&self, target: &Self, name: &str) -> Result<(), SecretError> {
        match self.copy_to(target, name).await {
            Err(error) if error.effect == Effect::None => Ok(()),
            result => result,
        }
    }

    /// Whether a Secret says again what it said before anything was copied.
    fn is_back(&self, now: &BTreeMap<String, (RoleKeys, Secret)>, name: &str) -> bool {
        let (Some((keys, before)), Some((_, now))) = (self.secrets.get(name), now.get(name)) else {
            return false;
        };
        let is_same = |key| value(before, key) == value(now, key);
        is_same(keys.password) && is_same(keys.verifier)
    }

    fn is_copied(&self, now: &BTreeMap<String, (RoleKeys, Secret)>, name: &str) -> bool {
        let (Some((keys, from)), Some((_, to))) = (self.secrets.get(name), now.get(name)) else {
            return false;
        };
        let is_same = |key| value(from, key).is_some() && value(from, key) == value(to, key);
        is_same(keys.password) && is_same(keys.verifier) && is_derived(keys, to)
    }
}

/// Whether the connection string, where there is one, has the password.
fn is_derived(keys: &RoleKeys, secret: &Secret) -> bool {
    let uri = keys.uri.and_then(|key| value(secret, key));
    let password = value(secret, keys.password).map(|it| it.0.clone());
    uri.is_none_or(|uri| password_in_uri(&uri.0) == password)
}

async fn list_secrets(
    site: &SiteClient,
    cluster: &str,
) -> Result<BTreeMap<String, (RoleKeys, Secret)>, CallError> {
    let api: Api<Secret> = Api::namespaced(site.client.clone(), &site.namespace);
    let params = ListParams::default().labels(&secrets_selector(cluster));
    let secrets = site.call("list", "secrets", api.list(&params)).await?;
    let of_roles = secrets.items.into_iter().filter_map(|secret| {
        let keys = role_keys(&secret, cluster)?;
        Some((secret.name_any(), (keys, secret)))
    });
    Ok(of_roles.collect())
}

async fn fetch_verifiers(
    site: &SiteClient,
    pod: String,
) -> Result<BTreeMap<String, Fingerprint>, SqlError> {
    let container = Container {
        pod,
        name: DATABASE_CONTAINER.to_owned(),
    };
    let mut psql = Psql::open(site, &container, site.request_timeout).await?;
    let row = psql.query(VERIFIERS, site.request_timeout).await?;
    let unreadable = || SqlError::Unreadable {
        member: container.pod.clone(),
        expected: "its roles",
    };
    let roles: BTreeMap<String, String> = serde_json::from_str(&row).map_err(|_| unreadable())?;
    let read = |(role, hex): (String, String)| Some((sanitised(&role), from_hex(&hex)?));
    roles
        .into_iter()
        .map(|role| read(role).ok_or_else(unreadable))
        .collect()
}

/// A value that is there and not empty.
fn value<'a>(secret: &'a Secret, key: &str) -> Option<&'a ByteString> {
    let value = secret.data.as_ref()?.get(key)?;
    (!value.0.is_empty()).then_some(value)
}

fn encoded(value: &ByteString) -> Value {
    // Bytes always have a text in base64.
    serde_json::to_value(value).unwrap_or_default()
}

fn fingerprint(value: &[u8]) -> Fingerprint {
    Fingerprint(Sha256::digest(value).into())
}

fn from_hex(text: &str) -> Option<Fingerprint> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(Fingerprint(bytes))
}

/// The password in `postgresql://user:password@host`, its percent signs resolved.
fn password_in_uri(uri: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(uri).ok()?;
    let (_, rest) = text.split_once("://")?;
    let (user, _) = rest.split_once('@')?;
    let (_, password) = user.split_once(':')?;
    let mut plain = Vec::new();
    let mut bytes = password.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            plain.push(byte);
            continue;
        }
        let digits = [bytes.next()?, bytes.next()?];
        plain.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_that_of_postgres() {
        // select encode(sha256(convert_to('abc', 'UTF8')), 'hex')
        let of_postgres = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(from_hex(of_postgres), Some(fingerprint(b"abc")));
        assert_eq!(from_hex("ba"), None);
    }

    #[test]
    fn the_password_in_a_uri_is_found() {
        assert_eq!(
            password_in_uri(b"postgresql://app:a%2Fb%40c@zitadel-primary.prod.svc:5432/app"),
            Some(b"a/b@c".to_vec())
        );
        assert_eq!(password_in_uri(b"postgresql://zitadel-primary"), None);
    }
}
