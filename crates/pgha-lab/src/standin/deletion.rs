//! The finalizer: a cluster that is deleted stops its replicas first and its leader last.

use anyhow::{Context as _, Result};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Endpoints;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use super::name;
use super::reconcile::Turn;
use super::types::{self, PostgresCluster};

impl Turn<'_> {
    /// Sets the finalizer of a cluster that lives; works off one that is deleted. Whether it is deleted.
    pub(crate) async fn is_deleted(&mut self) -> Result<bool> {
        let finalizers = self.pg_cluster.finalizers();
        let ours = finalizers.iter().any(|it| it == name::FINALIZER);
        if self.pg_cluster.metadata.deletion_timestamp.is_none() {
            if !ours {
                let mut finalizers = finalizers.to_vec();
                finalizers.push(name::FINALIZER.to_owned());
                self.write_finalizers(&finalizers).await?;
            }
            return Ok(false);
        }
        if !ours {
            return Ok(true);
        }
        self.members = self.observe_members().await?;
        if self.members.iter().any(|it| it.pod.is_some()) {
            self.stop_members().await?;
            return Ok(true);
        }
        let labels = name::selector(&[
            ("cluster", &self.name),
            ("patroni", &name::scope(&self.name)),
        ]);
        self.api::<Endpoints>()
            .delete_collection(
                &DeleteParams::default(),
                &ListParams::default().labels(&labels),
            )
            .await
            .context("deleting Patroni's objects")?;
        let rest: Vec<String> = finalizers
            .iter()
            .filter(|it| *it != name::FINALIZER)
            .cloned()
            .collect();
        self.write_finalizers(&rest).await?;
        Ok(true)
    }

    /// Scales down whatever may stop now; the change of the `StatefulSet` calls for the next look.
    async fn stop_members(&self) -> Result<()> {
        let running = self.members.iter().filter(|it| it.pod.is_some()).count();
        for member in &self.members {
            let waits = member.is_labelled_leader() && running > 1;
            let Some(set) = member.stateful_set.as_ref().filter(|_| !waits) else {
                continue;
            };
            if set.spec.as_ref().and_then(|spec| spec.replicas) == Some(0) {
                continue;
            }
            let patch = Patch::Merge(json!({"spec": {"replicas": 0}}));
            self.api::<StatefulSet>()
                .patch(&member.name, &PatchParams::default(), &patch)
                .await
                .with_context(|| format!("stopping {}", member.name))?;
        }
        Ok(())
    }

    async fn write_finalizers(&self, finalizers: &[String]) -> Result<()> {
        let api: Api<PostgresCluster> = Api::namespaced_with(
            self.operator.client.clone(),
            &self.namespace,
            &types::api_resource(),
        );
        let patch = Patch::Merge(json!({"metadata": {
            "finalizers": finalizers,
            "resourceVersion": self.pg_cluster.resource_version(),
        }}));
        let params = PatchParams {
            field_manager: Some(name::FIELD_MANAGER.into()),
            ..PatchParams::default()
        };
        match api.patch(&self.name, &params, &patch).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(error) => Err(error).context("writing the finalizer"),
        }
    }
}
