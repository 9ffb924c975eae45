//! Members whose pod is of an older template than their `StatefulSet` are replaced, one at a time, as the operator does it:
//! those that do not lead first, and the leader only once another member has its place.

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, Preconditions};

use super::member::Member;
use super::reconcile::Turn;
use super::types::SwitchoverSpec;

/// How many members may be away for it.
const MAX_UNAVAILABLE: usize = 1;

/// The seconds that a pod has to end (Kubernetes' default; the pods here name no other).
const GRACE_SECONDS: u32 = 30;

impl Turn<'_> {
    /// Replaces what is of an older template, unless a member is away already. One that is not ready is replaced at once: it
    /// cannot get worse.
    pub(crate) async fn roll_out(&self) -> Result<()> {
        let sets = &self.pg_cluster.spec.instances;
        let wanted = sets.iter().map(|set| set.replicas.unwrap_or(1) as usize);
        let has_set = |member: &&Member| sets.iter().any(|set| set.name == member.set);
        let live: Vec<&Member> = self.members.iter().filter(has_set).collect();
        for member in to_replace(wanted.sum(), &live) {
            self.replace(member).await?;
        }
        Ok(())
    }

    async fn replace(&self, member: &Member) -> Result<()> {
        let Some(pod) = &member.pod else {
            return Ok(());
        };
        let leads = member.is_labelled_leader();
        if leads && self.members.len() > 1 {
            // The next pass replaces it, as the replica that it is then.
            let any = SwitchoverSpec::default();
            return self.switch_over(&member.pod_name(), &any, None).await;
        }
        if leads {
            let checkpoint = format!("SET statement_timeout = '{GRACE_SECONDS}s'; CHECKPOINT;");
            if let Err(error) = self.psql(member, "postgres", &checkpoint).await {
                let note = format!("Unable to checkpoint primary before shutdown: {error}");
                self.warn("NoCheckpoint", &note).await;
            }
        }
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: pod.uid(),
                resource_version: pod.resource_version(),
            }),
            ..DeleteParams::default()
        };
        let deleted = self.api::<Pod>().delete(&pod.name_any(), &params).await;
        deleted.map(drop).context("replacing a pod")
    }
}

/// Which members to replace now, the least wanted first.
fn to_replace<'a>(wanted: usize, members: &[&'a Member]) -> Vec<&'a Member> {
    let live = members.iter().filter(|member| !member.is_terminating());
    let available = live.clone().filter(|member| member.is_ready()).count();
    let mut unavailable = wanted.saturating_sub(available);
    let mut outdated: Vec<&Member> = live
        .copied()
        .filter(|member| member.is_settled() && !member.is_updated())
        .collect();
    outdated.sort_by_key(|member| {
        let name = member.name.clone();
        (member.is_labelled_leader(), member.is_ready(), name)
    });
    outdated.retain(|member| {
        let may = !member.is_ready() || unavailable < MAX_UNAVAILABLE;
        unavailable += usize::from(may && member.is_ready());
        may
    });
    outdated
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::super::name;
    use super::*;

    fn from<T: DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).unwrap()
    }

    fn member(letter: &str, revision: &str, role: &str, ready: &str) -> Member {
        Member {
            name: format!("hippo-pgha1-{letter}"),
            set: "pgha1".into(),
            stateful_set: Some(from(json!({
                "metadata": {"generation": 2},
                "status": {"observedGeneration": 2, "updateRevision": "new", "replicas": 1},
            }))),
            pod: Some(from(json!({
                "metadata": {"labels": {
                    "controller-revision-hash": revision,
                    name::key("role"): role,
                }},
                "status": {"conditions": [{"type": "Ready", "status": ready}]},
            }))),
        }
    }

    fn replaced(members: &[Member]) -> Vec<&str> {
        let members: Vec<&Member> = members.iter().collect();
        let chosen = to_replace(members.len(), &members);
        chosen.into_iter().map(|it| it.name.as_str()).collect()
    }

    #[test]
    fn replicas_are_replaced_one_at_a_time_and_the_leader_last() {
        let leader = member("a", "old", "master", "True");
        let replica = |letter, revision, ready| member(letter, revision, "replica", ready);
        let both = [
            leader.clone(),
            replica("b", "old", "True"),
            replica("c", "old", "True"),
        ];
        assert_eq!(replaced(&both), ["hippo-pgha1-b"]);
        let away = [
            leader.clone(),
            replica("b", "new", "False"),
            replica("c", "old", "True"),
        ];
        assert_eq!(replaced(&away), Vec::<&str>::new());
        let last = [
            leader.clone(),
            replica("b", "new", "True"),
            replica("c", "new", "True"),
        ];
        assert_eq!(replaced(&last), ["hippo-pgha1-a"]);
        let alone = [leader];
        assert_eq!(replaced(&alone), ["hippo-pgha1-a"]);
    }

    #[test]
    fn one_that_is_not_ready_is_replaced_at_once() {
        let stuck = [
            member("a", "old", "master", "True"),
            member("b", "old", "replica", "False"),
            member("c", "old", "replica", "True"),
        ];
        assert_eq!(replaced(&stuck), ["hippo-pgha1-b"]);
    }

    #[test]
    fn a_revision_that_was_not_observed_yet_replaces_nobody() {
        let mut early = member("a", "old", "master", "True");
        if let Some(set) = &mut early.stateful_set {
            set.metadata.generation = Some(3);
        }
        assert_eq!(replaced(&[early]), Vec::<&str>::new());
    }
}
