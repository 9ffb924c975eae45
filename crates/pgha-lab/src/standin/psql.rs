//! SQL through psql in a member's `database` container, and the quoting that it takes.

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;

use super::exec::exec;
use super::member::Member;
use super::name;
use super::reconcile::Turn;

impl Turn<'_> {
    /// The member that says it is a primary and whose database container runs.
    pub(crate) fn writable_member(&self) -> Option<&Member> {
        self.members
            .iter()
            .find(|it| it.is_writable() && it.is_running(name::DATABASE))
    }

    /// Runs a script as the superuser, and stops at the first error.
    pub(crate) async fn psql(
        &self,
        member: &Member,
        database: &str,
        script: &str,
    ) -> Result<String> {
        let database = format!("--dbname={database}");
        let command = [
            "psql",
            "--no-psqlrc",
            "--no-password",
            "--set=ON_ERROR_STOP=on",
            "--set=QUIET=on",
            "--tuples-only",
            "--no-align",
            "--file=-",
            &database,
        ];
        let pods = self.api::<Pod>();
        let output = exec(
            &pods,
            &member.pod_name(),
            name::DATABASE,
            &command,
            Some(script),
        )
        .await?;
        if !output.stderr.trim().is_empty() {
            tracing::info!(name = self.name, "psql: {}", output.stderr.trim());
        }
        Ok(output.stdout)
    }
}

/// An SQL string literal.
pub(crate) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

/// An SQL identifier.
pub(crate) fn identifier(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_backslashes_cannot_leave_a_literal() {
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal(r"a\b"), r"E'a\\b'");
        assert_eq!(identifier(r#"a"b"#), r#""a""b""#);
    }
}
