//! The Secrets `<c>-pguser-<user>` and the rules of a password and its verifier.

use std::collections::BTreeMap;

use anyhow::Result;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use serde_json::json;

use super::name;
use super::object::secret_data;
use super::reconcile::Turn;
use super::scram::{self, Alphabet};
use super::types::UserSpec;

impl Turn<'_> {
    /// Keeps one Secret for each user and removes those of users that are no longer wanted. Returns the verifiers.
    pub(crate) async fn reconcile_user_secrets(
        &self,
        users: &[UserSpec],
    ) -> Result<BTreeMap<String, String>> {
        let existing: Vec<Secret> = self
            .list(&[("cluster", &self.name), ("role", "pguser")])
            .await?;
        for secret in &existing {
            let user = secret.labels().get(&name::key("pguser"));
            let wanted = users.iter().any(|it| Some(&it.name) == user);
            let is_ours = secret
                .owner_references()
                .iter()
                .any(|it| it.controller == Some(true));
            if !wanted && is_ours {
                self.delete::<Secret>(&secret.name_any()).await?;
            }
        }
        let mut verifiers = BTreeMap::new();
        for user in users {
            let verifier = self.reconcile_user_secret(user).await?;
            verifiers.insert(user.name.clone(), verifier);
        }
        Ok(verifiers)
    }

    async fn reconcile_user_secret(&self, user: &UserSpec) -> Result<String> {
        let object = format!("{}-pguser-{}", self.name, user.name);
        let found = self.read_secret(&object).await?;
        let text = |key: &str| {
            found
                .get(key)
                .map(|it| String::from_utf8_lossy(it).into_owned())
                .unwrap_or_default()
        };
        let (password, verifier) = credentials(text("password"), text("verifier"), alphabet(user))?;
        let data = self.user_data(user, &password, &verifier);
        let data: BTreeMap<String, Vec<u8>> = data
            .into_iter()
            .map(|(key, value)| (key, value.into_bytes()))
            .collect();
        let labels = name::labels(&[
            ("cluster", &self.name),
            ("role", "pguser"),
            ("pguser", &user.name),
        ]);
        self.apply::<Secret>(&object, &labels, json!({"data": secret_data(&data)}))
            .await?;
        Ok(verifier)
    }

    fn user_data(
        &self,
        user: &UserSpec,
        password: &str,
        verifier: &str,
    ) -> BTreeMap<String, String> {
        let spec = &self.pg_cluster.spec;
        let bouncer = spec
            .proxy
            .as_ref()
            .and_then(|proxy| proxy.pg_bouncer.as_ref());
        let mut doors = vec![("", format!("{}-primary", self.name), spec.port(), "")];
        if let Some(bouncer) = bouncer {
            let port = bouncer.port.unwrap_or(5432);
            doors.push((
                "pgbouncer-",
                format!("{}-pgbouncer", self.name),
                port,
                "&prepareThreshold=0",
            ));
        }
        let mut data = BTreeMap::from([
            ("user".to_owned(), user.name.clone()),
            ("password".to_owned(), password.to_owned()),
            ("verifier".to_owned(), verifier.to_owned()),
        ]);
        for (prefix, service, port, extra) in doors {
            let host = format!("{service}.{}.svc", self.namespace);
            data.insert(format!("{prefix}host"), host.clone());
            data.insert(format!("{prefix}port"), port.to_string());
            if let Some(database) = user.databases.first() {
                let (name, secret) = (percent_encode(&user.name), percent_encode(password));
                data.insert("dbname".to_owned(), database.clone());
                data.insert(
                    format!("{prefix}uri"),
                    format!("postgresql://{name}:{secret}@{host}:{port}/{database}"),
                );
                data.insert(
                    format!("{prefix}jdbc-uri"),
                    format!("jdbc:postgresql://{host}:{port}/{database}?password={secret}{extra}&user={name}"),
                );
            }
        }
        data
    }
}

fn alphabet(user: &UserSpec) -> Alphabet {
    match &user.password {
        Some(password) if password.kind == "AlphaNumeric" => Alphabet::Alphanumeric,
        _ => Alphabet::Ascii,
    }
}

/// No password: both are made anew. No verifier: it is computed. A verifier is never questioned, so changing only the
/// password leaves the two apart.
fn credentials(password: String, verifier: String, alphabet: Alphabet) -> Result<(String, String)> {
    if password.is_empty() {
        let password = scram::new_password(alphabet)?;
        let verifier = scram::verifier(&password)?;
        return Ok((password, verifier));
    }
    if verifier.is_empty() {
        let verifier = scram::verifier(&password)?;
        return Ok((password, verifier));
    }
    Ok((password, verifier))
}

/// Percent-encodes everything but the unreserved characters of RFC 3986.
fn percent_encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(password: &str, verifier: &str) -> (String, String) {
        credentials(password.into(), verifier.into(), Alphabet::Ascii).unwrap()
    }

    #[test]
    fn an_empty_password_makes_both_anew() {
        let (password, verifier) = given("", "old");
        assert_eq!(password.len(), 24);
        assert!(verifier.starts_with("SCRAM-SHA-256$4096:"));
    }

    #[test]
    fn an_empty_verifier_is_computed_and_a_given_one_is_never_questioned() {
        let (password, verifier) = given("mine", "");
        assert_eq!(password, "mine");
        assert!(verifier.starts_with("SCRAM-SHA-256$4096:"));
        assert_eq!(given("changed", "kept"), ("changed".into(), "kept".into()));
    }

    #[test]
    fn a_uri_survives_any_password() {
        assert_eq!(percent_encode("a/b:c@d"), "a%2Fb%3Ac%40d");
    }
}
