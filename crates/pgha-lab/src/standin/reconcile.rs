//! One reconcile, in the operator's order. The first error stops all later steps.

use anyhow::{Context as _, Result};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

use super::member::Member;
use super::name;
use super::object::merge_patch;
use super::settings::Settings;
use super::status::PROGRESSING;
use super::status::PostgresClusterStatus;
use super::types::{self, PostgresCluster};

/// What every reconcile needs and none changes.
pub(crate) struct Operator {
    pub(crate) client: Client,
    pub(crate) settings: Settings,
}

/// How soon a `PostgresCluster` wants to be looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Again {
    /// When something changes, or at the hourly resynchronisation.
    OnChange,
    /// In this many seconds.
    After(u64),
    /// Soon, each time a little later (a step failed that does not stop the others).
    WithBackoff,
}

/// One reconcile of one `PostgresCluster`: what is asked for, what is seen, and the status that will be written.
pub(crate) struct Turn<'a> {
    pub(crate) operator: &'a Operator,
    pub(crate) pg_cluster: &'a PostgresCluster,
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) status: PostgresClusterStatus,
    pub(crate) members: Vec<Member>,
    pub(crate) again: Again,
}

/// Reconciles one `PostgresCluster` as it is in the API server now.
pub(crate) async fn reconcile(operator: &Operator, pg_cluster: &PostgresCluster) -> Result<Again> {
    let mut turn = Turn {
        operator,
        pg_cluster,
        name: pg_cluster.name_any(),
        namespace: pg_cluster
            .namespace()
            .context("a PostgresCluster without a namespace")?,
        status: pg_cluster.status.clone().unwrap_or_default(),
        members: Vec::new(),
        again: Again::OnChange,
    };
    if turn.is_deleted().await? {
        return Ok(Again::OnChange);
    }
    turn.refuse_what_cannot_be_served().await?;
    if turn.is_paused() {
        turn.write_status().await?;
        return Ok(Again::OnChange);
    }
    let outcome = turn.reconcile_all().await;
    // Deliberately outside of the success path: the real operator moves it after a failure, too.
    turn.status.observed_generation = pg_cluster.metadata.generation;
    let written = turn.write_status().await;
    outcome.and(written)?;
    Ok(turn.again)
}

impl Turn<'_> {
    async fn refuse_what_cannot_be_served(&self) -> Result<()> {
        let spec = &self.pg_cluster.spec;
        if let Err(error) = self.images() {
            self.warn("MissingRequiredImage", &error.to_string()).await;
            if !spec.is_shut_down() {
                return Err(error);
            }
        }
        if spec
            .standby()
            .is_some_and(|standby| standby.host.is_none() && standby.repo_name.is_none())
        {
            let message = format!(
                "spec.standby: Invalid value: \"{}\": Standby requires a host or repoName to be enabled",
                self.name
            );
            self.warn("InvalidStandbyConfiguration", &message).await;
            anyhow::bail!(message);
        }
        Ok(())
    }

    fn is_paused(&mut self) -> bool {
        if self.pg_cluster.spec.is_paused() {
            let message = "No spec changes will be applied and no other statuses will be updated.";
            self.set_condition(PROGRESSING, "False", "Paused", message);
            return true;
        }
        self.status.remove_condition(PROGRESSING);
        false
    }

    async fn reconcile_all(&mut self) -> Result<()> {
        let authority = self.reconcile_root_certificate().await?;
        self.members = self.observe_members().await?;
        self.reconcile_patroni_status().await?;
        self.reconcile_switchover().await?;
        self.reconcile_pod_service().await?;
        self.reconcile_access().await?;
        self.reconcile_cluster_config().await?;
        self.reconcile_replication_certificate(&authority).await?;
        self.reconcile_leader_services().await?;
        self.reconcile_replica_service().await?;
        self.reconcile_cluster_certificate(&authority).await?;
        self.reconcile_patroni_config_service().await?;
        self.reconcile_patroni_dynamic_configuration().await?;
        self.reconcile_instance_sets(&authority).await?;
        self.reconcile_databases().await?;
        self.reconcile_users().await?;
        self.reconcile_backrest(&authority).await?;
        self.reconcile_bouncer(&authority).await?;
        self.restart_pending_members().await
    }

    /// Asks for another look: the sooner of two wishes wins, backing off above all.
    pub(crate) fn ask_again(&mut self, again: Again) {
        self.again = match (self.again, again) {
            (Again::After(one), Again::After(other)) => Again::After(one.min(other)),
            (one, other) => one.max(other),
        };
    }

    async fn write_status(&self) -> Result<()> {
        let before = json!(self.pg_cluster.status);
        let after = json!(self.status);
        if before == after {
            return Ok(());
        }
        let patch = json!({"status": merge_patch(&before, &after)});
        let api: Api<PostgresCluster> = Api::namespaced_with(
            self.operator.client.clone(),
            &self.namespace,
            &types::api_resource(),
        );
        let params = PatchParams {
            field_manager: Some(name::FIELD_MANAGER.into()),
            ..PatchParams::default()
        };
        api.patch_status(&self.name, &params, &Patch::Merge(&patch))
            .await
            .context("writing the status")?;
        Ok(())
    }
}
