//! The stanza: created once, from the primary, when its pod has seen the newest configuration.

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;

use super::exec::exec;
use super::member::Member;
use super::name;
use super::reconcile::{Again, Turn};
use super::status::REPLICA_REPO_READY;

const MISMATCH: &str = "pgBackRest config hash mismatch";

/// Refuses to run with a configuration that the pod has not seen yet. Arguments: wanted hash, stanza, refusal.
const CREATE: &str = r#"
if [[ "$(< /etc/pgbackrest/conf.d/config-hash)" != "$1" ]]; then
  printf >&2 '%s' "$3"
  exit 1
fi
pgbackrest stanza-create --stanza="$2" || pgbackrest stanza-upgrade --stanza="$2"
"#;

impl Turn<'_> {
    /// Creates the stanza if a member is writable and some repository lacks it. A failure is an event and another try
    /// in 10 s.
    pub(crate) async fn reconcile_stanza(&mut self, hash: &str) {
        let writable = self
            .members
            .iter()
            .find(|it| it.is_writable())
            .map(Member::pod_name);
        let missing = self
            .status
            .pgbackrest
            .repos
            .iter()
            .any(|it| !it.stanza_created);
        if let Some(pod) = writable.filter(|_| missing) {
            match self.create_stanza(&pod, hash).await {
                Ok(()) => {
                    self.inform(
                        "StanzasCreated",
                        "pgBackRest stanza creation completed successfully",
                    )
                    .await;
                    for repo in &mut self.status.pgbackrest.repos {
                        repo.stanza_created = true;
                    }
                }
                Err(error) => {
                    tracing::info!(name = self.name, "unable to create the stanza: {error:#}");
                    if !error.to_string().contains(MISMATCH) {
                        self.warn("UnableToCreateStanzas", &format!("{error:#}"))
                            .await;
                    }
                    self.ask_again(Again::After(10));
                }
            }
        }
        self.report_stanza();
    }

    async fn create_stanza(&self, pod: &str, hash: &str) -> Result<()> {
        let command = [
            "bash",
            "-ceu",
            "--",
            CREATE,
            "stanza",
            hash,
            name::STANZA,
            MISMATCH,
        ];
        exec(&self.api::<Pod>(), pod, name::DATABASE, &command, None).await?;
        Ok(())
    }

    fn report_stanza(&mut self) {
        let (status, reason, message) = match self.status.pgbackrest.repos.first() {
            None => (
                "Unknown",
                "RepoStatusMissing",
                "Status is missing for the replica creation repo",
            ),
            Some(repo) if repo.stanza_created => (
                "True",
                "StanzaCreated",
                "pgBackRest replica create repo is ready for backups",
            ),
            Some(_) => (
                "False",
                "StanzaNotCreated",
                "pgBackRest replica create repo is not ready for backups",
            ),
        };
        self.set_condition(REPLICA_REPO_READY, status, reason, message);
    }
}
