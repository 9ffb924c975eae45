//! A new password of one user: asked for at the primary's operator, and awaited until Postgres holds it.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use pgha_model::effect::Effect;
use pgha_model::observed::Observed;
use pgha_model::secret::Fingerprint;
use serde_json::{Value, json};

use super::{
    AGAIN, INTERVAL, RoleKeys, SecretError, SecretSide, encoded, fetch_verifiers, fingerprint,
    is_derived, list_secrets, value,
};
use crate::client::CallError;
use crate::clock::Instant;
use crate::diagnose::chain_of;
use crate::gitops::{self, Closeness};
use crate::k8s::{self, DynamicObject};
use crate::patch::PatchBuilder;
use crate::permission::resetting;
use crate::settle::{Look, Settlement, await_until};
use crate::validate::denied;

/// The longest password that is taken, in bytes: more than any program sends.
const LONGEST: usize = 1024;

/// What a new password changes.
const FIELDS: &[&[&str]] = &[&["data", "password"], &["data", "verifier"]];

/// A password that a person brings. It has no `Debug`.
pub struct GivenPassword(Vec<u8>);

/// Bytes that are no password, without any of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAPassword {
    /// There are none.
    Empty,
    /// They are more than one line, or have characters that no line shows.
    NotALine,
    /// They are no UTF-8.
    NotAText,
    /// There are too many.
    TooLong,
}

impl fmt::Display for NotAPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "there is nothing in it",
            Self::NotALine => "it is not one line of visible characters",
            Self::NotAText => "it is no UTF-8",
            Self::TooLong => "it is longer than 1024 bytes",
        })
    }
}

impl GivenPassword {
    /// Takes one line, with or without its end.
    pub fn read(bytes: &[u8]) -> Result<Self, NotAPassword> {
        let text = std::str::from_utf8(bytes).map_err(|_| NotAPassword::NotAText)?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() {
            return Err(NotAPassword::Empty);
        }
        if text.len() > LONGEST {
            return Err(NotAPassword::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(NotAPassword::NotALine);
        }
        Ok(Self(text.as_bytes().to_vec()))
    }
}

impl SecretSide {
    /// Asks those who have signed a Secret what they do with a change of it; until then only their signs are known.
    pub(crate) async fn ask_owners(&mut self, name: &str) {
        let (Some(known), Some((_, secret))) =
            (self.facts.secrets.get_mut(name), self.secrets.get(name))
        else {
            return;
        };
        let resource = k8s::resource("", "v1", "Secret", "secrets");
        let object = DynamicObject {
            types: None,
            metadata: secret.metadata.clone(),
            data: Value::Null,
        };
        let signed = std::mem::take(&mut known.owners);
        let closeness = Closeness::Claimants;
        let asked = gitops::owners(&self.site, signed, &object, &resource, FIELDS, closeness);
        known.owners = asked.await;
    }

    /// What may not be done with a Secret that a new password needs.
    pub(crate) async fn denied(&self, name: &str) -> Result<Vec<String>, CallError> {
        denied(&self.site, resetting(name)).await
    }

    /// The password in a Secret.
    pub(crate) fn password(&self, name: &str) -> Option<&[u8]> {
        let (keys, secret) = self.secrets.get(name)?;
        Some(&value(secret, keys.password)?.0)
    }

    /// Empties a Secret's verifier, and its password unless there is one to put there: the operator makes what is empty (PGO
    /// `postgres.go`, `generatePostgresUserSecret`). Rests on what was seen there.
    pub(crate) async fn reset(
        &self,
        name: &str,
        given: Option<&GivenPassword>,
    ) -> Result<(), SecretError> {
        let Some((keys, secret)) = self.secrets.get(name) else {
            return Err(SecretError {
                text: format!("there is no Secret {name}"),
                effect: Effect::None,
                hint: None,
            });
        };
        let wanted = ByteString(given.map_or_else(Vec::new, |given| given.0.clone()));
        let mut patch = PatchBuilder::default();
        if let Some(uid) = secret.uid() {
            patch = patch.test(&["metadata", "uid"], json!(uid));
        }
        for (key, wanted) in [
            (keys.password, wanted),
            (keys.verifier, ByteString::default()),
        ] {
            let seen = secret.data.as_ref().and_then(|data| data.get(key));
            let seen = seen.map(encoded);
            patch = patch.set(&["data", key], seen.as_ref(), encoded(&wanted));
        }
        self.send(name, patch).await
    }

    /// Looks until a Secret that was reset has a new password, and Postgres its verifier; returns this side as it is then.
    ///
    /// An operator that had read the Secret before writes back what it read, here as after a copy: such a one is reset again.
    pub(crate) async fn await_reset(
        &self,
        name: &str,
        given: Option<&GivenPassword>,
        deadline: Instant,
    ) -> Result<Settlement<Self, String>, SecretError> {
        let mut again = AGAIN;
        await_until(deadline, INTERVAL, async || {
            let now = match list_secrets(&self.site, &self.cluster).await {
                Ok(now) => now,
                Err(error) if error.may_pass() => return Ok(Look::NotYet(chain_of(&error))),
                Err(error) => return Err(error.into()),
            };
            if again > 0 && self.is_back(&now, name) {
                again -= 1;
                match self.reset(name, given).await {
                    Err(error) if error.effect == Effect::None => {}
                    result => result?,
                }
            }
            let (role, made) = match self.made(name, &now, given) {
                Ok(made) => made,
                Err(missing) => return Ok(Look::NotYet(missing)),
            };
            Ok(match self.held(&role).await {
                Ok(held) if held == Some(made) => Look::Settled(self.with(now)),
                Ok(_) => Look::NotYet(format!("Postgres does not hold the verifier of {name}")),
                Err(because) => Look::NotYet(because),
            })
        })
        .await
    }

    /// Whether a Secret still says what was seen: an operator that looks at an old copy may make one more password.
    pub(crate) async fn is_unchanged(&self, name: &str) -> Result<bool, SecretError> {
        let now = list_secrets(&self.site, &self.cluster).await?;
        Ok(self.is_back(&now, name))
    }

    /// This side with its Secrets as they are now.
    fn with(&self, secrets: BTreeMap<String, (RoleKeys, Secret)>) -> Self {
        let (site, survey) = (self.site.clone(), self.facts.survey.clone());
        let database = Observed::unseen("only one verifier was asked for");
        Self::of(site, &self.cluster, survey, secrets, database)
    }

    /// The role of a Secret that has a new password, and the fingerprint of its verifier; what is missing, as a clause.
    fn made(
        &self,
        name: &str,
        now: &BTreeMap<String, (RoleKeys, Secret)>,
        given: Option<&GivenPassword>,
    ) -> Result<(String, Fingerprint), String> {
        let (Some((_, before)), Some((keys, now))) = (self.secrets.get(name), now.get(name)) else {
            return Err(format!("there is no Secret {name}"));
        };
        let (password, verifier) = (value(now, keys.password), value(now, keys.verifier));
        let is_new = match given {
            Some(given) => password.is_some_and(|it| it.0 == given.0),
            None => password.is_some() && password != value(before, keys.password),
        };
        let verifier = verifier.filter(|it| Some(*it) != value(before, keys.verifier));
        match verifier {
            Some(verifier) if is_new && is_derived(keys, now) => {
                Ok((keys.role.clone(), fingerprint(&verifier.0)))
            }
            _ => Err(format!("the operator has made no new password in {name}")),
        }
    }

    /// What Postgres holds for a role, or why that was not seen, as a fragment.
    async fn held(&self, role: &str) -> Result<Option<Fingerprint>, String> {
        let leader = self.facts.survey.lock_holder();
        let leader = leader.ok_or_else(|| "there is no leader to ask".to_owned())?;
        let verifiers = fetch_verifiers(&self.site, leader.pod.clone()).await;
        let verifiers = verifiers.map_err(|error| chain_of(&error))?;
        Ok(verifiers.get(role).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<u8>, NotAPassword> {
        GivenPassword::read(bytes).map(|password| password.0)
    }

    #[test]
    fn a_password_is_one_line_with_or_without_its_end() {
        for bytes in [&b"hun ter2"[..], b"hun ter2\n", b"hun ter2\r\n"] {
            assert_eq!(read(bytes).unwrap(), b"hun ter2");
        }
        assert_eq!(read("pässword".as_bytes()).unwrap(), "pässword".as_bytes());
        for (bytes, wrong) in [
            (&b""[..], NotAPassword::Empty),
            (b"\n", NotAPassword::Empty),
            (b"one\ntwo", NotAPassword::NotALine),
            (b"a\0b", NotAPassword::NotALine),
            (b"\xff", NotAPassword::NotAText),
            (&[b'a'; 1025], NotAPassword::TooLong),
        ] {
            assert_eq!(read(bytes).err(), Some(wrong));
        }
        assert!(
            NotAPassword::TooLong
                .to_string()
                .contains(&LONGEST.to_string())
        );
    }
}
