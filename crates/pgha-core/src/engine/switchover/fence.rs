//! The fence: the leader of the source stops cleanly, and its own control data says where.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Endpoints, Pod};
use kube::Api;
use pgha_model::control::{ClusterState, ControlData};
use pgha_model::plan::{LeaderIdentity, Step};
use pgha_model::proof::{Closure, Recovered};
use pgha_model::timeline::Timeline;
use serde_json::Value;

use super::{Switchover, pause};
use crate::clock;
use crate::engine::StepError;
use crate::engine::side::{Side, settled};
use crate::exec::{Container, ExecError, Shell};
use crate::operator::pgo_v5::{self, render};
use crate::patch::ObjectPatch;
use crate::postgres::{ANSWER_TIME, ControlError, PRINT_CONTROL_DATA, Psql};
use crate::settle::{Look, await_until};

/// Prints the control data as soon as it says `shut down`, and before it for how many microseconds the server was seen
/// stopping. A member that Patroni has already started again as a standby is missed, so this looks often; until the server
/// says that it stops (PostgreSQL source, `pidfile.h`, `PM_STATUS_STOPPING`) a look starts no process.
pub(super) const WATCH_FOR_SHUTDOWN: &str = r#"
exec {tick}<> <(:)
is_up() { mapfile -t -s 7 -n 1 line < "$PGDATA/postmaster.pid" && [[ ${line-} != stopping* ]]; }
while is_up 2>/dev/null; do read -r -t 0.005 -u "$tick"; done
began=${EPOCHREALTIME/[.,]/}
while :; do
  out=$(LC_ALL=C pg_controldata "$PGDATA") || exit 3
  [[ $out =~ cluster\ state:\ +shut\ down$'\n' ]] && break
  read -r -t 0.01 -u "$tick"
done
printf 'pgha-stopping-us: %s\n%s\n' "$((${EPOCHREALTIME/[.,]/} - began))" "$out""#;

impl Switchover<'_> {
    /// The leader of the source stops cleanly; its own control data says where.
    pub(super) async fn fence(&mut self) -> Result<(Closure, String), StepError> {
        tokio::try_join!(
            check_leader(&self.source, &self.plan.source_leader),
            check_leader(&self.target, &self.plan.target_leader)
        )?;
        let section = self.source.standby_section(&self.target);
        let config = render::config_as_standby(&self.source.config(), &section);
        let patch = self.source.standby_patch(&section, true);
        let shell = self.source.take_shell()?;
        let leader = shell.container().clone();
        let begun = clock::monotonic();
        self.reached.fence_sent = Some(begun);
        let watched = if self.pauses() {
            // The wish first: a hold that ends early must not find a stopped primary that is to be one.
            self.source.send_object(&patch).await?;
            let script = format!("{}\n{WATCH_FOR_SHUTDOWN}", pause::STOP);
            watch(shell, &script, self.limits.stop).await
        } else {
            self.send_and_watch(shell, &patch, &config).await?
        };
        let took = clock::monotonic() - begun;
        let (closure, stopping) = match watched {
            Ok((shell, text)) => {
                self.source.shell = Some(shell);
                (self.close(&text)?, stopping_time(&text))
            }
            Err(error) => {
                let text = format!("The stop was not seen ({error}); looking again.");
                self.note(Step::Fence, text);
                (self.look_again(&leader).await?, None)
            }
        };
        self.parts.stop = stopping.unwrap_or_default().min(took);
        self.parts.reaction = took.saturating_sub(self.parts.stop);
        let (end, timeline) = (closure.end, closure.timeline);
        let evidence = format!("{} ended with {end} on timeline {timeline}.", leader.pod);
        Ok((closure, evidence))
    }

    /// Watches for the stop while the source is told to become a standby. A watch that fails stops nothing: what was begun
    /// is sent whole.
    async fn send_and_watch(
        &mut self,
        shell: Shell,
        patch: &ObjectPatch,
        config: &Value,
    ) -> Result<Watched, StepError> {
        let mut watched = std::pin::pin!(watch(shell, WATCH_FOR_SHUTDOWN, self.limits.stop));
        let mut sent = std::pin::pin!(async {
            self.source.send_object(patch).await?;
            self.source.send_config(config).await
        });
        tokio::select! {
            result = &mut sent => {
                result?;
                Ok(watched.await)
            }
            early = &mut watched => {
                sent.await?;
                Ok(early)
            }
        }
    }

    fn close(&self, text: &str) -> Result<Closure, StepError> {
        let control = ControlData::from_text(text)
            .map_err(|error| StepError::Control(ControlError::Invalid(error)))?;
        Closure::from_control(&control, self.system_identifier()).map_err(StepError::NotProved)
    }

    fn system_identifier(&self) -> &str {
        let survey = &self.source.facts.survey;
        survey.system_identifier().unwrap_or_default()
    }

    /// When the watch was lost: the same member still says `shut down`, or it is back in recovery and says how far its log
    /// goes. Never another member's word.
    async fn look_again(&mut self, leader: &Container) -> Result<Closure, StepError> {
        let limit = self.limits.stop;
        let settlement = await_until(clock::monotonic() + limit, LOOK, async || {
            check_pod(&self.source, &self.plan.source_leader).await?;
            match self.look_once(leader).await {
                Ok(Some((shell, closure))) => Ok(Look::Settled((shell, closure))),
                Ok(None) => Ok(Look::NotYet(format!("{} is neither", leader.pod))),
                Err(StepError::Exec(error)) => Ok(Look::NotYet(error.to_string())),
                Err(StepError::Sql(error)) => Ok(Look::NotYet(error.to_string())),
                Err(error) => Err(error),
            }
        });
        let what = "a clean stop or a recovery of the source's leader";
        let (shell, closure) = settled(what, limit, settlement.await?)?;
        self.source.shell = Some(shell);
        Ok(closure)
    }

    async fn look_once(&self, leader: &Container) -> Result<Option<(Shell, Closure)>, StepError> {
        let site = &self.source.site;
        let mut shell = Shell::open(site, leader, ANSWER_TIME)
            .await
            .map_err(StepError::Exec)?;
        let printed = shell.run(PRINT_CONTROL_DATA, ANSWER_TIME).await;
        let printed = printed.and_then(|output| output.ok(leader));
        let text = printed.map_err(StepError::Exec)?;
        let control = ControlData::from_text(&text)
            .map_err(|error| StepError::Control(ControlError::Invalid(error)))?;
        if control.state == ClusterState::ShutDown {
            return Ok(Some((shell, self.close(&text)?)));
        }
        let mut psql = Psql::open(site, leader, ANSWER_TIME)
            .await
            .map_err(StepError::Sql)?;
        // Twice: a position that still moves is not the end.
        let asked = [RECOVERED, "select pg_sleep(0.2)", RECOVERED];
        let [before, _, after] = psql
            .query_each(asked, ANSWER_TIME)
            .await
            .map_err(StepError::Sql)?;
        let Some(recovered) = Recovered::from_row(&after).filter(|_| before == after) else {
            return Ok(None);
        };
        let facts = self.source.facts.postgres.as_ref();
        let timeline = Timeline(facts.map_or(0, |facts| facts.checkpoint_timeline));
        let expected = self.system_identifier();
        let closure = Closure::from_recovered(&recovered, expected, timeline, control.segment_size);
        Ok(Some((shell, closure.map_err(StepError::NotProved)?)))
    }
}

/// A shell that is free again and what it printed, or why the stop was not seen.
type Watched = Result<(Shell, String), ExecError>;

async fn watch(mut shell: Shell, script: &str, limit: Duration) -> Watched {
    let container = shell.container().clone();
    let text = shell.run(script, limit).await?.ok(&container)?;
    Ok((shell, text))
}

/// What [`Recovered::from_row`] reads; no row from a server that takes writes.
const RECOVERED: &str = "select system_identifier, timeline_id, pg_last_wal_replay_lsn() \
     from pg_control_system(), pg_control_checkpoint() where pg_is_in_recovery()";

/// Pause between two looks at a server whose stop was missed.
const LOOK: Duration = Duration::from_millis(200);

/// What [`WATCH_FOR_SHUTDOWN`] says of the time that the server was seen stopping.
fn stopping_time(text: &str) -> Option<Duration> {
    let us = text
        .lines()
        .find_map(|line| line.strip_prefix("pgha-stopping-us: "))?;
    us.trim().parse().ok().map(Duration::from_micros)
}

/// The lock is still held by the very pod that the plan names: any other member's end would prove nothing.
async fn check_leader(at: &Side, planned: &LeaderIdentity) -> Result<(), StepError> {
    let site = &at.site;
    let lock: Api<Endpoints> = Api::namespaced(site.client.clone(), &site.namespace);
    let name = pgo_v5::lock_name(&at.cluster);
    let (lock, same) = tokio::join!(
        site.call("get", "endpoints", lock.get(&name)),
        check_pod(at, planned)
    );
    let annotations = lock?.metadata.annotations.unwrap_or_default();
    same?;
    match annotations.get("leader") {
        Some(holder) if *holder == planned.pod => Ok(()),
        holder => Err(StepError::BasisChanged {
            what: format!(
                "the leader of the {} was {}, now the lock names {}",
                at.part,
                planned.pod,
                holder.map_or("nobody", String::as_str)
            ),
        }),
    }
}

/// The pod of that name is still the one that the plan means.
async fn check_pod(at: &Side, planned: &LeaderIdentity) -> Result<(), StepError> {
    let site = &at.site;
    let pods: Api<Pod> = Api::namespaced(site.client.clone(), &site.namespace);
    let pod = site.call("get", "pod", pods.get(&planned.pod)).await?;
    if pod.metadata.uid.as_deref() == Some(&planned.uid) {
        return Ok(());
    }
    Err(StepError::BasisChanged {
        what: format!(
            "the leader of the {} was {}, and that pod was replaced",
            at.part, planned.pod
        ),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::{Command, Stdio};

    use super::*;

    /// A lock file of a server (PostgreSQL documentation, 73.1) in this state.
    fn lock_file(state: &str) -> String {
        format!("1\n/pgdata/pg15\n1\n5432\n/tmp\n*\n 1 1\n{state:<8}\n")
    }

    #[test]
    fn the_stop_is_seen_and_timed() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        // Says `shutting down` at the first look and `shut down` from the second on.
        let program = "#!/bin/sh\ncat \"$PGDATA/control\"\nprintf 'Database cluster state:  shut down\\nLatest\\n' > \"$PGDATA/control\"\n";
        fs::write(path("pg_controldata"), program).unwrap();
        fs::set_permissions(path("pg_controldata"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(path("control"), "Database cluster state:  shutting down\n").unwrap();
        fs::write(path("postmaster.pid"), lock_file("ready")).unwrap();
        let mut watch = Command::new("bash")
            .args(["--noprofile", "--norc", "-c", WATCH_FOR_SHUTDOWN])
            .env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()))
            .env("PGDATA", folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        assert!(watch.try_wait().unwrap().is_none());
        fs::write(path("postmaster.pid"), lock_file("stopping")).unwrap();
        let said = watch.wait_with_output().unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        assert!(stopping_time(&said).unwrap() > Duration::ZERO, "{said}");
        assert!(
            said.ends_with("Database cluster state:  shut down\nLatest\n"),
            "{said}"
        );
    }

    #[test]
    fn the_time_is_read_in_microseconds() {
        assert_eq!(
            stopping_time("pgha-stopping-us: 1500\n"),
            Some(Duration::from_micros(1500))
        );
        assert_eq!(stopping_time("Database cluster state: shut down"), None);
    }
}
