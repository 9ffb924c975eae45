//! Databases and users in Postgres. Their SQL runs only when it differs from what the status says ran last, so a
//! password that changed behind the operator's back stays changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Context as _, Result};

use super::name::{self, safe_hash};
use super::psql::{identifier, literal};
use super::reconcile::Turn;
use super::types::UserSpec;

impl Turn<'_> {
    /// Creates the databases that are missing.
    pub(crate) async fn reconcile_databases(&mut self) -> Result<()> {
        let users = self.pg_cluster.spec.users_or_default(&self.name);
        let databases: BTreeSet<&str> = users
            .iter()
            .flat_map(|user| user.databases.iter().map(String::as_str))
            .collect();
        let script = create_databases(&databases);
        let revision = safe_hash(&script);
        if self.status.database_revision.as_ref() == Some(&revision) {
            return Ok(());
        }
        let Some(member) = self.writable_member().cloned() else {
            return Ok(());
        };
        self.psql(&member, "postgres", &script)
            .await
            .context("creating databases")?;
        self.status.database_revision = Some(revision);
        Ok(())
    }

    /// Keeps the users' Secrets, and writes users and passwords into Postgres when a member is writable.
    pub(crate) async fn reconcile_users(&mut self) -> Result<()> {
        let users = self.pg_cluster.spec.users_or_default(&self.name);
        let verifiers = self.reconcile_user_secrets(&users).await?;
        let script = write_users(&users, &verifiers);
        let revision = safe_hash(&script);
        let Some(member) = self.writable_member().cloned() else {
            return Ok(());
        };
        if self.status.users_revision.as_ref() == Some(&revision) {
            return Ok(());
        }
        self.psql(&member, "postgres", &script)
            .await
            .context("writing users")?;
        if self
            .annotation(name::AUTO_SCHEMA_ANNOTATION)
            .is_some_and(|it| it == "true")
        {
            for user in &users {
                for database in &user.databases {
                    let script = create_schema(&user.name);
                    self.psql(&member, database, &script)
                        .await
                        .context("creating schemas")?;
                }
            }
        }
        self.status.users_revision = Some(revision);
        Ok(())
    }
}

fn create_databases(databases: &BTreeSet<&str>) -> String {
    let mut script =
        String::from("CREATE EXTENSION IF NOT EXISTS pgaudit;\nSET search_path TO '';\n");
    for database in databases {
        let wanted = literal(database);
        let _ = writeln!(
            script,
            "SELECT pg_catalog.format('CREATE DATABASE %I', {wanted}::text) WHERE NOT EXISTS \
             (SELECT FROM pg_catalog.pg_database WHERE datname = {wanted})\n\\gexec"
        );
    }
    script
}

fn write_users(users: &[UserSpec], verifiers: &BTreeMap<String, String>) -> String {
    let mut script =
        String::from("SET synchronous_commit = LOCAL;\nSET search_path TO '';\nBEGIN;\n");
    for user in users {
        let wanted = literal(&user.name);
        let _ = writeln!(
            script,
            "SELECT pg_catalog.format('CREATE USER %I', {wanted}::text) WHERE NOT EXISTS \
             (SELECT FROM pg_catalog.pg_roles WHERE rolname = {wanted})\n\\gexec"
        );
        let superuser = user.name == "postgres";
        let options = if superuser {
            "LOGIN SUPERUSER"
        } else {
            user.options.as_str()
        };
        let verifier = verifiers
            .get(&user.name)
            .map(String::as_str)
            .unwrap_or_default();
        let role = identifier(&user.name);
        let _ = writeln!(
            script,
            "ALTER ROLE {role} WITH {options} PASSWORD {};",
            literal(verifier)
        );
        for database in &user.databases {
            let database = identifier(database);
            let _ = writeln!(
                script,
                "GRANT ALL PRIVILEGES ON DATABASE {database} TO {role};"
            );
        }
    }
    script.push_str("COMMIT;\n");
    script
}

fn create_schema(user: &str) -> String {
    let user = identifier(user);
    format!(
        "SET client_min_messages = WARNING;\nSET synchronous_commit = LOCAL;\nSET search_path TO '';\n\
         CREATE SCHEMA IF NOT EXISTS {user} AUTHORIZATION {user};\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_revision_changes_with_the_verifier_and_with_nothing_else() {
        let users = [UserSpec {
            name: "zitadel".into(),
            databases: vec!["zitadel".into()],
            ..UserSpec::default()
        }];
        let script = |verifier: &str| {
            write_users(
                &users,
                &BTreeMap::from([("zitadel".to_owned(), verifier.to_owned())]),
            )
        };
        assert_eq!(safe_hash(&script("a")), safe_hash(&script("a")));
        assert_ne!(safe_hash(&script("a")), safe_hash(&script("b")));
        assert!(script("a").contains("ALTER ROLE \"zitadel\" WITH  PASSWORD 'a';"));
        assert!(
            script("a").contains("GRANT ALL PRIVILEGES ON DATABASE \"zitadel\" TO \"zitadel\";")
        );
    }
}
