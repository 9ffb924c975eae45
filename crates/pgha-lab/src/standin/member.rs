//! The members of a Postgres cluster as the API server shows them: one `StatefulSet` each, and its pod.

use anyhow::Result;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

use super::name;
use super::reconcile::Turn;

/// One Postgres instance: its `StatefulSet` if there is one, and its pod if there is one.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// Name of the `StatefulSet`; the pod is called `<name>-0`.
    pub(crate) name: String,
    pub(crate) set: String,
    pub(crate) stateful_set: Option<StatefulSet>,
    pub(crate) pod: Option<Pod>,
}

impl Member {
    pub(crate) fn pod_name(&self) -> String {
        format!("{}-0", self.name)
    }

    /// Whether the pod is there, is not being deleted, and the container's process runs.
    pub(crate) fn is_running(&self, container: &str) -> bool {
        self.pod.as_ref().is_some_and(|pod| {
            pod.metadata.deletion_timestamp.is_none() && has_running(pod, container)
        })
    }

    pub(crate) fn is_ready(&self) -> bool {
        let conditions = self
            .pod
            .as_ref()
            .and_then(|pod| pod.status.as_ref()?.conditions.as_ref());
        conditions.is_some_and(|conditions| {
            conditions
                .iter()
                .any(|it| it.type_ == "Ready" && it.status == "True")
        })
    }

    pub(crate) fn is_terminating(&self) -> bool {
        let pod = self.pod.as_ref();
        pod.is_none_or(|pod| pod.metadata.deletion_timestamp.is_some())
    }

    /// Whether the status of the `StatefulSet` is of its newest template.
    pub(crate) fn is_settled(&self) -> bool {
        self.stateful_set.as_ref().is_some_and(|set| {
            let status = set.status.as_ref();
            status.and_then(|status| status.observed_generation) == set.metadata.generation
        })
    }

    /// Whether the pod carries Patroni's leader label: the lock holder, be it a primary or a standby leader.
    pub(crate) fn is_labelled_leader(&self) -> bool {
        self.pod.as_ref().is_some_and(|pod| {
            pod.labels()
                .get(&name::key("role"))
                .is_some_and(|it| it == "master")
        })
    }

    /// Whether the pod says of itself that it is a primary.
    pub(crate) fn is_writable(&self) -> bool {
        self.pod.as_ref().is_some_and(is_primary)
    }

    pub(crate) fn has_pending_restart(&self) -> bool {
        self.pod.as_ref().is_some_and(has_pending_restart)
    }

    /// Whether the pod was made from the newest template of its `StatefulSet`.
    pub(crate) fn is_updated(&self) -> bool {
        let wanted = self
            .stateful_set
            .as_ref()
            .and_then(|set| set.status.as_ref()?.update_revision.as_ref());
        let found = self
            .pod
            .as_ref()
            .and_then(|pod| pod.labels().get("controller-revision-hash"));
        wanted.is_some() && wanted == found
    }
}

/// What the pod's `status` annotation, written by its own Patroni, says its role is.
pub(crate) fn patroni_role(pod: &Pod) -> Option<String> {
    let status = pod.annotations().get("status")?;
    let status: serde_json::Value = serde_json::from_str(status).ok()?;
    status.get("role")?.as_str().map(str::to_owned)
}

/// Patroni below 4 says `master`, from 4 on `primary`.
pub(crate) fn is_primary(pod: &Pod) -> bool {
    matches!(patroni_role(pod).as_deref(), Some("master" | "primary"))
}

pub(crate) fn has_pending_restart(pod: &Pod) -> bool {
    pod.annotations()
        .get("status")
        .is_some_and(|it| it.contains(r#""pending_restart":true"#))
}

fn has_running(pod: &Pod, container: &str) -> bool {
    let containers = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_ref());
    containers.is_some_and(|containers| {
        containers.iter().any(|it| {
            it.name == container
                && it
                    .state
                    .as_ref()
                    .is_some_and(|state| state.running.is_some())
        })
    })
}

impl Turn<'_> {
    /// Reads the members of this `PostgresCluster`, by name.
    pub(crate) async fn observe_members(&self) -> Result<Vec<Member>> {
        let labels = [("cluster", self.name.as_str()), ("instance", "")];
        let sets: Vec<StatefulSet> = self.list(&labels).await?;
        let pods: Vec<Pod> = self.list(&labels).await?;
        Ok(pair(sets, pods))
    }
}

fn pair(sets: Vec<StatefulSet>, pods: Vec<Pod>) -> Vec<Member> {
    let label = |labels: &std::collections::BTreeMap<String, String>, key: &str| {
        labels.get(&name::key(key)).cloned().unwrap_or_default()
    };
    let mut members: Vec<Member> = sets
        .into_iter()
        .map(|stateful_set| Member {
            name: stateful_set.name_any(),
            set: label(stateful_set.labels(), "instance-set"),
            stateful_set: Some(stateful_set),
            pod: None,
        })
        .collect();
    for pod in pods {
        let name = label(pod.labels(), "instance");
        if let Some(member) = members.iter_mut().find(|member| member.name == name) {
            member.pod = Some(pod);
        } else {
            let set = label(pod.labels(), "instance-set");
            members.push(Member {
                name,
                set,
                stateful_set: None,
                pod: Some(pod),
            });
        }
    }
    members.sort_by(|a, b| a.name.cmp(&b.name));
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(status: &str) -> Pod {
        serde_json::from_value(serde_json::json!({
            "metadata": {
                "name": "hippo-pgha1-abcd-0",
                "annotations": {"status": status},
                "labels": {name::key("instance"): "hippo-pgha1-abcd"},
            }
        }))
        .unwrap()
    }

    #[test]
    fn a_standby_leader_is_no_primary_whatever_its_label() {
        assert!(is_primary(&pod(r#"{"role":"primary"}"#)));
        assert!(is_primary(&pod(r#"{"role":"master"}"#)));
        assert!(!is_primary(&pod(r#"{"role":"standby_leader"}"#)));
        assert!(!is_primary(&pod("not json")));
    }

    #[test]
    fn a_pod_without_its_stateful_set_is_still_a_member() {
        let members = pair(vec![], vec![pod("{}")]);
        assert_eq!(members[0].name, "hippo-pgha1-abcd");
        assert!(members[0].stateful_set.is_none());
    }
}
