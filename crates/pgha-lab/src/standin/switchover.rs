//! A switchover inside of the cluster, on request. An error here blocks everything after it, standby changes included.

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use super::exec::exec;
use super::member::Member;
use super::name;
use super::reconcile::Turn;
use super::types::SwitchoverSpec;

impl Turn<'_> {
    /// Serves the annotation `trigger-switchover`, in two passes: the first remembers the timeline, the second acts
    /// unless the timeline has moved in between.
    pub(crate) async fn reconcile_switchover(&mut self) -> Result<()> {
        let asked = self
            .pg_cluster
            .spec
            .patroni
            .switchover
            .clone()
            .filter(|it| it.enabled);
        let Some(asked) = asked else {
            self.status.patroni.switchover = None;
            self.status.patroni.switchover_timeline = None;
            return Ok(());
        };
        let request = self.annotation(name::SWITCHOVER_ANNOTATION);
        let Some(request) =
            request.filter(|it| Some(it) != self.status.patroni.switchover.as_ref())
        else {
            self.status.patroni.switchover_timeline = None;
            return Ok(());
        };
        let candidate = candidate(&asked, &self.members)?;
        let running = self.members.iter().find(|it| it.is_running(name::DATABASE));
        let running = running
            .context("Could not find a running pod when attempting switchover.")?
            .pod_name();

        let timeline = self.leader_timeline(&running).await?;
        match self.status.patroni.switchover_timeline {
            None | Some(0) => {
                self.status.patroni.switchover_timeline = Some(timeline);
                // The next pass comes with the change of the status, as every change of the object does.
                return Ok(());
            }
            Some(remembered) if remembered == timeline => {
                self.switch_over(&running, &asked, candidate.as_deref())
                    .await?;
            }
            Some(_) => {}
        }
        self.status.patroni.switchover = Some(request);
        self.status.patroni.switchover_timeline = None;
        Ok(())
    }

    /// The timeline of the running primary, as `patronictl list` shows it. A standby cluster has none.
    async fn leader_timeline(&self, pod: &str) -> Result<i64> {
        let command = ["patronictl", "list", "--format", "json"];
        let output = exec(&self.api::<Pod>(), pod, name::DATABASE, &command, None).await?;
        ensure!(output.stderr.is_empty(), "{}", output.stderr);
        leader_timeline(&output.stdout)?.context("error getting and parsing current timeline")
    }

    /// Has another member lead: any, or the named one.
    pub(crate) async fn switch_over(
        &self,
        pod: &str,
        asked: &SwitchoverSpec,
        candidate: Option<&str>,
    ) -> Result<()> {
        let candidate = format!("--candidate={}", candidate.unwrap_or_default());
        let (command, proof) = if is_failover(asked) {
            (
                vec!["patronictl", "failover", "--force", &candidate],
                "failed over",
            )
        } else {
            let command = vec![
                "patronictl",
                "switchover",
                "--scheduled=now",
                "--force",
                &candidate,
            ];
            (command, "switched over")
        };
        let output = exec(&self.api::<Pod>(), pod, name::DATABASE, &command, None).await?;
        ensure!(output.stdout.contains(proof), "unable to switchover");
        Ok(())
    }
}

fn is_failover(asked: &SwitchoverSpec) -> bool {
    asked.kind.as_deref() == Some("Failover")
}

/// The pod that is to lead, if one is named.
fn candidate(asked: &SwitchoverSpec, members: &[Member]) -> Result<Option<String>> {
    ensure!(
        members.len() > 1,
        "Need more than one instance to switchover"
    );
    let Some(target) = asked.target_instance.as_ref().filter(|it| !it.is_empty()) else {
        ensure!(
            !is_failover(asked),
            "TargetInstance required when running failover"
        );
        return Ok(None);
    };
    let Some(member) = members.iter().find(|it| it.name == *target) else {
        bail!("TargetInstance was specified but not found in the cluster");
    };
    ensure!(
        member.pod.is_some(),
        "TargetInstance should have one pod. Pods (0)"
    );
    Ok(Some(member.pod_name()))
}

fn leader_timeline(list: &str) -> Result<Option<i64>> {
    let members: Vec<Value> = serde_json::from_str(list).context("reading patronictl's list")?;
    let leader = members
        .iter()
        .find(|it| it["Role"] == "Leader" && it["State"] == "running");
    Ok(leader.and_then(|leader| leader["TL"].as_i64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standby_cluster_has_no_timeline_to_switch_from() {
        let list = r#"[{"Member": "a", "Role": "Standby Leader", "State": "running", "TL": 3}]"#;
        assert_eq!(leader_timeline(list).unwrap(), None);
        let list = r#"[{"Member": "a", "Role": "Leader", "State": "running", "TL": 3}]"#;
        assert_eq!(leader_timeline(list).unwrap(), Some(3));
    }

    fn member(name: &str) -> Member {
        Member {
            name: name.into(),
            set: "s".into(),
            stateful_set: None,
            pod: None,
        }
    }

    #[test]
    fn a_wrong_target_is_an_error() {
        let asked = SwitchoverSpec {
            target_instance: Some("c".into()),
            ..SwitchoverSpec::default()
        };
        let refusal = |members: &[Member]| candidate(&asked, members).unwrap_err().to_string();
        assert_eq!(
            refusal(&[member("a")]),
            "Need more than one instance to switchover"
        );
        assert_eq!(
            refusal(&[member("a"), member("b")]),
            "TargetInstance was specified but not found in the cluster"
        );
    }
}
